"""GIEL's own parts against computations in plain loops and float64, and single mistakes in them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.memory import MemoryBank, SupportSet, parse_policy
from rotoscope.methods.giel import GIEL, GIELConfig
from rotoscope.methods.giel import memory as memory_room
from rotoscope.methods.giel.memory import SupportMemory
from rotoscope.methods.giel.network import affinity_logits, label_tensors, weigh
from rotoscope.methods.giel.parts import LabelEncoder, TemporalAttention

CK, CV, H, W = 6, 5, 3, 4
SIZES = {
    "trunk": "resnet18",
    "support_width": 8,
    "shared": False,
    "key_dim": CK,
    "value_dim": CV,
    "decoder_dims": (8, 8, 8),
    "label_dim": 4,
    "coarse_dim": 4,
}


def config(**changes: object) -> GIELConfig:
    return GIELConfig(**{**SIZES, **changes})  # type: ignore[arg-type]


def frames(count: int) -> tuple[list[Tensor], list[dict[int, Tensor]], Tensor]:
    generator = torch.Generator().manual_seed(2)
    keys = [torch.randn(1, CK, H, W, generator=generator) for _ in range(count)]
    values = [{i: torch.randn(CV, H, W, generator=generator) for i in (0, 3, 8)} for _ in range(count)]
    return keys, values, torch.randn(1, CK, H, W, generator=generator)


def attention() -> TemporalAttention:
    torch.manual_seed(4)
    layer = TemporalAttention(CK).requires_grad_(False)
    layer.layer1.weight.mul_(4)
    layer.layer3.weight.mul_(20)  # weights that differ
    return layer


def plain_weights(layer: TemporalAttention, keys: list[Tensor], query: Tensor) -> list[float]:
    """Section 3.5: for each support frame one number, a softmax over them, times their number."""
    weight = {name: tensor.double() for name, tensor in layer.state_dict().items()}

    def pooled(role: str, key: Tensor) -> list[float]:
        found = []
        for out in range(CK):
            total = 0.0
            for y in range(H):
                for x in range(W):
                    at = weight[f"{role}.bias"][out].item()
                    for channel in range(CK):
                        at += (weight[f"{role}.weight"][out, channel, 0, 0] * key[0, channel, y, x].double()).item()
                    total += max(at, 0.0)
            found.append(total / (H * W))
        return found

    scores = []
    for key in keys:
        vector = pooled("first", keys[0]) + pooled("own", key) + pooled("query", query)
        for name in ("layer1", "layer2", "layer3"):
            rows = zip(weight[f"{name}.weight"].tolist(), weight[f"{name}.bias"].tolist(), strict=True)
            vector = [sum(w * v for w, v in zip(row, vector, strict=True)) + bias for row, bias in rows]
            vector = vector if name == "layer3" else [max(v, 0.0) for v in vector]
        scores.append(vector[0])
    total = sum(math.exp(score) for score in scores)
    return [len(scores) * math.exp(score) / total for score in scores]


def plain_read(
    settings: GIELConfig, keys: list[Tensor], values: list[Tensor], query: Tensor, weights: list[float]
) -> Tensor:
    """Equations 4 and 5 by loops over query and support positions."""
    found = torch.zeros(CV, H, W, dtype=torch.float64)
    for y in range(H):
        for x in range(W):
            q = query[0, :, y, x].double()
            shares: list[tuple[float, Tensor]] = []
            for key, value, weight in zip(keys, values, weights, strict=True):
                for v in range(H):
                    for u in range(W):
                        k = key[0, :, v, u].double()
                        if settings.similarity == "l2":
                            score = -float(((q - k) ** 2).sum()) / math.sqrt(CK)
                        else:
                            score = float(q @ k) / (math.sqrt(CK) if settings.scaled else 1.0)
                        if settings.temporal_attention == "similarity":
                            score *= weight
                        share = math.exp(score) * (weight if settings.temporal_attention == "weights" else 1.0)
                        shares.append((share, value[:, v, u].double()))
            total = sum(share for share, _ in shares)
            for share, value in shares:
                found[:, y, x] += share / total * value
    return found


VARIANTS: dict[str, dict[str, object]] = {
    "paper": {},
    "l2": {"similarity": "l2"},
    "unscaled": {"scaled": False},
    "similarity": {"temporal_attention": "similarity"},
    "no attention": {"temporal_attention": "none"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_read_of_support_frames_equals_plain_loops(variant: str) -> None:
    settings = config(**VARIANTS[variant])
    layer = None if settings.temporal_attention == "none" else attention()
    keys, values, query = frames(3)
    weights = [1.0] * 3 if layer is None else plain_weights(layer, keys, query)
    memory = SupportMemory(settings, layer)
    for key, value in zip(keys, values, strict=True):
        memory.store(key, value, pinned=False, temporary=False)
    found = memory.read(query)
    assert sorted(found) == [0, 3, 8]
    for object_id in (0, 8):
        ours = plain_read(settings, keys, [value[object_id] for value in values], query, weights)
        torch.testing.assert_close(found[object_id].double(), ours, atol=1e-5, rtol=0)
    # Training reads by other functions, with the same result.
    scores = affinity_logits(settings, torch.cat([key[0].flatten(1) for key in keys], dim=1), query[0].flatten(1))
    if layer is not None:
        each = torch.tensor(weights).float().repeat_interleave(H * W)
        scores = weigh(settings, scores[None], each[None])[0]
    stacked = torch.cat([value[3].flatten(1) for value in values], dim=1)
    torch.testing.assert_close((stacked @ scores.softmax(dim=0)).unflatten(1, (H, W)), found[3], atol=1e-5, rtol=0)


def wrong_attention(layer: TemporalAttention, mistake: str) -> None:
    right = layer.forward

    def forward(first: Tensor, own: Tensor, key: Tensor, count: int | None = None) -> Tensor:
        own = own[:, :count]
        if mistake == "each frame is its own first":
            return torch.cat([right(o, torch.stack([o], 1), key) for o in own.unbind(1)], dim=1)
        if mistake == "sigmoid instead of softmax":
            return torch.sigmoid(right(first, own, key))
        return right(first, own, key).flip(1)

    layer.forward = forward  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "mistake", ["each frame is its own first", "sigmoid instead of softmax", "last frame first", "no logarithm"]
)
def test_single_mistakes_of_the_temporal_attention_are_seen(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, layer = config(), attention()
    keys, values, query = frames(3)
    ours = plain_read(settings, keys, [value[3] for value in values], query, plain_weights(layer, keys, query))
    if mistake == "no logarithm":
        monkeypatch.setattr(memory_room.torch, "log", lambda x: x)
    else:
        wrong_attention(layer, mistake)
    memory = SupportMemory(settings, layer)
    for key, value in zip(keys, values, strict=True):
        memory.store(key, value, pinned=False, temporary=False)
    assert float((memory.read(query)[3].double() - ours).abs().max()) > 1e-2


def test_equal_weights_change_nothing() -> None:
    layer = attention()
    layer.layer3.weight.zero_()
    keys, values, query = frames(4)
    plain, weighed = SupportMemory(config(), None), SupportMemory(config(), layer)
    for memory in (plain, weighed):
        for key, value in zip(keys, values, strict=True):
            memory.store(key, value, pinned=False, temporary=False)
    torch.testing.assert_close(plain.read(query)[3], weighed.read(query)[3])


def test_label_tensors_by_hand() -> None:
    probabilities = torch.tensor([0.1, 0.6, 0.3])[:, None, None].expand(3, 2, 2)
    found = label_tensors(probabilities)
    assert found.shape == (2, 3, 2, 2)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([0.6, 0.3, 0.1]))
    torch.testing.assert_close(found[1, :, 0, 0], torch.tensor([0.3, 0.6, 0.1]))


def plain_convolution(x: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[-1]
    high, wide = ((n - side) // stride + 1 for n in x.shape[1:])
    out = np.zeros((len(weight), high, wide))
    for row in range(high):
        for column in range(wide):
            part = x[:, row * stride : row * stride + side, column * stride : column * stride + side]
            for channel in range(len(weight)):
                out[channel, row, column] = (weight[channel] * part).sum()
    return out


@pytest.mark.parametrize("gate", ["sigmoid", "linear"])
def test_label_codes_equal_plain_loops(gate: str) -> None:
    torch.manual_seed(0)
    layer = LabelEncoder(config(label_gate=gate)).requires_grad_(False).eval()
    for norm in (layer.bn1, layer.bn2):
        norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    labels = torch.rand(1, 3, 32, 48)
    x = labels[0].double().numpy()
    for convolution, norm, padding in ((layer.conv1, layer.bn1, 3), (layer.conv2, layer.bn2, 1)):
        x = plain_convolution(x, convolution.weight.double().numpy(), 4, padding)
        mean, variance, scale, shift = (
            t.double().numpy()[:, None, None]  # type: ignore[union-attr]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        x = (x - mean) / np.sqrt(variance + norm.eps) * scale + shift
        x = np.maximum(x, 0) if norm is layer.bn1 else x
    x = 1 / (1 + np.exp(-x)) if gate == "sigmoid" else x
    assert x.shape == (CV, 2, 3)
    torch.testing.assert_close(layer(labels)[0].double(), torch.from_numpy(x), atol=1e-5, rtol=0)


def whole() -> tuple[GIEL, Tensor]:
    torch.manual_seed(1)
    model = GIEL(config()).requires_grad_(False).eval()
    return model, torch.randn(1, 3, 32, 48)


def test_heads_in_two_parts_equal_the_plain_form() -> None:
    """The coarse head, the fusion and both decoders with query value and readout side by side."""
    model, image = whole()
    net = model.network
    assert net.decoder is not None
    assert net.refine is not None
    assert net.coarse is not None
    features = net.encode_query(image)
    f4, f8, f16 = net.query_encoder(image)
    value = net.query_value(f16)
    readout = torch.randn(3, CV, 2, 3)
    both = torch.cat([readout, value.expand(3, -1, -1, -1)], dim=1)
    for decoder, found in (
        (net.decoder, net.find_all(readout, features)),
        (net.refine, net.refine(readout, features.fine16, features.fine8, features.fine4)),
    ):
        x = decoder.block(decoder.enter(both))
        for skip, up in ((f8, decoder.up_16_8), (f4, decoder.up_8_4)):
            assert up.skip_block is not None
            s = up.skip_block(up.skip_conv(skip))
            x = up.out_conv(s + F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        x = F.interpolate(decoder.pred(F.relu(x)), scale_factor=4, mode="bilinear", align_corners=False)
        torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-4)
    common = torch.rand(1, 1, 32, 48)
    coarse = net.coarse.leave(F.relu(net.coarse.enter(both)))
    large = torch.sigmoid(F.interpolate(coarse, scale_factor=16, mode="bilinear", align_corners=False))
    torch.testing.assert_close(net.find_fast(readout, features, common), large * common, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(net.find_fast(readout, features, None), large, atol=1e-6, rtol=1e-5)
    fine = torch.sigmoid(net.refine(readout, features.fine16, features.fine8, features.fine4))
    torch.testing.assert_close(net.find_fine(readout, features, None), fine)
    torch.testing.assert_close(net.find_fine(readout, features, common), fine * common)


@torch.inference_mode()
def test_values_of_instances_are_products_with_their_codes() -> None:
    """Equations 8 and 9 through a session: what is read of an instance is the affinity's sum of v_s times its code."""
    model, _ = whole()
    net = model.network
    frame = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)
    masks = {4: np.zeros((32, 48), bool), 9: np.zeros((32, 48), bool)}
    masks[4][:20, :20], masks[9][18:, 25:] = True, True
    opened = model.session()
    opened.add(masks)
    given = opened.push(frame)[0].probabilities
    image = network_input(opened, frame)
    key, value = net.encode_support(image, 1 - given[None, :1], net.encode_query(image).key)
    labels = torch.stack([torch.stack([given[1], given[2], given[0]]), torch.stack([given[2], given[1], given[0]])])
    codes = net.encode_labels(labels)
    found = opened.memories[0].read(key)
    scores = affinity_logits(model.config, key[0].flatten(1), key[0].flatten(1)).double().softmax(dim=0)
    for row, object_id in enumerate((4, 9)):
        product = (value[0] * codes[row]).flatten(1).double()
        torch.testing.assert_close(found[object_id].flatten(1).double(), product @ scores, atol=1e-5, rtol=0)
    plain = value[0].flatten(1).double() @ scores
    torch.testing.assert_close(found[0].flatten(1).double(), plain, atol=1e-5, rtol=0)


