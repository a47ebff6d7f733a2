"""RVOS against numbers computed by its authors' network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import rotoscope
from rotoscope.errors import CheckpointError
from rotoscope.layers.normalise import normalise
from rotoscope.methods.rvos import RVOS, RVOSConfig, RVOSNetwork, network
from rotoscope.methods.rvos.network import resize, run_frame
from rotoscope.methods.rvos.training import run_clip

GOLDEN = Path(__file__).parent.parent / "golden"
Golden = Callable[[str], Mapping[str, np.ndarray]]
KEYS = {"one": ("rvos_decoder", "one_shot"), "zero": ("rvos_decoder_zeroshot", "zero_shot")}
RECURRENCE = {"st": "spatial-temporal", "s": "spatial", "t": "temporal"}


Seeded = Callable[[str], dict[str, Tensor]]


def released(folder: Path, kind: str, contrast: bool, seeded: Seeded) -> Path:
    """A folder in the released layout."""
    keys, override = KEYS[kind]
    decoder = seeded(keys)
    if contrast:
        changes = json.loads((GOLDEN / "rvos_contrast.overrides.json").read_text())[override]
        for name, change in changes.items():
            decoder[name] = decoder[name] * change.get("scale", 1) + change.get("add", 0)
    folder.mkdir(parents=True)
    torch.save(seeded("rvos_encoder"), folder / "encoder.pt")
    torch.save(decoder, folder / "decoder.pt")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, seeded: Seeded) -> Callable[[str, str], RVOS]:
    made: dict[tuple[str, str], RVOS] = {}

    def get(file: str, kind: str) -> RVOS:
        if (file, kind) not in made:
            folder = released(tmp_path_factory.mktemp("rvos") / kind, kind, file == "rvos_contrast", seeded)
            model = rotoscope.load(folder, precision="exact", device="cpu")
            assert isinstance(model, RVOS)
            made[(file, kind)] = model
        return made[(file, kind)]

    return get


def inputs(data: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    frames = normalise(torch.from_numpy(data["frames"]).permute(0, 3, 1, 2))
    labels = torch.from_numpy(data["first_labels"].astype(np.int64))
    return frames, torch.stack([(labels == i).float() for i in (1, 2, 3)])[None]


@torch.inference_mode()
def clip_logits(net: RVOSNetwork, frames: Tensor, first: Tensor, kind: str, recurrence: str) -> list[Tensor]:
    masks, before, found = first, None, []
    for t in range(len(frames)):
        features = net.encode(frames[t : t + 1])
        logits, states = run_frame(net, features, 3, masks if kind == "one" else None, before, recurrence)
        before = [state.hidden for state in states]
        if t >= 1:  # the first masks are given once more on the second frame
            masks = torch.sigmoid(resize(logits, frames.shape[-2:]))
        found.append(logits[0])
    return found


@pytest.mark.parametrize("file", ["rvos", "rvos_contrast"])
@pytest.mark.parametrize("kind", ["one", "zero"])
@pytest.mark.parametrize("variant", ["st", "s", "t"])
def test_logits_of_all_variants(
    models: Callable[[str, str], RVOS], golden: Golden, file: str, kind: str, variant: str
) -> None:
    data = golden(file)
    frames, first = inputs(data)
    ours = clip_logits(models(file, kind).network, frames, first, kind, RECURRENCE[variant])
    expected = data[f"{kind}_{variant}_logits"]
    half = expected.dtype == np.float16
    for t, logits in enumerate(ours):
        theirs = torch.from_numpy(expected[t].astype(np.float32))
        torch.testing.assert_close(logits, theirs, atol=2e-3 if half else 1e-4, rtol=2e-3 if half else 0)


@torch.inference_mode()
def test_features_and_states(models: Callable[[str, str], RVOS], golden: Golden) -> None:
    data = golden("rvos")
    frames, first = inputs(data)
    for kind in ("one", "zero"):
        net = models("rvos", kind).network
        before, masks = None, first
        for t in (0, 1):
            features = net.encode(frames[t : t + 1])
            for feature, stride in zip(features, (32, 16, 8, 4), strict=True):
                torch.testing.assert_close(feature[0], torch.from_numpy(data[f"feat_s{stride}"][t]), atol=1e-4, rtol=0)
            _, states = run_frame(net, features, 3, masks if kind == "one" else None, before, "spatial-temporal")
            before = [state.hidden for state in states]
            for level, stride in enumerate((32, 16, 8, 4)):
                for name, ours in (("h", states[t].hidden[level]), ("c", states[t].cell[level])):
                    theirs = torch.from_numpy(data[f"{kind}_{name}_t{t}i{t}_s{stride}"])
                    torch.testing.assert_close(ours[0], theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mistake", ["corners", "gates", "order", "mask", "pool"])
def test_single_mistakes_are_seen(
    models: Callable[[str, str], RVOS], golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    """Each of the mistakes that reimplementations make moves the logits by far more than the tolerance."""
    data = golden("rvos_contrast")
    frames, first = inputs(data)
    net = models("rvos_contrast", "one").network
    if mistake == "corners":
        monkeypatch.setattr(
            network, "resize", lambda x, size: torch.nn.functional.interpolate(x, size=tuple(size), mode="bilinear")
        )
    elif mistake == "pool":

        def averaged(masks: Tensor) -> list[Tensor]:
            halved = []
            for _ in range(5):
                masks = torch.nn.functional.avg_pool2d(masks, 2, 2, ceil_mode=True)
                halved.append(masks)
            return halved[:0:-1]

        monkeypatch.setattr(network, "mask_pyramid", averaged)
    else:
        cell = network.ConvLSTMCell

        def wrong(self: network.ConvLSTMCell, x: Tensor, hidden: Tensor, state: Tensor, before: Tensor) -> object:
            empty = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:])
            parts = [x, empty if hidden is None else hidden, empty if before is None else before]
            if mistake == "order":
                parts = [parts[0], parts[2], parts[1]]
            if mistake == "mask":
                parts = [x[:, :-1], *parts[1:], x[:, -1:]]
            gates = self.gates(torch.cat(parts, dim=1)).chunk(4, dim=1)
            enter, keep, leave, new = (gates[i] for i in ((0, 1, 3, 2) if mistake == "gates" else (0, 1, 2, 3)))
            state = torch.sigmoid(keep) * (empty if state is None else state) + torch.sigmoid(enter) * torch.tanh(new)
            return torch.sigmoid(leave) * torch.tanh(state), state

        monkeypatch.setattr(cell, "forward", wrong)
    ours = torch.stack(clip_logits(net, frames, first, "one", "spatial-temporal"))
    theirs = torch.from_numpy(data["one_st_logits"].astype(np.float32))
    assert (ours - theirs).abs().max() > 0.1


@pytest.mark.parametrize("mode", ["one_gt", "one_inf", "zero"])
@pytest.mark.parametrize("norms", ["val", "train"])
def test_training_losses(models: Callable[[str, str], RVOS], golden: Golden, mode: str, norms: str) -> None:
    data = golden("rvos_contrast")
    model = models("rvos_contrast", "zero" if mode == "zero" else "one")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    frames = normalise(torch.from_numpy(data["train_frames"]).permute(0, 1, 4, 2, 3).flatten(0, 1)).unflatten(0, (2, 4))
    labels = torch.from_numpy(data["train_labels"].astype(np.int64))
    truth = torch.stack([(labels == i).float() for i in range(1, 11)], dim=2)
    model.network.train(norms == "train")
    try:
        with torch.no_grad():
            run = run_clip(model.network, frames, truth, torch.from_numpy(data["train_sw"]), inferred=mode == "one_inf")
    finally:
        model.network.eval()
        model.load_state_dict(state)
    key = f"train_{mode}_{norms}"
    np.testing.assert_allclose([loss.item() for loss in run.losses], data[f"{key}_frame_losses"], atol=2e-4)
    assert sum(loss.item() for loss in run.losses) == pytest.approx(float(data[f"{key}_total"]), abs=5e-4)
    if mode == "zero":
        assert run.cost is not None
        assert run.truth_of is not None
        np.testing.assert_allclose(run.cost.numpy(), data[f"{key}_cost"], atol=2e-4)
        counted = data["train_sw"] > 0
        assert np.array_equal(run.truth_of.numpy()[counted], data[f"{key}_perm"][counted])


def test_released_folders(tmp_path: Path, seeded: Seeded) -> None:
    folder = released(tmp_path / "r", "one", False, seeded)
    decoder = torch.load(folder / "decoder.pt")
    torch.save(
        {f"module.{k}": v for k, v in decoder.items()} | {"fc_stop.weight": torch.zeros(1)}, folder / "decoder.pt"
    )
    encoder = torch.load(folder / "encoder.pt")
    torch.save({f"module.{k}": v for k, v in encoder.items() if "num_batches" not in k}, folder / "encoder.pt")
    (folder / "args.pkl").write_bytes(b"never opened")
    model = rotoscope.load(folder, device="cpu")
    assert model.config == RVOSConfig()
    (folder / "decoder.pt").unlink()
    with pytest.raises(CheckpointError, match="without the files of a released checkpoint"):
        rotoscope.load(folder, device="cpu")
    torch.save({"conv_out.weight": torch.zeros(1)}, folder / "decoder.pt")
    with pytest.raises(CheckpointError, match=r"decoder\.clstm_list\.0\.Gates\.weight is missing"):
        rotoscope.load(folder, device="cpu")
