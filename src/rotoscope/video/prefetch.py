"""Decode ahead in a thread, by a bounded number of frames."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


DEPTH = 3
"""Frames that are decoded ahead unless something else is said: they bridge a slow one, and are not many at 4K."""
PATIENCE = 2.0
"""Seconds that a source which is being read may take to come to an end, when nothing more is wanted of it."""


@dataclass(frozen=True)
class _End:
    """Last thing in the queue: the error that ended the source, if any."""

    error: BaseException | None


def prefetch(source: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yield what ``source`` yields, made ahead by a thread.

    Args:
        source: run in the thread; it is closed when the consumer stops. If it gives no sign for :data:`PATIENCE`
            seconds then, as a camera without a picture does, it is left behind, and closed when it wakes up.
        depth: at most this many items wait; 0 runs without a thread.

    Errors of the source are raised where the consumer would have got the item.
    """
    if depth <= 0:
        yield from source
        return
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: Item | _End) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in source:
                taken = offer(item)
                del item  # or it would live on while the next one is made
                if not taken:
                    break
        except BaseException as caught:  # handed to the consumer, which raises it
            error = caught
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        offer(_End(error))

    thread = threading.Thread(target=work, name="rotoscope-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item
    finally:
        stopped.set()
        thread.join(PATIENCE)
