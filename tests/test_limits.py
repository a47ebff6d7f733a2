"""How much is read of what a file asks for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope import set_limits
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.limits import LIMITS, check_limit, limit, parse_limits
from rotoscope.masks import read_masks


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.setenv(f"ROTOSCOPE_MAX_{name.upper()}", "")  # and taken back after the test


def test_a_limit_is_the_default_unless_something_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit("pixels") == 2**27
    monkeypatch.setenv("ROTOSCOPE_MAX_PIXELS", "2k")
    assert limit("pixels") == 2000
    set_limits(pixels=7, json=8)
    assert (limit("pixels"), limit("json"), limit("objects")) == (7, 8, 1000)
    assert os.environ["ROTOSCOPE_MAX_PIXELS"] == "7"  # for processes that are started
    check_limit("pixels", 7, "here")
    with pytest.raises(InputError, match=r"here: 8 pixels of a picture.* more than the 7 that are read.*pixels=8"):
        check_limit("pixels", 8, "here")


def test_limits_as_texts() -> None:
    assert parse_limits(["pixels=500M", "json= 2g", "objects=3"]) == {
        "pixels": 5 * 10**8,
        "json": 2 * 10**9,
        "objects": 3,
    }
    for wrong in (
        "pixels",
        "pixels=",
        "pixels=0",
        "pixels=-1",
        "pixels=1e9",
        "pixels=²",
        "pixels=1T",
        "pixels=" + "9" * 99,
    ):
        with pytest.raises(InputError, match=r"write NAME=NUMBER|no whole number"):
            parse_limits([wrong])
    for limits in ({"pixel": 5}, {"pixels": 0}, {"pixels": True}, {"pixels": 2.5}):
        with pytest.raises(InputError, match=r"did you mean 'pixels'|not possible"):
            set_limits(**limits)


def labels(folder: Path) -> Path:
    np.save(folder / "a.npy", np.arange(1500, dtype=np.int32).reshape(30, 50))
    return folder / "a.npy"


def stack(folder: Path) -> Path:
    np.savez(folder / "a.npz", np.ones((1001, 20, 20), bool))
    return folder / "a.npz"


def members(folder: Path) -> Path:
    np.savez(folder / "a.npz", **{f"mask_{i}": np.ones((2, 2), bool) for i in range(1, 1003)})
    return folder / "a.npz"


def annotations(folder: Path) -> Path:
    one = {"segmentation": {"size": [2, 2], "counts": [0, 4]}}
    (folder / "a.json").write_text(json.dumps([one] * 1001))
    return folder / "a.json"


def files(folder: Path) -> Path:
    for number in range(1, 1002):
        image = np.zeros((40, 40), np.uint8)
        image[number // 40 % 40, number % 40] = 255
        Image.fromarray(image).save(folder / f"object_{number}.png")
    return folder


@pytest.mark.parametrize("kind", [labels, stack, members, annotations, files])
def test_many_objects(tmp_path: Path, kind: object) -> None:
    path = kind(tmp_path)  # type: ignore[operator]
    with pytest.raises(
        InputError, match=r"objects in the masks of one frame are more than the 1000 .*--limit objects="
    ):
        read_masks(path)
    set_limits(objects=2000)
    assert len(read_masks(path).masks) > 1000


def test_arrays_that_unpack_to_much(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{f"mask_{i}": np.ones((100, 100)) for i in (1, 2)})
    np.save(tmp_path / "a.npy", np.ones((100, 100)))
    assert len(read_masks(tmp_path / "a.npz").masks) == 2
    set_limits(arrays=100_000)
    with pytest.raises(InputError, match=r"16025[0-9] bytes .* more than the 100000"):
        read_masks(tmp_path / "a.npz")
    read_masks(tmp_path / "a.npy")
    set_limits(arrays=50_000)
    with pytest.raises(InputError, match=r"80000 bytes .* more than the 50000"):
        read_masks(tmp_path / "a.npy")


def test_a_small_file_that_says_it_is_huge(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:  # takes no room on disk
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|b1", "fortran_order": False, "shape": (40_000, 1000, 1000)}
        )
        file.truncate(file.tell() + 40 * 10**9)
    with pytest.raises(InputError, match="--limit arrays=40000000000"):
        read_masks(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", np.ones((300, 30, 30), bool))
    set_limits(masks=200_000)
    with pytest.raises(InputError, match="270000 pixels in all masks"):
        read_masks(tmp_path / "a.npz")


def test_json_that_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" " * 2000)
    set_limits(json=1000)
    with pytest.raises(InputError, match="2000 bytes of a JSON file are more than the 1000"):
        read_masks(tmp_path / "a.json")


def test_the_command_line_allows_more_and_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.eye(30, dtype=np.uint8)).save(path)
    assert main(["check", str(path), "--limit", "pixels=899"]) == 2
    assert "30x30 are more pixels than the 899 that are read" in capsys.readouterr().err
    assert main(["check", str(path), "--limit", "pixels=900", "--limit", "objects=5"]) == 0
    assert main(["check", str(path), "--limit", "pixel=900"]) == 2
    assert "did you mean 'pixels'" in capsys.readouterr().err


def test_what_was_allowed_is_not_refused_by_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(np.eye(30, dtype=np.uint8)).save(tmp_path / "a.png")
    assert main(["check", str(tmp_path / "a.png"), "--limit", "pixels=900"]) == 0
