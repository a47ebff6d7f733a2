"""Open a port on this machine alone, and serve the page there."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from rotoscope.app.guard import Guard
from rotoscope.app.hub import Hub
from rotoscope.app.library import Library
from rotoscope.app.service import Service
from rotoscope.app.web import make_app
from rotoscope.errors import InputError

HOST = "127.0.0.1"
MESSAGE = 16 << 10
"""Bytes of a message that a page may send over the WebSocket; pages send none."""
CONNECTIONS = 100
SWITCH = 0.001
"""Seconds that a run may hold the interpreter while a request waits; a request changes threads some five times."""


class Launch:
    """A service that listens; :meth:`serve` answers until it is stopped.

    Args:
        root: folder that the page may open files of, and keeps projects in.
        video: a video or folder of images to open first; None for the built-in clip.
        method: that runs along clips.
        port: to listen on; 0 for any that is free.

    Attributes:
        address: what to open in a browser; it holds the token of this launch.
        host: host and port, as a browser names them.
        token: of this launch.
        socket: what is listened on.

    Raises:
        InputError: the port is taken, or the root or what is given is not there.
    """

    def __init__(self, root: Path, video: Path | None = None, method: str = "stcn-small", port: int = 0) -> None:
        if not root.is_dir() or not os.access(root, os.W_OK | os.X_OK):
            raise InputError(f"{root}: is no folder that can be written to. Give another as --root.")
        if video is not None and not video.exists():
            raise InputError(f"{video}: no such file or folder.")
        self.hub = Hub()
        self.service = Service(Library(root, video), method, self.hub.tell)
        if video is not None:
            self.service.open(self.service.library.named.key)  # type: ignore[union-attr]  # what cannot be opened is said now
        # Where the protocol is not said, asyncio sets no TCP_NODELAY, and each answer waits 40 ms.
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((HOST, port))
        except (OSError, OverflowError) as error:
            self.socket.close()
            self.service.close()
            raise InputError(f"port {port} cannot be listened on ({error}). Leave --port out for a free one.") from None
        self._server: _Server | None = None
        self.token = secrets.token_urlsafe(24)
        self.host = f"{HOST}:{self.socket.getsockname()[1]}"
        self.address = f"http://{self.host}/{self.token}/"
        self.app = Guard(make_app(self.service, self.hub), self.token, self.host)

    def serve(self, ready: Callable[[], None] | None = None) -> None:
        """Answer until the process is told to end; ``ready`` is called once requests are taken."""
        config = uvicorn.Config(
            self.app, log_level="warning", access_log=False, lifespan="on", ws="websockets-sansio", http="h11",
            ws_max_size=MESSAGE, limit_concurrency=CONNECTIONS, timeout_keep_alive=30, timeout_graceful_shutdown=5,
            server_header=False,
        )  # fmt: skip
        self._server = _Server(config, ready)
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        try:
            self._server.run(sockets=[self.socket])
        finally:
            sys.setswitchinterval(before)

    def end(self) -> None:
        """Stop answering soon; called from another thread."""
        if self._server is not None:
            self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None and self.started:
            self._ready()
