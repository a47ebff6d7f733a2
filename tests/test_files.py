"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.files import atomic_write, check_folder, is_half_written, make_folder


def test_the_old_file_stays_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fails() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_file_gets_the_rights_that_any_new_file_gets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("a")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_half_written_files_are_known_by_their_names(tmp_path: Path) -> None:
    writing = atomic_write(tmp_path / "00001.png")
    assert is_half_written(writing.__enter__())
    assert not any(is_half_written(Path(name)) for name in (".hidden.png", "00001.png", ".00001.png.12345678.jpg"))


def test_a_place_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RotoscopeError, match="cannot be written"), atomic_write(tmp_path / "none" / "a.txt"):
        pass


def test_folders_are_checked_without_touching_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("x")
    for taken in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="not a folder"):
            check_folder(taken)
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        with pytest.raises(InputError, match="Permission denied"):
            check_folder(tmp_path / "a")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(InputError, match="No space left"):
        make_folder(tmp_path / "a")
