"""The service over HTTP and one WebSocket."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rotoscope.app import actions
from rotoscope.app.calls import Call
from rotoscope.app.hub import SPEAKER, Hub
from rotoscope.app.service import Service, page_folder
from rotoscope.errors import RotoscopeError, of_path

Action = Callable[[Service, Call], Any]
RENEW_EVERY = 30.0
"""Seconds between signs of life in the folders of open projects."""
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PROJECT = "/api/projects/{project}"
PLACE = "{frame:int}/{object:int}"
ADDRESSES: tuple[tuple[str, str, Action], ...] = (
    ("GET", "/api/state", actions.state),
    ("POST", "/api/open", actions.open_entry),
    ("GET", PROJECT, actions.facts),
    ("GET", PROJECT + "/weakest", actions.weakest),
    ("GET", PROJECT + "/frames/{frame:int}", actions.frame),
    ("GET", PROJECT + "/labels/{frame:int}", actions.labels),
    ("GET", PROJECT + f"/mask/{PLACE}", actions.mask),
    ("POST", PROJECT + f"/mask/{PLACE}", actions.paint),
    ("POST", PROJECT + f"/release/{PLACE}", actions.release),
    ("POST", PROJECT + "/look", actions.look),
    ("POST", PROJECT + "/click", actions.click),
    ("POST", PROJECT + "/edges", actions.edges),
    ("POST", PROJECT + "/grow", actions.grow),
    ("POST", PROJECT + "/objects", actions.add_object),
    ("POST", PROJECT + "/objects/{object:int}", actions.change_object),
    ("POST", PROJECT + "/objects/{object:int}/delete", actions.delete),
    ("POST", PROJECT + "/undo", actions.undo),
    ("POST", PROJECT + "/redo", actions.redo),
    ("POST", PROJECT + "/run", actions.run),
    ("POST", PROJECT + "/stop", actions.stop),
    ("POST", PROJECT + "/export", actions.export),
    ("GET", PROJECT + "/command", actions.command),
    ("POST", PROJECT + "/import", actions.take_in),
)


def make_app(service: Service, hub: Hub) -> Starlette:
    """The service as an ASGI application; it asks nobody who they are, so it stands behind a guard."""
    routes: list[BaseRoute] = [
        Route("/", _page, methods=["GET"]),
        Route("/assets/{name}", _asset, methods=["GET"]),
        WebSocketRoute("/events", _events(hub)),
    ]
    for method, path, action in ADDRESSES:
        routes.append(Route(path, _answering(service, action), methods=[method]))

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        hub.begin()
        renewing = asyncio.create_task(_renew(service))
        yield
        renewing.cancel()
        hub.end()
        await run_in_threadpool(service.close)

    return Starlette(routes=routes, lifespan=life)


async def _renew(service: Service) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY)
        try:
            await run_in_threadpool(service.renew)
        except RotoscopeError as error:
            service.tell({"type": "lost", "error": str(error)})


def _answering(service: Service, action: Action) -> Callable[[Request], Awaitable[Response]]:
    """An action as what Starlette calls: in a thread, and what is wrong said in one line."""

    async def answer(request: Request) -> Response:
        call = Call(dict(request.path_params), dict(request.query_params), await request.body())
        SPEAKER.set(request.headers.get("x-page", "")[:40])
        try:
            result = await run_in_threadpool(action, service, call)
            return result if isinstance(result, Response) else _json(result)
        except RotoscopeError as error:
            return _json({"error": str(error)}, 400 if error.exit_code == 2 else 500)
        except Exception as error:  # a fault of ours: the page shows it, the terminal has the rest
            refused = of_path(error)
            if refused is not None:
                return _json({"error": str(refused)}, 400)
            traceback.print_exc()
            said = f"{type(error).__name__}: {error}. This is a fault of ours; the terminal says more."
            return _json({"error": said}, 500)

    return answer


def _json(value: Any, status: int = 200) -> Response:
    """An answer in ASCII, so that a file's name of bytes that are no letters can be part of it."""
    return Response(json.dumps(value, allow_nan=False), status, actions.FRESH, "application/json")


def _events(hub: Hub) -> Callable[[WebSocket], Awaitable[None]]:
    """Events as they come, to a page that says nothing itself."""

    async def serve(socket: WebSocket) -> None:
        await socket.accept()
        queue = hub.join()
        hearing = asyncio.create_task(_hear(socket))
        try:
            while True:
                taking = asyncio.create_task(queue.get())
                done, _ = await asyncio.wait({taking, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if taking not in done:
                    taking.cancel()
                    return
                event = taking.result()
                if event is None:
                    await socket.close(1001)
                    return
                await socket.send_text(json.dumps(event))
        except (WebSocketDisconnect, RuntimeError):
            return  # the page is gone
        finally:
            hub.leave(queue)
            hearing.cancel()

    return serve


async def _hear(socket: WebSocket) -> None:
    """Wait until the page is gone; what it says meanwhile means nothing."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()


async def _page(request: Request) -> Response:
    return _file("index.html")


async def _asset(request: Request) -> Response:
    """A file of the built page: one of those that are there, by its plain name."""
    wanted = request.path_params["name"]
    names = {path.name for path in (page_folder() / "assets").glob("*")}
    if wanted not in names:
        return JSONResponse({"error": "there is no such file."}, 404)
    return _file(f"assets/{wanted}")


def _file(name: str) -> Response:
    path = page_folder() / name
    return FileResponse(path, media_type=TYPES.get(path.suffix, "application/octet-stream"), headers=actions.FRESH)
