from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rotoscope.errors import InputError, RotoscopeError
from rotoscope.masks import contact_sheet, davis_palette, open_writer, overlay, read_masks


@dataclass
class Item:
    labels: np.ndarray
    probabilities: torch.Tensor
    object_ids: tuple[int, ...]
    index: int = 0
    name: str = "frame"


def item(labels: np.ndarray, ids: tuple[int, ...], **more: Any) -> Item:
    channels = [labels == 0, *(labels == i for i in ids)]
    labels = labels.astype(np.uint16 if max(ids) > 255 else np.uint8)
    return Item(labels, torch.from_numpy(np.stack(channels)).float(), ids, **more)


LABELS = np.zeros((20, 30), np.int64)
LABELS[2:8, 3:9], LABELS[10:15, 20:28] = 7, 300


def test_palette_png(tmp_path: Path) -> None:
    small = np.where(LABELS == 300, 9, LABELS)
    open_writer("palette", tmp_path).write(item(small, (7, 9)), None)
    with Image.open(tmp_path / "frame.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.array(image), small)
        assert image.getpalette()[:24] == davis_palette().ravel().tolist()[:24]


@pytest.mark.parametrize("ids", [(255,), (65535,), (1, 255), (254,), (256,), (40000, 65535)])
def test_any_id_comes_back_from_labels(tmp_path: Path, ids: tuple[int, ...]) -> None:
    """Also those that are white by themselves."""
    labels = np.zeros((20, 30), np.int64)
    for number, object_id in enumerate(ids):
        labels[2 + 9 * number : 8 + 9 * number, 3:20] = object_id
    open_writer("palette", tmp_path).write(item(labels, ids), None)
    found = read_masks(tmp_path / "frame.png").masks
    assert list(found) == list(ids)
    assert all(np.array_equal(mask, labels == i) for i, mask in found.items())


@pytest.mark.parametrize("name", ["palette", "objects", "npz", "coco", "soft"])
def test_what_is_written_reads_back_with_its_ids(tmp_path: Path, name: str) -> None:
    writer = open_writer(name, tmp_path)
    writer.write(item(LABELS, (7, 300)), None)
    writer.close()
    if name in ("objects", "soft"):
        found = {int(f.name): read_masks(f / "frame.png").masks[1] for f in tmp_path.iterdir()}
    else:
        path = {"palette": "frame.png", "npz": "frame.npz", "coco": "annotations.json"}[name]
        found = read_masks(tmp_path / path).masks
    assert sorted(found) == [7, 300]
    assert all(np.array_equal(found[i] > 0.5, i == LABELS) for i in found)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(labels=hnp.arrays(np.uint16, (7, 9), elements=st.sampled_from([0, 1, 7, 200, 300, 65000])))
def test_any_label_map_survives(tmp_path: Path, labels: np.ndarray) -> None:
    labels[0, 0] = 1
    ids = tuple(int(v) for v in np.unique(labels) if v)
    open_writer("palette", tmp_path).write(item(labels.astype(np.int64), ids), None)
    found = read_masks(tmp_path / "frame.png").masks
    assert tuple(sorted(found)) == ids
    assert all(np.array_equal(found[i], labels == i) for i in ids)


def test_cutout_has_alpha(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    open_writer("cutout", tmp_path).write(item(LABELS, (7, 300)), image)
    with Image.open(tmp_path / "frame.png") as opened:
        rgba = np.array(opened)
    assert np.array_equal(rgba[..., :3], image)
    assert np.array_equal(rgba[..., 3] == 255, LABELS > 0)


def test_coco_goes_on_from_an_unfinished_run(tmp_path: Path) -> None:
    first = open_writer("coco", tmp_path)
    first.write(item(LABELS, (7, 300), index=0, name="a"), None)
    first.close()
    second = open_writer("coco", tmp_path)
    second.write(item(LABELS, (7, 300), index=1, name="b"), None)
    second.close()
    import json

    data = json.loads((tmp_path / "annotations.json").read_text())
    assert [image["file_name"] for image in data["images"]] == ["a.png", "b.png"]
    assert len({annotation["id"] for annotation in data["annotations"]}) == 4


def test_unknown_format_and_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format 'gif' is not known"):
        open_writer("gif", tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written to"):
        open_writer("palette", tmp_path / "file")


def test_a_full_disk_leaves_old_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer("palette", tmp_path)
    small = np.where(LABELS == 300, 9, LABELS)
    writer.write(item(small, (7, 9)), None)
    before = (tmp_path / "frame.png").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RotoscopeError, match="No space left"):
        writer.write(item(small * 0 + 9, (9,)), None)
    assert (tmp_path / "frame.png").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["frame.png"]


def test_overlay_colours_only_the_objects() -> None:
    image = np.full((20, 30, 3), 100, np.uint8)
    drawn = overlay(image, LABELS, contours=False)
    assert np.array_equal(drawn[LABELS == 0], image[LABELS == 0])
    assert (drawn[LABELS == 7] != 100).any()
    assert not np.array_equal(drawn[3, 4], drawn[12, 22])
    assert contact_sheet([image] * 5, columns=2, captions=["a"] * 5, width=60).shape[2] == 3
