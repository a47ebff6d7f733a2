"""RSIS against numbers computed by its authors' network, RIS against a plain computation from its description."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import rotoscope
from rotoscope.errors import CheckpointError
from rotoscope.layers import convlstm
from rotoscope.layers.normalise import normalise
from rotoscope.methods.rsis import RIS_LEAVES, RIS_PERSONS, RSIS, RSISConfig, RSISNetwork, network
from rotoscope.methods.rsis.answers import named, objects_of
from rotoscope.methods.rsis.losses import RSISLoss, Targets, ris_loss, rsis_loss

GOLDEN = Path(__file__).parent.parent / "golden"
Golden = Callable[[str], Mapping[str, np.ndarray]]
Seeded = Callable[[str], dict[str, Tensor]]
STRIDES = (32, 16, 8, 4, 2)
SETTINGS = {
    "full": (5, 0, 0.1, 0.5),
    "mask_only": (5, 0, 0.0, 0.0),
    "curriculum2": (5, 2, 0.1, 0.5),
    "curriculum4": (5, 4, 0.0, 0.1),
    "long": (8, 0, 0.1, 0.5),
}
"""Most steps, limit of the curriculum, weights of the class and stop terms."""


def released(folder: Path, seeded: Seeded) -> Path:
    """A folder in the released layout, with the golden overrides."""
    decoder = seeded("rsis_decoder")
    for name, change in json.loads((GOLDEN / "rsis.overrides.json").read_text())["decoder"].items():
        decoder[name] = decoder[name] * change.get("scale", 1) + change.get("add", 0)
    folder.mkdir(parents=True)
    torch.save(seeded("rsis_encoder"), folder / "encoder.pt")
    torch.save(decoder, folder / "decoder.pt")
    return folder


@pytest.fixture(scope="module")
def rsis(tmp_path_factory: pytest.TempPathFactory, seeded: Seeded) -> RSIS:
    model = rotoscope.load(released(tmp_path_factory.mktemp("rsis") / "voc", seeded), precision="exact", device="cpu")
    assert isinstance(model, RSIS)
    assert model.config == RSISConfig()
    return model


def pictures(data: Mapping[str, np.ndarray], name: str) -> Tensor:
    return normalise(torch.from_numpy(data[name]).permute(0, 3, 1, 2))


def close(ours: Tensor, theirs: np.ndarray, atol: float = 1e-4) -> None:
    """Equal to ``atol``, or to 2e-3 where the reference was rounded to half precision."""
    half = theirs.dtype == np.float16
    expected = torch.from_numpy(theirs.astype(np.float32))
    torch.testing.assert_close(ours, expected, atol=2e-3 if half else atol, rtol=2e-3 if half else 0)


@torch.inference_mode()
def steps_of(net: RSISNetwork, images: Tensor, count: int) -> list[network.Step]:
    features, found = net.encode(images), []
    for _ in range(count):
        found.append(net.decode(features, found[-1].state if found else None))
    return found


@pytest.mark.parametrize(("sides", "count"), [("even", 6), ("odd", 5)])
def test_every_step_is_the_authors(rsis: RSIS, golden: Golden, sides: str, count: int) -> None:
    """Features, logits, states, what the heads see, and both heads."""
    data = golden("rsis")
    images, net = pictures(data, f"{sides}_images"), rsis.network
    with torch.inference_mode():
        for feature, stride in zip(net.encode(images[:1]), STRIDES, strict=True):
            close(feature, data[f"{sides}_feat_s{stride}"])
    found = steps_of(net, images, count)
    close(torch.cat([step.logits for step in found], 1), data[f"{sides}_logits"], 1e-3)  # they reach 12
    close(torch.stack([step.side for step in found], 1), data[f"{sides}_side"])
    classes = torch.stack([step.classes for step in found if step.classes is not None], 1)
    close(torch.softmax(classes, -1), data[f"{sides}_class_probs"])
    close(torch.stack([step.stop for step in found], 1), data[f"{sides}_stop_logits"], 2e-4)
    if sides == "even":
        for level, stride in enumerate(STRIDES):
            close(found[2].state.hidden[level][0], data[f"even_h_t2_s{stride}"])
            close(found[2].state.cell[level][0], data[f"even_c_t2_s{stride}"])
    else:
        with torch.inference_mode():
            close(net.run(images, count).masks, data["odd_probs"])


MISTAKES = ["gates", "order", "cell", "passed", "corners", "norms", "pool"]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_single_mistakes_are_seen(rsis: RSIS, golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """Each of the mistakes that reimplementations make moves some answer by far more than the tolerance."""
    data = golden("rsis")
    right = convlstm.lstm_states
    if mistake == "gates":
        monkeypatch.setattr(
            convlstm, "lstm_states", lambda g, c: right(torch.cat([g.chunk(4, 1)[i] for i in (0, 1, 3, 2)], 1), c)
        )
    elif mistake == "cell":
        monkeypatch.setattr(convlstm, "lstm_states", lambda gates, cell: right(gates, None))
    elif mistake == "passed":
        monkeypatch.setattr(convlstm, "lstm_states", lambda gates, cell: right(gates, cell)[::-1])
    elif mistake == "order":
        forward = convlstm.ConvLSTMCell.forward

        def turned(self: convlstm.ConvLSTMCell, x: Tensor, hidden: Tensor | None, cell: Tensor | None) -> object:
            return forward(self, x.roll(self.channels, 1), hidden, cell)

        monkeypatch.setattr(convlstm.ConvLSTMCell, "forward", turned)
    elif mistake == "corners":
        monkeypatch.setattr(network, "resize", lambda x, size: F.interpolate(x, size=size, mode="bilinear"))
    elif mistake == "norms":
        monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", lambda self, x: x)
    else:
        monkeypatch.setattr(RSISNetwork, "_pooled", lambda self, hidden: torch.cat([h.mean((2, 3)) for h in hidden], 1))
    found = steps_of(rsis.network, pictures(data, "even_images"), 3)
    logits = torch.cat([step.logits for step in found], 1) - torch.from_numpy(data["even_logits"][:, :3])
    stop = torch.stack([step.stop for step in found], 1) - torch.from_numpy(data["even_stop_logits"][:, :3])
    assert max(logits.abs().max(), stop.abs().max()) > 0.05


def targets(data: Mapping[str, np.ndarray]) -> Targets:
    """Of the golden maps; an object's class is the smallest inside it."""
    labels = torch.from_numpy(data["instances"].astype(np.int64))
    kinds = torch.from_numpy(data["classes"].astype(np.int64))
    count = int(labels.max())
    inside = [[kinds[b][labels[b] == i] for i in range(1, count + 1)] for b in range(len(labels))]
    classes = torch.tensor([[int(found.min()) if len(found) else 0 for found in row] for row in inside])
    return Targets.of(labels, classes, most=8)


