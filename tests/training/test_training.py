from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from rotoscope.cli import main
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.errors import CheckpointError, InputError, RotoscopeError
from rotoscope.layers.normalise import normalise
from rotoscope.methods import build_method
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.schedule import Schedule
from rotoscope.methods.stcn import STCNConfig, STCNNetwork
from rotoscope.methods.stcn.training import clip_loss
from rotoscope.training.clips import collate
from rotoscope.training.data import TrainingData
from rotoscope.training.run import find_recipe, prepare, save_weights
from rotoscope.weights import load, save_method

SMALL = {
    "trunk": "resnet18", "value_width": 8, "key_dim": 16, "value_dim": 16, "thin_dim": 16, "decoder_dims": (16, 16, 8)
}  # fmt: skip
RECIPE = Recipe(
    name="tiny",
    method="stcn",
    config=SMALL,
    stages=(Stage(3, 48, 3, 2), Stage(3, 64, 3, 2)),
    objects=(0.5, 0.5),
    warm_up=2,
    validate_every=4,
    validation_clips=4,
    loss={"correspondence": 0.3},
)


def train(folder: Path, data: Path, stop: int | None = None, resume: bool = False) -> dict[str, torch.Tensor]:
    trainer = prepare(RECIPE, data, folder, device="cpu", workers=0, threads=1, resume=resume)
    for line in trainer.run(save_every=1, log_every=1):
        if stop is not None and line.step >= stop:
            break
    return {name: tensor.clone() for name, tensor in trainer.average.items()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, photographs_folder: Path) -> None:
    whole = train(tmp_path / "whole", photographs_folder)
    train(tmp_path / "cut", photographs_folder, stop=2)
    again = train(tmp_path / "cut", photographs_folder, resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    assert [row["step"] for row in rows(tmp_path / "cut")] == ["1", "2", "3", "4", "5", "6"]
    assert [bool(row["validation_j"]) for row in rows(tmp_path / "cut")] == [False] * 3 + [True, False, True]
    assert list((tmp_path / "cut" / "events").iterdir())


def test_a_run_is_not_mixed_with_another(tmp_path: Path, photographs_folder: Path) -> None:
    train(tmp_path, photographs_folder, stop=1)
    with pytest.raises(InputError, match="--resume"):
        train(tmp_path, photographs_folder)
    changed = RECIPE.changed(["learning_rate=0.01"])
    with pytest.raises(InputError, match="learning_rate"):
        prepare(changed, photographs_folder, tmp_path, device="cpu", resume=True)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(CheckpointError, match="not a training checkpoint"):
        train(tmp_path, photographs_folder, resume=True)


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path, photographs_folder: Path) -> None:
    run, first, moved = tmp_path / "run", tmp_path / "first", tmp_path / "moved"
    shutil.copytree(photographs_folder, first)
    train(run, first, stop=1)
    first.rename(moved)
    before = (run / "checkpoint.safetensors").read_bytes()
    prepare(RECIPE, moved, run, device="cpu", resume=True)  # the same, elsewhere
    Image.new("RGB", (64, 64)).save(moved / "textures" / "new.png")
    with pytest.raises(InputError, match=r"trained on other data \(photographs\)\. Give the same --data"):
        prepare(RECIPE, moved, run, device="cpu", resume=True)
    (moved / "textures" / "new.png").unlink()
    with pytest.raises(InputError, match=r"other data \(photographs with masks\)"):
        prepare(RECIPE, [str(moved), f"stills:{moved}"], run, device="cpu", resume=True)
    with (moved / "images" / "coco_7.jpg").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=r"other data \(photographs\)"):
        prepare(RECIPE, moved, run, device="cpu", resume=True)
    assert (run / "checkpoint.safetensors").read_bytes() == before


