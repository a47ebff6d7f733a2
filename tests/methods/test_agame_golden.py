"""A-GAME against numbers computed by its authors' network."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import rotoscope
from rotoscope.errors import CheckpointError
from rotoscope.layers.normalise import normalise
from rotoscope.methods.agame import AGAME, AGAMEConfig, appearance, heads, session
from rotoscope.methods.agame.appearance import Model
from rotoscope.methods.agame.network import AGAMENetwork, Memory, shrink, with_background
from rotoscope.methods.agame.official import OFFICIAL
from rotoscope.methods.agame.session import AGAMESession
from rotoscope.methods.agame.training import RECIPES, clip_loss
from rotoscope.methods.clip_loss import ClipBatch
from rotoscope.training.optimiser import freeze, hold_norms

from .conftest import keep_answers

GOLDEN = Path(__file__).parent.parent / "golden"
Golden = Callable[[str], Mapping[str, np.ndarray]]
Seeded = Callable[[str], dict[str, Tensor]]
Models = Callable[[str], AGAME]
FILES = ("agame", "agame_contrast")
LOGITS, MOMENTS, SCORES = 1e-3, 5e-4, 5e-2
"""How far two implementations of the released network were measured to agree, in float32 on a CPU."""


def filled(contrast: bool, seeded: Seeded) -> dict[str, Tensor]:
    state = seeded("agame")
    if contrast:
        for name, change in json.loads((GOLDEN / "agame_contrast.overrides.json").read_text()).items():
            state[name] = state[name] * change.get("scale", 1) + torch.tensor(change.get("add", 0.0))
    return state


def released(path: Path, state: Mapping[str, Tensor]) -> Path:
    """A file as the authors' training wrote it: wrapped, in the old format, with objects of a class of theirs."""
    utils, stats = ModuleType("utils"), ModuleType("utils.stats")

    class AverageMeter:
        def __init__(self) -> None:
            self.avg, self.count, self.seen = 0.5, 3, [1.0, 2.0]

    AverageMeter.__module__, AverageMeter.__qualname__ = "utils.stats", "AverageMeter"
    stats.AverageMeter = AverageMeter  # type: ignore[attr-defined]
    sys.modules |= {"utils": utils, "utils.stats": stats}
    try:
        torch.save(
            {
                "epoch": 99,
                "net_type": "AGAME",
                "net": dict(state),
                "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "params": [0]}]},
                "stats": {"train loss": AverageMeter(), "val iou": AverageMeter()},
                "use_gpu": True,
            },
            path,
            _use_new_zipfile_serialization=False,
        )
    finally:
        del sys.modules["utils"], sys.modules["utils.stats"]
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, seeded: Seeded) -> Models:
    made: dict[str, AGAME] = {}

    def get(file: str) -> AGAME:
        if file not in made:
            path = tmp_path_factory.mktemp("agame") / "main_runfile_beta_best.pth.tar"
            released(path, filled(file != "agame", seeded))
            model = rotoscope.load(path, precision="exact", device="cpu")
            path.unlink()
            assert isinstance(model, AGAME)
            made[file] = model
        return made[file]

    return get


@pytest.fixture(scope="module")
def encoded() -> dict[Any, Any]:
    return {}


