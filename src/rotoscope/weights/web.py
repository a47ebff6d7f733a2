"""Asking a server on the web for a file: which may be asked, how long it may take, and what its refusals mean."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import IO, Any
from urllib.parse import urlsplit

from rotoscope.errors import RotoscopeError
from rotoscope.weights.limits import one_line

BY_HAND = "Get the file with a browser, and pass it with --from FILE."


class DownloadError(RotoscopeError):
    """A file could not be got from where it is hosted: nobody is there, or what came is not what was asked for."""

    exit_code = 2


@dataclass(frozen=True)
class Patience:
    """How long a server may take.

    Attributes:
        answer: the seconds until the server must have answered.
        silence: the seconds that may pass without a byte.
        window: the seconds in each of which at least ``least`` bytes must come.
    """

    answer: float = 60
    silence: float = 30
    window: float = 60
    least: int = 60 * 2**10


@dataclass(frozen=True)
class Order:
    """What to get.

    Attributes:
        url: the address of the file.
        hosts: the hosts that may be asked, those that others send on to too; ``*.`` stands for any host under a domain.
        most: the size in bytes above which a file is not taken.
        size: the size in bytes, where it is known.
        patience: how long the server may take.
        progress: called with the bytes that are here, and with how many there will be, or None.
        note: called with a line on what a user may want to know.
    """

    url: str
    hosts: tuple[str, ...]
    most: int
    size: int | None = None
    patience: Patience = field(default_factory=Patience)
    progress: Callable[[int, int | None], None] = lambda done, total: None
    note: Callable[[str], None] = lambda line: None


def ask(order: Order, headers: dict[str, str]) -> Any:
    """The answer, of which nothing is read yet; 200, 206 or 416.

    Raises:
        DownloadError: nobody answers in time, or with a refusal, or sends on to a host that is not listed.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(order),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(order.url, headers=headers)
    try:
        return _within(order.patience.answer, lambda: opener.open(request, timeout=order.patience.silence))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # it has not the part asked for
            return error
        error.close()
        raise DownloadError(f"{host_of(order.url)}: {_meaning(error.code)}. {BY_HAND}") from None
    except TimeoutError:
        raise DownloadError(f"{host_of(order.url)}: does not answer. Try again later. {BY_HAND}") from None
    except ValueError as error:
        raise DownloadError(f"{host_of(order.url)}: sends on to no address ({one_line(error)}). {BY_HAND}") from None
    except urllib.error.URLError as error:
        raise DownloadError(
            f"{host_of(order.url)}: cannot be reached ({one_line(error.reason)}). Nothing else is asked. See that this "
            "machine is online, or get the file on another one and pass it with --from FILE."
        ) from None


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """What a call returns, or TimeoutError if it takes longer: a server may answer a letter at a time."""
    outcome: list[Any] = []
    left = threading.Event()

    def work() -> None:
        try:
            answer = call()
        except BaseException as error:  # handed on below
            outcome.append(error)
            return
        outcome.append(answer)
        if left.is_set():
            answer.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        left.set()
        raise TimeoutError
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to hosts that the order lists, and tells of it."""

    max_redirections = 8

    def __init__(self, order: Order) -> None:
        self.order = order

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request.

        Raises:
            DownloadError: to a host that is not listed, or from https to http.
        """
        here, there = host_of(req.full_url), host_of(newurl)
        down = urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https"
        allowed = any(there == host or (host[:2] == "*." and there.endswith(host[1:])) for host in self.order.hosts)
        if down or not allowed:
            raise DownloadError(f"{here}: sends on to {one_line(there)}, which is not among its hosts. {BY_HAND}")
        if there != here:
            self.order.note(f"{here} sends on to {there}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _meaning(code: int) -> str:
    if code < 400:
        return f"sends on too often, or to no address of the web ({code})"
    if code in (404, 410):
        return f"has the file no longer ({code})"
    if code in (401, 403, 429):
        return f"does not give the file out now ({code})"
    return f"fails ({code})" if code >= 500 else f"refuses ({code})"


def host_of(url: str) -> str:
    """The host of an address."""
    return urlsplit(url).hostname or url
