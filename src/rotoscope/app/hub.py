"""Word to all pages that are open."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

SPEAKER: ContextVar[str] = ContextVar("speaker", default="")
"""Which page the request that is being answered came from, in its own words; a page need not be told what it did."""
BEHIND = 2000
"""Events that a page may lag; one that lags more is cut off, and asks for everything when it comes back."""


class Hub:
    """Queues of events, one for each page; :meth:`tell` may be called from any thread."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Called once, in the loop that the pages are served from."""
        self._loop = asyncio.get_running_loop()

    def tell(self, event: dict[str, Any]) -> None:
        """Give an event to every page."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, event)

    def join(self) -> asyncio.Queue[dict[str, Any] | None]:
        """A queue for one page; it ends with None."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(BEHIND + 1)
        self._queues.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        """The page of a queue is gone."""
        self._queues.discard(queue)

    def end(self) -> None:
        """Tell all pages that the service ends."""
        for queue in list(self._queues):
            self._cut(queue)

    def _spread(self, event: dict[str, Any]) -> None:
        for queue in list(self._queues):
            if queue.qsize() >= BEHIND:
                self._cut(queue)
            else:
                queue.put_nowait(event)

    def _cut(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        self._queues.discard(queue)
        queue.put_nowait(None)
