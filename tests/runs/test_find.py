"""``rotoscope segment --then``: find an object without a mask, follow it with a method that needs one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import moving, tiny
from rotoscope.cli import main
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.methods.cosnet import COSNet, COSNetSession
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.find import find_objects
from rotoscope.video import Frame, open_video
from rotoscope.weights import save_method


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, image in enumerate(moving(5)):
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    finder = tiny("cosnet")
    path = tmp_path / "finder.safetensors"
    save_method(path, "cosnet", finder.config, finder.state_dict())
    return path


def test_what_is_found_is_followed_both_ways(
    tmp_path: Path, frames: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["segment", str(frames), "--method", "cosnet", "--weights", str(weights), "--then", "stcn-small"]
    common = ["--device", "cpu", "--option", "references=2", "--then-option", "top_k=8"]
    assert main([*command, *common, "-o", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 5
    assert report["objects"] == [1]
    (note,) = report["notes"]
    with open_video(frames) as video:
        found = find_objects(video, tiny("cosnet"), references=2)
    assert note.startswith(f"found on frame {found.index} with confidence")
    start = np.asarray(Image.open(tmp_path / "out" / f"{found.index:02d}.png"))
    assert (start == 1).any()
    assert main([*command, *common, "-o", str(tmp_path / "out"), "--resume"]) == 0  # the same is found again
    mask = str(tmp_path / "out" / "00.png")
    assert main([*command, "--mask", mask, "-o", str(tmp_path / "b")]) == 2
    assert "Leave --mask and points out" in capsys.readouterr().err
    assert main([*command[:-1], "cosnet", "--device", "cpu", "-o", str(tmp_path / "b")]) == 2
    assert "comes without weights" in capsys.readouterr().err


def test_no_mask_is_needed(tmp_path: Path, frames: Path, weights: Path) -> None:
    command = ["segment", str(frames), "--method", "cosnet", "--weights", str(weights), "--device", "cpu"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 5


class Scripted(COSNetSession):
    """Answers as it is told: the object's side in pixels and how sure it is, by frame."""

    script: tuple[tuple[int, float], ...] = ()

    def advance(self, frame: Frame, prompts: dict[int, torch.Tensor]) -> list[Prediction]:
        side, sure = self.script[frame.index]
        probability = torch.zeros(frame.size[1], frame.size[0])
        probability[:side, :side] = sure
        return [Prediction.from_probabilities(frame, (1,), torch.stack([1 - probability, probability]))]


def scripted(monkeypatch: pytest.MonkeyPatch, *script: tuple[int, float]) -> Method:
    monkeypatch.setattr(Scripted, "script", script)
    monkeypatch.setattr("rotoscope.methods.cosnet.COSNetSession", Scripted)
    return tiny("cosnet")


def test_the_surest_frame_of_some_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = moving(4)
    model = scripted(monkeypatch, (20, 0.7), (3, 0.99), (20, 0.9), (20, 0.9))  # 3x3 pixels are no start
    seen: list[int] = []
    found = find_objects(open_video(clip), model, on_frame=lambda p: seen.append(p.index))
    assert (found.index, seen) == (2, [0, 1, 2, 3])
    assert found.confidence == pytest.approx(0.9)
    assert found.prompts[2][1].sum() == 400
    small = find_objects(open_video(clip), scripted(monkeypatch, (3, 0.8), (3, 0.99), (0, 0.0), (2, 0.9)))
    assert small.index == 1
    with pytest.raises(InputError, match="nothing is found"):
        find_objects(open_video(clip), scripted(monkeypatch, *[(0, 0.0)] * 4))


def test_who_cannot_find_or_be_read_twice(tiny_stcn: Method) -> None:
    clip = moving(4)
    with pytest.raises(InputError, match="needs masks itself"):
        find_objects(open_video(clip), tiny_stcn)
    with pytest.raises(InputError, match="Save it as a file first"):
        find_objects(open_video(iter(clip)), tiny("cosnet"))
    assert COSNet.task == "unsupervised"