@pytest.fixture
def encoded_once(encoded: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    keep_answers(monkeypatch, AGAMENetwork, "encode", encoded)


def close(ours: Tensor, theirs: np.ndarray, tolerance: float) -> None:
    expected = torch.from_numpy(theirs.astype(np.float32))
    half = 1e-3 if theirs.dtype == np.float16 else 0.0
    torch.testing.assert_close(ours, expected, atol=tolerance + half, rtol=0)


def run(model: AGAME, frames: np.ndarray, given: Mapping[int, np.ndarray], **options: object) -> AGAMESession:
    """Push a clip with label maps on some of its frames; what was seen is in ``session.seen``."""
    opened = model.session(**options)
    seen: list[tuple[np.ndarray, Tensor]] = []
    for t, frame in enumerate(frames):
        labels = given.get(t)
        if labels is not None:
            opened.add({int(i): labels == i for i in np.unique(labels) if i})
        prediction = opened.push(frame)[0]
        seen.append((prediction.labels, prediction.probabilities))
    opened.seen = seen  # type: ignore[attr-defined]
    return opened


def inside(opened: AGAMESession) -> Memory:
    assert opened._memory is not None
    return opened._memory


def worst(opened: AGAMESession, soft: np.ndarray) -> float:
    """The largest difference of soft target masks from the second frame on."""
    seen: list[tuple[np.ndarray, Tensor]] = opened.seen  # type: ignore[attr-defined]
    ours = torch.stack([probabilities[1:] for _, probabilities in seen[1:]])
    return float((ours - torch.from_numpy(soft.astype(np.float32))).abs().max())


@pytest.mark.parametrize("file", FILES)
@torch.inference_mode()
def test_every_stage_of_the_first_frames(models: Models, golden: Golden, file: str) -> None:
    data, net = golden(file), models(file).network
    images = normalise(torch.from_numpy(data["frames"][:2]).permute(0, 3, 1, 2))
    labels = torch.from_numpy(data["first_labels"].astype(np.int64))
    targets = torch.stack([(labels == i).float() for i in (1, 2)])
    begun = net.encode(images[:1])
    memory = net.begin(begun, shrink(with_background(targets)))
    features = net.encode(images[1:])
    if file == "agame":
        every = int(data["feat_channel_stride"])
        found = dict(zip(("s4", "s8", "x", "s16"), net.backbone(images[1:]), strict=True))
        for name in ("s4", "s8", "s16"):
            close(found[name][0, ::every], data[f"f1_feat_{name}"], 1e-4)
    assert net.appearance is not None
    assert net.propagation is not None
    scores = net.appearance.score(features.described, Model(memory.mean, memory.variance)).unflatten(2, (6, 10))
    propagated = net.propagation(features.current, memory.first, memory.previous)
    fused, _ = net.fusion(scores, propagated)
    answer = net.segment(features, memory)
    for row in range(2):
        name = f"o{row + 1}"
        close(memory.previous[row], data[f"{name}_init_seg"], 1e-6)
        close(memory.mean[row], data[f"{name}_init_mu"], MOMENTS)
        close(memory.variance[row], data[f"{name}_init_var"], MOMENTS)
        close(scores[row], data[f"{name}_f1_scores"], SCORES)
        if f"{name}_f1_dyn" in data:
            close(propagated[row, :: int(data["feat_channel_stride"])], data[f"{name}_f1_dyn"], LOGITS)
        close(fused[row], data[f"{name}_f1_fused"], LOGITS)
        close(answer.coarse[row], data[f"{name}_f1_coarse"], LOGITS)
        close(answer.final[row], data[f"{name}_f1_logits"], LOGITS)


@pytest.mark.usefixtures("encoded_once")
@pytest.mark.parametrize("file", FILES)
def test_two_objects_through_the_clip(models: Models, golden: Golden, file: str) -> None:
    data = golden(file)
    for last, stage in ((2, "f1"), (len(data["frames"]), "last")):
        opened = run(models(file), data["frames"][:last], {0: data["first_labels"]})
        memory = inside(opened)
        for row in range(2):
            name = f"o{row + 1}_{stage}"
            close(memory.previous[row], data[f"{name}_update_seg"], LOGITS)
            close(memory.mean[row], data[f"{name}_mu"], MOMENTS)
            close(memory.variance[row], data[f"{name}_var"], MOMENTS)
    assert worst(opened, data["soft_agg"]) < 2e-3  # the numbers are float16
    seen: list[tuple[np.ndarray, Tensor]] = opened.seen  # type: ignore[attr-defined]
    assert np.array_equal(np.stack([labels for labels, _ in seen]), data["hard"])


@pytest.mark.usefixtures("encoded_once")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("name", "recurrence"), [("fine", "own"), ("coarse", "coarse")])
def test_one_object(models: Models, golden: Golden, file: str, name: str, recurrence: str) -> None:
    data = golden(file)
    first = np.where(data["first_labels"] == 1, 1, 0)
    opened = run(models(file), data["frames"], {0: first}, recurrence=recurrence)
    seen: list[tuple[np.ndarray, Tensor]] = opened.seen  # type: ignore[attr-defined]
    ours = torch.stack([probabilities[1] for _, probabilities in seen[1:]])
    p = torch.from_numpy(data[f"single_{name}_soft"].astype(np.float64))  # before aggregation: p^2 / (p^2 + b^2)
    torch.testing.assert_close(ours.double(), p**2 / (p**2 + (1 - p) ** 2), atol=3e-3, rtol=0)
    if f"single_{name}_hard" in data:
        assert np.array_equal(np.stack([labels for labels, _ in seen]), data[f"single_{name}_hard"])