def test_videos_trained_on_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("JPEGImages", "Annotations"):
        (root / name / "480p" / "a").mkdir(parents=True)
        for number in range(3):
            suffix = "jpg" if name == "JPEGImages" else "png"
            Image.new("L", (16, 16), 1).save(root / name / "480p" / "a" / f"{number:05d}.{suffix}")

    def codes(weight: int = 1) -> dict[str, str]:
        return TrainingData.open([f"{weight}*davis17:{root}"]).fingerprint()

    seen = [codes()["videos"], codes(3)["videos"]]
    Image.new("L", (40, 16)).save(root / "Annotations" / "480p" / "a" / "00001.png")
    seen.append(codes()["videos"])
    (root / "JPEGImages" / "480p" / "a" / "00002.jpg").unlink()
    seen.append(codes()["videos"])
    assert len(set(seen)) == 4


def test_a_log_line_that_a_kill_cut_in_two_goes(tmp_path: Path, photographs_folder: Path) -> None:
    train(tmp_path / "whole", photographs_folder)
    train(tmp_path / "cut", photographs_folder, stop=3)
    with (tmp_path / "cut" / "log.csv").open("a") as file:
        file.write("4,0.1")
    train(tmp_path / "cut", photographs_folder, resume=True)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")


def test_weights_come_out_ready_to_load(tmp_path: Path, photographs_folder: Path) -> None:
    trainer = prepare(RECIPE, photographs_folder, tmp_path, device="cpu", workers=0)
    path = save_weights(trainer)
    model = load(path, device="cpu", precision="exact")
    for name, tensor in trainer.average.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(model.state_dict()[f"network.{name}"], tensor, atol=1e-2, rtol=1e-2)


def test_training_can_begin_with_weights(tmp_path: Path, photographs_folder: Path) -> None:
    first = save_weights(prepare(RECIPE.changed(["seed=3"]), photographs_folder, tmp_path / "a", device="cpu"))
    second = prepare(RECIPE, photographs_folder, tmp_path / "b", device="cpu", initial=first)
    given = load(first, device="cpu", precision="exact").state_dict()
    assert all(torch.equal(given[f"network.{name}"], t) for name, t in second.average.items() if t.is_floating_point())


def test_a_small_network_learns_a_clip_by_heart(photographs_folder: Path) -> None:
    """J above 0.9 on the clip it was shown, within a minute."""
    torch.manual_seed(0)
    network = STCNNetwork(STCNConfig(**{**SMALL, "value_dim": 32, "decoder_dims": (32, 32, 16)}))  # type: ignore[arg-type]
    clips = SyntheticClips(Photographs.open(photographs_folder), SyntheticConfig(size=64, objects=1), 5)
    batch = collate(clips, range(2, 3), 1)
    images = normalise(batch.frames)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    best = 0.0
    for _ in range(150):
        lesson = clip_loss(network, ClipBatch(images, batch.labels, 1))
        optimizer.zero_grad()
        lesson.loss.backward()
        optimizer.step()
        ours, truth = lesson.probabilities.argmax(2) == 1, batch.labels[:, 1:] == 1
        best = max(best, ((ours & truth).sum() / (ours | truth).sum()).item())
        if best > 0.9:
            break
    assert best > 0.9


def test_absent_objects_get_no_pixels() -> None:
    torch.manual_seed(0)
    network = STCNNetwork(STCNConfig(**SMALL))  # type: ignore[arg-type]
    labels = torch.zeros(2, 3, 32, 32, dtype=torch.long)
    labels[:, :, 4:20, 4:20] = 1
    labels[1, 1:, 25:, 25:] = 2  # appears after the first frame: does not exist
    lesson = clip_loss(network, ClipBatch(torch.randn(2, 3, 3, 32, 32), labels, 2))
    assert lesson.probabilities.shape == (2, 2, 3, 32, 32)
    assert lesson.probabilities[:, :, 2].max() < 1e-4
    assert torch.isfinite(lesson.loss)