def test_targets_are_sorted_by_area(golden: Golden) -> None:
    data = golden("rsis_train")
    truth = targets(data)
    masks = np.unpackbits(data["y_mask"], axis=-1)[..., : 64 * 64].reshape(3, 8, 64, 64)
    assert np.array_equal(truth.masks.numpy(), masks)
    assert np.array_equal(truth.classes.numpy(), data["y_class"])
    assert np.array_equal(truth.objects.numpy(), data["sw_mask"])
    assert np.array_equal(truth.ends.numpy(), data["sw_class"])


def lesson(net: RSISNetwork, data: Mapping[str, np.ndarray], setting: str) -> RSISLoss:
    most, limit, _, _ = SETTINGS[setting]
    truth = targets(data)
    steps = min(most, limit or most, truth.most + 1)
    return rsis_loss(net.run(pictures(data, "images"), steps), truth)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("norms", ["val", "train"])
def test_terms_of_the_loss(rsis: RSIS, golden: Golden, setting: str, norms: str) -> None:
    """Each term, the costs that are matched, the matching, the number of steps, and the gradients.

    In training, norms over a few pictures multiply what was rounded: computed in float64, terms differ by up to 1.5e-3
    of the reference's, which is float32, and gradients by up to 4.8e-3. On another processor ours differ by as much.
    """
    data = golden("rsis_train")
    state = {name: tensor.clone() for name, tensor in rsis.state_dict().items()}
    key, (_, _, classes, stop) = f"{setting}_{norms}", SETTINGS[setting]
    net = rsis.network
    net.train(norms == "train").requires_grad_(norms == "train")
    try:
        found = lesson(net, data, setting)
        total = found.mask + classes * found.classes + stop * found.stop
        ours = [term.item() for term in (total, found.mask, found.stop, found.classes)]
        np.testing.assert_allclose(ours, data[f"{key}_losses"], rtol=1e-5 if norms == "val" else 3e-3)
        steps = int(data[f"{key}_steps"])
        assert found.scores.shape[2] == steps
        np.testing.assert_allclose(found.scores.numpy(), data[f"{key}_scores"][..., :steps], atol=1e-4)
        real = data["sw_mask"][:, :steps] > 0
        assert np.array_equal(found.truth_of.numpy()[real], data[f"{key}_perm"][:, :steps][real])
        if norms == "train":
            total.backward()
            norm = {name: p.grad.norm().item() for name, p in net.named_parameters() if p.grad is not None}
            for name, expected in zip(data["gradnorm_names"], data[f"{key}_gradnorm"], strict=True):
                assert norm.get(ours_of(str(name)), 0.0) == pytest.approx(float(expected), rel=1e-2, abs=1e-4), name
    finally:
        net.eval().requires_grad_(False).zero_grad()
        rsis.load_state_dict(state)


