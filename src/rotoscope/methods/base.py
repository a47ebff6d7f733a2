"""What every method has in common: a network with a config, sessions that hold one video's state, predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from rotoscope.errors import InputError, SessionError
from rotoscope.masks.points import Points, Prompter
from rotoscope.masks.prompts import masks_of_argument
from rotoscope.methods.clicking import Clicks
from rotoscope.methods.model import Model
from rotoscope.methods.objects import Objects
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.timings import Timings
from rotoscope.runtimes.served import computing
from rotoscope.video.arrays import as_rgb
from rotoscope.video.frame import Frame

MethodTask = Literal["semi", "unsupervised"]
MaskLike = NDArray[Any] | Tensor
"""One object's mask ``[H, W]``: bool, 0/1, or soft float in [0, 1]."""


class VideoLike(Protocol):
    """What a session may ask of a whole video (only methods that read all of it do)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Frame: ...


class Session(ABC):
    """The state of one video being segmented.

    The base class keeps what all methods need: the order of calls, the size of the frames, how many were pushed, the
    objects with their ids, slots and waiting masks (:class:`~rotoscope.methods.objects.Objects`), and the saving and
    restoring of all that. A method implements :meth:`advance`, :meth:`forget` and what it remembers itself,
    :meth:`memory_state` and :meth:`restore_memory`; if it holds frames back, :meth:`flush` too.

    Args:
        network: the layers; the session runs where their weights are.
        config: sizes of the network and options of inference.

    Attributes:
        latency: at most how many frames are held back before they are answered.
        keeps_prompts: whether masks given on a frame are its answer as they are, at full size, rather than on their way
            through the working size. A session that holds frames back sees to it itself.
        prepares: whether :meth:`encode` does a part of a frame's work; it is called ``first_part`` in ``timings``.
        timings: seconds spent by part of the work.
        objects: the objects that are followed, and the masks that wait.
        clicks: the points that wait, and what became of those that were given.
        helper: runs a part of a frame's work in another thread, where the processor has room for one; see
            :func:`~rotoscope.methods.sharing.shared_out`.
        position: how many frames have been pushed; while one is processed, how many were before it.
        size: width and height of the frames in pixels; None before the first.
    """

    latency: int = 0
    keeps_prompts: bool = False
    prepares: ClassVar[bool] = False
    first_part: ClassVar[str] = "encode"

    def __init__(self, network: nn.Module, config: Any) -> None:
        self.network: Any = network
        self.config: Any = config
        self.timings = Timings()
        self.objects = Objects()
        self.clicks = Clicks()
        self.position = 0
        self.size: tuple[int, int] | None = None
        self._next_index = 0
        self._finished = False
        self._prepared: Any = None
        self.helper: Executor | None = None

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next((weight.device for weight in self.network.parameters()), torch.device("cpu"))

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects tracked now, in the order they were first given."""
        return tuple(self.objects.ids)

    @property
    def frames_remembered(self) -> float | None:
        """How many frames' worth of features are remembered now; None for a method that keeps none."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how this session came to its answers, one line each."""
        return ()

    def add(self, masks: Mapping[int, MaskLike | Image.Image | Points] | MaskLike | Image.Image) -> None:
        """Give or correct objects on the next frame pushed.

        Args:
            masks: ``{object_id: mask [H, W]}``, bool, 0/1 or soft float in [0, 1]; ids are positive integers. For one
                object its mask alone will do, and it gets id 1. A label map ``[H, W]``, a stack ``[N, H, W]`` or a
                Pillow image is read as :func:`rotoscope.segment` reads it. For points see :meth:`add_points`.

        Raises:
            InputError: an id that is not a positive integer, a mask that is not two-dimensional or not in [0, 1].
            SessionError: the session has finished.
        """
        self._require_open()
        by_id = masks if isinstance(masks, Mapping) else masks_of_argument(masks)[0]
        pointed = {number: points for number, points in by_id.items() if isinstance(points, Points)}
        checked = {
            check_object_id(number): check_mask(mask, number)
            for number, mask in by_id.items()
            if not isinstance(mask, Points)
        }
        self.add_points(pointed)
        self.objects.wait(checked)

    def add_points(self, points: Mapping[int, Points]) -> None:
        """Point at objects on the next frame pushed, to give or to correct them.

        A network makes masks of the points. Points on an object that is followed correct the mask that it would have
        had there, unless the session holds frames back: then they stand for themselves.

        Args:
            points: ``{object_id: Points}``; of an object that is pointed at twice before a frame, all of them count.

        Raises:
            InputError: an id that is not a positive integer.
            SessionError: the session has finished, or nothing answers points, as in a model that was not loaded.
        """
        self._require_open()
        self.clicks.wait({check_object_id(number): own for number, own in points.items()})

    def remove(self, object_id: int) -> None:
        """Stop tracking an object from the next frame on.

        Raises:
            InputError: no such object is tracked.
        """
        self._require_open()
        waited = self.objects.pending.pop(object_id, None) is not None
        waited = self.clicks.drop(object_id) or waited
        if object_id in self.objects:
            self.forget(object_id)
            self.objects.leave(object_id)
        elif not waited:
            raise InputError(f"object {object_id} is not tracked; the objects are {self.objects.ids or 'none'}.")

    def prepare(self, frame: Frame) -> Any:
        """What can be done on a frame before those before it are answered, to be pushed with it.

        It touches nothing of the session's state, so another thread may run it. Only where :attr:`prepares` says so.
        """
        with computing(self.network), self.timings.part(f"{self.first_part} (in a thread)"):
            return self.encode(frame)

    def encode(self, frame: Frame) -> Any:
        """The part of a frame's work that depends on no other frame; see :attr:`prepares`."""
        raise NotImplementedError(f"{type(self).__name__} prepares nothing")

    def encoded(self, frame: Frame) -> Any:
        """For :meth:`advance`: what :meth:`encode` gives, which may have been prepared."""
        ready, self._prepared = self._prepared, None
        if ready is None:
            with self.timings.part(self.first_part):
                ready = self.encode(frame)
        return ready

    def push(self, frame: Frame | NDArray[Any], *, prepared: Any = None) -> list[Prediction]:
        """Take the next frame; answer the frames that are ready, in order.

        Args:
            frame: a :class:`Frame`, or RGB ``[H, W, 3]`` as uint8 in [0, 255] or float in [0, 1].
            prepared: what :meth:`prepare` gave for this very frame; None if it was not asked.

        Raises:
            InputError: a frame or a mask of another size than the first frame's.
            SessionError: the session has finished.
        """
        self._require_open()
        frame = self._as_frame(frame)
        if self.size is None:
            self.size = frame.size
            self.begin(frame.size)
        if frame.size != self.size:
            raise InputError(
                f"frame {frame.index} is {frame.size[0]}x{frame.size[1]} but the first was "
                f"{self.size[0]}x{self.size[1]}. Start a new session, or resize the frames."
            )
        if self.clicks:
            self.objects.wait(self.clicks.masks(self, frame))
        prompts = self.objects.take(frame.size, frame.index)
        self._next_index = frame.index + 1
        self._prepared = prepared
        with computing(self.network):
            predictions = self.advance(frame, prompts)
        self.position += 1
        if prompts and self.keeps_prompts and not self.latency:
            predictions = [prediction.with_prompts(frame, prompts) for prediction in predictions]
        return predictions

    def finish(self) -> list[Prediction]:
        """Answer the frames still held back and close the session."""
        self._require_open()
        self._finished = True
        with computing(self.network):
            return self.flush()

    def begin(self, size: tuple[int, int]) -> None:  # noqa: B027 (most methods have nothing to prepare)
        """Prepare for frames of a width and height; called once, when the size is known."""

    @abstractmethod
    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Process one frame with the masks given on it (float32 ``[H, W]`` each)."""

    def flush(self) -> list[Prediction]:
        """Answer what is held back; a streaming method holds nothing."""
        return []

    @abstractmethod
    def forget(self, object_id: int) -> None:
        """Drop what is remembered of an object."""

    @abstractmethod
    def memory_state(self) -> dict[str, Any]:
        """What the method itself remembers, as a flat dict of tensors and JSON-able values."""

    @abstractmethod
    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Remember what :meth:`memory_state` gave; its tensors are where the network is."""

    def state(self) -> dict[str, Any]:
        """Everything between frames as a flat dict of tensors and JSON-able values; see :meth:`restore`."""
        counters = {"size": list(self.size) if self.size else None, "position": self.position}
        memory = {f"memory.{name}": value for name, value in self.memory_state().items()}
        return memory | self.objects.state() | self.clicks.state() | counters | {"next_index": self._next_index}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where :meth:`state` was taken, on a session made with the same options."""
        self.objects.restore(state)
        self.clicks.restore(state)
        self.position, self._next_index = int(state["position"]), int(state["next_index"])
        self.size = None
        if state["size"]:
            width, height = state["size"]
            self.size = (int(width), int(height))
            self.begin(self.size)
        memory = {k.removeprefix("memory."): v for k, v in state.items() if k.startswith("memory.")}
        device = self.device
        self.restore_memory({k: v.to(device) if isinstance(v, Tensor) else v for k, v in memory.items()})

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


class Method(Model, ABC):
    """A model that segments videos, and how to open a session with it."""

    task: MethodTask = "semi"
    """What it needs: masks of at least one frame (``semi``), or none (``unsupervised``)."""
    prompter: Callable[[], Prompter] | None = None
    """Gives what makes masks of points; :func:`rotoscope.load` sets it."""

    @abstractmethod
    def session(self, video: VideoLike | None = None, **options: Any) -> Session:
        """Open a session; ``video`` is asked for by methods that read the whole clip."""

    def opened(self, session: SessionType) -> SessionType:
        """A new session as the precision wants it: ``exact`` answers given frames as the authors' code does."""
        session.keeps_prompts = self.precision != "exact"
        session.clicks.prompter = self.prompter
        return session


def check_object_id(object_id: int) -> int:
    """Return the id as int if it is an integer of 1 to 65535, else raise InputError."""
    if isinstance(object_id, bool) or not isinstance(object_id, (int, np.integer)) or not 0 < object_id < 65536:
        raise InputError(f"object id {object_id!r} is not allowed; ids are whole numbers from 1 to 65535.")
    return int(object_id)


def check_mask(mask: MaskLike | Image.Image, object_id: int) -> Tensor:
    """Return the mask as float32 ``[H, W]`` in [0, 1], or raise InputError."""
    if not isinstance(mask, (np.ndarray, Tensor)):
        mask = masks_of_argument({object_id: mask})[0][object_id]
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
