"""One thread that does the work that takes long, one task after another, and tells how it goes."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rotoscope.errors import RotoscopeError

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass(eq=False)
class Task:
    """Something to do.

    Attributes:
        kind: ``run``, ``export`` or ``import``.
        what: does it; it is given the task, to ask whether it is stopped.
        about: what the page shows of it.
    """

    kind: str
    what: Callable[[Task], dict[str, Any]]
    about: dict[str, Any] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask it to end after the frame that it is at."""
        self._stop.set()

    def stopped(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()


class Worker:
    """The thread, what it is at, and who listens to it.

    Attributes:
        task: what is being done now; None when idle.
    """

    def __init__(self, tell: Listener) -> None:
        self.task: Task | None = None
        self._tell = tell
        self._waiting: queue.Queue[Task | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="rotoscope-worker", daemon=True)
        self._thread.start()

    def put(self, task: Task) -> None:
        """Do a task when those before it are done."""
        self._waiting.put(task)

    @property
    def busy(self) -> bool:
        """Whether something is being done, or waits."""
        return self.task is not None or not self._waiting.empty()

    def stop(self) -> None:
        """Ask what is being done to end, and drop what waits."""
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        if self.task is not None:
            self.task.stop()

    def close(self, seconds: float = 20.0) -> None:
        """End the thread after the frame that it is at."""
        self.stop()
        self._waiting.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            self.task = task
            self._tell({"type": "begun", "kind": task.kind, **task.about})
            ending: Event = {"type": "ended", "kind": task.kind, "stopped": False}
            try:
                ending |= task.what(task)
            except RotoscopeError as error:
                ending["error"] = str(error)
            except Exception as error:  # a fault of ours: it is shown on the page, and the service lives on
                traceback.print_exc()
                ending["error"] = f"{type(error).__name__}: {error}. This is a fault of ours; the terminal says more."
            ending["stopped"] = task.stopped()
            self.task = None
            self._tell(ending)