@pytest.mark.usefixtures("encoded_once")
@pytest.mark.parametrize("file", FILES)
def test_an_object_that_appears_later(models: Models, golden: Golden, file: str) -> None:
    data = golden(file)
    given = {t: labels for t, labels in enumerate(data["late_given"]) if labels.any()}
    assert sorted(given) == sorted(data["late_birth"])
    opened = run(models(file), data["late_frames"], given, predict_given=True)
    seen: list[tuple[np.ndarray, Tensor]] = opened.seen  # type: ignore[attr-defined]
    assert np.array_equal(np.stack([labels for labels, _ in seen]), data["late_hard"])
    for t, (_, probabilities) in enumerate(seen):
        if t:
            close(probabilities[1:], data["late_soft_agg"][t - 1][: len(probabilities) - 1], LOGITS)
    ours = run(models(file), data["late_frames"], given)
    labels = ours.seen[2][0]  # type: ignore[attr-defined]
    assert np.array_equal(labels == 2, data["late_given"][2] == 2)


def wrong_moments(x: Tensor, weights: Tensor, floor: Tensor) -> Model:
    """Without the 1 in the denominator."""
    mass = weights.sum(dim=2, keepdim=True).clamp(min=1e-12)
    mean = weights @ x.transpose(1, 2) / mass
    square = weights @ x.square().transpose(1, 2) / mass
    return Model(mean, floor + square - mean.square())


def wrong_aggregation(pairs: Tensor) -> Tensor:
    """The background as a product."""
    back = pairs[:, 0].prod(dim=0, keepdim=True).clamp(1e-7, 1 - 1e-7)
    clamped = pairs.clamp(1e-7, 1 - 1e-7)
    odds = torch.cat([back / (1 - back), clamped[:, 1] / clamped[:, 0]])
    return odds / odds.sum(dim=0, keepdim=True)


MISTAKES = ("residual sign", "no +1", "corners", "product", "dilation", "no update", "2 pi", "own mask", "coarse mask")


@pytest.fixture
def mistaken(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[[str, AGAME], dict[str, object]]]:
    """Make one of the mistakes that reimplementations make; returns options of the session that belong to it."""
    undo: list[Callable[[], None]] = []

    def make(mistake: str, model: AGAME) -> dict[str, object]:
        monkeypatch.setattr(model, "replayed", None)  # recordings would keep what functions were before
        if mistake != "dilation":  # the one that is in the trunk
            request.getfixturevalue("encoded_once")
        if mistake == "residual sign":
            monkeypatch.setattr(appearance, "residuals", lambda posterior, a: (a - posterior).clamp(min=0))
        elif mistake == "no +1":
            monkeypatch.setattr(appearance, "moments", wrong_moments)
        elif mistake == "corners":
            monkeypatch.setattr(
                heads,
                "enlarge",
                lambda x, by: F.interpolate(x, scale_factor=by, mode="bilinear", align_corners=True),
            )
        elif mistake == "product":
            monkeypatch.setattr(session, "aggregate_pairs", wrong_aggregation)
        elif mistake == "dilation":
            layer = model.network.backbone.get_submodule("layer4.0.conv2")
            assert isinstance(layer, torch.nn.Conv2d)
            layer.dilation = layer.padding = (2, 2)

            def restore() -> None:
                layer.dilation = layer.padding = (1, 1)

            undo.append(restore)
        elif mistake == "2 pi":
            right = appearance.log_likelihood
            monkeypatch.setattr(
                appearance,
                "log_likelihood",
                lambda x, model: right(x, model) - 0.5 * x.shape[1] * float(np.log(2 * np.pi)),
            )
        else:
            return {
                "no update": {"update_rate": 0.0},
                "own mask": {"recurrence": "own"},
                "coarse mask": {"recurrence": "coarse"},
            }[mistake]
        return {}

    yield make
    for step in undo:
        step()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_single_mistakes_are_seen(
    models: Models,
    golden: Golden,
    mistaken: Callable[[str, AGAME], dict[str, object]],
    file: str,
    mistake: str,
) -> None:
    """Each moves the soft masks by far more than the tolerance; the numbers were measured with the released code."""
    data = golden(file)
    options = mistaken(mistake, models(file))
    opened = run(models(file), data["frames"], {0: data["first_labels"]}, **options)
    effect = {
        "residual sign": (0.78, 0.72),
        "no +1": (0.29, 0.68),
        "corners": (0.53, 0.49),
        "product": (0.13, 0.13),
        "dilation": (0.14, 0.38),
        "no update": (0.14, 0.49),
        "2 pi": (0.46, 0.97),
        "own mask": (0.06, 0.12),
        "coarse mask": (0.10, 0.28),
    }[mistake][FILES.index(file)]
    assert worst(opened, data["soft_agg"]) == pytest.approx(effect, abs=0.03)


