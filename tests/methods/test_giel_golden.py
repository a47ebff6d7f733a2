"""STM, which GIEL builds on, against numbers computed by its authors' network."""

from __future__ import annotations

import copy
import dataclasses
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
from rotoscope.layers.normalise import MEAN, STD, normalise
from rotoscope.methods.giel import GIEL, parts, session
from rotoscope.methods.giel.network import GIELNetwork
from rotoscope.methods.giel.official import CONFIG
from rotoscope.weights import find

GOLDEN = Path(__file__).parent.parent / "golden"
Golden = Callable[[str], Mapping[str, np.ndarray]]
Seeded = Callable[[str], dict[str, Tensor]]


def released_state(seeded: Seeded) -> dict[str, Tensor]:
    """The golden weights; what the images are normalised by keeps its true values."""
    state = seeded("stm")
    for name, change in json.loads((GOLDEN / "stm.overrides.json").read_text()).items():
        state[name] = state[name] * change["scale"] + change["add"]
    for encoder in ("Encoder_M", "Encoder_Q"):
        state[f"{encoder}.mean"] = torch.tensor(MEAN)[None, :, None, None]
        state[f"{encoder}.std"] = torch.tensor(STD)[None, :, None, None]
    return state


@pytest.fixture(scope="module")
def stm(tmp_path_factory: pytest.TempPathFactory, seeded: Seeded) -> GIEL:
    path = tmp_path_factory.mktemp("stm") / "STM_weights.pth"
    torch.save({f"module.{name}": tensor for name, tensor in released_state(seeded).items()}, path)
    model = rotoscope.load(path, precision="exact", device="cpu")
    path.unlink()
    assert isinstance(model, GIEL)
    return model


def close(ours: Tensor, theirs: np.ndarray, tolerance: float) -> None:
    half = 1e-3 if theirs.dtype == np.float16 else 0.0
    torch.testing.assert_close(ours, torch.from_numpy(theirs.astype(np.float32)), atol=tolerance, rtol=half)


@torch.inference_mode()
def test_every_stage(stm: GIEL, golden: Golden) -> None:
    data, net = golden("stm"), stm.network
    images = normalise(torch.from_numpy(data["frames"]).permute(0, 3, 1, 2))
    given = torch.stack([torch.from_numpy(data["labels"] == i).float() for i in (1, 2)], dim=1)
    keys, values = [], []
    for t in (0, 1):
        masks = torch.stack([given[t], given[t].flip(0)], dim=1)  # each object's, then the other's
        key, value = net.encode_support(images[t : t + 1].expand(2, -1, -1, -1), masks, torch.empty(0))
        keys.append(key)
        values.append(value)
    close(torch.stack(keys, dim=2), data["memory_keys"], 1e-3)
    close(torch.stack(values, dim=2)[:, ::8], data["memory_values"], 1e-3)
    f4, f8, f16 = net.query_encoder(images[2:])
    assert f4.shape[1:] == (256, 24, 40)
    close(f16[0, ::16], data["r4"], 1e-4)
    features = net.encode_query(images[2:])
    close(features.key[0], data["query_key"], 1e-4)
    close(net.query_value(f16)[0, ::8], data["query_value"], 1e-4)
    assert f8.shape[1:] == (512, 12, 20)


def follow(stm: GIEL, data: Mapping[str, np.ndarray], **options: object) -> Tensor:
    """Probabilities of the last frame, with the first two and their masks in memory."""
    opened = stm.session(**{"memory": "every:1", "include_last": False, **options})
    for t in (0, 1):
        opened.add({i: data["labels"][t] == i for i in (1, 2)})
        opened.push(data["frames"][t])
    return opened.push(data["frames"][2])[0].probabilities


def expected(data: Mapping[str, np.ndarray]) -> Tensor:
    return torch.softmax(torch.from_numpy(data["aggregated_logits"].astype(np.float32)), dim=0)