def ours_of(name: str) -> str:
    """Our name of a released one without its file."""
    table = {"base.": "encoder.", "clstm_list.": "cells.", ".Gates.": ".gates."}
    for number in range(5):
        table |= {f"sk{5 - number}.": f"skips.{number}.0.", f"bn{5 - number}.": f"skips.{number}.1."}
    if name.startswith("base."):
        return name.replace("base.", "encoder.", 1)
    for theirs, here in table.items():
        name = name.replace(theirs, here)
    return name


@pytest.mark.parametrize("mistake", ["any slot", "unmatched", "not halved", "only objects", "all steps", "per image"])
def test_single_mistakes_of_the_loss_are_seen(rsis: RSIS, golden: Golden, mistake: str) -> None:
    """What the facts of the released code tell apart moves a term by more than the tolerance of the golden test."""
    data = golden("rsis_train")
    with torch.no_grad():
        truth = targets(data)
        found = rsis.network.run(pictures(data, "images"), 5)
        right = rsis_loss(found, truth)
        stops = F.binary_cross_entropy_with_logits(found.stop, right.matched, reduction="none")
        wrong = {
            "unmatched": _costs(found, truth.masks[:, :5], truth.objects[:, :5]),
            "any slot": _costs(found, truth.masks[:, :5], torch.ones(3, 5)),
            "per image": torch.stack([_costs(_only(found, b), *_pair(truth, b)) for b in range(3)]).mean(),
            "not halved": 2 * right.stop,
            "only objects": (0.5 * stops * right.matched).sum() / right.matched.sum(),
            "all steps": 0.5 * stops.mean(),
        }[mistake]
    theirs = right.stop if mistake in ("not halved", "only objects", "all steps") else right.mask
    assert (wrong - theirs).abs() > 1e-3


def _costs(found: network.Steps, masks: Tensor, weight: Tensor) -> Tensor:
    both = (found.masks * masks).sum((2, 3))
    costs = 1 - both / ((found.masks + masks - found.masks * masks).sum((2, 3)) + 1e-6)
    return (costs * weight).sum() / weight.sum()


def _only(found: network.Steps, picture: int) -> network.Steps:
    return found._replace(masks=found.masks[picture : picture + 1])


def _pair(truth: Targets, picture: int) -> tuple[Tensor, Tensor]:
    return truth.masks[picture : picture + 1, :5], truth.objects[picture : picture + 1, :5]


@pytest.mark.parametrize("picture", [0, 1, 2])
def test_what_is_kept_and_shown(golden: Golden, picture: int) -> None:
    """The released rule for Pascal VOC; "ending" would keep nothing here."""
    data = golden("rsis_post")
    size = tuple(int(side) for side in data["sizes"][picture])
    probabilities = network.resize(torch.from_numpy(data["probs"][picture].astype(np.float32))[None], size)[0]
    stop, classes = (torch.from_numpy(data[f"{name}_probs"][picture]) for name in ("stop", "class"))
    ignored = torch.from_numpy(data[f"ignore_{picture}"])
    least = float(data["min_size"])
    kept = objects_of(probabilities, stop, classes, least=least, ignored=ignored)
    assert [one.step for one in kept] == data[f"kept_{picture}_steps"].tolist()
    masks = np.unpackbits(data[f"kept_{picture}_masks"], axis=-1)[:, : size[0] * size[1]].reshape(-1, *size)
    for one, scores, mask in zip(kept, data[f"kept_{picture}_scores"], masks, strict=True):
        assert one.scores is not None
        np.testing.assert_allclose(one.scores.numpy(), scores, atol=1e-6)
        assert (one.mask.numpy() != mask).sum() <= 4  # SciPy may leave a zero in the last row or column
    raw = objects_of(probabilities, stop, classes, least=least, ignored=ignored)
    shown = named(raw, 0.5)
    assert [one.label for one in shown] == data[f"shown_{picture}_class"].tolist()
    np.testing.assert_allclose([one.score for one in shown], data[f"shown_{picture}_score"], atol=1e-6)
    assert objects_of(probabilities, stop, classes, ending="end") == []


