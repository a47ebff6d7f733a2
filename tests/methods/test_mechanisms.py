"""What pictures of mechanisms show is what the sessions computed: sums, the same readouts, planted matches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import tiny
from rotoscope.errors import InputError
from rotoscope.memory import MemoryBank, parse_policy
from rotoscope.memory.look import of_frame, weights_of
from rotoscope.methods import looking
from rotoscope.methods.base import Method
from rotoscope.methods.capsulevos.mechanism import LookingCapsuleVOS, shares_of
from rotoscope.methods.cosnet.attention import CoAttention, cells
from rotoscope.methods.cosnet.config import COSNetConfig
from rotoscope.methods.cosnet.mechanism import LookingCOSNet
from rotoscope.methods.giel.mechanism import LookingGIEL
from rotoscope.methods.mechanism import Bars, Matrix, Mechanism, cell_of, deepest
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.rvos.mechanism import LookingRVOS
from rotoscope.methods.stcn.mechanism import LookingSTCN
from rotoscope.video import open_video


def watched(
    model: Method, clip: np.ndarray, masks: dict[int, np.ndarray], wanted: int, **options: Any
) -> tuple[Any, list[Prediction]]:
    """A session that looks at a frame, and its answers up to there and as far as it holds them back."""
    with open_video(clip) as video:
        looks = looking(model, video, wanted, options)
        if masks:
            looks.session.add(masks)
        answers = [answer for frame in video.frames() for answer in looks.session.push(frame)]
        return looks, answers + looks.session.finish()


def plain(model: Method, clip: np.ndarray, masks: dict[int, np.ndarray], **options: Any) -> list[Prediction]:
    with open_video(clip) as video:
        session = model.session(video, **options)
        if masks:
            session.add(masks)
        return [answer for frame in video.frames() for answer in session.push(frame)] + session.finish()


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "stcn": ("stcn", {"memory": "lfu:2"}),
    "stcn, all features": ("stcn", {"memory": "every:2", "top_k": None}),
    "stcn, light": ("stcn:light", {"memory": "lfu:2", "include_last": True}),
    "giel": ("giel", {}),
    "giel, least frequently used": ("giel", {"memory": "lfu:2", "mem_every": 2}),
    "cosnet": ("cosnet", {"references": 3}),
    "cosnet, one wide reference": ("cosnet", {"references": 3, "fusion": "group"}),
    "capsulevos": ("capsulevos", {}),
    "rvos": ("rvos", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_looking_changes_no_answer_and_shows_the_frame_that_was_asked_for(
    case: str, clip: np.ndarray, mask: np.ndarray
) -> None:
    name, options = CASES[case]
    model = tiny(name)
    masks = {3: mask} if model.task == "semi" else {}
    wanted = len(clip) - 2
    looks, answers = watched(model, clip, masks, wanted, **options)
    for ours, theirs in zip(answers, plain(model, clip, masks, **options), strict=True):
        assert torch.equal(ours.probabilities, theirs.probabilities)
    shown = explained(looks, answers[wanted])
    assert shown.index == wanted
    assert shown.grids
    assert {grid.index for grid in shown.grids} <= set(range(len(clip)))
    for grid in shown.grids:
        assert grid.values.min() >= 0
        assert torch.isfinite(grid.values).all()
        assert (grid.missing is None) or not grid.values[grid.missing].any()


def explained(looks: Any, prediction: Prediction, place: tuple[int, int] = (20, 20)) -> Mechanism:
    found: Mechanism = looks.explain(prediction, place, prediction.object_ids[0])
    return found


@pytest.mark.parametrize("policy", ["every:1", "lfu:2", "first-latest"])
@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("similarity", ["l2", "dot"])
def test_weights_give_the_readout_and_sum_to_one(policy: str, top_k: int | None, similarity: Any) -> None:
    torch.manual_seed(0)
    bank = MemoryBank(parse_policy(policy), similarity=similarity)
    values = {1: torch.randn(3, 12), 2: torch.randn(3, 12)}
    bank.store(torch.randn(4, 12), {1: values[1]})
    bank.read(torch.randn(4, 6), top_k)
    bank.store(torch.randn(4, 12), values)
    bank.store(torch.randn(4, 12), values, temporary=True)
    query = torch.randn(4, 6)
    weights = {i: weights_of(bank, i, query, top_k) for i in (1, 2)}
    state = bank.state()
    readout = bank.read(query, top_k)
    for object_id, own in weights.items():
        torch.testing.assert_close(own.sum(dim=1), torch.ones(6))
        torch.testing.assert_close((own @ state[f"value.{object_id}"]).T, readout[object_id])
    among = torch.arange(3, len(bank))
    gain = torch.rand(len(among)) if similarity == "dot" else None
    chosen = weights_of(bank, 1, query, top_k, among=among, gain=gain, bias=torch.rand(len(among)))
    assert not chosen[:, :3].any()
    torch.testing.assert_close(chosen.sum(dim=1), torch.ones(6))


def test_a_feature_that_is_stored_twice_as_like_is_brightest_and_dropped_ones_are_missing() -> None:
    bank = MemoryBank(parse_policy("lfu:2"))
    torch.manual_seed(1)
    keys = [torch.randn(8, 16) for _ in range(3)]
    for key in keys:
        bank.store(key, {1: torch.randn(3, 16)})
        bank.read(key[:, :10] if key is keys[0] else key, 1)  # of the first frame, ten cells are of use
    assert len(bank) == 32
    weights = weights_of(bank, 1, keys[2][:, 7, None], 4)[0]
    frames = [of_frame(weights, bank.serials, number, 16) for number in range(3)]
    assert int(sum(missing.sum() for _, missing in frames)) == 16
    assert frames[0][1][10:].all()  # what was of no use left first
    assert int(frames[2][0].argmax()) == 7
    assert sum(float(values.sum()) for values, _ in frames) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["vanilla", "symmetric", "channel"])
@pytest.mark.parametrize("scaled", [False, True])
def test_co_attention_weights_give_the_summary(kind: Any, scaled: bool) -> None:
    torch.manual_seed(2)
    attention = CoAttention(COSNetConfig(attention=kind, dim=8, scaled=scaled))
    frame, references = torch.randn(1, 8, 3, 4), torch.randn(2, 8, 3, 4)
    summary = attention(frame, references)
    for cell in (0, 7):
        weights = attention.weights(frame, references, cell)
        torch.testing.assert_close(weights.flatten(1).sum(dim=1), torch.ones(2))
        found = torch.einsum("np,npc->nc", weights.flatten(1), cells(references))
        torch.testing.assert_close(found, summary.flatten(2)[:, :, cell])


def test_co_attention_is_brightest_on_a_planted_match() -> None:
    torch.manual_seed(3)
    attention = CoAttention(COSNetConfig(attention="symmetric", dim=16, scaled=False))
    frame, reference = torch.randn(1, 16, 3, 4), 0.1 * torch.randn(1, 16, 3, 4)
    reference[0, :, 2, 1] = 3 * frame[0, :, 1, 3]
    weights = attention.weights(frame, reference, 1 * 4 + 3)[0]
    assert divmod(int(weights.argmax()), 4) == (2, 1)


def test_every_picture_of_weights_holds_all_of_the_weight(clip: np.ndarray, mask: np.ndarray) -> None:
    for name, options in ((CASES[case]) for case in ("stcn", "stcn, light", "giel", "cosnet, one wide reference")):
        model = tiny(name)
        masks = {3: mask} if model.task == "semi" else {}
        looks, answers = watched(model, clip, masks, len(clip) - 2, **options)
        shown = explained(looks, answers[len(clip) - 2])
        assert sum(float(grid.values.sum()) for grid in shown.grids) == pytest.approx(1, abs=1e-4), name


def test_the_memory_of_a_frame_is_that_before_it_entered(clip: np.ndarray, mask: np.ndarray) -> None:
    looks, answers = watched(tiny("stcn"), clip, {3: mask}, 4, memory="every:2", mem_every=2)
    assert isinstance(looks, LookingSTCN)
    shown = explained(looks, answers[4])
    stored = [grid.index for grid in shown.grids if "the last" not in grid.title]
    assert stored == [0, 2]
    assert looks.stored[:3] == [0, 2, 4]


def test_temporal_attention_is_shown_as_the_network_gave_it(clip: np.ndarray, mask: np.ndarray) -> None:
    model = tiny("giel")
    given: list[Tensor] = []
    handle = model.network.temporal.register_forward_hook(lambda _, inputs, out: given.append(out[0].clone()))
    looks, answers = watched(model, clip, {3: mask}, 5)
    handle.remove()
    assert isinstance(looks, LookingGIEL)
    more = explained(looks, answers[5]).more
    assert isinstance(more, Bars)
    assert any(len(out) == len(more.values) and torch.equal(out, torch.tensor(more.values)) for out in given)
    assert sum(more.values) / len(more.values) == pytest.approx(more.even, abs=1e-4)


def test_routing_is_that_of_the_layer_and_every_cell_gives_all_of_its_votes(clip: np.ndarray, mask: np.ndarray) -> None:
    model = tiny("capsulevos")
    looks, answers = watched(model, clip, {3: mask}, 3)
    assert isinstance(looks, LookingCapsuleVOS)
    routed, layer = looks.routed[3], model.network.second
    torch.testing.assert_close(layer(routed.video, routed.frame).pose, routed.out.pose)
    shares = shares_of(layer, routed)
    torch.testing.assert_close(shares.sum(dim=(-2, -1)), torch.ones(shares.shape[:3]))
    shown = explained(looks, answers[3])
    assert isinstance(shown.more, Matrix)
    assert float(shown.more.values.sum()) == pytest.approx(1, abs=1e-5)
    assert all(float(grid.values.max()) <= 1 + 1e-5 for grid in shown.grids)


def test_slots_are_shown_as_the_network_found_them(clip: np.ndarray) -> None:
    model = build("rvos", one_shot=False, slots=4, objectness=0.0)
    looks, answers = watched(model, clip, {}, 2)
    assert isinstance(looks, LookingRVOS)
    shown = looks.explain(answers[2], None, 1)
    assert len(shown.grids) == 4
    logits: list[Tensor] = []
    handle = model.network.conv_out.register_forward_hook(lambda _, inputs, out: logits.append(out.clone()))
    plain(model, clip[:3], {})
    handle.remove()
    from rotoscope.methods.rvos.network import resize

    size = shown.grids[0].values.shape
    for grid, own in zip(shown.grids, logits[-4:], strict=True):
        torch.testing.assert_close(grid.values, torch.sigmoid(resize(own.float(), size))[0, 0])
    assert isinstance(shown.more, Bars)
    assert all(0 <= value <= 1 for value in shown.more.values)


def build(name: str, **fields: Any) -> Method:
    from conftest import TINY
    from rotoscope.methods import build_method

    torch.manual_seed(7)
    return build_method(name, {**TINY[name], **fields}).eval().requires_grad_(False)


def test_the_references_are_those_of_the_session(clip: np.ndarray) -> None:
    looks, answers = watched(tiny("cosnet"), clip, {}, 4, references=3, sampling="uniform")
    assert isinstance(looks, LookingCOSNet)
    shown = explained(looks, answers[4])
    assert [grid.index for grid in shown.grids] == sorted(looks.references.of(4))
    for grid in shown.grids:
        assert float(grid.values.sum()) == pytest.approx(1, abs=1e-5)


def test_the_middle_of_an_object_and_its_cell() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:21, 30:41] = 2
    empty = torch.zeros(2, 40, 60)
    prediction = Prediction(0, (2,), empty, labels, (1.0,))
    assert deepest(prediction, 2) == (35, 15)
    row, column, own = cell_of((35, 15), (-4.0, -4.0, 60.0, 44.0), (3, 4))
    assert (row, column, own) == (1, 2, (28.0, 12.0, 44.0, 28.0))
    assert own[0] <= 35 < own[2]
    with pytest.raises(InputError, match="--at X,Y"):
        deepest(prediction, 1)


def test_a_method_without_a_picture_says_so(clip: np.ndarray) -> None:
    with open_video(clip) as video, pytest.raises(InputError, match="no picture of its mechanism"):
        looking(tiny("agame"), video, 0, {})


def test_rooms_of_mechanisms_are_listed() -> None:
    from rotoscope.methods import MECHANISMS, METHODS

    home = Path(str(__import__("rotoscope").__file__)).parent / "methods"
    assert sorted(MECHANISMS) == sorted(name for name in METHODS if (home / name / "mechanism.py").exists())