def test_a_session_gives_the_released_masks(stm: GIEL, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two objects are both nearly sure, a float32 probability is a few steps from 1 and those steps decide."""
    data = golden("stm")
    logits: list[Tensor] = []
    right = stm.network.find_all

    def watched(*arguments: object) -> Tensor:
        logits.append(right(*arguments))  # type: ignore[arg-type]
        return logits[-1]

    monkeypatch.setattr(stm.network, "find_all", watched)
    found = follow(stm, data)
    theirs = torch.from_numpy(data["decoder_logits"].astype(np.float32))
    torch.testing.assert_close(logits[-1][:, 0], theirs[:, 1] - theirs[:, 0], atol=2e-2, rtol=0)  # float16
    whole = torch.from_numpy(data["aggregated_logits"][1:])
    moderate = whole.abs() < 5
    torch.testing.assert_close(logits[-1][:, 0][moderate], whole[moderate], atol=2e-3, rtol=0)
    off = (found - expected(data)).abs().amax(dim=0)
    sure = (logits[-1][:, 0] > 7).all(dim=0)
    assert off[~sure].max() < 1e-4
    assert (off > 1e-4).float().mean() < 5e-3
    assert off.max() < 2e-2
    assert stm.config == CONFIG
    assert dict(find("stm").config) == {name: getattr(CONFIG, name) for name in find("stm").config}
    assert sum(p.numel() for p in stm.parameters()) == 38_923_265


MISTAKES = {
    "no scale": 0.58,
    "others left out": 0.33,
    "value before readout": 1.0,
    "no residual block on skips": 1.0,
    "no ReLU": 1.0,
    "corners": 1.0,
    "background": 0.44,
    "similarity": 0.65,
}
"""What each does to the masks."""


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_single_mistake_is_seen(stm: GIEL, golden: Golden, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    data = golden("stm")
    stm = copy.deepcopy(stm)
    net = stm.network
    assert net.decoder is not None
    if mistake == "no scale":
        stm.config = dataclasses.replace(stm.config, scaled=False)
    elif mistake == "similarity":
        stm.config = dataclasses.replace(stm.config, similarity="l2")
    elif mistake == "others left out":
        right = GIELNetwork.encode_support

        def without(self: GIELNetwork, image: Tensor, masks: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
            return right(self, image, torch.cat([masks[:, :1], torch.zeros_like(masks[:, :1])], dim=1), key)

        monkeypatch.setattr(GIELNetwork, "encode_support", without)
    elif mistake == "value before readout":
        net.decoder.enter.weight.copy_(net.decoder.enter.weight.roll(512, dims=1))
    elif mistake == "no residual block on skips":
        net.decoder.up_16_8.skip_block = None
    elif mistake == "no ReLU":
        monkeypatch.setattr(parts.F, "relu", lambda x, inplace=False: x)
    elif mistake == "corners":
        plain = F.interpolate

        def aligned(x: Tensor, **options: object) -> Tensor:
            return plain(x, **{**options, "align_corners": True})  # type: ignore[arg-type]

        monkeypatch.setattr(parts.F, "interpolate", aligned)
    else:
        monkeypatch.setattr(
            session, "aggregate", lambda p: torch.softmax(torch.cat([1 - p.amax(0, keepdim=True), p]), dim=0)
        )
    off = float((follow(stm, data) - expected(data)).abs().max())
    assert off == pytest.approx(MISTAKES[mistake], abs=0.03)


def test_what_does_not_fit_is_named(tmp_path: Path, seeded: Seeded) -> None:
    state = released_state(seeded)
    path = tmp_path / "STM_weights.pth"
    del state["Decoder.pred2.bias"]
    state["Decoder.pred3.weight"] = torch.zeros(1)
    state["KV_Q_r4.Value.bias"] = torch.zeros(7)
    torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        rotoscope.load(path, device="cpu")
    assert "network.decoder.pred.bias is missing" in str(caught.value)
    assert "Decoder.pred3.weight is not expected" in str(caught.value)
    assert "network.query_value.bias is [7], expected [512]" in str(caught.value)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        rotoscope.load(path, device="cpu")
    state["Encoder_Q.mean"] = torch.zeros(1, 3, 1, 1)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"Encoder_Q\.mean is \[0\.0, 0\.0, 0\.0\], expected ImageNet's"):
        rotoscope.load(path, "giel", device="cpu")
