"""``rotoscope evaluate``, ``benchmark`` and ``check`` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Two sequences of a textured square that moves, in the DAVIS 2016 layout, and perfect results in ``out``."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        ground = rng.integers(0, 90, (48, 64, 3), dtype=np.uint8)
        for t in range(5):
            image, truth = ground.copy(), np.zeros((48, 64), np.uint8)
            image[10:30, 10 + 2 * t : 30 + 2 * t] = (220, 160, 40)
            truth[10:30, 10 + 2 * t : 30 + 2 * t] = 255
            for place, picture in (
                (tmp_path / "data/JPEGImages/480p" / name / f"{t:05d}.jpg", image),
                (tmp_path / "data/Annotations/480p" / name / f"{t:05d}.png", truth),
                (tmp_path / "out" / name / f"{t:05d}.png", np.roll(truth, 1, axis=1)),
            ):
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place)
    return tmp_path


def test_evaluate_prints_tables_and_writes_files(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", f"{davis}/out", "--dataset", f"davis16:{davis}/data", "--jobs", "1", "--compare"]
    assert main([*arguments, "--csv", f"{davis}/s.csv", "--json", f"{davis}/s.json"]) == 0
    text = capsys.readouterr().out
    assert "DAVIS 2016: first and last frame of each sequence left out" in text
    assert "90.5" in text  # 19 columns of 21
    assert "published figures" in text
    assert json.loads((davis / "s.json").read_text())["overall"]["J mean"] == pytest.approx(19 / 21)
    assert (davis / "s.csv").read_text().count("\n") == 4
    assert main([*arguments[:-1], "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["sequences"]["a"]["J mean"] == pytest.approx(19 / 21)


def test_strict_refuses_damage_with_a_line_each(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = davis / "out/a/00001.png"
    path.write_bytes(path.read_bytes()[:50])
    (davis / "out/a/00002.png").unlink()
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(davis / "out/b/00003.png")
    arguments = ["evaluate", f"{davis}/out", "--dataset", f"davis16:{davis}/data", "--jobs", "1"]
    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("rotoscope: error: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "nowhere", "--dataset", "davis16:{}/data"], "no such folder of results"),
        (["evaluate", "{}/out", "--dataset", "davis16:{}/nothing"], "no such folder"),
        (["evaluate", "{}/out", "--dataset", "davis18:{}/data"], "is not understood (did you mean 'davis1"),
        (["evaluate", "{}/out", "--dataset", "davis16:{}/data", "--task", "video"], "no protocol for task 'video'"),
        (["evaluate", "{}/out", "--dataset", "davis16:{}/data", "--jobs", "0"], "0 jobs are not possible"),
        (
            ["benchmark", "stcn-small", "--dataset", "davis16:{}/data", "--task", "unsupervised"],
            "but this method needs masks",
        ),
        (["benchmark", "stcn-small", "--dataset", "davis16:{}/data", "-o", "{}"], "holds something already"),
        (["benchmark", "nothing", "--dataset", "davis16:{}/data"], "nothing"),
    ],
)
def test_bad_input_is_one_line(
    davis: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    if arguments[-1] == "{}":
        (davis / "masks").mkdir()
        (davis / "masks/old.png").touch()
    assert main([argument.format(davis) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0


def test_benchmark_segments_scores_and_records(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmark", "stcn-small", "--dataset", f"davis16:{davis}/data", "--jobs", "1", "--memory", "lfu:2"]
    assert main([*arguments, "-o", f"{davis}/run", "--compare"]) == 0
    text = capsys.readouterr().out
    for word in ("J&F", "T", "per second", "peak memory", "frames' worth", "published"):
        assert word in text
    record = json.loads((davis / "run/scores.json").read_text())
    assert record["method"]["config"]["memory"] == "lfu:2"
    assert len(record["method"]["weights_sha256"]) == 64
    assert record["speed"]["frames"] == 10
    assert record["speed"]["memory_in_frames"] <= 2
    assert record["overall"]["J mean"] > 0.5
    assert sorted(p.name for p in (davis / "run/masks/a").iterdir()) == [f"{t:05d}.png" for t in range(5)]
    assert main([*arguments, "-o", f"{davis}/run"]) == 2  # masks of an earlier run are never scored as this one's


def test_check_tells_what_a_data_set_holds(davis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (davis / "data/ImageSets/2016").mkdir(parents=True)
    (davis / "data/ImageSets/2016/val.txt").write_text("a\nb\nc\n")
    assert main(["check", f"davis16:{davis}/data"]) == 0
    text = capsys.readouterr().out
    assert "davis16, split val: 3 sequences, 10 frames, 10 of them annotated, 2 objects" in text
    assert "c: missing, the sequence has no images" in text
    assert main(["check", f"davis16:{davis}/data?split=test"]) == 2
