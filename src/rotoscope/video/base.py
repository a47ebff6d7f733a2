"""What every source of frames has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType

from rotoscope.errors import InputError
from rotoscope.video.frame import Frame
from rotoscope.video.prefetch import DEPTH, prefetch


class UnknownLengthError(InputError, TypeError):
    """The length of a stream was asked for; a TypeError too, as ``list`` expects of what has no length."""


class Video(ABC):
    """A source of frames, read lazily.

    Attributes:
        name: the source's name without folder and suffix.
        length: number of frames in the source; None if it cannot be known before the end.
        length_is_exact: whether ``length`` is certain rather than what a container promises or suggests.
        fps: frames per second, where the source says.
        aspect: width of a pixel by its height, where the source says that pixels are not square.
        indexable: whether frames can be had in any order.
        notes: what was decided on opening, such as which of several streams is read; one line each.
        problems: damage met while reading, one line each; filled as frames are read.
        start, end: the part that is read; indices stay those of the source.
    """

    name: str = "video"
    length: int | None = None
    length_is_exact: bool = True
    fps: float | None = None
    aspect: Fraction | None = None
    indexable: bool = True

    def __init__(self, prefetch_depth: int = DEPTH, start: int = 0, end: int | None = None) -> None:
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.prefetch_depth = prefetch_depth
        self.start = start
        self.end = end

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""

    @abstractmethod
    def decode(self, start: int, stop: int | None, reverse: bool) -> Iterator[Frame]:
        """Yield frames ``start`` to ``stop`` (None: the end), forwards or backwards, in the calling thread."""

    @abstractmethod
    def at(self, index: int) -> Frame:
        """One frame of an indexable source; ``index`` is in range."""

    def fingerprint(self, contents: bool = False) -> str | None:
        """What tells this source from any other of its name and size; None of a stream, which cannot be known.

        Args:
            contents: of files, go by what they hold, which reads them all; else by their names, sizes and times.
        """
        return None

    def check_unchanged(self) -> None:  # noqa: B027 (of most sources each frame is looked at when it is read)
        """See that the frames that were read are those of one source.

        Raises:
            SourceChangedError: a file was altered meanwhile.
        """

    def number_of(self, name: str) -> int | None:
        """The number of the frame of a name, as masks are named after it; None if no frame is called so."""
        return int(name) if name.isdecimal() and name == f"{int(name):05d}" else None

    def name_of(self, number: int) -> str:
        """What the frame of a number is called, as :attr:`Frame.name` says; nothing is decoded."""
        return f"{number:05d}"

    def frames(self, reverse: bool = False, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Yield frames, decoded ahead in a thread.

        Args:
            reverse: from the last to the first; needs an indexable source.
            start: first frame of the source to give.
            stop: the frame after the last; None for the end.

        Raises:
            InputError: reversed order of a source that cannot give it.
        """
        if reverse and not self.indexable:
            raise InputError(f"{self.name}: cannot be read backwards. Save it as a file first.")
        first = max(start, self.start)
        limits = [limit for limit in (stop, self.end) if limit is not None]
        return prefetch(self.decode(first, min(limits) if limits else None, reverse), self.prefetch_depth)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __len__(self) -> int:
        if self.length is None:
            raise UnknownLengthError(f"{self.name}: its length is not known before its end. Save it as a file first.")
        return self.length

    def __getitem__(self, index: int) -> Frame:
        if not self.indexable:
            raise InputError(f"{self.name}: frames come in order only. Save it as a file first.")
        if not 0 <= index < len(self):
            raise InputError(f"{self.name}: there is no frame {index}; frames go from 0 to {len(self) - 1}.")
        return self.at(index)

    def close(self) -> None:  # noqa: B027 (most sources hold nothing open)
        """Let go of what is open."""

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_range(self) -> None:
        """Refuse a part that lies outside."""
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise InputError(f"{self.name}: frames {self.start} to {self.end} are no range. Give start < end.")
        if self.length is not None and self.length_is_exact and self.start >= self.length:
            raise InputError(f"{self.name}: start is {self.start} but the last frame is {self.length - 1}.")