def network_input(opened: object, frame: np.ndarray) -> Tensor:
    found: Tensor = opened.canvas.image(frame, torch.device("cpu"))  # type: ignore[attr-defined]
    return found


def test_contradictions_are_refused() -> None:
    bad: dict[str, dict[str, object]] = {
        "others": {"others": True},
        "two widths": {"shared": True},
        "products": {"temporal_attention": "similarity", "similarity": "l2"},
        "output=fast only": {"refine": False},
        "with output=full": {"instance_embedding": False, "output": "fast"},
        "slots is 0": {"slots": 0},
    }
    for message, changes in bad.items():
        with pytest.raises(InputError, match=message):
            GIEL(config(**changes))


def spread(policy: SupportSet, frames_: int, at: Callable[[MemoryBank, int], None]) -> MemoryBank:
    bank = MemoryBank(policy)
    for t in range(frames_):
        if t:
            bank.read(torch.zeros(2, 1), None)
        bank.store(torch.zeros(2, 3), {1: torch.zeros(2, 3)})
        at(bank, t)
    return bank


@pytest.mark.parametrize("read", [2, 3, 5, 6])
def test_a_support_set_is_spread_over_all_that_has_gone_by(read: int) -> None:
    """The ends of equal segments have a frame near them at any time, whole frames only, the first and latest always."""
    policy = SupportSet(read)

    def look(bank: MemoryBank, t: int) -> None:
        numbers = (bank.serials // 3).tolist()
        held = sorted(set(numbers))
        assert [numbers.count(number) for number in held] == [3] * len(held)
        assert (held[0], held[-1]) == (0, t)
        assert len(held) == min(2 * read, t + 1)
        ends = [t * number / (read - 1) for number in range(1, read)]
        assert all(min(abs(number - end) for number in held) <= max(0.5, 0.5 * t / read) for end in ends)

    spread(policy, 150, look)


def test_policies_of_one_word() -> None:
    assert not parse_policy("first").enters(10**9)
    assert parse_policy("latest").frames == 1
    assert parse_policy("support:5").frames == 10
    for text in ("support", "support:1", "first:2", "latest:1"):
        with pytest.raises(InputError, match="memory policy"):
            parse_policy(text)


def test_a_read_among_some_equals_a_bank_of_those() -> None:
    generator = torch.Generator().manual_seed(0)
    key, value, query = (torch.randn(4, count, generator=generator) for count in (20, 20, 6))
    among = torch.tensor([0, 3, 4, 11, 18])
    for top_k in (None, 3):
        whole_bank, part = MemoryBank(parse_policy("every:1")), MemoryBank(parse_policy("every:1"))
        whole_bank.store(key, {1: value})
        part.store(key[:, among], {1: value[:, among]})
        found = whole_bank.read(query, top_k, among=among)[1]
        torch.testing.assert_close(found, part.read(query, top_k)[1])
        torch.testing.assert_close(whole_bank._hits[among], part._hits[:5])
        assert whole_bank._hits[:20].sum() == pytest.approx(float(part._hits[:5].sum()))


def test_filling_up_support_frames_changes_no_weight() -> None:
    """Frames are filled up to a power of two; what fills up counts for nothing, whatever it holds."""
    torch.manual_seed(0)
    attention = TemporalAttention(8).requires_grad_(False)
    first, own, key = torch.randn(1, 8), torch.randn(1, 5, 8), torch.randn(1, 8, 3, 4)
    filled = torch.cat([own, 100 * torch.randn(1, 3, 8)], dim=1)
    torch.testing.assert_close(attention(first, filled, key, 5), attention(first, own, key))


def test_numbers_of_frames_that_attention_sees_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled for each and never let go: under ``lfu`` the number of frames grows for a long time."""
    seen: list[int] = []
    forward = TemporalAttention.forward

    def spy(self: TemporalAttention, first: Tensor, own: Tensor, key: Tensor, count: int | None = None) -> Tensor:
        seen.append(own.shape[1])
        return forward(self, first, own, key, count)

    monkeypatch.setattr(TemporalAttention, "forward", spy)
    memory = SupportMemory(config(memory="lfu:4"), TemporalAttention(8).requires_grad_(False))
    torch.manual_seed(0)
    for _ in range(40):
        key = torch.randn(1, 8, 3, 4)
        memory.store(key, {1: torch.randn(4, 3, 4)}, pinned=False, temporary=False)
        memory.read(key)
    assert len(memory._own) > 4
    assert set(seen) <= {1, 2, 4, 8, 16, 32}
