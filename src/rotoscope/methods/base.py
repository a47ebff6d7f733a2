"""What every method has in common: a network with a config, sessions that hold one video's state, predictions."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rotoscope.errors import InputError, SessionError
from rotoscope.methods.prediction import Prediction, as_given
from rotoscope.video.arrays import as_rgb
from rotoscope.video.frame import Frame

Task = Literal["semi", "unsupervised"]
MaskLike = NDArray[Any] | Tensor
"""One object's mask ``[H, W]``: bool, 0/1, or soft float in [0, 1]."""


class VideoLike(Protocol):
    """What a session may ask of a whole video (only methods that read all of it do)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Frame: ...


@dataclass
class Timings:
    """Seconds spent by named part of the work, such as ``encode``, ``read``, ``decode``."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Session(ABC):
    """The state of one video being segmented.

    The base class keeps the order of calls, checks what is given, and holds it until its frame comes; a method
    implements :meth:`advance` and, if it holds frames back, :meth:`flush`.
    """

    latency: int = 0
    """At most how many frames are held back before they are answered."""
    keeps_given: bool = False
    """Whether masks given on a frame are its answer as they are, at full size, rather than on their way through the
    working size. A session that holds frames back sees to it itself."""

    def __init__(self) -> None:
        self.timings = Timings()
        self._pending: dict[int, Tensor] = {}
        self._ids: list[int] = []
        self._size: tuple[int, int] | None = None
        self._next_index = 0
        self._finished = False

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects tracked now, in the order they were first given."""
        return tuple(self._ids)

    @property
    def frames_remembered(self) -> float | None:
        """How many frames' worth of features are remembered now; None for a method that keeps none."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this session came to its answers, one line each."""
        return ()

    def add(self, masks: Mapping[int, MaskLike]) -> None:
        """Give or correct objects on the next frame pushed.

        Args:
            masks: ``{object_id: mask [H, W]}``, bool, 0/1 or soft float in [0, 1]; ids are positive integers.

        Raises:
            InputError: an id that is not a positive integer, a mask that is not two-dimensional or not in [0, 1].
            SessionError: the session has finished.
        """
        self._require_open()
        checked = {check_object_id(object_id): check_mask(mask, object_id) for object_id, mask in masks.items()}
        self._pending.update(checked)

    def remove(self, object_id: int) -> None:
        """Stop tracking an object from the next frame on.

        Raises:
            InputError: no such object is tracked.
        """
        self._require_open()
        if object_id in self._pending:
            del self._pending[object_id]
            if object_id not in self._ids:
                return
        if object_id not in self._ids:
            raise InputError(f"object {object_id} is not tracked; the objects are {list(self._ids) or 'none'}.")
        self.forget(object_id)
        self._ids.remove(object_id)

    def push(self, frame: Frame | NDArray[Any]) -> list[Prediction]:
        """Take the next frame; answer the frames that are ready, in order.

        Args:
            frame: a :class:`Frame`, or RGB ``[H, W, 3]`` as uint8 in [0, 255] or float in [0, 1].

        Raises:
            InputError: a frame or a mask of another size than the first frame's.
            SessionError: the session has finished.
        """
        self._require_open()
        frame = self._as_frame(frame)
        if self._size is None:
            self._size = frame.size
        if frame.size != self._size:
            raise InputError(
                f"frame {frame.index} is {frame.size[0]}x{frame.size[1]} but the first was "
                f"{self._size[0]}x{self._size[1]}. Start a new session, or resize the frames."
            )
        given, self._pending = self._pending, {}
        for object_id, mask in given.items():
            if (mask.shape[1], mask.shape[0]) != frame.size:
                raise InputError(
                    f"mask of object {object_id} is {mask.shape[1]}x{mask.shape[0]} but frame {frame.index} is "
                    f"{frame.size[0]}x{frame.size[1]}. Resize the mask."
                )
        self._next_index = frame.index + 1
        with torch.inference_mode():
            predictions = self.advance(frame, given)
        if given and self.keeps_given and not self.latency:
            predictions = [as_given(frame, prediction, given) for prediction in predictions]
        return predictions

    def finish(self) -> list[Prediction]:
        """Answer the frames still held back and close the session."""
        self._require_open()
        self._finished = True
        with torch.inference_mode():
            return self.flush()

    @abstractmethod
    def advance(self, frame: Frame, given: dict[int, Tensor]) -> list[Prediction]:
        """Process one frame with the masks given on it (float32 ``[H, W]`` each)."""

    def flush(self) -> list[Prediction]:
        """Answer what is held back; a streaming method holds nothing."""
        return []

    @abstractmethod
    def forget(self, object_id: int) -> None:
        """Drop what is remembered of an object."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything between frames as a flat dict of tensors and JSON-able values; see :meth:`restore`."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken, on a session made with the same options."""

    def _as_frame(self, frame: Frame | NDArray[Any]) -> Frame:
        if isinstance(frame, Frame):
            return frame
        image = np.asarray(frame)
        if image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"frame {self._next_index} has shape {image.shape}; give RGB [H, W, 3].")
        if image.dtype.kind == "f":
            return Frame(self._next_index, as_rgb(image, self._next_index))
        if image.dtype != np.uint8:
            raise InputError(f"frame {self._next_index} is {image.dtype}; give uint8 in [0, 255] or float in [0, 1].")
        return Frame(self._next_index, image)

    def _require_open(self) -> None:
        if self._finished:
            raise SessionError("this session has finished; start a new one with model.session().")


