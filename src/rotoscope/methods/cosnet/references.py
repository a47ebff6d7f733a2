"""Which frames are looked at, and what is kept of them (Lu et al., CVPR 2019, section 4.3; released code: facts)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from rotoscope.errors import InputError, shown
from rotoscope.methods.base import VideoLike
from rotoscope.methods.cosnet.config import COSNetConfig, Sampling
from rotoscope.video.frame import Frame


def draw(candidates: Sequence[int], index: int, count: int, sampling: Sampling, seed: int) -> list[int]:
    """References of a frame.

    Args:
        candidates: indices of frames that may be taken, in order.
        index: index of the frame that asks. ``random`` and ``uniform`` may give it as its own reference, as in released
            code may; ``consecutive`` only where there is no other.
        count: how many; all candidates if there are fewer.
        sampling, seed: see :class:`~rotoscope.methods.cosnet.config.COSNetConfig`. What is drawn depends on nothing
            else, in particular not on the frames that were asked for before.
    Returns: indices in order.
    """
    count = min(count, len(candidates))
    if sampling == "uniform":
        return [candidates[(2 * i + 1) * len(candidates) // (2 * count)] for i in range(count)]
    if sampling == "random":
        rng = np.random.default_rng((seed, index))
        return sorted(int(i) for i in rng.choice(np.asarray(candidates, np.int64), count, replace=False))
    others = [i for i in candidates if i != index] or list(candidates)
    return sorted(sorted(others, key=lambda i: (abs(i - index), i))[:count])


class References(Protocol):
    """Where a session's references come from."""

    notes: tuple[str, ...]
    """What a user should know about it."""

    @property
    def kept(self) -> int:
        """Frames whose features are held."""

    def recall(self, frame: Frame) -> Tensor | None:
        """The features of a frame of the clip if they are held."""

    def observe(self, frame: Frame, features: Tensor) -> None:
        """A frame of the clip, to be held if it will be asked for."""

    def of(self, index: int) -> dict[int, Tensor]:
        """Features ``[1, C, h, w]`` of a frame's references, by index of the reference."""

    def state(self) -> dict[str, Any]:
        """What cannot be had again, as tensors and JSON-able values."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""


class WholeVideo:
    """References from all of a video that can be read in any order.

    The features of a frame are computed once, whether it is asked for as a reference or pushed, and held as long as
    they may be asked for again: ``uniform`` holds its few, ``consecutive`` those around the frame, ``random`` all that
    it draws from, at most the config's ``pool``.

    Args:
        video: to read references from.
        encode: a frame to its features, ``[1, C, h, w]``.
        config: the config of the session.
    """

    def __init__(self, video: VideoLike, encode: Callable[[Frame], Tensor], config: COSNetConfig) -> None:
        self.video = video
        self.encode = encode
        self.config = config
        first, stop = int(getattr(video, "start", 0)), len(video)
        end = getattr(video, "end", None)
        self.frames = range(first, stop if end is None else min(end, stop))
        self.notes: tuple[str, ...] = ()
        self._unread: set[int] = set()
        self._held: dict[int, tuple[int, Tensor]] = {}
        self._drawn: Sequence[int] = self.frames
        if config.sampling == "uniform":
            self._drawn = draw(self.frames, 0, config.references, "uniform", config.seed)
        elif config.sampling == "random" and len(self.frames) > config.pool:
            rng = np.random.default_rng(config.seed)
            self._drawn = sorted(int(i) for i in rng.choice(np.asarray(self.frames), config.pool, replace=False))

    @property
    def kept(self) -> int:
        """Frames whose features are held."""
        return len(self._held)

    def recall(self, frame: Frame) -> Tensor | None:
        """A frame's features, if they are held and are those of this very picture."""
        held = self._held.get(frame.index)
        return held[1] if held is not None and held[0] == code_of(frame) else None

    def observe(self, frame: Frame, features: Tensor) -> None:
        """Hold a frame that will be asked for."""
        index = frame.index
        if not self.config.cached or not self.config.references:
            return
        if self.config.sampling == "consecutive":
            reach = self.config.references
            self._held = {i: held for i, held in self._held.items() if abs(i - index) <= 2 * reach}
        elif index not in self._drawn:
            return
        if index not in self._held:
            self._held[index] = (code_of(frame), features)

    def of(self, index: int) -> dict[int, Tensor]:
        """Features of a frame's references; those that cannot be read are left out, which the notes say."""
        config = self.config
        candidates = self._drawn
        if config.sampling == "consecutive":  # frames beyond its ends are made up for on the other side
            reach = config.references
            candidates = range(max(index - reach, self.frames.start), min(index + reach + 1, self.frames.stop))
        wanted = draw(candidates, index, config.references, config.sampling, config.seed) if candidates else []
        return {i: features for i in wanted if (features := self._read(i)) is not None}

    def state(self) -> dict[str, Any]:
        """Nothing: all of it can be read again."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def _read(self, index: int) -> Tensor | None:
        held = self._held.get(index)
        if held is not None:
            return held[1]
        if index in self._unread:
            return None
        try:
            frame = self.video[index]
        except (InputError, OSError, SyntaxError, ValueError) as error:  # what readers of damaged frames raise
            self._unread.add(index)
            self.notes = (*self.notes, f"frame {index} cannot be read and is no reference ({shown(error)})")
            return None
        features = self.encode(frame)
        self.observe(frame, features)
        return features


class PastFrames:
    """References from a stream: a bounded reservoir of frames that have gone by.

    ``random`` and ``uniform`` draw from frames that are a fair sample of all past ones (reservoir sampling, by the
    seed); ``consecutive`` takes the last ones. The first frame of all is its own reference.
    """

    def __init__(self, config: COSNetConfig) -> None:
        self.config = config
        self.capacity = config.references if config.sampling == "consecutive" else config.reservoir
        self.notes: tuple[str, ...] = ()
        if config.references:
            self.notes = (
                f"references come from at most {self.capacity} past frames: the whole video is not known while it runs",
            )
        self._held: dict[int, Tensor] = {}
        self._seen = 0

    @property
    def kept(self) -> int:
        """Frames whose features are held."""
        return len(self._held)

    def recall(self, frame: Frame) -> Tensor | None:
        """Nothing: a frame of a stream comes once."""
        return None

    def observe(self, frame: Frame, features: Tensor) -> None:
        """Take in a frame after it was answered."""
        index = frame.index
        if not self.capacity:
            return
        number, self._seen = self._seen, self._seen + 1
        if len(self._held) < self.capacity:
            self._held[index] = features
        elif self.config.sampling == "consecutive":
            del self._held[min(self._held)]
            self._held[index] = features
        else:
            place = int(np.random.default_rng((self.config.seed, number, 1)).integers(number + 1))
            if place < self.capacity:
                del self._held[sorted(self._held)[place]]
                self._held[index] = features

    def of(self, index: int) -> dict[int, Tensor]:
        """Features of references among the frames held."""
        if not self._held or not self.config.references:
            return {}
        config = self.config
        drawn = draw(sorted(self._held), index, config.references, config.sampling, config.seed)
        return {i: self._held[i] for i in drawn}

    def state(self) -> dict[str, Any]:
        """Features, indices, and how many frames have gone by."""
        tensors = {f"reference.{index}": features for index, features in self._held.items()}
        return tensors | {"seen": self._seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        prefix = "reference."
        held = {int(k.removeprefix(prefix)): v for k, v in state.items() if k.startswith(prefix)}
        self._held = dict(sorted(held.items()))
        self._seen = int(state["seen"])


def code_of(frame: Frame) -> int:
    """A number that tells a frame's picture from others: a damaged file may give one frame in two ways."""
    return zlib.crc32(frame.image.tobytes())
