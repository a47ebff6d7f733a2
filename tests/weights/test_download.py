"""Downloads from a server that misbehaves in every way, on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostile_server import BODY, Server, serving
from rotoscope.errors import InputError, RotoscopeError
from rotoscope.weights import download as room
from rotoscope.weights.download import download
from rotoscope.weights.web import DownloadError, Order, Patience

IMPATIENT = {"slow": Patience(window=0.5, least=10_000), "silent": Patience(silence=1.0)}
"""For servers that would take long; with all others a busy machine may take its time."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def order(server: Server, **changes: object) -> Order:
    plain = Order(server.url, ("127.0.0.1",), most=2_000_000)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_file_comes_whole_and_its_progress_is_told(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(order(server, progress=lambda done, total: told.append((done, total))), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_is_cut_off_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.ways = ["cut", "cut", "whole"]
    for have in (200_000, 400_000):
        with pytest.raises(DownloadError, match=rf"stopped after {have:,} of 512,000 bytes.*goes on from there"):
            download(order(server), tmp_path / "a")
        assert not (tmp_path / "a").exists()
        assert (tmp_path / "a.part").stat().st_size == have
    download(order(server), tmp_path / "a")
    assert server.asked == ["all", "bytes=200000-", "bytes=400000-"]
    assert (tmp_path / "a").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_another_file_under_the_same_address_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.ways = ["cut", "whole"]
    with pytest.raises(DownloadError):
        download(order(server), tmp_path / "a")
    server.body, server.tag = BODY[::-1], '"2"'
    notes: list[str] = []
    download(order(server, note=notes.append), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY[::-1]
    assert "got anew" in notes[0]


@pytest.mark.parametrize("way", ["norange", "otherrange"])
def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path, way: str) -> None:
    server.ways = ["cut", way, "whole"]
    with pytest.raises(DownloadError):
        download(order(server), tmp_path / "a")
    download(order(server), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_part_longer_than_the_file_is_begun_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x" * (len(BODY) + 9))
    (tmp_path / "a.part.json").write_text(json.dumps({"url": server.url, "mark": "", "total": None}))
    download(order(server), tmp_path / "a")
    assert server.asked == [f"bytes={len(BODY) + 9}-", "all"]
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("record", ["", "[]", "{", '{"url": "http://127.0.0.1/other"}'])
def test_a_part_of_unknown_origin_is_not_used(server: Server, tmp_path: Path, record: str) -> None:
    (tmp_path / "a.part").write_bytes(b"planted")
    (tmp_path / "a.part.json").write_text(record)
    download(order(server), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


WRONG = {
    "short": r"stopped after 512,000 of 512,005 bytes",
    "long": r"sends more than the 2,000,000 bytes",
    "huge": r"has a file of 1,000,000 MB; these weights can have 2 at most",
    "html": r"answers with a web page \(Quota exceeded\), not with the file.*--from FILE",
    "disguised": r"answers with a web page \(Quota exceeded\)",
    "loop": r"sends on too often",
    "badredirect": r"to no address of the web \(302\)",
    "slow": r"is too slow \(\d+ bytes in 0.5 seconds\)",
    "silent": r"sent nothing more after 1,000 of 512,000 bytes",
    "gone": r"has the file no longer \(404\)",
    "quota": r"does not give the file out now \(429\)",
    "broken": r"fails \(503\)",
    "hangup": r"the connection broke|cannot be reached",
    "garbage": r"the connection broke",
    "packed": r"sends the file packed",
}


@pytest.mark.parametrize("way", WRONG)
def test_what_goes_wrong_is_one_line_and_leaves_no_file(server: Server, tmp_path: Path, way: str) -> None:
    server.ways = [way]
    with pytest.raises(DownloadError, match=WRONG[way]) as caught:
        download(order(server, patience=IMPATIENT.get(way, Patience())), tmp_path / "a")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a").exists()
    if way in ("long", "disguised"):  # of no use to a later call
        assert (tmp_path / "a.part").stat().st_size == 0
    server.ways = ["whole"]
    download(order(server), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY


def test_an_answer_that_never_begins_is_given_up(server: Server, tmp_path: Path) -> None:
    server.ways = ["slowhead"]
    with pytest.raises(DownloadError, match="does not answer"):
        download(order(server, patience=Patience(answer=0.5)), tmp_path / "a")


def test_a_known_size_is_kept_to(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="has a file of 512,000 bytes, not the 511,999 expected"):
        download(order(server, size=len(BODY) - 1), tmp_path / "a")
    server.ways = ["long"]
    with pytest.raises(DownloadError, match="sends more than the 512,000 bytes"):
        download(order(server, size=len(BODY)), tmp_path / "b")


def test_other_hosts_are_told_and_refused_unless_listed(server: Server, tmp_path: Path) -> None:
    server.ways = ["redirect", "whole"]
    port = server.server_address[1]
    server.elsewhere = f"http://localhost:{port}/file.bin"
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: sends on to localhost, which is not among its hosts"):
        download(order(server), tmp_path / "a")
    assert len(server.asked) == 1
    notes: list[str] = []
    server.ways = ["redirect", "whole"]
    server.elsewhere = f"http://127.0.0.1:{port}/elsewhere"
    download(order(server, note=notes.append), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert notes == []


@pytest.mark.parametrize(
    ("hosts", "there", "fine"),
    [
        (("a.org", "*.b.org"), "https://x.b.org/f", True),
        (("a.org", "*.b.org"), "https://b.org.evil.net/f", False),
        (("a.org", "*.b.org"), "https://evilb.org/f", False),
        (("a.org",), "https://a.org:8443/f", True),
        (("a.org",), "http://a.org/f", False),
        (("a.org",), "https://a.org@evil.net/f", False),
    ],
)
def test_which_hosts_are_listed(hosts: tuple[str, ...], there: str, fine: bool) -> None:
    import io
    import urllib.request
    from http.client import HTTPMessage

    from rotoscope.weights.web import _Redirects

    follow = _Redirects(Order("https://a.org/f", hosts, 10))
    request = urllib.request.Request("https://a.org/f", headers={"Range": "bytes=5-"})
    if not fine:
        with pytest.raises(DownloadError, match="not among its hosts"):
            follow.redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), there)
        return
    followed = follow.redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), there)
    assert followed is not None
    assert followed.get_header("Range") == "bytes=5-"


def test_nobody_is_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/f"
        with pytest.raises(DownloadError, match=r"cannot be reached .* online, or get the file on another one"):
            download(Order(url, ("127.0.0.1",), 10), tmp_path / "a")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.org/f", "https://", "data:,x", "http://a b/", "http://a:x/"]
)
def test_only_addresses_of_the_web_are_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not an address"):
        download(Order(url, (), 10), tmp_path / "a")


def test_one_process_at_a_time(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    part = tmp_path / "a.part"
    with part.open("ab") as held, room._alone(held, part), pytest.raises(InputError, match="another process"):
        download(order(server), tmp_path / "a")


def test_a_full_disk_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "_write_known", full)
    with pytest.raises(RotoscopeError, match=r"cannot be written \(No space left on device\)"):
        download(order(server), tmp_path / "a")
