"""A server on loopback that misbehaves as it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 2000
PAGE = b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Sorry</body></html>"


class Server(ThreadingHTTPServer):
    """Serves one body at any path.

    Attributes:
        body: the file.
        ways: how each request in turn is answered; the last one holds for all that follow.
        asked: ranges of the requests that came, or ``all``.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.ways = ["whole"]
        self.asked: list[str] = []
        self.tag = '"1"'
        self.elsewhere = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.bin"

    def way(self) -> str:
        return self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted or "all")
        self.close_connection = True
        getattr(self, f"answer_{self.server.way()}")(wanted)

    def begin(
        self, code: int = 200, length: int | None = None, kind: str = "application/octet-stream", **more: str
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", self.server.tag)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def part(self, wanted: str | None) -> bytes:
        body = self.server.body
        fresh = self.headers.get("If-Range", self.server.tag) == self.server.tag
        if not (wanted and fresh):
            self.begin(200, len(body))
            return body
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(body):
            self.begin(416, 0, Content_Range=f"bytes */{len(body)}")
            return b""
        self.begin(206, len(body) - start, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        return body[start:]

    def answer_whole(self, wanted: str | None) -> None:
        self.wfile.write(self.part(wanted))

    def answer_cut(self, wanted: str | None) -> None:
        self.wfile.write(self.part(wanted)[:200_000])

    def answer_short(self, wanted: str | None) -> None:
        self.begin(200, len(self.server.body) + 5)
        self.wfile.write(self.server.body)

    def answer_long(self, wanted: str | None) -> None:
        """Without a length, and without an end."""
        self.begin(200)
        for _ in range(100):
            self.wfile.write(self.server.body)

    def answer_huge(self, wanted: str | None) -> None:
        self.begin(200, 10**12)
        self.wfile.write(self.server.body)

    def answer_html(self, wanted: str | None) -> None:
        self.begin(200, len(PAGE), "text/html; charset=utf-8")
        self.wfile.write(PAGE)

    def answer_disguised(self, wanted: str | None) -> None:
        self.begin(200, len(PAGE))
        self.wfile.write(PAGE)

    def answer_norange(self, wanted: str | None) -> None:
        self.begin(200, len(self.server.body))
        self.wfile.write(self.server.body)

    def answer_otherrange(self, wanted: str | None) -> None:
        self.begin(206, 10, Content_Range="bytes 7-16/99")
        self.wfile.write(b"0123456789")

    def answer_redirect(self, wanted: str | None) -> None:
        self.begin(302, 0, Location=self.server.elsewhere)

    def answer_loop(self, wanted: str | None) -> None:
        self.begin(302, 0, Location=self.server.url + "?again")

    def answer_badredirect(self, wanted: str | None) -> None:
        self.begin(302, 0, Location="file:///etc/passwd")

    def answer_slow(self, wanted: str | None) -> None:
        self.begin(200, len(self.server.body))
        for byte in self.server.body[:100]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def answer_silent(self, wanted: str | None) -> None:
        self.begin(200, len(self.server.body))
        self.wfile.write(self.server.body[:1000])
        self.wfile.flush()
        time.sleep(5)

    def answer_slowhead(self, wanted: str | None) -> None:
        for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200:
            self.wfile.write(bytes([letter]))
            self.wfile.flush()
            time.sleep(0.05)

    def answer_gone(self, wanted: str | None) -> None:
        self.begin(404, 0)

    def answer_quota(self, wanted: str | None) -> None:
        self.begin(429, 0)

    def answer_broken(self, wanted: str | None) -> None:
        self.begin(503, 0)

    def answer_hangup(self, wanted: str | None) -> None:
        self.connection.close()

    def answer_garbage(self, wanted: str | None) -> None:
        self.wfile.write(b"\x00\xff no http at all\r\n\r\n")

    def answer_packed(self, wanted: str | None) -> None:
        self.begin(200, 4, Content_Encoding="gzip")
        self.wfile.write(b"\x1f\x8b\x08\x00")


@contextmanager
def serving() -> Iterator[Server]:
    """The server, running."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
