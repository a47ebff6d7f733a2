"""COSNet's sessions: which frames are looked at, what is kept of them, and how they are joined."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cosnets import make, masks
from rotoscope.errors import InputError
from rotoscope.layers.precision import apply_precision
from rotoscope.methods.cosnet import COSNet, COSNetConfig, crf
from rotoscope.methods.cosnet.config import Joined
from rotoscope.methods.cosnet.references import PastFrames, WholeVideo, draw
from rotoscope.methods.cosnet.session import COSNetSession
from rotoscope.runs.segment import segment_to_folder
from rotoscope.video import Frame, Video, open_video


def count_encodings(model: COSNet, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames go through the encoder, in a list of one number."""
    seen = [0]
    encode: Callable[[Tensor], Tensor] = model.network.encode

    def counted(image: Tensor) -> Tensor:
        seen[0] += len(image)
        return encode(image)

    monkeypatch.setattr(model.network, "encode", counted)
    return seen


def different(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_what_is_drawn() -> None:
    frames = range(10, 30)
    assert draw(frames, 3, 4, "uniform", 0) == [12, 17, 22, 27]
    assert draw(frames, 3, 1, "uniform", 0) == [20]
    assert draw(frames, 15, 4, "consecutive", 0) == [13, 14, 16, 17]
    assert draw(frames, 10, 3, "consecutive", 0) == [11, 12, 13]
    assert draw(frames, 29, 1, "consecutive", 0) == [28]
    assert draw([5], 5, 3, "consecutive", 0) == [5]
    drawn = [draw(frames, index, 5, "random", 0) for index in range(50)]
    assert all(len(set(one)) == 5 and one == sorted(one) and set(one) <= set(frames) for one in drawn)
    assert {i for one in drawn for i in one} == set(frames)
    assert draw(frames, 7, 5, "random", 0) == drawn[7]
    assert draw(frames, 7, 5, "random", 1) != drawn[7]
    for sampling in ("uniform", "random", "consecutive"):
        assert draw(range(3), 1, 7, sampling, 0) in ([0, 1, 2], [0, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", ["uniform", "random", "consecutive"])
def test_features_are_computed_once_and_keeping_them_changes_nothing(
    clip: np.ndarray, monkeypatch: pytest.MonkeyPatch, sampling: str
) -> None:
    model = make(sampling=sampling, references=2)
    seen = count_encodings(model, monkeypatch)
    kept = masks(model, clip)
    assert seen[0] == len(clip)  # references that are pushed later, or were before, cost nothing more
    seen[0] = 0
    anew = masks(model, clip, cached=False)
    assert seen[0] >= 2 * len(clip)
    assert not different(kept, anew)


def test_answers_do_not_depend_on_the_order_of_frames(clip: np.ndarray) -> None:
    model = make()
    with open_video(clip) as video:
        forwards, backwards = model.session(video), model.session(video)
        ahead = [forwards.push(video[t])[0].probabilities for t in range(9)]
        behind = [backwards.push(video[t])[0].probabilities for t in reversed(range(9))]
    assert all(torch.equal(a, b) for a, b in zip(ahead, reversed(behind), strict=True))


def test_a_part_of_a_video_looks_at_that_part_alone(clip: np.ndarray) -> None:
    model = make(references=1, sampling="uniform")
    with open_video(clip, start=2, end=5) as video:
        references = model.session(video).references
        assert isinstance(references, WholeVideo)
        assert (references.frames, references._drawn) == (range(2, 5), [3])
    with open_video(clip[2:5]) as video:
        alone = masks(model, video)
    with open_video(clip, start=2, end=5) as video:
        assert not different(alone, masks(model, video))


def test_a_long_video_is_drawn_from_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    model = make(references=2, pool=6, size=(32, 32))
    seen = count_encodings(model, monkeypatch)
    with open_video(clip) as video:
        session = model.session(video)
        for frame in video:
            session.push(frame)
            assert session.frames_remembered <= 6
    assert seen[0] == 30
    model = make(references=2, sampling="consecutive", size=(32, 32))
    with open_video(clip) as video:
        session = model.session(video)
        assert max((session.push(frame), session.frames_remembered)[1] for frame in video) <= 9


def test_references_change_the_answer(clip: np.ndarray) -> None:
    model = make()
    found = {count: masks(model, clip, references=count) for count in (0, 1, 2, 5, 7)}
    counts = list(found)
    for fewer, more in itertools.pairwise(counts):
        assert different(found[fewer], found[more])
    with torch.inference_mode():
        session = model.session(references=0)
        frame = Frame(0, clip[0])
        logits = model.network.single(session.encode(frame))
    alone = torch.nn.functional.interpolate(logits, size=(48, 64), mode="bilinear")
    torch.testing.assert_close(found[0][0], torch.sigmoid(alone)[0, 0])


def test_fusions(clip: np.ndarray) -> None:
    """All are the same for one reference; summaries and predictions are means, the group's softmax is one."""
    model = make()
    one = {fusion: masks(model, clip, references=1, fusion=fusion) for fusion in ("prediction", "summary", "group")}
    for fusion in ("summary", "group"):
        for ours, theirs in zip(one[fusion], one["prediction"], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    net, many = model.network, torch.randn(3, 16, 4, 5)
    query = torch.randn(1, 16, 4, 5)
    each = torch.stack([net.segment(query, many[i : i + 1], (32, 40), Joined("prediction")) for i in range(3)])
    torch.testing.assert_close(
        net.segment(query, many, (32, 40), Joined("prediction")), each.mean(dim=0), atol=1e-5, rtol=0
    )
    scores = net.attention.queries(query)[0] @ torch.cat([*net.attention.keys(many)]).T
    read = (torch.softmax(scores, dim=1) @ many.flatten(2).transpose(1, 2).flatten(0, 1)).T.unflatten(1, (4, 5))[None]
    gated = read * torch.sigmoid(net.gate(read))
    logits = torch.nn.functional.interpolate(net.query_head(gated, query), size=(32, 40), mode="bilinear")
    torch.testing.assert_close(
        net.segment(query, many, (32, 40), Joined("group")), torch.sigmoid(logits)[0, 0], atol=1e-5, rtol=0
    )


def test_a_stream_looks_at_past_frames_and_says_so(clip: np.ndarray, tmp_path: Path) -> None:
    model = make(references=2, reservoir=3)
    session = model.session()
    assert isinstance(session.references, PastFrames)
    first = session.push(clip[0])[0]
    with torch.inference_mode():
        own = session.encode(Frame(0, clip[0]))
        alone = model.network.segment(own, own, (48, 64), Joined("prediction"))
    assert torch.equal(first.probabilities[1], alone)  # nothing has gone by: the frame looks at itself
    for frame in clip[1:]:
        session.push(frame)
        assert session.frames_remembered <= 3
    assert session.notes == ("references come from at most 3 past frames: the whole video is not known while it runs",)
    with open_video(clip) as video:
        assert model.session(video).notes == ()
        assert model.session(video, references=0).notes == ()
    assert model.session(references=0).notes == ()
    with open_video(iter(clip)) as video:
        report = segment_to_folder(video, None, model, tmp_path)
    assert report.notes == list(session.notes)


def test_the_reservoir_is_a_fair_sample() -> None:
    counts = np.zeros(12)
    for seed in range(400):
        kept = PastFrames(COSNetConfig(reservoir=3, seed=seed))
        for index in range(12):
            kept.observe(Frame(index, np.zeros((1, 1, 3), np.uint8)), torch.zeros(1))
        counts[list(kept._held)] += 1
    assert np.abs(counts / 400 - 3 / 12).max() < 0.09
    last = PastFrames(COSNetConfig(references=3, sampling="consecutive"))
    for index in range(12):
        last.observe(Frame(index, np.zeros((1, 1, 3), np.uint8)), torch.zeros(1))
    assert sorted(last._held) == [9, 10, 11]


class Damaged(Video):
    """A video one of whose frames cannot be had out of order."""

    def __init__(self, frames: np.ndarray, broken: int, error: type[Exception]) -> None:
        super().__init__()
        self.source, self.length, self.broken, self.error = frames, len(frames), broken, error

    @property
    def size(self) -> tuple[int, int]:
        return self.source.shape[2], self.source.shape[1]

    def decode(self, start: int, stop: int | None, reverse: bool) -> Any:
        yield from (Frame(i, self.source[i]) for i in range(start, self.length or 0) if i != self.broken)

    def at(self, index: int) -> Frame:
        if index == self.broken:
            raise self.error(f"frame {index} is damaged")
        return Frame(index, self.source[index])


@pytest.mark.parametrize("error", [InputError, OSError])
def test_a_reference_that_cannot_be_read_is_left_out_and_named(clip: np.ndarray, error: type[Exception]) -> None:
    model = make(references=2, sampling="uniform")
    video = Damaged(clip, 2, error)
    session = model.session(video)
    found = [prediction for frame in video for prediction in session.push(frame)]
    assert len(found) == 8
    assert session.notes == ("frame 2 cannot be read and is no reference (frame 2 is damaged)",)
    whole = masks(model, clip, references=2)
    assert different([prediction.probabilities[1] for prediction in found], [m for t, m in enumerate(whole) if t != 2])


def test_frames_that_differ_from_those_of_the_video_are_not_taken_for_them(clip: np.ndarray) -> None:
    model = make(references=1, sampling="uniform")
    with open_video(clip) as video:
        session = model.session(video)
        session.push(clip[0])
        bright = np.full_like(clip[0], 200)
        other = session.push(Frame(4, bright))[0]  # frame 4 is the reference
        again = model.session(video)
        assert not torch.equal(other.probabilities, again.push(video[4])[0].probabilities)


def test_working_sizes() -> None:
    config = COSNetConfig(size=(224, 400), keep_aspect=True)
    assert config.working_size((854, 480)) == (224, 400)
    assert config.working_size((480, 854)) == (400, 224)
    assert config.working_size((600, 600)) == (296, 296)
    assert config.working_size((4000, 10)) == (32, 5984)
    assert COSNetConfig().working_size((854, 480)) == (473, 473)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "mean"}, "fusion 'mean' is not known; use prediction or summary or group"),
        ({"references": -1}, "references is -1; give a whole number of at least 0"),
        ({"references": 2.5}, "references 2.5 is not known; use a whole number"),
        ({"pool": 0}, "pool is 0; give a whole number of at least 1"),
        ({"size": 473}, "size 473 is not known; use 2 values with commas"),
        ({"guided": 11}, "guided is 11; give a whole number from 0 to 10"),
        ({"crf": 1}, "crf 1 is not known; use true or false"),
        ({"crf_compat": 0}, "crf_compat is 0; give a number above 0"),
        ({"attention": "none"}, "there is no option 'attention'"),
    ],
)
def test_options_that_are_not_possible(options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make().session(**options)


def test_without_the_library_crf_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    words = r'Install it: pip install -e "\.\[crf\]", which needs a C\+\+ compiler'
    with pytest.raises(InputError, match=words) as caught:
        make().session(crf=True)
    assert "\n" not in str(caught.value)


def test_crf_lets_a_mask_follow_an_edge() -> None:
    pytest.importorskip("pydensecrf")
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 20:50] = (200, 60, 60)
    rough = np.full((60, 80), 0.3, np.float32)
    rough[22:42, 24:54] = 0.7
    rough[0, 0], rough[30, 30] = 0, 1
    truth = image[..., 0] > 100
    refined = crf.refine(image, rough, 20, 9)
    assert ((refined > 0.5) == truth).mean() > 0.99 > ((rough > 0.5) == truth).mean()
    assert np.isfinite(crf.refine(image, np.full((60, 80), 0.3, np.float32), 20, 9)).all()
    session = make().session(crf=True)
    assert isinstance(session, COSNetSession)
    found = session.push(image)[0]
    assert found.probabilities.shape == (2, 60, 80)
    assert "crf" in session.timings.seconds