def test_recipes_can_be_changed_and_planned(
    every_data: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotoscope.training.plan.STEPS", 2)
    settings = ["--set", "stages=10x64x3x2,5x96x4x1", "--set", "learning_rate=1e-3"]
    assert main(["train", "stcn-small", "--plan", *settings, *every_data]) == 0
    shown = capsys.readouterr().out
    assert "15 steps" in shown
    assert "3 steps on composed: 1 clips of 4 frames at 96x96" in shown
    assert "rate 0.001" in shown
    assert main(["train", "stcn-small", "--set", "speed=3"]) == 2
    assert "the fields are" in capsys.readouterr().err
    assert main(["train", "stcn-smal"]) == 2
    assert "did you mean 'stcn-small'" in capsys.readouterr().err
    with pytest.raises(InputError, match="learning_rate=fast"):
        RECIPE.changed(["learning_rate=fast"])


def test_rates_and_stages() -> None:
    recipe = find_recipe("stcn-small")
    assert Schedule(recipe).rate(0) < Schedule(recipe).rate(recipe.warm_up - 1) == recipe.learning_rate
    assert Schedule(recipe).rate(recipe.steps - 1) < 0.02 * recipe.learning_rate
    assert [RECIPE.stage(step).size for step in (0, 2, 3, 5)] == [48, 48, 64, 64]


def test_the_command_trains(tmp_path: Path, photographs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        "stcn-small",
        "--data",
        str(photographs_folder),
        "-o",
        str(tmp_path / "run"),
        "--workers",
        "0",
    ]
    arguments += ["--device", "cpu", "--set", "stages=2x48x3x1", "--set", "validation_clips=2", "--threads", "1"]
    assert main(arguments) == 0
    assert "stcn-small.safetensors" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "run" / "stcn-small.safetensors")]) == 0
    assert "weights of STCN" in capsys.readouterr().out


