from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.errors import InputError
from rotoscope.methods.base import Method
from rotoscope.methods.baselines import baseline
from rotoscope.methods.prediction import Prediction
from rotoscope.runs.segment import segment
from rotoscope.video import open_video


def indices(found: list[Prediction]) -> list[int]:
    return [prediction.index for prediction in found]


def test_forward_answers_every_frame(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    found = list(segment(clip, {3: {5: mask}}, tiny_stcn))
    assert indices(found) == list(range(9))
    assert [prediction.object_ids for prediction in found] == [()] * 3 + [(5,)] * 6
    assert found[3].prompted


def test_a_plain_mask_belongs_to_the_first_frame(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    found = list(segment(clip, mask, tiny_stcn, start=2, end=6))
    assert indices(found) == [2, 3, 4, 5]
    assert found[0].prompted


def test_backward_goes_from_the_last_prompt_to_the_start(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    found = list(segment(clip, {5: {1: mask}}, tiny_stcn, direction="backward"))
    assert indices(found) == [5, 4, 3, 2, 1, 0]
    mirrored = list(segment(clip[:6][::-1].copy(), {0: {1: mask}}, tiny_stcn))
    assert all(torch.equal(a.probabilities, b.probabilities) for a, b in zip(found, mirrored, strict=True))


def test_both_answers_all_frames_in_order_and_blends_between_prompts(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    prompts = {2: {1: mask}, 6: {1: np.roll(mask, 10, axis=1)}}
    found = list(segment(clip, prompts, tiny_stcn, direction="both"))
    ahead = {p.index: p for p in segment(clip, prompts, tiny_stcn)}
    behind = {p.index: p for p in segment(clip, prompts, tiny_stcn, direction="backward")}
    assert indices(found) == list(range(9))
    for index in (0, 1):
        torch.testing.assert_close(found[index].probabilities, behind[index].probabilities, atol=2e-5, rtol=0)
        assert found[index].confidence == behind[index].confidence
    for index in (2, 6, 7, 8):
        assert torch.equal(found[index].probabilities, ahead[index].probabilities)
    for index, weight in ((3, 0.75), (4, 0.5), (5, 0.25)):
        mixed = weight * ahead[index].probabilities + (1 - weight) * behind[index].probabilities
        torch.testing.assert_close(found[index].probabilities, mixed, atol=2e-5, rtol=0)


def test_an_object_known_in_one_direction_only(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    found = list(segment(clip, {1: {1: mask}, 6: {2: ~mask}}, tiny_stcn, direction="both"))
    assert found[0].object_ids == (2, 1)
    assert set(found[3].object_ids) == {1, 2}
    torch.testing.assert_close(found[3].probabilities.sum(0), torch.ones(48, 64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("late", [1, 2], ids=["the first again", "another object"])
def test_objects_keep_to_their_own_prompts_in_both(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray, late: int
) -> None:
    """What only one pass knows, between prompts of other objects, is that pass's; it does not fade."""
    other = np.roll(mask, 20, axis=1) & ~mask
    model = baseline("first-mask")
    prompts = {0: {1: mask} if late == 2 else {1: mask, 2: other}, 8: {late: mask if late == 1 else other}}
    found = list(segment(clip, prompts, model, direction="both"))
    for answer in found:
        assert set(answer.object_ids) == {1, 2}
        for object_id, shown in ((1, mask), (2, other)):
            np.testing.assert_array_equal(answer.labels == object_id, shown)
    exact = list(segment(clip, prompts, tiny_stcn, direction="both"))
    ahead = {p.index: p.to_numpy() for p in segment(clip, prompts, tiny_stcn)}
    for answer in exact[1:8]:
        np.testing.assert_allclose(answer.probabilities.sum(0), 1, atol=1e-3)
        if late == 1:  # the backward pass never heard of object 2, so no weight of its can thin it out
            whole = answer.to_numpy()
            thinned = whole[2] < ahead[answer.index][2] - 1e-3
            assert not (thinned & (whole[1] + ahead[answer.index][2] < 0.99)).any()


def test_an_object_not_given_on_a_prompted_frame_is_blended_there_as_well(
    tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray
) -> None:
    other = np.roll(mask, 20, axis=1) & ~mask
    prompts = {0: {1: mask, 2: other}, 4: {1: mask}, 8: {1: mask, 2: np.roll(other, 4, axis=0)}}
    found = list(segment(clip, prompts, tiny_stcn, direction="both"))[4]
    ways = [
        next(p for p in segment(clip, prompts, tiny_stcn, direction=way) if p.index == 4).to_numpy()
        for way in ("forward", "backward")
    ]
    assert found.prompted
    np.testing.assert_allclose(found.to_numpy()[1], ways[0][1], atol=2e-5)
    mixed = (ways[0][2] + ways[1][2]) / 2
    free = ways[0][1] + mixed < 1
    np.testing.assert_allclose(found.to_numpy()[2][free], mixed[free], atol=2e-5)


def test_bad_prompts(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(InputError, match="mask for frame 9, but array has frames 0 to 8"):
        next(segment(clip, {9: {1: mask}}, tiny_stcn))
    with pytest.raises(InputError, match="no mask is given"):
        next(segment(clip, {}, tiny_stcn))
    with pytest.raises(InputError, match="direction 'sideways'"):
        next(segment(clip, {0: {1: mask}}, tiny_stcn, direction="sideways"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="backwards"):
        list(segment(iter(clip), {0: {1: mask}}, tiny_stcn, direction="backward"))
    with pytest.raises(InputError, match="no such frame"):
        list(segment(iter(clip), {30: {1: mask}}, tiny_stcn))


def test_inference_mode_does_not_leak_into_the_caller(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray) -> None:
    for _ in segment(clip, {0: {1: mask}}, tiny_stcn):
        assert not torch.is_inference_mode_enabled()


def test_damage_is_told_as_a_warning(tiny_stcn: Method, clip: np.ndarray, mask: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"broken")
    with pytest.warns(RuntimeWarning, match="frame 4 cannot be read"):
        found = list(segment(tmp_path, {0: {1: mask}}, tiny_stcn))
    assert indices(found) == [0, 1, 2, 3, 5, 6, 7, 8]


def test_the_public_names(tiny_weights: Path, clip: np.ndarray, mask: np.ndarray) -> None:
    model = rotoscope.load(tiny_weights, precision="exact", device="cpu")
    found = list(rotoscope.segment(rotoscope.open_video(clip), {0: {1: mask}}, model))
    assert isinstance(found[0], rotoscope.Prediction)
    assert all(hasattr(rotoscope, name) for name in rotoscope.__all__)
    with pytest.raises(AttributeError):
        _ = rotoscope.nothing
    with open_video(clip) as video:
        assert len(video) == 9
