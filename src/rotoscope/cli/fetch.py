"""``rotoscope fetch``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from rotoscope.cli.output import err, out, warning_line
from rotoscope.errors import InputError, printable

if TYPE_CHECKING:
    from rotoscope.weights.fetching import Request
    from rotoscope.weights.store import Kept

PAUSE = 30.0
"""Seconds between lines on how far it has come, where there is no terminal for a bar."""


def command(
    name: Annotated[
        str | None, typer.Argument(help="Name from 'rotoscope methods', such as stcn; none lists what there is.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="A file, folder or address of the same weights, in place of where authors host them."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Fetch them though they are here.")] = False,
    sha256: Annotated[str | None, typer.Option(help="Hash that the file must have, in hexadecimal.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep them in; set ROTOSCOPE_CACHE to it to load them by name.")
    ] = None,
) -> int:
    """Get the weights that a method's authors released, check them, and keep them under their name."""
    from rotoscope.weights.fetching import Request, fetch
    from rotoscope.weights.released import RELEASED
    from rotoscope.weights.store import kept

    if name is None:
        raise InputError(f"say which: rotoscope fetch NAME, where NAME is {', '.join(RELEASED)}.")
    if sha256 is not None and len(bytes_of(sha256)) != 32:
        raise InputError(f"--sha256 {sha256}: give 64 hexadecimal digits.")
    first = Request(name, source, cache)
    already = kept(name, cache) if first.entry and not again else None
    if already is not None:
        already.check()
        if source is None and sha256 in (None, already.sha256):
            tell(name, already, "is here already, in")
            return 0
        raise InputError(f"{name}: is here, in {already.folder}. Pass --again to put other weights in its place.")
    first.check()
    if first.url is not None and not agreed(first, yes):
        out.print("Nothing was fetched.")
        return 0
    expected = sha256.lower() if sha256 else recorded(first)
    with bytes_meter(name) as progress:
        fetched = fetch(Request(name, source, cache, expected, progress, warning_line))
    tell(name, fetched, "is ready, in")
    return 0


def bytes_of(text: str) -> bytes:
    """Hexadecimal digits as bytes; none if they are not."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def recorded(request: Request) -> str | None:
    """The hash that the same file had when it was first fetched, if it was."""
    from rotoscope.errors import CheckpointError
    from rotoscope.weights.store import kept

    try:
        before = kept(request.name, request.cache)
    except CheckpointError:
        return None
    return before.sha256 if before is not None and before.source == request.url else None


def agreed(request: Request, yes: bool) -> bool:
    """Say what would be downloaded, and ask.

    Raises:
        InputError: there is nobody to ask.
    """
    released = request.released
    out.print(f"{request.name}: {request.entry.summary.split(';')[0]}")
    out.print(f"  from     {request.url}")
    if released is not None:
        if request.source is None:
            out.print(f"  size     about {released.about / 1e6:.0f} MB, at most {released.most / 1e6:.0f} MB")
        out.print(f"  licence  {released.licence}")
        out.print(f"  trained  {released.trained}")
        out.print(f"  page     {released.page}")
    out.print(f"  kept in  {request.home}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(f"{request.name}: downloading asks first, and nobody is here to answer. Pass --yes.")
    return typer.confirm("Download it?")


def tell(name: str, weights: Kept, how: str) -> None:
    """Say what is here, and how to use it."""
    from rotoscope.weights.released import BEGINNINGS

    out.print(f"{name} {how} {weights.folder}")
    out.print(f"  source   {weights.source}, {weights.bytes:,} bytes")
    stated = "" if name in BEGINNINGS else ": its authors state none"
    out.print(f"  sha256   {weights.sha256} (as recorded here{stated})")
    if name in BEGINNINGS:
        out.print(f"  use      rotoscope train RECIPE --set trunk={name}")
    else:
        out.print(f"  use      --method {name}, or rotoscope.load({name!r})")


@contextmanager
def bytes_meter(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar of bytes on standard error; plain lines where that is not a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(printable(name), total=None)
        said = time.monotonic()

        def step(done: int, total: int | None) -> None:
            nonlocal said
            progress.update(task, completed=done, total=total)
            if progress.disable and time.monotonic() - said >= PAUSE:
                said = time.monotonic()
                of = f" of {total / 1e6:.0f}" if total else ""
                err.print(f"{name}: {done / 1e6:.0f}{of} MB")

        yield step
