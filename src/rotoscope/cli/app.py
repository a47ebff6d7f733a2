"""``rotoscope app``."""

from __future__ import annotations

import html
import secrets
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from rotoscope.cli.output import out
from rotoscope.errors import InputError


def command(
    video: Annotated[
        Path | None, typer.Argument(help="Video file or folder of images; the built-in clip if none.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port to listen on, on this machine alone; 0 for any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    root: Annotated[
        Path, typer.Option(help="Folder that the page may open files of; projects are kept in it.")
    ] = Path(),
    method: Annotated[str, typer.Option(help="Method that runs along clips, from 'rotoscope methods'.")] = "stcn-small",
) -> int:
    """Open a page to point at objects, paint, run along a clip, correct, watch and export."""
    try:
        from rotoscope.app.serving import Launch
    except ModuleNotFoundError as missing:
        raise InputError(f'the page needs {missing.name}: pip install -e ".[app]".') from None
    launch = Launch(root, video, method, port)
    with _redirection(root, launch.address) as page:

        def ready() -> None:
            out.print(f"Rotoscope is at {launch.address}")
            out.print("It answers this machine alone. Ctrl-C ends it; work is kept.")
            if not no_browser:
                webbrowser.open(page.resolve().as_uri())

        with suppress(KeyboardInterrupt):  # the way to end it; the server has finished its answers before it says so
            launch.serve(ready)
    return 0


@contextmanager
def _redirection(root: Path, address: str) -> Iterator[Path]:
    """A file that leads a browser to the address, so that the token is not seen among the arguments of its process."""
    page = root / f"rotoscope-open-{secrets.token_hex(4)}.html"
    page.touch(mode=0o600)
    try:
        page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">', encoding="utf-8")
        yield page
    finally:
        page.unlink(missing_ok=True)