@pytest.mark.parametrize("file", FILES)
def test_losses_of_the_released_training(models: Models, golden: Golden, file: str) -> None:
    data = golden(file)
    images = normalise(torch.from_numpy(data["frames"]).permute(0, 3, 1, 2))[None]
    labels = torch.from_numpy(data["loss_labels"].astype(np.int64))[None]
    with torch.no_grad():
        lesson = clip_loss(models(file).network, ClipBatch(images, labels, 1))
    assert lesson.parts["main"] == pytest.approx(float(data["loss_main"]), abs=LOGITS)
    assert lesson.parts["auxiliary"] == pytest.approx(float(data["loss_aux"]), abs=LOGITS)
    assert lesson.loss.item() == pytest.approx(sum(lesson.parts.values()), abs=1e-5)


def ours_of(name: str) -> str:
    """What a released name is in the network."""
    for pattern, prefix in OFFICIAL.items():
        match = re.match(pattern, name)
        if match:
            return (prefix + name[match.end() :]).removeprefix("network.")
    raise AssertionError(name)


@pytest.mark.parametrize("norms", ["eval", "train"])
@pytest.mark.parametrize("terms", ["both", "main"])
def test_gradients_of_the_released_training(models: Models, golden: Golden, norms: str, terms: str) -> None:
    """Two clips; in training the batch norms of the last stage take their batch's statistics, all others their own."""
    data = golden("agame_train")
    net = copy.deepcopy(models("agame_contrast").network).requires_grad_(True)
    freeze(net, RECIPES["agame"].frozen)
    assert sum(p.requires_grad for p in net.parameters()) == 59  # as counted in the released code
    if norms == "train":
        net.train()
        hold_norms(net, RECIPES["agame"])
    kept = net.backbone.get_submodule("layer3.0.bn1").running_mean.clone()  # type: ignore[union-attr,operator]
    images = normalise(torch.from_numpy(data["frames"]).permute(0, 1, 4, 2, 3))
    labels = torch.from_numpy(data["labels"].astype(np.int64))
    lesson = clip_loss(net, ClipBatch(images, labels, 1), auxiliary=float(terms == "both"))
    key = f"{norms}_{terms}"
    assert [lesson.parts["main"], lesson.parts["auxiliary"]] == pytest.approx(list(data[f"{key}_losses"]), abs=LOGITS)
    if terms == "both":
        p = torch.from_numpy(data[f"{norms}_logp_fg"][:, 1:].astype(np.float64)).exp()
        ours = lesson.probabilities[:, :, 1].double()
        torch.testing.assert_close(ours, p**2 / (p**2 + (1 - p) ** 2), atol=5e-3, rtol=0)
    lesson.loss.backward()
    named = dict(net.named_parameters())
    for name, norm in zip(data["grad_names"], data[f"{key}_gradnorm"], strict=True):
        gradient = named[ours_of(str(name))].grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(float(norm), rel=1e-2), name
    assert torch.equal(kept, net.backbone.get_submodule("layer3.0.bn1").running_mean)  # type: ignore[arg-type]
    assert named["backbone.layer3.0.conv1.weight"].grad is None


def test_what_does_not_fit_is_named(tmp_path: Path, seeded: Seeded) -> None:
    state = filled(False, seeded)
    path = tmp_path / "checkpoint.pth.tar"
    counters = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    released(path, counters)
    assert rotoscope.load(path, device="cpu").config == AGAMEConfig()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        rotoscope.load(path, device="cpu")
    del counters["trackseg.segmod.predictor.conv.bias"]
    counters["trackseg.head.weight"] = torch.zeros(1)
    counters["trackseg.appmod.conv_in.bias"] = torch.zeros(7)
    released(path, counters)
    with pytest.raises(CheckpointError) as caught:
        rotoscope.load(path, device="cpu")
    assert "network.upsampling.predict.bias is missing" in str(caught.value)
    assert "trackseg.head.weight is not expected" in str(caught.value)
    assert "network.appearance.project.bias is [7], expected [512]" in str(caught.value)
    del counters["trackseg.appmod.cov_reg"]
    released(path, counters)
    with pytest.raises(CheckpointError, match=r"does not fit agame: trackseg\.appmod\.cov_reg is missing"):
        rotoscope.load(path, "agame", device="cpu")


def test_the_kernel_of_the_coarse_predictor_is_read_from_the_file(tmp_path: Path, seeded: Seeded) -> None:
    state = filled(False, seeded)
    name = "trackseg.fusmod.predictor.layer00.conv.weight"
    state[name] = F.pad(state[name], (1, 1, 1, 1))
    model = rotoscope.load(released(tmp_path / "checkpoint.pth.tar", state), device="cpu", precision="exact")
    assert model.config == AGAMEConfig(coarse_kernel=3)