def test_out_of_memory_says_what_to_halve(
    tmp_path: Path, photographs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = prepare(RECIPE, photographs_folder, tmp_path, device="cpu", workers=0)

    def full(*_: object, **__: object) -> dict[str, torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "loss_module", full)
    monkeypatch.setattr(trainer.fabric, "no_backward_sync", lambda *_, **__: contextlib.nullcontext())
    with pytest.raises(RotoscopeError, match=r"out of memory with 2 clips of 3 frames at 48 pixels\. Halve the batch"):
        next(iter(trainer.run()))


def test_validation_on_a_data_set_keeps_the_best(tmp_path: Path, photographs_folder: Path) -> None:
    from rotoscope.datasets.long_clips import write_long_clips

    clips = write_long_clips(Photographs.open(photographs_folder), tmp_path / "clips", 1, 6, 64)
    recipe = RECIPE.changed(["validate_every=2", "stages=4x48x3x1"])
    trainer = prepare(recipe, photographs_folder, tmp_path / "run", device="cpu", workers=0, validate=f"pairs:{clips}")
    best = []
    lines = list(trainer.run(save_every=10, log_every=10, on_best=lambda: best.append(trainer.step)))
    scored = [line.dataset_j for line in lines if line.dataset_j is not None]
    assert len(scored) == 2
    assert best[0] == 2
    assert trainer.best == max(scored)
    assert [row["dataset_j"] for row in rows(tmp_path / "run")] == [f"{j:.4f}" for j in scored]
    again = prepare(
        recipe, photographs_folder, tmp_path / "run", device="cpu", workers=0, validate=f"pairs:{clips}", resume=True
    )
    assert again.best == trainer.best
    other = prepare(recipe, photographs_folder, tmp_path / "run", device="cpu", workers=0, resume=True)
    assert other.best == float("-inf")  # of synthetic clips nothing is known yet


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Weights to begin with: what is frozen must not be random."""
    method = build_method("stcn", SMALL)
    path = tmp_path / "begun.safetensors"
    save_method(path, "stcn", method.config, method.state_dict())
    return path


def test_frozen_parts_are_not_trained(tmp_path: Path, photographs_folder: Path, begun: Path) -> None:
    frozen = ("key_encoder.conv1.", "key_encoder.bn1.")
    recipe = dataclasses.replace(RECIPE, frozen=frozen)
    trainer = prepare(recipe, photographs_folder, tmp_path / "a", device="cpu", workers=0, initial=begun)
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    next(iter(trainer.run(log_every=1)))
    for name, tensor in trainer.network.state_dict().items():
        if name.startswith(frozen):
            assert torch.equal(before[name], tensor), name
    assert not torch.equal(
        before["key_encoder.layer1.0.conv1.weight"], trainer.network.key_encoder.layer1[0].conv1.weight
    )  # type: ignore[index,union-attr]
    assert "not trained: key_encoder.conv1." in " ".join(Schedule(recipe).describe())
    with pytest.raises(InputError, match="no such part"):
        prepare(dataclasses.replace(RECIPE, frozen=("body.",)), photographs_folder, tmp_path / "b", device="cpu")


def test_rates_that_fall_and_weight_decay_of_a_stage(tmp_path: Path, photographs_folder: Path) -> None:
    first, second = RECIPE.stages
    stages = (
        dataclasses.replace(first, fall=(1, 0.5), learning_rate=1e-3, weight_decay=0.3),
        dataclasses.replace(second, fall=(2, 0.1), learning_rate=1e-4),
    )
    recipe = dataclasses.replace(RECIPE, stages=stages, weight_decay=0.2)
    start = first.steps
    found = [Schedule(recipe).rate(step) for step in (0, 1, start - 1, start, start + 1, start + 2)]
    assert found == pytest.approx([1e-3, 5e-4, 1e-3 * 0.5 ** (start - 1), 1e-4, 1e-4, 1e-5])
    assert [Schedule(recipe).weight_decay(step) for step in (0, start)] == [0.3, 0.2]
    shown = " ".join(Schedule(recipe).describe())
    assert "times 0.5 every 1 steps, weight decay 0.3" in shown
    assert "cosine" not in shown
    trainer = prepare(recipe, photographs_folder, tmp_path, device="cpu", workers=0)
    for line in trainer.run(log_every=1):
        expected = {0.0, 0.3 if line.step <= start else 0.2}
        assert {group["weight_decay"] for group in trainer.optimizer.param_groups} == expected


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path: Path, photographs_folder: Path) -> None:
    trainer = prepare(RECIPE, photographs_folder, tmp_path, device="cpu", workers=0)
    trainer.save()
    with safe_open(trainer.checkpoint, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    del facts["recipe"]["frozen"]
    facts["recipe"]["correspondence"] = facts["recipe"]["loss"].pop("correspondence")
    assert facts["recipe"]["config"].pop("trunk") == "resnet18"
    facts["recipe"]["config"]["key_depth"] = 18
    for stage in facts["recipe"]["stages"]:
        del stage["fall"], stage["weight_decay"]
        stage["interlude"] = stage.pop("alternate")
    save_file(tensors, trainer.checkpoint, {"facts": json.dumps(facts)})
    prepare(RECIPE, photographs_folder, tmp_path, device="cpu", workers=0, resume=True)
    changed = dataclasses.replace(RECIPE, frozen=("key_encoder.conv1.",))
    with pytest.raises(InputError, match=r"other settings \(frozen\)"):
        prepare(changed, photographs_folder, tmp_path, device="cpu", workers=0, resume=True)


def test_frozen_norms_keep_their_statistics(tmp_path: Path, photographs_folder: Path, begun: Path) -> None:
    recipe = RECIPE.changed(["frozen_norms=true"])
    trainer = prepare(recipe, photographs_folder, tmp_path / "a", device="cpu", workers=0, initial=begun)
    before = trainer.network.key_encoder.bn1.running_mean.clone()  # type: ignore[union-attr]
    next(iter(trainer.run(log_every=1)))
    assert torch.equal(before, trainer.network.key_encoder.bn1.running_mean)  # type: ignore[union-attr]
