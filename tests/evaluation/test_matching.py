"""Which proposal is which object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotoscope import evaluate
from rotoscope.evaluation.evaluate import Evaluation
from rotoscope.evaluation.results import SequenceResults, nearest
from rotoscope.evaluation.scores import _slots
from rotoscope.masks.assignment import FirstFrameAssignment, hungarian
from rotoscope.masks.palette import palette_bytes

GOLDEN = Path(__file__).parent.parent / "golden" / "rvos_submission.npz"


def test_hungarian_maximises_the_sum() -> None:
    assert hungarian(np.array([[0.9, 0.8, 0.0], [0.8, 0.1, 0.0]])) == {0: 1, 1: 0}
    assert hungarian(np.array([[0.5], [0.6]])) == {1: 0}


@pytest.mark.parametrize("variant", ["zero", "one"])
def test_first_frame_assignment_equals_the_official_merging(variant: str) -> None:
    data = np.load(GOLDEN)
    shape = data[f"{variant}_pred_shape"] if variant == "zero" else data[f"{variant}_pred_shape"][[1, 0, 2, 3]]
    packed = data[f"{variant}_preds"]
    masks = np.unpackbits(packed, axis=-1)[..., : shape[-1]].astype(bool)
    if variant == "one":
        masks = masks if masks.shape[1] == 3 else masks.transpose(1, 0, 2, 3)
    given, births, expected = (data[f"{variant}_{key}"] for key in ("given", "birth", "labels"))
    size = given.shape[1:]
    assignment = FirstFrameAssignment(masks.shape[1])
    for t in range(len(given)):
        proposals = {slot + 1: nearest(mask, size) for slot, mask in enumerate(masks[t])}
        born = {i: given[t] == i for i, birth in enumerate(births, 1) if birth == t}
        if born:
            assignment.appear(born, proposals)
        labels = assignment.paint(proposals, born, size)
        np.testing.assert_array_equal(labels, expected[t], err_msg=f"frame {t}")
    slots = [assignment.slot_of[i] - 1 for i in (1, 2, 3)]
    assert slots == data[f"{variant}_slots_true"].tolist()


TRUTH = np.zeros((20, 30), np.uint8)
TRUTH[2:10, 3:12], TRUTH[11:18, 10:25] = 1, 2
FRAMES = 4


def save(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def data(root: Path, truth: np.ndarray = TRUTH, kind: str = "davis17") -> str:
    """A data set of one sequence, whose frames all have the same truth; its spec."""
    place = "/480p" if kind == "davis17" else ""
    for t in range(FRAMES):
        save(root / f"data/Annotations{place}/a/{t:05d}.png", Image.fromarray(truth))
        save(root / f"data/JPEGImages{place}/a/{t:05d}.jpg", Image.fromarray(np.zeros((20, 30, 3), np.uint8)))
    return f"{kind}:{root}/data"


def index(mask: np.ndarray, value: int = 1) -> Image.Image:
    """A palette image, as DAVIS's tools write them."""
    picture = Image.fromarray((mask * value).astype(np.uint8))
    picture.putpalette(palette_bytes())
    return picture


def test_overlapping_proposals_in_files_of_their_own(tmp_path: Path) -> None:
    spec = data(tmp_path)
    for t in range(FRAMES):
        for slot, mask in {0: TRUTH == 2, 4: TRUTH == 1, 6: TRUTH > 0}.items():
            save(tmp_path / f"out/a/{t:05d}_instance_{slot:02d}.png", Image.fromarray((mask * 255).astype(np.uint8)))
    found = evaluate(tmp_path / "out", spec, "zero-shot", jobs=1)
    assert [(o.object_id, o.proposal) for o in found.objects] == [(1, 5), (2, 1)]
    assert found.overall()["J mean"] == 1.0


def test_two_files_of_one_proposal_are_told(tmp_path: Path) -> None:
    for name in ("0", "00"):
        save(tmp_path / f"out/a/00000_instance_{name}.png", Image.fromarray(TRUTH))
    (problem,) = SequenceResults(tmp_path / "out/a").problems
    assert "00000_instance_00.png: is the same proposal as 00000_instance_0.png" in problem


def faint(depth: int) -> Callable[[np.ndarray, int], Image.Image]:
    """Soft masks: 0.9 in the object, 0.2 beside it, and hardly anything where there is none."""
    kind = np.uint8 if depth == 255 else np.uint16

    def picture(mask: np.ndarray, slot: int) -> Image.Image:
        around = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        soft = np.where(mask, 0.9, np.where(around, 0.2, 0)) * depth
        return Image.fromarray((soft if mask.any() else np.eye(20, 30)).astype(kind))

    return picture


