"""Only the page of this launch, opened on this machine, is answered."""

from __future__ import annotations

import socket

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from rotoscope.app.guard import SMALL_BODY
from served import Served


def raw(served: Served, text: str, wait: float = 120) -> str:
    """What the service says to bytes sent as they are."""
    host, port = served.launch.host.split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        connection.sendall(text.encode("latin-1"))
        parts = []
        while chunk := connection.recv(65536):
            parts.append(chunk)
        return b"".join(parts).decode("latin-1")


def get(served: Served, path: str, host: str | None = None, more: str = "") -> str:
    return raw(served, f"GET {path} HTTP/1.1\r\nHost: {host or served.launch.host}\r\n{more}Connection: close\r\n\r\n")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


def test_the_page_and_the_service_answer_the_printed_address(served: Served) -> None:
    assert "<title>Rotoscope</title>" in served.client.get("").text
    assert served.client.get("api/state").json()["first"] == served.key


def test_listens_on_loopback_alone(served: Served) -> None:
    bound = served.launch.socket.getsockname()
    assert bound[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", bound[1]), timeout=2).close()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", "evil.example:{port}"]
)
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    port = served.launch.host.split(":")[1]
    answer = get(served, f"/{served.launch.token}/", host.format(port=port))
    assert status(answer) == 403
    assert served.launch.token not in answer


def test_two_hosts_are_refused(served: Served) -> None:
    answer = get(served, f"/{served.launch.token}/", more="Host: evil.example\r\n")
    assert status(answer) in (400, 403)


@pytest.mark.parametrize(
    "path", ["/", "/api/state", "//api/state", "/wrong/api/state", "/{half}/api/state", "/{token}x/", "/%00/", "/é/"]
)
def test_no_token_or_a_wrong_one_is_refused(served: Served, path: str) -> None:
    token = served.launch.token
    answer = get(served, path.format(token=token, half=token[:-1]))
    assert status(answer) in (400, 403)
    assert token not in answer


def test_a_foreign_origin_is_refused(served: Served) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1", f"https://{served.launch.host}"):
        answer = served.client.post(f"{served.api}/stop", headers={"origin": origin})
        assert answer.status_code == 403
    assert (
        served.client.post(f"{served.api}/stop", headers={"origin": f"http://{served.launch.host}"}).status_code == 200
    )


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_a_websocket_of_another_page_is_refused(served: Served, origin: str | None) -> None:
    address = served.launch.address.replace("http:", "ws:") + "events"
    with pytest.raises(InvalidStatus), connect(address, origin=origin):  # type: ignore[arg-type]
        pass


def test_a_websocket_without_the_token_is_refused(served: Served) -> None:
    with (
        pytest.raises(InvalidStatus),
        connect(f"ws://{served.launch.host}/wrong/events", origin=f"http://{served.launch.host}"),
    ):  # type: ignore[arg-type]
        pass


def test_a_websocket_of_the_page_hears_what_happens(served: Served) -> None:
    address = served.launch.address.replace("http:", "ws:") + "events"
    with connect(address, origin=f"http://{served.launch.host}") as heard:  # type: ignore[arg-type]
        served.client.post(f"{served.api}/objects", json={})
        assert '"type":"changed"' in str(heard.recv(timeout=120)).replace(" ", "")


GAMES = [
    "assets/../../../../../../etc/passwd",
    "assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "assets/%2e%2e/%2e%2e/serving.py",
    "assets/..\\..\\serving.py",
    "assets//etc/passwd",
    "assets/",
    "assets/%00",
    "api/projects/..%2f..%2fetc/frames/0",
    "api/projects/{key}/frames/0/../../../../etc/passwd",
    "../api/state",
]


@pytest.mark.parametrize("game", GAMES)
def test_no_path_of_a_request_leads_to_a_file(served: Served, game: str) -> None:
    answer = get(served, f"/{served.launch.token}/{game.format(key=served.key)}")
    assert status(answer) in (400, 403, 404)
    assert "root:" not in answer
    assert "class Launch" not in answer


