"""An answer that is brought to its frame's size when it is wanted is the one that was brought there at once."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from rotoscope.methods.prediction import Prediction
from rotoscope.video import Frame

FRAME = Frame(3, np.zeros((6, 8, 3), np.uint8), name="third")


def soft(objects: int) -> Tensor:
    return torch.softmax(3 * torch.randn(1 + objects, 6, 8, generator=torch.Generator().manual_seed(objects)), dim=0)


@pytest.mark.parametrize("objects", [0, 1, 3, 20])
@pytest.mark.parametrize("told", [False, True])
def test_it_is_the_same(objects: int, told: bool) -> None:
    ids = [7 * number + 1 for number in range(objects)]
    confidence = [0.1 * number for number in range(objects)] if told else None
    at_once = Prediction.from_probabilities(FRAME, ids, soft(objects), True, confidence)
    later = Prediction.to_come(FRAME, ids, lambda: soft(objects), True, confidence)
    assert (later.index, later.name, later.object_ids, later.prompted) == (3, "third", tuple(ids), True)
    assert later.confidence == at_once.confidence
    np.testing.assert_array_equal(later.labels, at_once.labels)
    assert later.labels.dtype == at_once.labels.dtype
    assert torch.equal(later.probabilities, at_once.probabilities)
    np.testing.assert_array_equal(later.masks, at_once.masks)


def test_it_is_made_once_and_not_for_what_is_known() -> None:
    asked: list[str] = []

    def restore() -> Tensor:
        asked.append(threading.current_thread().name)
        return soft(2)

    later = Prediction.to_come(FRAME, [1, 2], restore, False, [0.5, 0.25])
    assert later.confidence == (0.5, 0.25)
    assert not asked
    with ThreadPoolExecutor(1, "other") as other:
        labels = other.submit(lambda: later.labels).result()
    assert later.labels is labels
    assert later.probabilities is later.probabilities
    assert asked == ["other_0"]


def test_the_list_of_ids_may_change_afterwards() -> None:
    ids = [1, 2]
    later = Prediction.to_come(FRAME, ids, lambda: soft(2))
    ids.remove(1)
    assert later.object_ids == (1, 2)
    assert set(np.unique(later.labels)) <= {0, 1, 2}


def test_copies_are_plain_and_alike() -> None:
    later = Prediction.to_come(FRAME, [1, 2], lambda: soft(2))
    renamed = dataclasses.replace(later, name="other")
    sent, copied = pickle.loads(pickle.dumps(later)), copy.deepcopy(later)
    assert renamed.name == "other"
    for one in (renamed, sent, copied):
        assert type(one) is Prediction
        assert (one.index, one.object_ids, one.confidence) == (3, (1, 2), later.confidence)
        np.testing.assert_array_equal(one.labels, later.labels)
        assert torch.equal(one.probabilities, later.probabilities)
    with pytest.raises(dataclasses.FrozenInstanceError):
        later.name = "none"  # type: ignore[misc]