def test_a_guided_session_settles_what_it_would_have_answered(clip: np.ndarray) -> None:
    plain, guided = make().session(guided=0), make().session(guided=2)
    for image in clip[:3]:
        rough, settled = (session.push(image)[0].probabilities for session in (plain, guided))
        assert settled.shape == rough.shape
        assert not torch.equal(settled, rough)
        assert torch.allclose(settled.sum(dim=0), torch.ones(settled.shape[1:]))
    assert "guided" in guided.timings.seconds
    assert "guided" not in plain.timings.seconds


def test_the_object_cannot_be_removed(clip: np.ndarray) -> None:
    session = make().session()
    session.push(clip[0])
    assert session.object_ids == (1,)
    with pytest.raises(InputError, match="cannot be removed"):
        session.remove(1)


def test_the_fast_form_finds_the_same(clip: np.ndarray) -> None:
    exact, fast, half = make(), make(), make()
    apply_precision(fast, "fast", bfloat16=False)
    apply_precision(half, "fast", bfloat16=True)
    plain = masks(exact, clip)
    for ours, theirs in zip(masks(fast, clip), plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)
    agreeing = [((a > 0.5) == (b > 0.5)).float().mean().item() for a, b in zip(masks(half, clip), plain, strict=True)]
    assert np.mean(agreeing) > 0.9
