"""``rotoscope fetch``: asked for, checked by loading, kept under its name."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import tiny
from hostile_server import Server, serving
from rotoscope.cli import main
from rotoscope.errors import CheckpointError, InputError
from rotoscope.methods import METHODS
from rotoscope.weights import CATALOGUE, load, save_method
from rotoscope.weights import fetching as room
from rotoscope.weights.fetching import Request, fetch
from rotoscope.weights.released import RELEASED, HostedWeights
from rotoscope.weights.store import RECORD, VARIABLE, cache_folder, home_of, kept

NAME = "capsulevos"


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("released") / "a.safetensors"
    model = tiny(NAME)
    save_method(path, NAME, model.config, model.state_dict())
    return path.read_bytes()


@pytest.fixture
def server(body: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Hosts the weights of one method; the cache is empty."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    with serving() as running:
        running.body = body
        entry = HostedWeights(
            "http://127.0.0.1/", running.url, ("127.0.0.1",), "a.safetensors", len(body), 10**7, "ours", "-"
        )
        monkeypatch.setitem(RELEASED, NAME, entry)
        yield running


def ask(*arguments: str) -> int:
    return main(["fetch", *arguments])


def test_every_released_entry_is_of_the_catalogue_and_safe() -> None:
    for name, released in RELEASED.items():
        assert CATALOGUE[name].file is None
        assert (released.url is None) == bool(released.by_hand)
        if released.url is not None:
            Request(name).check()
            assert released.url.startswith("https://")
            assert released.url.split("/")[2] in released.hosts
        assert released.about < released.most
        assert "/" not in released.file
    without = {name for name, entry in CATALOGUE.items() if entry.file is None} - set(RELEASED)
    assert without == {"giel", "giel-fast"}


def test_fetched_once_and_found_by_name_ever_after(
    server: Server, body: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CheckpointError, match=r"comes without weights\. Get .*: rotoscope fetch capsulevos"):
        load(NAME, device="cpu")
    assert ask(NAME, "--yes") == 0
    shown = capsys.readouterr().out
    digest = hashlib.sha256(body).hexdigest()
    for word in (server.url, "licence  ours", digest, f"{len(body):,} bytes", "rotoscope.load('capsulevos')"):
        assert word in shown
    model = load(NAME, device="cpu", precision="exact")
    assert torch.equal(next(model.parameters()), next(tiny(NAME).parameters()))
    home = home_of(NAME)
    assert {path.name for path in home.iterdir()} == {"a.safetensors", RECORD}
    assert [path.name for path in home.parent.iterdir()] == [NAME]
    assert len(server.asked) == 1
    assert ask(NAME) == 0  # asks nobody, and for nothing
    assert "is here already" in capsys.readouterr().out
    assert len(server.asked) == 1


def test_never_without_being_asked(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(NAME) == 2
    assert "Pass --yes" in capsys.readouterr().err
    assert server.asked == []
    assert not cache_folder().exists()


@pytest.mark.parametrize("answer", ["n", "y"])
def test_the_answer_counts(
    server: Server, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text: answer == "y")
    assert ask(NAME) == 0
    assert (kept(NAME) is not None) == (answer == "y") == bool(server.asked)
    assert ("Nothing was fetched" in capsys.readouterr().out) == (answer == "n")


def test_an_interrupted_fetch_goes_on(server: Server, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    server.ways = ["cut", "whole"]
    assert ask(NAME, "--yes") == 2
    assert "The same command goes on from there" in capsys.readouterr().err
    assert kept(NAME) is None
    assert ask(NAME, "--yes") == 0
    assert server.asked == ["all", "bytes=200000-"]
    assert [path.name for path in home_of(NAME).parent.iterdir()] == [NAME]


def test_what_does_not_load_is_not_kept(server: Server, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    server.body = body[:-100]
    assert ask(NAME, "--yes") == 2
    assert "the file is not kept: a.safetensors: truncated" in capsys.readouterr().err
    assert list(home_of(NAME).parent.iterdir()) == []
    server.body = body
    assert ask(NAME, "--yes") == 0


def test_hashes(server: Server, body: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(NAME, "--yes", "--sha256", "0" * 64) == 2
    assert "has the hash" in capsys.readouterr().err
    assert kept(NAME) is None
    assert ask(NAME, "--yes", "--sha256", "12") == 2
    assert ask(NAME, "--yes", "--sha256", hashlib.sha256(body).hexdigest().upper()) == 0
    model = tiny(NAME)
    other = tmp_path / "other.safetensors"
    save_method(
        other, NAME, model.config, {k: v + 1 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    )
    server.body = other.read_bytes()  # the authors' file has changed since it was first fetched
    assert ask(NAME, "--yes", "--again") == 2
    assert "Nothing was kept" in capsys.readouterr().err
    load(NAME, device="cpu")
    path = home_of(NAME) / "a.safetensors"
    path.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match=r"not as it was fetched.*rotoscope fetch capsulevos --again"):
        load(NAME, device="cpu")


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", '{"open": "../a", "source": "", "sha256": "", "bytes": 1, "files": {"../a": ""}}']
)
def test_a_record_that_was_changed_is_told(server: Server, record: str) -> None:
    home_of(NAME).mkdir(parents=True)
    (home_of(NAME) / RECORD).write_text(record)
    with pytest.raises(CheckpointError, match="damaged"):
        load(NAME, device="cpu")
    assert ask(NAME, "--yes", "--again") == 0
    load(NAME, device="cpu")


def test_a_file_of_the_users_own(
    server: Server, body: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "got by hand ü.safetensors"
    path.write_bytes(body)
    assert ask(NAME, "--from", str(path)) == 0
    assert server.asked == []
    assert path.read_bytes() == body
    record = json.loads((home_of(NAME) / RECORD).read_text())
    assert str(tmp_path) not in json.dumps(record)
    load(NAME, device="cpu")
    assert ask(NAME, "--from", str(path)) == 2  # something is here already
    assert ask(NAME, "--from", server.url + ".safetensors", "--again", "--yes") == 0
    assert ask(NAME, "--from", str(tmp_path / "none")) == 2
    assert ask(NAME, "--from", str(tmp_path), "--again") == 2
    assert "is not a released checkpoint of capsulevos" in capsys.readouterr().err


def test_weights_of_another_method_are_not_kept(server: Server, tiny_weights: Path) -> None:
    with pytest.raises(CheckpointError, match="weights of stcn, not of capsulevos"):
        fetch(Request(NAME, str(tiny_weights)))
    assert kept(NAME) is None


def test_weights_of_another_variant_are_not_kept(server: Server, tmp_path: Path) -> None:
    model = tiny("rvos")
    path = tmp_path / "one-shot.safetensors"
    save_method(path, "rvos", model.config, model.state_dict())
    with pytest.raises(CheckpointError, match="whose one_shot is True, not False"):
        fetch(Request("rvos-zeroshot", str(path)))
    assert fetch(Request("rvos", str(path))).path.is_file()


def test_what_cannot_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for name, words in (
        ("capsulevos", "takes a browser. Download what is there"),
        ("giel", "its authors released no weights"),
        ("stcn-small", "comes with this package"),
        ("stcnn", "did you mean 'stcn'"),
    ):
        assert ask(name, "--yes") == 2
        assert words in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="released none: train it"):
        load("giel")
    assert list(tmp_path.iterdir()) == []


def zipped(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return path


def test_of_an_archive_only_the_known_files_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "check_weights", lambda entry, path: None)
    source = zipped(
        tmp_path / "one-shot.zip",
        model__encoder_DOT_pt=b"encoder",
        model__decoder_DOT_pt=b"decoder",
        model__enc_opt_DOT_pt=b"left out",
        _DOT__DOT___DOT__DOT___evil_DOT_pt=b"left out",
    )
    found = fetch(Request("rvos", str(source), tmp_path / "cache"))
    assert found.path == found.folder
    assert {path.name for path in found.folder.iterdir()} == {"encoder.pt", "decoder.pt", RECORD}
    assert not (tmp_path / "evil.pt").exists()
    source = zipped(tmp_path / "tf.zip", a__m_DOT_ckpt_DOT_index=b"i", a__checkpoint=b"x")
    assert fetch(Request("capsulevos", str(source), tmp_path / "cache")).open == "m.ckpt"
    with pytest.raises(CheckpointError, match="holds 0 files of weights"):
        fetch(Request("agame", str(zipped(tmp_path / "none.zip", readme=b"x")), tmp_path / "cache"))
    bomb = zipped(tmp_path / "bomb.zip", encoder_DOT_pt=bytes(30_000_000), decoder_DOT_pt=b"")
    with pytest.raises(CheckpointError, match="would unpack to"):
        fetch(Request("rvos", str(bomb), tmp_path / "other"))


def test_a_checkpoint_of_tensorflow_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "check_weights", lambda entry, path: None)
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001", "m.ckpt.meta", "n.ckpt.index"):
        (tmp_path / name).write_bytes(name.encode())
    for given in ("m.ckpt", "m.ckpt.index"):
        found = fetch(Request("capsulevos", str(tmp_path / given), tmp_path / "cache"))
        assert found.path == found.folder / "m.ckpt"
        assert set(found.files) == {"m.ckpt.index", "m.ckpt.data-00000-of-00001"}


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "a"))
    assert cache_folder() == tmp_path / "a"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "rotoscope"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "rotoscope"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "rotoscope"
    assert set(METHODS) >= {entry.method for entry in CATALOGUE.values()}


def test_no_room(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert ask(NAME, "--yes", "--cache", str(tmp_path / "file")) == 1
    assert "cannot be written" in capsys.readouterr().err
    other = tmp_path / "another place"
    assert ask(NAME, "--yes", "--cache", str(other)) == 0
    assert kept(NAME, other) is not None
    assert kept(NAME) is None
    assert replace(Request(NAME), cache=other).home == home_of(NAME, other)
    with pytest.raises(InputError):
        Request("nothing").check()
