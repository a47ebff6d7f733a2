"""Write masks in a thread, a few frames behind the one that computes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import RotoscopeError, shown
from rotoscope.masks.saving import MaskWriter
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.measure import Measurement

PART = "write (in a thread)"
BEHIND = 4
"""Frames that may wait to be written."""


class Sink:
    """Hands predictions to writers in a thread of its own; what goes wrong there is raised in the caller's.

    A context manager: leaving it well, everything is written; leaving it by an error, what was put before still is.

    Args:
        writers: each gets every prediction, in this order.
        measured: where the seconds of writing are counted.
        written: is told of each prediction once all have it, in the same thread.
    """

    def __init__(
        self, writers: Sequence[MaskWriter], measured: Measurement, written: Callable[[Prediction], None] | None = None
    ) -> None:
        self._waiting: queue.Queue[tuple[Prediction, NDArray[np.uint8] | None] | None] = queue.Queue(BEHIND)
        self._writers = writers
        self._measured = measured
        self._written = written
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="rotoscope-writer", daemon=True)

    def put(self, prediction: Prediction, image: NDArray[np.uint8] | None) -> None:
        """Write a frame's masks soon; waits while too many wait already.

        Args:
            prediction: of the frame.
            image: the frame, RGB uint8 ``[H, W, 3]``, if a writer needs it.

        Raises:
            RotoscopeError: an earlier frame could not be written.
        """
        self._check()
        self._waiting.put((prediction, image))

    def drain(self) -> None:
        """Wait until all that was put is written.

        Raises:
            RotoscopeError: something could not be written.
        """
        self._waiting.join()
        self._check()

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if kind is None:
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            item = self._waiting.get()  # of the one before nothing is left by now
            try:
                if item is None:
                    return
                if self._error is None:
                    with self._measured.part(PART):
                        for writer in self._writers:
                            writer.write(*item)
                        if self._written is not None:
                            self._written(item[0])
            except OSError as error:
                self._error = RotoscopeError(f"masks cannot be written ({shown(error)}). Make room, then use --resume.")
            except Exception as error:  # handed to the caller's thread, which raises it
                self._error = error
            finally:
                del item
                self._waiting.task_done()