RIS_CONFIGS = {
    "plants": (RSISConfig(**{**RIS_LEAVES, "hidden": 4, "size": (48, 36)}), 4),
    "persons": (RSISConfig(**{**RIS_PERSONS, "trunk": "resnet18", "hidden": 4}), 4),
    "short": (RSISConfig(**{**RIS_LEAVES, "hidden": 3, "size": (48, 36)}), 3),
}


def ris_network(data: Mapping[str, np.ndarray], case: str) -> RSISNetwork:
    """A RIS with the golden weights: the sum of two convolutions is one of both inputs."""
    net = RSISNetwork(RIS_CONFIGS[case][0]).double()
    net.fc_stop = torch.nn.Linear(data[f"{case}_stop.weight"].shape[1], 1).double()

    def of(name: str) -> Tensor:
        return torch.from_numpy(data[f"{case}_{name}"])

    with torch.no_grad():
        for level, cell in enumerate(net.cells, 1):
            cell.gates.weight.copy_(torch.cat([of(f"i2h_{level}.weight"), of(f"h2h_{level}.weight")], 1))
            cell.gates.bias.copy_(of(f"i2h_{level}.bias") + of(f"h2h_{level}.bias"))
        net.conv_out.weight.copy_(of("after_conv.weight"))
        net.conv_out.bias.copy_(of("after_conv.bias"))
        net.offset.copy_(of("addition.bias"))
        net.fc_stop.weight.copy_(of("stop.weight"))
        net.fc_stop.bias.copy_(of("stop.bias"))
    return net


@pytest.mark.parametrize("case", RIS_CONFIGS)
def test_ris_is_its_description(golden: Golden, case: str) -> None:
    """States, masks, scores, the matrix, the matching, the loss and its gradients, in double precision."""
    data = golden("rsis_ris")
    net = ris_network(data, case)
    features = torch.from_numpy(data[f"{case}_B"])[None].requires_grad_()
    found: list[network.Step] = []
    for number in range(len(data[f"{case}_scores"])):
        found.append(net.decode([features], found[-1].state if found else None))
        close64(found[-1].state.hidden[-1][0], data[f"{case}_hidden"][number])
        close64(found[-1].state.cell[-1][0], data[f"{case}_cell"][number])
    truth = torch.from_numpy(data[f"{case}_truth"])
    masks = net.masks(torch.cat([step.logits for step in found], 1), (truth.shape[1], truth.shape[2]))[0]
    scores = torch.sigmoid(torch.cat([step.stop for step in found]))
    close64(masks, data[f"{case}_masks"])
    close64(scores, data[f"{case}_scores"])
    learnt = ris_loss(masks, scores, truth)
    close64(learnt.matrix, data[f"{case}_matrix"])
    assert learnt.truth_of.tolist() == data[f"{case}_assigned"].tolist()
    close64(learnt.loss, data[f"{case}_loss"])
    learnt.loss.backward()
    close64(features.grad[0], data[f"{case}_grad_B"])
    close64(net.offset.grad, data[f"{case}_grad_addition"])
    close64(net.fc_stop.bias.grad, data[f"{case}_grad_stop_bias"])
    entering = net.cells[0].gates.weight.grad[:, : RIS_CONFIGS[case][1]]
    close64(entering, data[f"{case}_grad_i2h_1"])


def close64(ours: Tensor, theirs: np.ndarray) -> None:
    torch.testing.assert_close(ours.detach(), torch.as_tensor(theirs), atol=1e-9, rtol=0)


def test_released_folders(tmp_path: Path, seeded: Seeded) -> None:
    """Prefixes of several GPUs, files of old versions, and a folder that could be RVOS's."""
    folder = released(tmp_path / "r", seeded)
    for file in ("encoder.pt", "decoder.pt"):
        state = torch.load(folder / file)
        torch.save({f"module.{k}": v for k, v in state.items() if "num_batches" not in k}, folder / file)
    (folder / "args.pkl").write_bytes(b"never opened")
    (folder / "enc_opt.pt").write_bytes(b"never opened")
    assert isinstance(rotoscope.load(folder, device="cpu"), RSIS)
    with pytest.raises(CheckpointError, match="does not fit the network"):
        rotoscope.load(folder, method="rvos", device="cpu")
    decoder = torch.load(folder / "decoder.pt")
    torch.save({k: v for k, v in decoder.items() if "fc_stop" not in k}, folder / "decoder.pt")
    with pytest.raises(CheckpointError, match=r"network\.fc_stop\.weight is missing"):
        rotoscope.load(folder, device="cpu")
    torch.save({k: v for k, v in decoder.items() if "fc_class" not in k}, folder / "decoder.pt")
    with pytest.raises(CheckpointError, match=r"decoder\.fc_class\.weight is missing"):
        rotoscope.load(folder, method="rsis", device="cpu")