SessionType = TypeVar("SessionType", bound=Session)


class Method(nn.Module, ABC):
    """A network, its config, and how to open a session with it. Holds weights only, no state of a video."""

    task: Task = "semi"
    """What it needs: masks of at least one frame (``semi``), or none (``unsupervised``)."""
    config_class: ClassVar[type[Any]]
    inference_options: ClassVar[tuple[str, ...]] = ()
    """Fields of the config that may differ from what the weights were trained with."""

    precision: str = "exact"

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config if config is not None else self.config_class()

    def reconfigure(self, **changes: Any) -> None:
        """Change inference options of the config.

        Raises:
            InputError: a field that does not exist, or that the weights fix.
        """
        self.config = self.configured(changes)

    def configured(self, changes: Mapping[str, Any]) -> Any:
        """The config with inference options changed; see :meth:`reconfigure`."""
        unknown = sorted(set(changes) - set(self.inference_options))
        if unknown:
            raise InputError(f"there is no option {unknown[0]!r}; the options are {', '.join(self.inference_options)}.")
        return dataclasses.replace(self.config, **changes)

    @abstractmethod
    def session(self, video: VideoLike | None = None, **options: Any) -> Session:
        """Open a session; ``video`` is asked for by methods that read the whole clip."""

    def opened(self, session: SessionType) -> SessionType:
        """A new session as the precision wants it: ``exact`` answers given frames as the authors' code does."""
        session.keeps_given = self.precision != "exact"
        return session

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


def check_object_id(object_id: int) -> int:
    """Return the id as int if it is an integer of 1 to 65535, else raise InputError."""
    if isinstance(object_id, bool) or not isinstance(object_id, (int, np.integer)) or not 0 < object_id < 65536:
        raise InputError(f"object id {object_id!r} is not allowed; ids are whole numbers from 1 to 65535.")
    return int(object_id)


def check_mask(mask: MaskLike, object_id: int) -> Tensor:
    """Return the mask as float32 ``[H, W]`` in [0, 1], or raise InputError."""
    tensor = torch.as_tensor(np.ascontiguousarray(mask) if isinstance(mask, np.ndarray) else mask)
    if tensor.ndim != 2:
        raise InputError(f"mask of object {object_id} has shape {tuple(tensor.shape)}; give [H, W].")
    tensor = tensor.to(torch.float32)
    low, high = (tensor.amin().item(), tensor.amax().item()) if tensor.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"mask of object {object_id} holds values from {low:g} to {high:g}; give bool, 0/1 or soft in [0, 1]."
        )
    return tensor
