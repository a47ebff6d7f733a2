"""Which proposal is which object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope import evaluate
from rotoscope.evaluation.results import nearest
from rotoscope.masks.assignment import FirstFrameAssignment, hungarian

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


def test_overlapping_proposals_in_files_of_their_own(tmp_path: Path) -> None:
    truth = np.zeros((4, 20, 30), np.uint8)
    truth[:, 2:10, 3:12], truth[:, 11:18, 10:25] = 1, 2
    for t in range(4):
        for folder, array in ((tmp_path / "data/Annotations/480p/a", truth[t]),):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f"{t:05d}.png")
        frames = tmp_path / "data/JPEGImages/480p/a"
        frames.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(frames / f"{t:05d}.jpg")
        out = tmp_path / "out/a"
        out.mkdir(parents=True, exist_ok=True)
        for slot, mask in {0: truth[t] == 2, 4: truth[t] == 1, 6: truth[t] > 0}.items():
            Image.fromarray((mask * 255).astype(np.uint8)).save(out / f"{t:05d}_instance_{slot:02d}.png")
    found = evaluate(tmp_path / "out", f"davis17:{tmp_path}/data", "zero-shot", jobs=1)
    assert [(o.object_id, o.proposal) for o in found.objects] == [(1, 5), (2, 1)]
    assert found.overall()["J mean"] == 1.0
