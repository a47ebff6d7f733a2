"""``benchmarks/pairs.py`` as a person calls it, on data in miniature."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import pairs

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pairs.py"
SOURCE = Path(__file__).parents[2] / "src"


def called(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "ROTOSCOPE_DATA"}
    environment["PYTHONPATH"] = os.pathsep.join([str(SOURCE), environment.get("PYTHONPATH", "")])
    command = [sys.executable, str(SCRIPT), "--threads", "1", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)


@pytest.fixture
def called_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """The same in this process, which has imported everything."""
    monkeypatch.delenv("ROTOSCOPE_DATA", raising=False)
    threads = cv2.getNumThreads()

    def call(*arguments: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--threads", "1", *map(str, arguments)])
        pairs.main()

    yield call
    cv2.setNumThreads(threads)


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of a moving block each, in the layout of DAVIS 2016."""
    root = tmp_path_factory.mktemp("davis")
    names = ("ant", "bee", "cow")
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        image_folder, mask_folder = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        image_folder.mkdir(parents=True)
        mask_folder.mkdir(parents=True)
        scene = rng.integers(0, 120, (64, 96, 3), dtype=np.uint8)
        for t in range(5):
            mask = np.zeros((64, 96), np.uint8)
            mask[20:44, 10 + 6 * t : 40 + 6 * t] = 255
            image = scene.copy()
            image[mask > 0] = np.roll((240, 200, 20), number)
            Image.fromarray(image).save(image_folder / f"{t:05d}.jpg", quality=95)
            Image.fromarray(mask).save(mask_folder / f"{t:05d}.png")
    (root / "ImageSets" / "2016").mkdir(parents=True)
    (root / "ImageSets" / "2016" / "val.txt").write_text("\n".join(names))
    return root


def test_the_table_of_two_networks(davis: Path, photographs_folder: Path, tiny_weights: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    done = called(
        "--dataset", f"davis16:{davis}", "--data", photographs_folder, "--weights", "stcn-small", "--weights",
        tiny_weights, "--short-side", "64", "--clips", "2", "--frames", "3", "--json", tmp_path, "--pictures", pictures,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "pairs.json").read_text())
    assert record["weights_sha256"]["tiny"] == hashlib.sha256(tiny_weights.read_bytes()).hexdigest()
    rows = {(row[""], row["weights"]): row for row in record["rows"]}
    parts = ("pairs", "triples", "look-alikes", "all")
    assert list(rows) == [(part, name) for part in parts for name in ("stcn-small", "tiny")]
    assert all(word in done.stdout for word in (*parts, "wrong %", "missed %", "leaked %"))
    assert rows["pairs", "tiny"]["clips"] == 2
    assert rows["all", "tiny"]["clips"] == 6
    trained = rows["pairs", "stcn-small"]
    assert trained["J"] > 0.5 > rows["pairs", "tiny"]["J"]
    assert 0 <= trained["wrong %"] + trained["missed %"] <= 100
    names = [clip["clip"] for clip in record["clips"] if clip["part"] == "pairs" and clip["weights"] == "tiny"]
    assert names == ["ant+bee", "bee+cow"]  # every third of six
    assert {clip["frames"] for clip in record["clips"]} == {3}
    assert len(list(pictures.glob("*.png"))) == 6
    mean = np.mean([c["wrong %"] for c in record["clips"] if c["weights"] == "stcn-small"])
    assert rows["all", "stcn-small"]["wrong %"] == pytest.approx(mean)


def test_a_part_without_data_is_left_out_and_said(
    davis: Path,
    tiny_weights: Path,
    tmp_path: Path,
    called_here: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    called_here(
        "--dataset", f"davis16:{davis}", "--weights", tiny_weights, "--short-side", "48", "--clips", "1", "--frames",
        "2", "--json", tmp_path,
    )  # fmt: skip
    left_out = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert left_out == ["look-alikes left out: no training data: pass --data FOLDER or set ROTOSCOPE_DATA."]
    parts = [row[""] for row in json.loads((tmp_path / "pairs.json").read_text())["rows"]]
    assert parts == ["pairs", "triples", "all"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--weights", "stcn-small"), "error: there is nothing to measure with. Give --dataset, --data or both."),
        (("--weights", "stcn-smal"), "stcn-smal"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...],
    line: str,
    tmp_path: Path,
    called_here: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        called_here(*arguments, "--json", tmp_path)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert line in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
