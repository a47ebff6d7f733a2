from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.cli import main
from rotoscope.masks import read_masks
from rotoscope.video import open_video


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def labels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


def test_a_folder_gives_a_mask_per_frame(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights) == 0
    assert sorted(p.name for p in out.iterdir()) == sorted(["run.json", *(f"shot{n}.png" for n in range(12))])
    first = labels(out / "shot0.png")
    assert set(np.unique(first)) == {0, 7}
    assert (first == 7).sum() == 256
    shown = capsys.readouterr().out
    for word in ("frames", "objects", "encode key", "peak memory", str(out)):
        assert word in shown


def test_json_report(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", folder, "--mask", f"{mask_file}@3", "-o", tmp_path / "out", "--weights", tiny_weights]
    assert run(*arguments, "--json", "--direction", "both", "--size", "32", "--memory", "lfu:2") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 12
    assert report["objects"] == [7]
    assert report["peak_memory"] > 0


def test_all_formats_at_once(folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = "palette,objects,soft,npz,coco,cutout,overlay"
    assert run("segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights, "--format", formats) == 0
    expected = labels(out / "shot5.png") == 7
    assert np.array_equal(labels(out / "objects" / "7" / "shot5.png") == 255, expected)
    assert ((labels(out / "soft" / "7" / "shot5.png") > 40000) <= expected).all()
    assert np.array_equal(read_masks(out / "npz" / "shot0.npz").masks[7] > 0.5, labels(out / "shot0.png") == 7)
    assert len(json.loads((out / "coco" / "annotations.json").read_text())["images"]) == 12
    assert labels(out / "cutout" / "shot5.png").shape == (48, 64, 4)
    with open_video(out / "overlay.mp4") as video:
        assert len(list(video)) == 12


def test_an_earlier_run_is_not_written_over(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", folder, "--mask", mask_file, "-o", tmp_path / "out", "--weights", tiny_weights]
    assert run(*arguments) == 0
    assert run(*arguments) == 2
    assert "holds the masks of another run" in capsys.readouterr().err
    assert run(*arguments, "--overwrite") == 0


def test_overwrite_leaves_nothing_of_the_earlier_run(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights]
    assert run(*arguments, "--format", "palette,objects,npz,coco,overlay") == 0
    (out / "mine.png").write_bytes((folder / "shot0.png").read_bytes())
    assert run(*arguments, "--format", "palette,coco", "--end", 3, "--overwrite") == 0
    names = ["shot0", "shot1", "shot2"]
    assert sorted(path.stem for path in out.glob("*.png")) == ["mine", *names]  # what is not ours stays
    images = json.loads((out / "coco" / "annotations.json").read_text())["images"]
    assert [image["file_name"] for image in images] == [f"{name}.png" for name in names]
    assert not [*out.glob("objects/*/*"), *out.glob("npz/*"), *out.glob("*.mp4")]


def test_a_corrected_mask_of_the_earlier_run_may_be_the_prompt(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights) == 0
    corrected = np.zeros((48, 64), np.uint8)
    corrected[20:40, 30:50] = 7
    Image.fromarray(corrected).save(out / "shot4.png")
    arguments = ["--mask", mask_file, "--mask", f"{out / 'shot4.png'}@4", "-o", out, "--weights", tiny_weights]
    assert run("segment", folder, *arguments, "--overwrite") == 0
    assert (labels(out / "shot4.png")[corrected == 7] == 7).all()


@pytest.mark.parametrize("more", [[], ["--resume"], ["--overwrite"]])
def test_masks_never_take_the_place_of_the_frames(
    folder: Path, mask_file: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    where = folder / ".." / folder.name
    assert run("segment", folder, "--mask", mask_file, "-o", where, "--weights", tiny_weights, *more) == 2
    assert "Choose another folder for the masks" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_resume_does_not_write_over_images_that_are_not_ours(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "shot0.png").write_bytes(mask_file.read_bytes())
    assert run("segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights, "--resume") == 2
    assert "Pass --overwrite, or another folder" in capsys.readouterr().err
    assert (out / "shot0.png").read_bytes() == mask_file.read_bytes()


def test_an_overlay_never_takes_the_place_of_the_video(
    movie: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    source = movie.rename(out / "overlay.mp4")
    before = source.read_bytes()
    arguments = ["--format", "overlay", "--overwrite", "-o", out, "--weights", tiny_weights]
    assert run("segment", source, "--mask", mask_file, *arguments) == 2
    assert "over the video" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_resuming_what_had_finished_leaves_it(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shot4.png").write_bytes(b"not an image")
    out = tmp_path / "out"
    arguments = ["segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights]
    assert run(*arguments) == 1
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert run(*arguments, "--resume") == 1
    shown = capsys.readouterr()
    assert "none left to do" in shown.out
    assert "frame 4 cannot be read" in shown.err
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert run(*arguments, "--resume", "--direction", "both") == 2
    assert "the finished run differs in its direction" in capsys.readouterr().err


@pytest.mark.parametrize(("direction", "total"), [("forward", 12), ("backward", 6), ("both", 18)])
def test_progress_counts_every_pass(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, direction: str, total: int,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("rotoscope.cli.output.Meter.PAUSE", 0.0)
    arguments = ["--direction", direction, "-o", tmp_path / "out", "--weights", tiny_weights]
    assert run("segment", folder, "--mask", f"{mask_file}@5", *arguments) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert len(lines) == total
    assert lines[-1].startswith(f"frames: {total}/{total} frames, ")


def test_damage_is_reported_and_what_is_done_stays(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shot4.png").write_bytes(b"not an image")
    out = tmp_path / "out"
    assert run("segment", folder, "--mask", mask_file, "-o", out, "--weights", tiny_weights) == 1
    error = capsys.readouterr().err
    assert "frame 4 cannot be read" in error
    assert len(list(out.glob("*.png"))) == 11


def bad(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    """Wrong command lines: what is changed, and a part of the one line that answers it."""
    text, empty, small, blank = (tmp_path / n for n in ("notes.txt", "empty", "small.png", "blank.png"))
    text.write_text("hello")
    empty.mkdir()
    Image.fromarray(np.ones((10, 10), np.uint8)).save(small)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(blank)
    negative, truncated, foreign, wrong = (tmp_path / n for n in ("n.npz", "t.safetensors", "f.pth", "w.pth"))
    np.savez(negative, **{"0": np.ones((48, 64), bool)})
    truncated.write_bytes(b"\x10\x00\x00")
    torch.save({"layer.weight": torch.zeros(3)}, foreign)
    torch.save(
        {
            "key_encoder.res2.0.conv1.weight": torch.zeros(3),
            "value_encoder.fuser.block1.conv1.weight": torch.zeros(3),
            "key_proj.key_proj.weight": torch.zeros(3),
        },
        wrong,
    )
    return {
        "no such file": (["video", tmp_path / "nothing.mp4"], "no such file"),
        "not a video": (["video", text], "not a video"),
        "empty folder": (["video", empty], "without images"),
        "mask of another size": (["--mask", small], "mask is 10x10 but the video is 64x48"),
        "mask without any object": (["--mask", blank], "without any object"),
        "mask frame beyond the end": (["--mask", "MASK@12"], "frames 0 to 11"),
        "object id 0": (["--mask", negative], "object id 0"),
        "unknown method": (["--method", "stcnn"], "did you mean 'stcn"),
        "unknown weights": (["--weights", tmp_path / "none.pth"], "no such weights"),
        "unknown policy": (["--memory", "lru:4"], "memory policy"),
        "unknown device": (["--device", "tpu9"], "device 'tpu9'"),
        "missing device": (["--device", "cuda:77"], "device 'cuda:77'"),
        "unknown precision": (["--precision", "half"], "precision 'half'"),
        "unknown format": (["--format", "gif"], "format 'gif'"),
        "unknown direction": (["--direction", "up"], "direction 'up'"),
        "bad size": (["--size", "huge"], "size 'huge'"),
        "bad budget": (["--memory-budget", "lots"], "memory budget 'lots'"),
        "tiny budget": (["--memory-budget", "1KB"], "not even one frame"),
        "truncated checkpoint": (["--weights", truncated], "truncated"),
        "foreign checkpoint": (["--weights", foreign], "layer.weight"),
        "checkpoint that does not fit": (
            ["--weights", wrong, "--method", "stcn"],
            "key_encoder.conv1.weight is missing",
        ),
        "output is a file": (["-o", text], "cannot be written to"),
        "start beyond the end": (["--start", "40"], "last frame is 11"),
        "no option of that name": (["--colour", "red"], "No such option"),
    }


CASES = [
    "no such file", "not a video", "empty folder", "mask of another size", "mask without any object",
    "mask frame beyond the end", "object id 0", "unknown method", "unknown weights", "unknown policy",
    "unknown device", "missing device", "unknown precision", "unknown format", "unknown direction", "bad size",
    "bad budget", "tiny budget", "truncated checkpoint", "foreign checkpoint", "checkpoint that does not fit",
    "output is a file", "start beyond the end", "no option of that name",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_exit_code_2(
    case: str, folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = bad(tmp_path)
    change, message = cases[case]
    given: dict[str, object] = {
        "video": folder, "--mask": mask_file, "-o": tmp_path / "out", "--weights": tiny_weights
    }  # fmt: skip
    if "--method" in change and "--weights" not in change:
        del given["--weights"]
    for name, value in zip(change[::2], change[1::2], strict=True):
        given[str(name)] = str(value).replace("MASK", str(mask_file)) if name == "--mask" else value
    video = given.pop("video")
    assert run("segment", video, *(part for pair in given.items() for part in pair)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert error.startswith("rotoscope: error: ")


def test_a_fault_of_ours_is_one_line_too(
    folder: Path, mask_file: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("rotoscope.runs.segment.segment_to_folder", broken)
    arguments = ["segment", folder, "--mask", mask_file, "-o", tmp_path / "out", "--weights", tiny_weights]
    assert run(*arguments) == 1
    assert "run again with --debug" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run(*arguments, "--debug")
