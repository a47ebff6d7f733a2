"""One file from one address, by HTTP: begun again where it was cut off, and never more than was asked for."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import atomic_write
from rotoscope.weights.limits import one_line
from rotoscope.weights.released import MB
from rotoscope.weights.web import BY_HAND, DownloadError, Order, ask, host_of

PIECE = 2**18
HTML = re.compile(rb"\s*(<!doctype|<html|<head|<body|<\?xml|<!--)", re.IGNORECASE)
TITLE = re.compile(rb"<title[^>]*>(.{1,200}?)</title>", re.IGNORECASE | re.DOTALL)
AGAIN = "The same command goes on from there."


def download(order: Order, target: Path) -> None:
    """Get a file. What has come waits in ``target.part`` until it is whole; a later call goes on from there.

    Args:
        order: what to get.
        target: the file; it appears whole or not at all.

    Raises:
        DownloadError: the server is gone, refuses, is too slow, stops early, sends on to another host, or sends a page,
            too much, or another length than it said.
        InputError: not an address that files are got from.
        RotoscopeError: it cannot be written.
    """
    check_address(order.url)
    part = target.with_name(f"{target.name}.part")
    known = part.with_name(f"{part.name}.json")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file, _alone(file, part):
            _receive(order, file, known)
        part.replace(target)
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise DownloadError(f"{host_of(order.url)}: the connection broke ({one_line(error)}). {AGAIN}") from None
    except OSError as error:
        raise RotoscopeError(f"{target}: cannot be written ({error.strerror}). Make room, then run again.") from None
    known.unlink(missing_ok=True)


def check_address(url: str) -> None:
    """Refuse what is not the address of a file on the web.

    Raises:
        InputError: it is not.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(f"{one_line(url)}: is not an address. Give one that begins with https://.")


def _receive(order: Order, file: IO[bytes], known: Path) -> None:
    """Bring the file to its whole length."""
    have = file.tell()
    told = _read_known(known, order.url) if have else {}
    if not told:
        have = _from_nothing(file)
    elif told.get("total") == have:
        return
    with _opened(order, have, told) as (answer, begin):
        if begin == 0 and have:
            order.note(f"{host_of(order.url)} cannot go on where it stopped; the file is got anew.")
            have = _from_nothing(file)
        total = _total(order, answer, begin)
        _write_known(known, order.url, answer.headers, total)
        try:
            _copy(order, answer, file, have, total)
        except RefusedError as wrong:
            _from_nothing(file)
            known.unlink(missing_ok=True)
            raise DownloadError(str(wrong)) from None


class RefusedError(Exception):
    """What came is not what was asked for; what is here of it is of no use."""


def _copy(order: Order, answer: Any, file: IO[bytes], have: int, total: int | None) -> None:
    """Read what comes into the file.

    Raises:
        RefusedError: a page, or too much.
        DownloadError: it ends early, or comes too slowly.
    """
    host, patience = host_of(order.url), order.patience
    begun, came = time.monotonic(), 0
    first, most = have == 0, order.size or order.most
    order.progress(have, total)
    while True:
        piece = _next_piece(answer, host, have, total)
        if not piece:
            break
        if first and HTML.match(piece):
            raise RefusedError(_page(order, piece))
        first = False
        have, came = have + len(piece), came + len(piece)
        if have > most:
            raise RefusedError(f"{host}: sends more than the {most:,} bytes that these weights can have. {BY_HAND}")
        file.write(piece)
        order.progress(have, total)
        if time.monotonic() - begun > patience.window:
            if came < patience.least:
                raise DownloadError(f"{host}: is too slow ({came} bytes in {patience.window:g} seconds). {AGAIN}")
            begun, came = time.monotonic(), 0
    if total is not None and have != total:
        raise DownloadError(f"{host}: stopped after {have:,} of {total:,} bytes. {AGAIN}")


def _next_piece(answer: Any, host: str, have: int, total: int | None) -> bytes:
    of = "" if total is None else f" of {total:,}"
    try:
        piece: bytes = answer.read1(PIECE)
    except TimeoutError:
        raise DownloadError(f"{host}: sent nothing more after {have:,}{of} bytes. {AGAIN}") from None
    except (http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{host}: stopped after {have:,}{of} bytes ({one_line(error)}). {AGAIN}") from None
    return piece


def _total(order: Order, answer: Any, begin: int) -> int | None:
    """Bytes that the whole file will have, if the server says.

    Raises:
        DownloadError: it says what cannot be.
    """
    headers, host = answer.headers, host_of(order.url)
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise DownloadError(_page(order, answer.read1(PIECE)))
    if headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{host}: sends the file packed, though it was not asked to. {BY_HAND}")
    length = headers.get("Content-Length", "")
    total = begin + int(length) if length.isdecimal() and len(length) < 16 else order.size
    if order.size is not None and total not in (None, order.size):
        raise DownloadError(f"{host}: has a file of {total:,} bytes, not the {order.size:,} expected. {BY_HAND}")
    if total is not None and total > order.most:
        raise DownloadError(
            f"{host}: has a file of {total // MB:,} MB; these weights can have {order.most // MB:,} at most. {BY_HAND}"
        )
    return total


@contextmanager
def _opened(order: Order, have: int, told: dict[str, Any]) -> Iterator[tuple[Any, int]]:
    """The server's answer, and from which byte on it sends: ``have``, or 0."""
    headers = {"User-Agent": "rotoscope", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if told.get("mark"):
            headers["If-Range"] = told["mark"]
    begin = 0
    answer = ask(order, headers)
    try:
        if answer.status == 206:
            match = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)", answer.headers.get("Content-Range", ""))
            same = match is not None and int(match[1]) == have and match[2] in ("*", str(told.get("total") or match[2]))
            if same and have:
                begin = have
            else:  # not the part that was asked for, or of another file
                answer.close()
                answer = ask(order, {k: v for k, v in headers.items() if k not in ("Range", "If-Range")})
        elif answer.status == 416:
            answer.close()
            answer = ask(order, {k: v for k, v in headers.items() if k not in ("Range", "If-Range")})
        if answer.status != 200 and not begin:
            raise DownloadError(f"{host_of(order.url)}: answers {answer.status}, not with a file. {BY_HAND}")
        yield answer, begin
    finally:
        answer.close()


def _page(order: Order, begin: bytes) -> str:
    title = TITLE.search(begin)
    words = f" ({one_line(title[1].decode(errors='replace'), 60)})" if title else ""
    return f"{host_of(order.url)}: answers with a web page{words}, not with the file. {BY_HAND}"


def _from_nothing(file: IO[bytes]) -> int:
    file.seek(0)
    file.truncate()
    return 0


def _read_known(known: Path, url: str) -> dict[str, Any]:
    """What the server said of the part that is here; empty if it is not of this address."""
    with suppress(OSError, ValueError, RecursionError):
        told = json.loads(known.read_text(encoding="utf-8"))
        if isinstance(told, dict) and told.get("url") == url:
            return told
    return {}


def _write_known(known: Path, url: str, headers: Message, total: int | None) -> None:
    tag = headers.get("ETag", "")
    mark = tag if tag.startswith('"') else headers.get("Last-Modified", "")  # a weak tag is of no use here
    with atomic_write(known) as temporary:
        temporary.write_text(json.dumps({"url": url, "mark": mark, "total": total}), encoding="utf-8")


@contextmanager
def _alone(file: IO[bytes], part: Path) -> Iterator[None]:
    """Hold the file for this process, where the system can; given up with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows opens it for one writer anyhow
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(f"{part}: another process is getting it. Wait for that one.") from None
    yield
