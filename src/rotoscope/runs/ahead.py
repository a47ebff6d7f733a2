"""Frames with what a session can do on them before their turn, done in a thread, and the processor shared between both.

Two threads that work on two frames keep two cores busier than one thread whose every operation is split in two: small
operations wait for each other, and all the more where other programs run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import torch

from rotoscope.methods.base import Session
from rotoscope.video import Frame
from rotoscope.video.prefetch import prefetch

DEPTH = 1
"""Frames that are ready and wait; one more is being prepared."""


class Ahead:
    """A session's frames, prepared ahead, and a thread that helps the session with many objects.

    Nothing is prepared where one thread is all that PyTorch may use, off the CPU, or by a session that can do nothing
    before a frame's turn; then frames come as they are, and threads stay as they are.

    Args:
        session: what prepares.
        frames: in the order in which they are pushed.
        wanted: whether a frame will be looked at; one that comes before any object is answered without.
    """

    def __init__(self, session: Session, frames: Iterator[Frame], wanted: Callable[[Frame], bool]) -> None:
        self._session = session
        self._frames = frames
        self._wanted = wanted
        threads = torch.get_num_threads()
        shared = session.prepares and session.device.type == "cpu" and threads > 1
        self._share = (threads + 1) // 2 if shared else None

    def __iter__(self) -> Iterator[tuple[Frame, Any]]:
        """Yield frames, each with what is to be pushed beside it."""
        if self._share is None:
            yield from ((frame, None) for frame in self._frames)
            return
        with ThreadPoolExecutor(1, "rotoscope-helper") as helper:
            self._session.helper = helper
            try:
                yield from prefetch(self._prepared(), DEPTH)
            finally:
                self._session.helper = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While a frame is pushed: PyTorch computes with this thread's share of the threads."""
        if self._share is None:
            yield
            return
        before = torch.get_num_threads()
        torch.set_num_threads(self._share)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _prepared(self) -> Iterator[tuple[Frame, Any]]:
        """In the thread."""
        with closing(self._frames):  # type: ignore[type-var]
            for frame in self._frames:
                ready = None
                if self._wanted(frame):
                    with self.turn():
                        ready = self._session.prepare(frame)
                yield frame, ready
