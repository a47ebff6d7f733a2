"""GIEL sessions: instances in one pass, objects that come and go, support frames; the variants of the config."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drawn import clip_of, run, stripes
from rotoscope.errors import InputError
from rotoscope.layers.precision import apply_precision
from rotoscope.methods.giel import GIEL, GIELConfig, GIELSession
from rotoscope.methods.giel.recipes import SMALL
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment, segment_to_folder
from rotoscope.video import open_video

TINY = {
    "trunk": "resnet18",
    "support_width": 8,
    "shared": False,
    "key_dim": 16,
    "value_dim": 16,
    "decoder_dims": (16, 16, 8),
    "label_dim": 8,
    "coarse_dim": 8,
}
OBJECT = {"instance_embedding": False}
STM = {**OBJECT, "others": True, "temporal_attention": "none", "memory": "every:2", "include_last": True}
VARIANTS: dict[str, dict[str, object]] = {
    "paper": {},
    "as stcn": {"keys": "query", "similarity": "l2", "top_k": 5},
    "fast": {"output": "fast"},
    "no global": {"global_embedding": False, "output": "fast"},
    "each object": OBJECT,
    "each object, common keys": {**OBJECT, "keys": "query"},
    "stm": STM,
    "lfu": {"memory": "lfu:2", "mem_every": 2, "include_last": True, "top_k": 4},
    "first": {"memory": "first"},
    "latest": {"memory": "latest"},
    "similarity, binary, product": {"temporal_attention": "similarity", "binary_support": True, "product": True},
}
FEW = pytest.mark.parametrize("variant", ["paper", "as stcn", "no global", "each object", "stm"])
ALL = pytest.mark.parametrize("variant", VARIANTS)


def make(**config: object) -> GIEL:
    torch.manual_seed(3)
    model = GIEL(GIELConfig(**{**TINY, **config}))  # type: ignore[arg-type]
    model.requires_grad_(False).eval()
    for decoder in (model.network.decoder, model.network.refine):
        if decoder is not None:
            decoder.pred.weight.mul_(20)
    if model.network.coarse is not None:
        model.network.coarse.leave.weight.mul_(5)
    return model


@pytest.fixture
def clip() -> np.ndarray:
    return clip_of(7, (48, 32))


@pytest.fixture
def masks() -> dict[int, np.ndarray]:
    first, second = np.zeros((32, 48), bool), np.zeros((32, 48), bool)
    first[2:15, 2:20], second[17:30, 20:45] = True, True
    return {7: first, 300: second}


def close(ours: list[Prediction], theirs: list[Prediction], tolerance: float = 1e-3) -> None:
    assert [p.object_ids for p in ours] == [p.object_ids for p in theirs]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.probabilities, b.probabilities, atol=tolerance, rtol=0)


@FEW
def test_slots_only_say_how_many_go_in_one_pass(clip: np.ndarray, variant: str) -> None:
    model = make(**VARIANTS[variant])
    many = stripes(8, (48, 32))
    six, one = run(model, clip[:3], many), run(model, clip[:3], many, slots=1)
    assert one[-1].object_ids == tuple(range(1, 9))
    close(one, six, 5e-3)  # values that round otherwise may lead to other features being read
    assert not torch.equal(six[-1].probabilities[1], six[-1].probabilities[2])


def test_everything_but_the_instances_runs_once_a_frame(clip: np.ndarray) -> None:
    """The paper's claim: encoders, affinity and global map do not know how many objects there are."""
    model = make()
    net = model.network
    calls: dict[str, list[int]] = {}
    for name in ("query_encoder", "support_encoder", "temporal", "decoder", "labels", "refine", "coarse"):
        layer = net.get_submodule(name)
        layer.register_forward_hook(lambda m, i, o, name=name: calls.setdefault(name, []).append(len(o)))
    for count, passes in ((1, 1), (6, 1), (8, 2)):
        calls.clear()
        run(model, clip[:4], stripes(count, (48, 32)))
        assert len(calls["query_encoder"]) == len(calls["support_encoder"]) == 4
        assert len(calls["temporal"]) == len(calls["decoder"]) == 3
        assert len(calls["labels"]) == 4 * passes
        assert len(calls["refine"]) == 3 * passes
        assert sum(calls["refine"]) == 3 * count
        assert "coarse" not in calls
    calls.clear()
    run(model, clip[:4], stripes(3, (48, 32)), output="fast")
    assert calls["coarse"] == [3, 3, 3]
    assert "refine" not in calls