@pytest.mark.parametrize("key", ["/etc/passwd", "../../etc", "clip.mp4", "", "x" * 80])
def test_only_keys_from_the_list_open_anything(served: Served, key: str) -> None:
    answer = served.client.post("api/open", json={"key": key})
    assert answer.status_code == 400
    assert "list" in answer.json()["error"]


def test_the_list_tells_no_path_outside_the_root_and_follows_no_link_out(served: Served) -> None:
    root = served.launch.service.library.root
    (root / "out").symlink_to("/usr", target_is_directory=True)
    (root / "passwd.png").symlink_to("/etc/passwd")
    labels = [entry["label"] for entry in served.client.get("api/state").json()["entries"]]
    assert "passwd.png" not in labels
    assert not [label for label in labels if label.startswith(("/", "out"))]


def test_huge_bodies_are_refused_before_they_are_read(served: Served) -> None:
    head = f"POST /{served.launch.token}/api/open HTTP/1.1\r\nHost: {served.launch.host}\r\n"
    assert status(raw(served, f"{head}Content-Length: 99999999999\r\n\r\n")) == 413
    answer = served.client.post("api/open", content=b" " * (SMALL_BODY + 1))
    assert answer.status_code == 413


def test_huge_bodies_in_pieces_are_refused(served: Served) -> None:
    def pieces() -> object:
        for _ in range(20):
            yield b" " * 8192

    try:
        answer = served.client.post("api/open", content=pieces())  # type: ignore[arg-type]
    except httpx.TransportError:
        return  # the service hung up while they still came
    assert answer.status_code == 413


def test_slow_bodies_are_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.launch.app, "seconds", 0.3)
    head = (
        f"POST /{served.launch.token}/api/open HTTP/1.1\r\nHost: {served.launch.host}\r\nContent-Length: 10\r\n\r\n{{"
    )
    answer = raw(served, head)
    assert status(answer) == 408
    assert "more than 0.3 seconds" in answer


BODIES = [
    b"[]",
    b"null",
    b"{",
    b'{"frame": "0"}',
    b'{"frame": true, "object": 1}',
    b'{"frame": 1e400}',
    b"[" * 30000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("action", ["click", "grow", "edges", "export", "import"])
def test_what_is_no_request_is_said_in_one_line(served: Served, action: str, body: bytes) -> None:
    answer = served.client.post(f"{served.api}/{action}", content=body)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


def test_pages_may_load_nothing_from_elsewhere(served: Served) -> None:
    headers = served.client.get("").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("address", ["objects", "export", "look"])
def test_half_a_letter_is_refused_and_nothing_is_recorded(served: Served, address: str) -> None:
    assert served.client.post("api/open", json={"key": served.key}).status_code == 200
    before = served.client.get(served.api).json()
    answer = served.client.post(
        f"{served.api}/{address}", content=b'{"name": "a\\ud83d", "frame": 0, "engine": "\\udc00"}'
    )
    assert answer.status_code == 400
    assert "half a letter" in answer.json()["error"]
    assert served.client.get(served.api).json() == before


def test_an_answer_that_is_no_json_is_said_in_one_line(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    service = served.launch.service
    monkeypatch.setattr(service, "method", object())
    answer = served.client.get("api/state")
    assert answer.status_code == 500
    assert "not JSON serializable" in answer.json()["error"]
    monkeypatch.setattr(service, "method", "bytes \udcff of a name")
    assert served.client.get("api/state").status_code == 200


def test_a_list_of_objects_is_taken_whole_or_not_at_all(served: Served) -> None:
    assert served.client.post("api/open", json={"key": served.key}).status_code == 200
    ids = ",".join(map(str, range(1, 255)))
    command = served.client.get(f"{served.api}/command", params={"formats": "png", "objects": ids}).json()["command"]
    assert ids in command
    answer = served.client.post(f"{served.api}/export", json={"formats": ["png"], "objects": "1," * 1001})
    assert (answer.status_code, answer.json()["error"]) == (400, "objects is no text of at most 2000 letters.")
