"""Who may ask: only the page of this launch, opened on this machine."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import MutableMapping
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_BODY = 64 << 10
"""Bytes of a body, but for masks."""
LARGE_BODY = 72 << 20
"""Bytes of a mask: one for each pixel of an 8K frame, and as many again."""
SECONDS = 20.0
"""A body that takes longer is given up; on this machine the largest takes a tenth of one."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class BodyError(Exception):
    """A body that is not taken: its status and what to say."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Guard:
    """Stands before the service; nothing reaches it that does not pass here.

    Of every request, also for the page itself: the ``Host`` is exactly ours, so that no foreign name can be pointed at
    this port; the path begins with the token, compared in constant time; an ``Origin``, where there is one, is ours,
    and a WebSocket has one; the body is whole, not too large and not too slow.

    Args:
        app: the service.
        token: of this launch.
        address: host and port that the service listens on.
        seconds: see :data:`SECONDS`.
    """

    def __init__(self, app: ASGIApp, token: str, address: str, seconds: float = SECONDS) -> None:
        self.app = app
        self.token = token.encode()
        self.address = address.encode()
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, receive, send, 403, refusal)
            return
        rest = scope["path"].split("/", 2)[2] if scope["path"].count("/") > 1 else ""
        scope = {**scope, "path": f"/{rest}", "raw_path": None, "root_path": ""}
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self.seconds)
        except asyncio.TimeoutError:
            await _refuse(scope, receive, send, 408, f"the body took more than {self.seconds:g} seconds.")
            return
        except BodyError as error:
            await _refuse(scope, receive, send, error.status, error.text)
            return
        await self.app(scope, _once(body, receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None if it is not. It says nothing of what would be right."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if [value for name, value in headers if name == b"host"] != [self.address]:
            return "this address is not served here."
        token = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.token):
            return "this page belongs to another launch. Open the address that rotoscope app printed."
        origins = [value for name, value in headers if name == b"origin"]
        needed = scope["type"] == "websocket"
        if (origins or needed) and origins != [b"http://" + self.address]:
            return "requests of other pages are not answered."
        return None

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """All of a request's body.

        Raises:
            BodyError: it is too large, or was broken off.
        """
        limit = LARGE_BODY if "/mask/" in scope["path"] else SMALL_BODY
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > limit:
            raise BodyError(413, f"a body may have {limit} bytes here.")
        parts = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise BodyError(400, "the body was broken off.")
            parts += message.get("body", b"")
            if len(parts) > limit:
                raise BodyError(413, f"a body may have {limit} bytes here.")
            if not message.get("more_body", False):
                return bytes(parts)


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    response = PlainTextResponse(text + "\n", status, {"connection": "close", **HEADERS})
    await response(scope, receive, send)


def _once(body: bytes, receive: Receive) -> Receive:
    """A body that was read, given again."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message["headers"]}
            more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending
