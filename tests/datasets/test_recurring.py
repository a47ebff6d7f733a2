"""Clips in which one object recurs, and of objects that begin beside each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.recurring import OBJECT, RecurringChances, RecurringClips
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.errors import InputError
from rotoscope.training.data import TrainingData

SHAPE = ClipShape(64, 4, 1)
FAINT = RecurringChances(distractors=(0.0, 0.0, 1.0), front=0.0)


@pytest.fixture
def photographs(photographs_folder: Path) -> Photographs:
    return Photographs.open(photographs_folder)


@pytest.mark.parametrize("scene", [0.0, 1.0])
def test_the_object_is_in_every_frame_and_nothing_else_is_labelled(photographs: Photographs, scene: float) -> None:
    source = RecurringClips(photographs, chances=RecurringChances(scene=scene))
    for index in range(6):
        clip = source.clip(np.random.default_rng(index), SHAPE)
        assert clip.frames.shape == (4, 64, 64, 3)
        assert set(np.unique(clip.labels)) <= {0, OBJECT}
        assert ((clip.labels == OBJECT).mean(axis=(1, 2)) >= source.chances.least).all()


def test_a_clip_is_a_function_of_its_generator(photographs: Photographs) -> None:
    first, again = (RecurringClips(photographs).clip(np.random.default_rng(3), SHAPE) for _ in range(2))
    assert (first.frames == again.frames).all()
    assert (first.labels == again.labels).all()


def test_what_distracts_is_another_thing_at_another_place_in_each_frame(photographs: Photographs) -> None:
    source = RecurringClips(photographs, chances=FAINT)
    frames = [np.zeros((64, 64, 3), np.uint8) for _ in range(6)]
    marks = [np.zeros((64, 64), np.uint8) for _ in range(6)]
    source.distract(np.random.default_rng(0), frames, marks)
    shown = np.stack(frames).any(axis=-1)
    assert (shown.mean(axis=(1, 2)) > 0.02).all()
    for one, other in itertools.pairwise(shown):
        assert (one != other).mean() > 0.02
    assert not np.stack(marks).any()


@pytest.mark.parametrize(("front", "hidden"), [(0.0, False), (1.0, True)])
def test_distractors_hide_the_object_only_where_they_may(photographs: Photographs, front: float, hidden: bool) -> None:
    chances = RecurringChances(distractors=(0.0, 0.0, 0.0, 1.0), front=front)
    frames = [np.zeros((64, 64, 3), np.uint8) for _ in range(4)]
    marks = [np.full((64, 64), OBJECT, np.uint8) for _ in range(4)]
    RecurringClips(photographs, chances=chances).distract(np.random.default_rng(1), frames, marks)
    assert bool((np.stack(marks) == 0).any()) == hidden
    if not hidden:
        assert not np.stack(frames).any()  # what lies behind an object that fills the frame is not seen


def test_frames_of_a_video_recur_too(every_data: list[str]) -> None:
    source = TrainingData.open(every_data[1::2]).source("recurring")
    assert isinstance(source, RecurringClips)
    assert len(source.videos) == 1
    filmed = RecurringClips(source.photographs, source.videos, RecurringChances(filmed=1.0, distractors=(1.0,)))
    clip = filmed.clip(np.random.default_rng(0), ClipShape(32, 3, 1))
    assert ((clip.labels == OBJECT).mean(axis=(1, 2)) > 0.01).all()


def test_photographs_of_which_a_part_is_labelled_are_refused(photographs: Photographs, tmp_path: Path) -> None:
    """What is not labelled in them would recur as well."""
    with pytest.raises(InputError, match="all objects are labelled"):
        RecurringClips(Photographs((), photographs.textures))


def test_objects_that_are_gathered_begin_beside_each_other(photographs: Photographs) -> None:
    def spread(gathered: float) -> float:
        config = SyntheticConfig(size=64, frames=2, objects=3, scene=0.0, extra=0.0, gathered=gathered)
        maker = SyntheticClips(photographs, config, seed=5)
        apart = []
        for index in range(8):
            first = maker.clip(index).labels[0]
            centres = [np.argwhere(first == i).mean(axis=0) for i in range(1, int(first.max()) + 1)]
            apart += [float(np.hypot(*(a - b))) for a in centres for b in centres if a is not b]
        return float(np.mean(apart))

    assert spread(1.0) < 0.8 * spread(0.0)
