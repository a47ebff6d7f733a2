"""Truth and results are read by one set of rules: whatever the coding, truth against itself is 100."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope import evaluate
from rotoscope.errors import InputError
from rotoscope.masks.palette import davis_palette

Labels = np.ndarray
FRAMES = 5


def labels(t: int, ids: tuple[int, ...]) -> Labels:
    """Objects that move, ``[40, 60]``; the last appears on frame 1 if there are several."""
    array = np.zeros((40, 60), np.uint16)
    for slot, object_id in enumerate(ids):
        array[4 + 17 * slot : 18 + 17 * slot, 5 + t : 25 + t] = object_id
    return array


def with_palette(array: Labels, colours: Labels) -> Image.Image:
    image = Image.fromarray(array.astype(np.uint8))
    image.putpalette(colours.astype(np.uint8).ravel().tolist())
    return image


def in_colours(array: Labels, *colours: tuple[int, ...]) -> Labels:
    return np.array([(0, 0, 0), *colours], np.uint8)[array]


def transparent(array: Labels) -> Image.Image:
    alpha = ((array > 0) * 255).astype(np.uint8)
    return Image.fromarray(np.dstack([davis_palette()[array], alpha]))


PAINT = np.array([(0, 128, 0), (128, 0, 0), (0, 0, 0)])
ODD = np.array([(i * 7 % 256, 40, i) for i in range(256)])
CODINGS: dict[str, tuple[tuple[int, ...], Callable[[Labels], Image.Image], str]] = {
    "palette": ((1, 2), lambda a: with_palette(a, davis_palette()), "png"),
    "foreign palette": ((1, 2), lambda a: with_palette(a, ODD), "png"),
    "paint program's palette": ((1, 2), lambda a: with_palette(np.array([2, 1, 0])[a], PAINT), "png"),
    "grey index": ((1, 2), lambda a: Image.fromarray(a.astype(np.uint8)), "png"),
    "grey index, bmp": ((1, 2), lambda a: Image.fromarray(a.astype(np.uint8)), "bmp"),
    "grey index, tif": ((3, 7), lambda a: Image.fromarray(a.astype(np.uint8)), "tif"),
    "16-bit index": ((1, 300), Image.fromarray, "png"),
    "grey index in colours": ((1, 2), lambda a: Image.fromarray(np.repeat(a.astype(np.uint8)[..., None], 3, 2)), "png"),
    "0/255": ((1,), lambda a: Image.fromarray((a > 0).astype(np.uint8) * 255), "png"),
    "0/255 with a palette": ((1,), lambda a: with_palette((a > 0) * 255, davis_palette()), "png"),
    "0/255 in colours": ((1,), lambda a: Image.fromarray(np.repeat(((a > 0) * np.uint8(255))[..., None], 3, 2)), "png"),
    "0/65535": ((1,), lambda a: Image.fromarray((a > 0).astype(np.uint16) * 65535), "png"),
    "one bit": ((1,), lambda a: Image.fromarray(a > 0), "png"),
    "soft": ((1,), lambda a: Image.fromarray(np.where(a > 0, 230 + a, 10).astype(np.uint8)), "png"),
    "16-bit soft": (
        (1,),
        lambda a: Image.fromarray(np.where(a > 0, 60000, np.arange(60)[None] * 9).astype(np.uint16)),
        "png",
    ),
    "grey levels": ((1, 2), lambda a: Image.fromarray(np.array([0, 127, 255], np.uint8)[a]), "png"),
    "DAVIS colours": ((1, 2), lambda a: Image.fromarray(davis_palette()[a]), "png"),
    "own colours": ((1, 2), lambda a: Image.fromarray(in_colours(a, (250, 120, 10), (10, 200, 230))), "png"),
    "colours upon nothing": ((1, 2), transparent, "png"),
}


def written(root: Path, coding: str, kind: str = "pairs") -> Path:
    ids, picture, suffix = CODINGS[coding]
    inner = "480p/a" if kind.startswith("davis") else "a"
    (root / "Annotations" / inner).mkdir(parents=True)
    (root / "JPEGImages" / inner).mkdir(parents=True)
    for t in range(FRAMES):
        shown = labels(t, ids if t else ids[:1])
        picture(shown).save(root / "Annotations" / inner / f"{t:05d}.{suffix}")
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / "JPEGImages" / inner / f"{t:05d}.jpg")
    return root


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("kind", "task"), [("pairs", "semi"), ("pairs", "unsupervised"), ("davis16", "semi")])
def test_truth_against_itself_is_perfect(tmp_path: Path, coding: str, kind: str, task: str) -> None:
    root = written(tmp_path / "data", coding, kind)
    results = tmp_path / "results"
    shutil.copytree(root / "Annotations" / ("480p" if kind == "davis16" else ""), results)
    found = evaluate(results, f"{kind}:{root}", task, jobs=1, stability=False)
    assert found.overall()["J mean"] == 1.0
    assert found.overall()["F mean"] == 1.0
    assert len(found.objects) == (1 if kind == "davis16" else len(CODINGS[coding][0]))
    assert found.problems == ()
    assert any("every mask equals the truth" in line for line in found.warnings)


@pytest.mark.parametrize("coding", ["paint program's palette", "grey levels", "DAVIS colours", "colours upon nothing"])
def test_any_coding_of_truth_against_plain_palette_results(tmp_path: Path, coding: str) -> None:
    root = written(tmp_path / "data", coding)
    plain = written(tmp_path / "plain", "palette")
    found = evaluate(plain / "Annotations", f"pairs:{root}", jobs=1)
    assert found.overall()["J mean"] == 1.0
    assert [o.object_id for o in found.objects] == [1, 2]


def test_a_first_truth_of_unknown_pixels_only(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "palette")
    plain = shutil.copytree(root / "Annotations", tmp_path / "results")
    for t in (0, 1):
        unknown = np.zeros((40, 60), np.uint8)
        unknown[3:20] = 255
        Image.fromarray(unknown).save(root / f"Annotations/a/{t:05d}.png")
    found = evaluate(plain, f"pairs:{root}", jobs=1)
    assert [o.object_id for o in found.objects] == [1, 2]


def test_ids_with_a_gap_are_told(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, ids in {"a": (1, 4)}.items():
        for kind in ("Annotations", "JPEGImages"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for t in range(FRAMES):
            with_palette(labels(t, ids), davis_palette()).save(root / f"Annotations/480p/{name}/{t:05d}.png")
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / f"JPEGImages/480p/{name}/{t:05d}.jpg")
    shutil.copytree(root / "Annotations/480p", tmp_path / "results")
    found = evaluate(tmp_path / "results", f"davis17:{root}", jobs=1)
    assert any("id(s) 2, 3 are absent" in line for line in found.warnings)


def test_jpeg_results_are_told_and_not_missed(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "palette")
    (tmp_path / "results/a").mkdir(parents=True)
    for t in range(FRAMES):
        Image.fromarray(labels(t, (1, 2)).astype(np.uint8)).save(tmp_path / f"results/a/{t:05d}.jpg")
    found = evaluate(tmp_path / "results", f"pairs:{root}", jobs=1)
    assert ".jpg file(s)" in found.problems[0]
    assert len(found.problems) == 1


def test_no_frame_left_to_score_is_an_error(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "palette", "davis17")
    for t in range(2, FRAMES):
        for path in root.rglob(f"{t:05d}.*"):
            path.unlink()
    shutil.copytree(root / "Annotations/480p", tmp_path / "results")
    with pytest.raises(InputError, match="no frame is left to score"):
        evaluate(tmp_path / "results", f"davis17:{root}", jobs=1)
    for path in (root / "Annotations").rglob("*.png"):
        with_palette(np.zeros((40, 60)), davis_palette()).save(path)
    with pytest.raises(InputError, match="no object is left to score"):
        evaluate(tmp_path / "results", f"davis17:{root}", jobs=1)


def test_soft_16_bit_results_are_read_at_half_and_told(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "0/255", "davis16")
    (tmp_path / "results/a").mkdir(parents=True)
    for t in range(FRAMES):
        soft = np.where(labels(t, (1,)) > 0, 60500, 500).astype(np.uint16)
        Image.fromarray(soft).save(tmp_path / f"results/a/{t:05d}.png")
    found = evaluate(tmp_path / "results", f"davis16:{root}", jobs=1, stability=False)
    assert found.overall()["J mean"] == 1.0
    assert any("soft mask" in line for line in found.warnings)


def test_annotations_of_white_where_ids_are_expected_are_one_object_and_told(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "0/255", "davis17")
    shutil.copytree(root / "Annotations/480p", tmp_path / "results")
    found = evaluate(tmp_path / "results", f"davis17:{root}", jobs=1)
    assert found.overall()["J mean"] == 1.0
    assert any("annotations hold only 255" in line for line in found.warnings)


def test_colours_of_no_known_palette_need_results_in_the_same(tmp_path: Path) -> None:
    root = written(tmp_path / "data", "own colours")
    plain = written(tmp_path / "plain", "palette")
    with pytest.raises(InputError, match="cannot be told"):
        evaluate(plain / "Annotations", f"pairs:{root}", jobs=1)
    found = evaluate(plain / "Annotations", f"pairs:{root}", "unsupervised", jobs=1)
    assert found.overall()["J mean"] == 1.0