@ALL
def test_a_resumed_session_goes_on_with_the_same_bits(
    clip: np.ndarray, masks: dict[int, np.ndarray], variant: str
) -> None:
    model = make(**VARIANTS[variant])
    prompts = {0: {7: masks[7]}, 3: {300: masks[300]}, 5: {7: np.roll(masks[7], 9, axis=1)}}
    whole = list(segment(clip, prompts, model))
    opened, found = model.session(), []
    for t, frame in enumerate(clip):
        if t in prompts:
            opened.add(prompts[t])
        state = opened.state()
        opened = model.session()  # a new one on every frame
        opened.restore({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()})
        found += opened.push(frame)
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(found, whole, strict=True))


def test_resuming_from_disk(tmp_path: Path, clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    class StopError(Exception):
        pass

    def stop(prediction: Prediction) -> None:
        if prediction.index == 4:
            raise StopError

    model = make()
    with open_video(clip) as video, pytest.raises(StopError):
        segment_to_folder(video, {0: masks}, model, tmp_path / "a", state_every=1, on_frame=stop)
    with open_video(clip) as video:
        report = segment_to_folder(video, {0: masks}, model, tmp_path / "a", state_every=1, resume=True)
    assert 0 < report.resumed_at <= 4
    with open_video(clip) as video:
        segment_to_folder(video, {0: masks}, model, tmp_path / "b")
    for path in (tmp_path / "b").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


@FEW
def test_objects_come_are_corrected_and_go(clip: np.ndarray, masks: dict[int, np.ndarray], variant: str) -> None:
    model = make(**VARIANTS[variant])
    opened = model.session()
    moved = np.roll(masks[7], 16, axis=1)
    opened.add({7: masks[7]})
    found = opened.push(clip[0]) + opened.push(clip[1])
    opened.add({300: masks[300]})
    found += opened.push(clip[2])
    opened.add({7: moved})
    found += opened.push(clip[3])
    opened.remove(7)
    found += opened.push(clip[4])
    opened.remove(300)
    assert not opened.memories
    found += opened.push(clip[5])
    opened.add({7: masks[7]})
    found += opened.push(clip[6])
    assert [p.object_ids for p in found] == [(7,), (7,), (7, 300), (7, 300), (300,), (), (7,)]
    assert np.array_equal(found[2].labels == 300, masks[300])
    assert np.array_equal(found[3].labels == 7, moved)
    assert np.array_equal(found[6].labels == 7, masks[7])
    for prediction in found:
        assert torch.isfinite(prediction.probabilities).all()
        assert prediction.probabilities.sum(0).sub(1).abs().max() < 1e-4


def test_an_object_given_later_leaves_what_was_before_as_it_is(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    alone = list(segment(clip, {0: {7: masks[7]}}, model))
    found = list(segment(clip, {0: {7: masks[7]}, 4: {300: masks[300]}}, model))
    assert all(torch.equal(found[t].probabilities, alone[t].probabilities) for t in range(4))
    assert found[4].prompted


def chosen(opened: GIELSession) -> list[int]:
    memory = opened.memories[0]
    return memory._chosen(memory._numbers().unique().tolist())


def test_support_frames(masks: dict[int, np.ndarray]) -> None:
    """First and latest always; the others near the ends of equal segments; frames with new objects stay."""
    model = make(memory="support:4")
    opened = model.session()
    opened.add({7: masks[7]})
    seen = []
    for frame in clip_of(20, (48, 32)):
        opened.push(frame)
        seen.append(chosen(opened))
    assert seen[:4] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    for t, frames in enumerate(seen[4:], 4):
        assert (frames[0], frames[-1], len(frames)) == (0, t, 4)
        assert abs(frames[1] - t / 3) <= t / 6
        assert abs(frames[2] - 2 * t / 3) <= t / 6
    opened.add({300: masks[300]})
    for frame in clip_of(12, (48, 32), seed=1):
        opened.push(frame)
        assert {0, 20} <= set(chosen(opened))
        assert len(chosen(opened)) == 4
    assert opened.frames_remembered == 8
    free = model.session(protect_given=False)
    for t, frame in enumerate(clip_of(16, (48, 32))):
        if t in (0, 5):
            free.add({7 + t: masks[7]})
        free.push(frame)
    assert 5 not in chosen(free)


def test_many_corrections_leave_room(masks: dict[int, np.ndarray]) -> None:
    """A mask on each frame: pins are granted to a few, the first and the latest frame stay."""
    opened = make(memory="support:3").session()
    for t, frame in enumerate(clip_of(10, (48, 32))):
        opened.add({7: masks[7]})
        opened.push(frame)
        frames = chosen(opened)
        assert (frames[0], frames[-1]) == (0, t)
        assert opened.frames_remembered == min(t + 1, 6)


def test_policies_of_stcn_bound_the_memory(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    for memory, most in (("lfu:2", 2), ("first-latest", 2), ("first", 1), ("latest", 1), ("support:2", 4)):
        opened = make(mem_every=1, top_k=3).session(memory=memory, protect_given=memory != "latest")
        opened.add(masks)
        for frame in clip:
            opened.push(frame)
            assert opened.frames_remembered is not None
            assert opened.frames_remembered <= most
        assert set(opened.memories[0]._own) == set((opened.memories[0].bank.serials // 6).tolist())


def test_options_change_what_they_say(clip: np.ndarray, masks: dict[int, np.ndarray]) -> None:
    model = make()
    plain = run(model, clip[:4], masks)
    changes: tuple[dict[str, object], ...] = (
        {"output": "fast"},
        {"product": True},
        {"top_k": 1},
        {"memory": "latest"},
        {"memory": "lfu:1", "top_k": 3},
        {"short_side": 16},
    )
    for options in changes:
        assert not torch.equal(run(model, clip[:4], masks, **options)[-1].probabilities, plain[-1].probabilities)
    binary = run(model, clip[:4], masks, binary_support=True)
    assert torch.equal(binary[1].probabilities, plain[1].probabilities)  # the first prediction is not yet carried on
    assert not torch.equal(binary[2].probabilities, plain[2].probabilities)
    for bad, message in (({"top_k": 0}, "top_k"), ({"memory": "lru:3"}, "memory policy"), ({"colour": 3}, "no option")):
        with pytest.raises(InputError, match=message):
            model.session(**bad)
    with pytest.raises(InputError, match="output=fast only"):
        make(refine=False, output="fast").session(output="full")


@pytest.mark.parametrize("size", [(1, 1), (9, 40), (101, 37)])
@pytest.mark.parametrize("mask", ["pixel", "empty", "full"])
def test_any_size_and_mask(size: tuple[int, int], mask: str) -> None:
    width, height = size
    frames = np.random.default_rng(1).integers(0, 255, (3, height, width, 3), dtype=np.uint8)
    shown = np.zeros((height, width), bool)
    shown[{"pixel": np.s_[:1, :1], "empty": np.s_[:0], "full": np.s_[:]}[mask]] = True
    found = list(segment(frames, {0: {5: shown}}, make()))
    assert np.array_equal(found[0].labels == 5, shown)
    for prediction in found:
        assert prediction.probabilities.shape == (2, height, width)
        assert torch.isfinite(prediction.probabilities).all()


@pytest.mark.parametrize("output", ["full", "fast"])
def test_the_fast_form_finds_the_same(clip: np.ndarray, masks: dict[int, np.ndarray], output: str) -> None:
    exact, folded, half = (make(**SMALL, output=output) for _ in range(3))
    apply_precision(folded, "fast", bfloat16=False)
    close(run(folded, clip[:3], masks), run(exact, clip[:3], masks))
    apply_precision(half, "fast", bfloat16=True)
    ours, theirs = run(half, clip[:2], masks)[1], run(exact, clip[:2], masks)[1]
    assert ours.probabilities.dtype == torch.float32
    # Random weights leave objects nearly even; the decoders' logits are tens, where bfloat16 has steps of an eighth.
    assert (ours.probabilities - theirs.probabilities).abs().mean() < 0.05
