"""What ``--data`` names."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli import main
from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.errors import InputError
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import SyntheticSource, TrainingData


def test_folders_and_specs_with_weights(photographs_folder: Path) -> None:
    stills = f"stills:{photographs_folder}"
    found = TrainingData.open([photographs_folder, f"2*{stills}", stills])
    assert found.photographs is not None
    assert [weight / len(dataset) for weight, dataset in found.stills] == [2, 1]
    assert found.shares(Recipe("r", "stcn", {}, (Stage(1, 48, 3, 1, "stills"),))) == [
        f"stills: 67 % {stills}, 33 % {stills}"
    ]
    with pytest.raises(InputError, match="trains on videos"):
        found.source("videos")
    with pytest.raises(InputError, match="synthetic clips need a folder"):
        TrainingData.open([stills]).source("synthetic")
    with pytest.raises(InputError, match="a second folder"):
        TrainingData.open([photographs_folder, photographs_folder])


def test_what_a_set_lacks_is_described(tmp_path: Path) -> None:
    for part, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (tmp_path / part / "480p/dogs").mkdir(parents=True)
        Image.fromarray(np.ones((8, 12), np.uint8)).save(tmp_path / part / f"480p/dogs/00000.{suffix}")
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/train.txt").write_text("dogs\ncows\n")
    opened = TrainingData.open([f"davis17:{tmp_path}?split=train"])
    lines = opened.describe()
    assert any("cows: missing" in line for line in opened.lacking())  # which a training says when it begins
    assert lines[0].startswith("davis17, split train: 2 sequences")
    assert any("cows: missing" in line for line in lines)


def test_nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTOSCOPE_DATA", raising=False)
    with pytest.raises(InputError, match="no training data"):
        TrainingData.open([])


def test_processes_share_out_a_steps_clips(photographs_folder: Path) -> None:
    def recipe(batch: int) -> Recipe:
        return Recipe("r", "stcn", {}, (Stage(2, 48, 3, batch), Stage(2, 48, 3, batch, "stills", (0.0, 1.0))))

    data = TrainingData.open([photographs_folder])
    assert [origin.source for origin in recipe(1).origins()] == ["synthetic", "stills"]
    whole = StepBatches(recipe(4), data)
    halves = [StepBatches(recipe(2), data, process, 2) for process in (0, 1)]
    for step in range(4):
        assert whole[step].frames[:2].equal(halves[0][step].frames)
        assert whole[step].frames[2:].equal(halves[1][step].frames)
    assert whole[3].objects == 2
    assert [len(part.frames) for part in whole[0].parts(3)] == [2, 2]


def test_plan_of_the_full_recipe(
    every_data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 1)
    small = ["--set", "stages=300000x64x3x16,150000x64x3x8", "--set", "any_set=true"]
    assert main(["train", "stcn", "--plan", "--device", "cpu", *small, *every_data]) == 0
    text = capsys.readouterr().out
    assert "300000 steps on stills: 16 clips of 3 frames" in text
    assert "rate 1e-05, a tenth of it from step 150000" in text
    assert "gaps up to 5-10-15-20-25-5" in text
    assert "batch norms frozen" in text
    assert "hours for 150000 steps" in text


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages=3x48", "not STEPSxSIZExFRAMESxBATCH"),
        ("stages=3x48x3x1:films", "source 'films' is none of"),
        ("optimiser=lion", "none of adamw, adam, sgd"),
        ("frozen_norms=perhaps", "neither true nor false"),
        ("loss=3", "the fields are"),
        ("stages=", "not STEPSxSIZExFRAMESxBATCH"),
        ("validate_every=0", "of at least 1"),
        ("accumulate=-1", "of at least 1"),
        ("validation_clips=1", "of at least 2"),
        ("seed=-1", "of at least 0"),
        ("trunk_rate=-0.5", "of at least 0"),
        ("average=1", "from 0 to 0.99999"),
        ("objects=0,0", "these are no chances"),
    ],
)
def test_wrong_settings(setting: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "stcn-small", "--plan", "--set", setting]) == 2
    assert message in capsys.readouterr().err


def test_salient_clips_leave_nothing_unlabelled(photographs_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(photographs_folder, folder)
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (folder / kind / f"coco_1.{suffix}").rename(folder / kind / f"cocop_1.{suffix}")
    source = TrainingData.open([folder]).source("salient")
    assert isinstance(source, SyntheticSource)
    assert {p.kind for p in source.photographs.masked} == {"coco"}
    counts = set()
    for seed in range(12):
        clip = source.clip(np.random.default_rng(seed), ClipShape(64, 2, 6))
        counts.add(int(clip.labels[0].max()))
        assert 1 <= clip.labels[0].max() <= 6
    assert len(counts) > 2  # as many as there are, not as many as could be


def test_composed_clips_need_videos_and_take_photographs_if_there_are_any(
    photographs_folder: Path, tmp_path: Path
) -> None:
    for folder, value in (("JPEGImages", 90), ("Annotations", 1)):
        for t in range(4):
            path = tmp_path / "videos" / folder / "a" / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.pad(np.full((20, 30), value, np.uint8), 20)).save(path)
    spec = f"pairs:{tmp_path / 'videos'}"
    with pytest.raises(InputError, match="trains on videos"):
        TrainingData.open([photographs_folder]).source("composed")
    recipe = Recipe("own", "stcn", {}, ()).changed(["stages=2x64x3x2:composed"])
    assert [origin.source for origin in recipe.origins()] == ["composed"]
    for given in ([spec], [spec, photographs_folder]):
        batch = StepBatches(recipe, TrainingData.open(given))[0]
        assert batch.frames.shape == (2, 3, 3, 64, 64)
        assert batch.labels.max() >= 1


def test_hiding_clips_cover_what_is_pasted_and_show_it_again(photographs_folder: Path) -> None:
    source = TrainingData.open([photographs_folder]).source("hiding")
    returned = 0
    for seed in range(6):
        labels = source.clip(np.random.default_rng(seed), ClipShape(64, 15, 1, 0, 0.1)).labels
        seen = (labels == 1).sum(axis=(1, 2))
        assert seen[0] > 0
        returned += bool((seen[6:9] == 0).all() and seen[-1] > 0)
    assert returned >= 3  # the others are objects of the background photograph, which nothing covers
