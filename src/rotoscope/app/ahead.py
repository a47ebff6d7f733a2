"""What is done before it is asked for, in threads of its own: pictures of a clip, and frames made ready for clicks."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rotoscope.app.pictures import frame_bytes
from rotoscope.app.project import Project
from rotoscope.app.shelf import Shelf
from rotoscope.errors import RotoscopeError

Wish = TypeVar("Wish")
Superseded = Callable[[], bool]
GAP = 30
"""Frames that are decoded and passed over rather than sought behind."""
NICE = 10
"""How far the maker of pictures stands back, where the system lets one thread do so."""
PATIENCE = 0.05
"""Seconds between two looks whether the person still waits for something else."""


class Latest(Generic[Wish]):
    """A thread that does what was wished last; a wish that comes meanwhile takes the place of those that wait.

    Args:
        name: of the thread.
        work: does a wish; it is given what says whether another has come.
        nice: how far the thread stands back for others.
    """

    def __init__(self, name: str, work: Callable[[Wish, Superseded], None], nice: int = 0) -> None:
        self._work = work
        self._nice = nice
        self._wish: Wish | None = None
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self._thread.start()

    def want(self, wish: Wish) -> None:
        """Have something done soon."""
        with self._news:
            self._wish = wish
            self._news.notify()

    def close(self, seconds: float = 5.0) -> None:
        """End the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join(seconds)

    def _superseded(self) -> bool:
        return self._closed or self._wish is not None

    def _go(self) -> None:
        if self._nice and sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while True:
            with self._news:
                self._news.wait_for(self._superseded)
                if self._closed or self._wish is None:
                    return
                wish, self._wish = self._wish, None
            try:
                self._work(wish, self._superseded)
            except (RotoscopeError, OSError):
                continue  # who asks for the frame itself is told
            except Exception:  # a fault of ours: the terminal shows it, and the next wish is done
                traceback.print_exc()


@dataclass(frozen=True)
class Look:
    """What a person looks at.

    Attributes:
        key: of the project.
        project: the project.
        index: of the frame.
        side: the longer side of the pictures, in pixels; None for the frame's own.
    """

    key: str
    project: Project
    index: int
    side: int | None


class Filling:
    """Puts pictures of the clip that is looked at on the shelf, from the frame that is shown on, all around.

    Args:
        shelf: where to put them.
        busy: whether the person waits for something else; then nothing is made.
        lost: is told, in one line, if there is no room for them.
    """

    def __init__(self, shelf: Shelf, busy: Callable[[], bool], lost: Callable[[str], None]) -> None:
        self.shelf = shelf
        self._busy = busy
        self._lost = lost
        self._at: tuple[str, int | None, int] | None = None
        self._full = False
        self._maker: Latest[Look] = Latest("rotoscope-pictures", self._fill, NICE)

    def look(self, look: Look) -> None:
        """Say what is looked at now. What is being made goes on if it is near, or if the frame's picture is there."""
        at = self._at
        same = at is not None and at[:2] == (look.key, look.side)
        near = same and at is not None and at[2] <= look.index <= at[2] + GAP
        if not near and not (same and (look.key, look.index, look.side or 0) in self.shelf) and not self._full:
            self._maker.want(look)

    def close(self) -> None:
        """End the thread."""
        self._maker.close()

    def _fill(self, look: Look, superseded: Superseded) -> None:
        room = self.shelf.budget * 9 // 10
        try:
            for first, stop in self._missing(look):
                for frame in look.project.part(0, None).decode(first, stop, False):
                    while self._busy() and not superseded():
                        time.sleep(PATIENCE)
                    if superseded():
                        return
                    self._at = (look.key, look.side, frame.index)
                    name = (look.key, frame.index, look.side or 0)
                    if name in self.shelf:
                        continue
                    data = frame_bytes(frame.image, look.side, "jpeg")
                    room -= len(data)
                    if room < 0:
                        return
                    self.shelf.put(name, data)
        except OSError as error:
            self._full = True
            self._lost(f"there is no room for pictures of the clip ({error.strerror}); jumps will take longer.")
        finally:
            self._at = None

    def _missing(self, look: Look) -> Iterator[tuple[int, int]]:
        """Stretches of frames without a picture, from the frame that is shown on, and then those before it."""
        frames = look.project.frames
        for part in (range(look.index, frames), range(look.index)):
            yield from stretches([i for i in part if (look.key, i, look.side or 0) not in self.shelf])


def stretches(indices: Sequence[int], gap: int = GAP) -> Iterator[tuple[int, int]]:
    """First frames, and those after the last, of stretches that rising indices make, across gaps of some frames."""
    first = last = None
    for index in indices:
        if first is None or last is None:
            first = index
        elif index - last > gap:
            yield first, last + 1
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last + 1