CODINGS: dict[str, Callable[[np.ndarray, int], Image.Image]] = {
    "0 and 1": lambda mask, slot: Image.fromarray(mask.astype(np.uint8)),
    "one bit": lambda mask, slot: Image.fromarray(mask),
    "16 bits, 0 and 1": lambda mask, slot: Image.fromarray(mask.astype(np.uint16)),
    "palette": lambda mask, slot: index(mask),
    "palette, each its own index": lambda mask, slot: index(mask, slot + 1),
    "0 and 255": lambda mask, slot: Image.fromarray(mask.astype(np.uint8) * 255),
    "soft": faint(255),
    "soft, 16 bits": faint(65535),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("task", ["zero-shot", "unsupervised"])
def test_files_of_one_proposal_are_read_whatever_white_is(tmp_path: Path, coding: str, task: str) -> None:
    """Nearly empty soft masks hold 0 and 1 too: the files of a sequence decide together what 1 is."""
    spec = data(tmp_path)
    for t in range(FRAMES):
        for slot, mask in enumerate((TRUTH == 9, TRUTH == 2, TRUTH == 1)):
            save(tmp_path / f"out/a/{t:05d}_instance_{slot:02d}.png", CODINGS[coding](mask, slot))
    found = evaluate(tmp_path / "out", spec, task, jobs=1)
    assert [(o.object_id, o.proposal) for o in found.objects] == [(1, 3), (2, 2)]
    assert found.overall()["J mean"] == 1.0


def test_proposals_that_never_reach_half_are_told(tmp_path: Path) -> None:
    spec = data(tmp_path)
    for t in range(FRAMES):
        save(tmp_path / f"out/a/{t:05d}_instance_00.png", Image.fromarray(TRUTH))
    found = evaluate(tmp_path / "out", spec, "zero-shot", jobs=1)
    assert found.overall()["J mean"] == 0.0
    assert any("00000_instance_00.png: no value is above half of white" in line for line in found.warnings)


def proposed(tmp_path: Path, ids: dict[int, int], task: str = "zero-shot") -> Evaluation:
    """Score label maps in which the objects have other ids: strips below them have the ids that stand for 0."""
    labels = np.zeros(TRUTH.shape, np.uint16)
    for column, (number, truth) in enumerate(ids.items()):
        if truth:
            labels[truth == TRUTH] = number
        else:
            labels[19, column] = number
    for t in range(FRAMES):
        save(tmp_path / f"out/a/{t:05d}.png", Image.fromarray(labels))
    return evaluate(tmp_path / "out", data(tmp_path), task, jobs=1)


@pytest.mark.parametrize("ids", [(1, 2), (9, 11), (11, 12), (10, 300), (65000, 7)])
def test_zero_shot_counts_proposals_whatever_their_ids_are(tmp_path: Path, ids: tuple[int, int]) -> None:
    found = proposed(tmp_path, dict(zip(ids, (1, 2), strict=True)))
    assert [o.proposal for o in found.objects] == list(ids)
    assert found.overall()["J mean"] == 1.0
    assert not [line for line in found.warnings if "proposals" in line]


@pytest.mark.parametrize(("task", "most"), [("zero-shot", 10), ("unsupervised", 20)])
def test_more_proposals_than_are_looked_at_are_told(tmp_path: Path, task: str, most: int) -> None:
    others = dict.fromkeys(range(31, 31 + most - 1), 0)
    found = proposed(tmp_path, {30: 1, **others, 99: 2}, task)
    assert found.objects[0].proposal == 30
    assert found.objects[0].region.mean == 1.0
    assert found.objects[1].region.mean < 0.1
    assert any(f"{most + 1} proposals, the protocol looks at {most}; ids from 99" in w for w in found.warnings)


def test_a_number_of_a_slot_stays_where_rvos_has_it() -> None:
    assert _slots(range(1, 11), 10) == {i: i for i in range(1, 11)}
    assert _slots([2, 5, 10], 10) == {2: 2, 5: 5, 10: 10}
    assert _slots([2, 5, 12, 70], 10) == {2: 2, 5: 5, 12: 1, 70: 3}


def test_proposals_of_any_number_in_files_of_their_own(tmp_path: Path) -> None:
    """Numbers from 255 on do not fit 8 bits, where 255 is unknown."""
    spec = data(tmp_path)
    for t in range(FRAMES):
        for slot, mask in {254: TRUTH == 1, 300: TRUTH == 2}.items():
            save(tmp_path / f"out/a/{t:05d}_instance_{slot}.png", Image.fromarray(mask))
    for task in ("zero-shot", "unsupervised"):
        found = evaluate(tmp_path / "out", spec, task, jobs=1)
        assert [o.proposal for o in found.objects] == [255, 301]
        assert found.overall()["J mean"] == 1.0


@pytest.mark.parametrize("task", ["zero-shot", "unsupervised"])
def test_truth_of_16_bits_has_ids_of_255_and_more(tmp_path: Path, task: str) -> None:
    truth = np.array([0, 255, 300], np.uint16)[TRUTH]
    for t in range(FRAMES):
        save(tmp_path / f"out/a/{t:05d}.png", Image.fromarray(TRUTH))
    found = evaluate(tmp_path / "out", data(tmp_path, truth, "pairs"), task, jobs=1)
    assert [(o.object_id, o.proposal) for o in found.objects] == [(255, 1), (300, 2)]
    assert found.overall()["J mean"] == 1.0
