from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rotoscope.datasets.demo import demo_clip
from rotoscope.datasets.motion import random_path
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.datasets.shapes import random_shape
from rotoscope.datasets.synthetic import SyntheticClips, SyntheticConfig
from rotoscope.datasets.wide_clips import WideClips
from rotoscope.errors import InputError


@pytest.mark.parametrize("objects", [1, 2, 3])
def test_clips_hold_what_they_promise(photographs_folder: Path, objects: int) -> None:
    clips = SyntheticClips(Photographs.open(photographs_folder), SyntheticConfig(size=96, frames=4, objects=objects), 3)
    found = [clips.clip(index) for index in range(12)]
    for clip in found:
        assert clip.frames.shape == (4, 96, 96, 3)
        assert clip.labels.shape == (4, 96, 96)
        present = set(np.unique(clip.labels[0])) - {0}
        assert present == set(range(1, len(present) + 1))
        assert 1 <= len(present) <= objects
        assert set(np.unique(clip.labels)) - {0} == present
    assert np.mean([clip.labels[0].max() == objects for clip in found]) > 0.6
    assert np.mean([(clip.labels[0] != clip.labels[-1]).any() for clip in found]) > 0.8


def test_a_clip_is_a_function_of_seed_and_number(photographs_folder: Path) -> None:
    photographs = Photographs.open(photographs_folder)
    config = SyntheticConfig(size=64, objects=2)
    one, two = SyntheticClips(photographs, config, 1), SyntheticClips(photographs, config, 1)
    two.clip(5)
    assert np.array_equal(one.clip(9).frames, two.clip(9).frames)
    assert not np.array_equal(one.clip(9).frames, one.clip(10).frames)
    assert not np.array_equal(one.clip(9).frames, SyntheticClips(photographs, config, 2).clip(9).frames)


def test_wide_clips_are_windows_of_square_ones_and_stretch_nothing(photographs_folder: Path) -> None:
    squares = SyntheticClips(Photographs.open(photographs_folder), SyntheticConfig(size=112, frames=3, objects=2), 3)
    tops = set()
    for index in range(8):
        clip, square = WideClips(squares, 64).clip(index), squares.clip(index)
        assert clip.frames.shape == (3, 64, 112, 3)
        assert clip.places.shape == (3, 4, 7, 3)
        ids = set(np.unique(clip.labels)) - {0}
        assert ids
        assert ids == set(np.unique(clip.labels[0])) - {0} == set(range(1, len(ids) + 1))
        windows = [top for top in range(0, 49, 16) if np.array_equal(square.frames[:, top : top + 64], clip.frames)]
        if windows:  # else the window of this number showed no object, and another clip was taken
            assert np.array_equal(square.places[:, windows[0] // 16 : windows[0] // 16 + 4], clip.places)
            covered = square.labels[:, windows[0] : windows[0] + 64] > 0
            assert (covered | (clip.labels == 0)).all()
            tops.add(windows[0])
    assert len(tops) > 1


def test_motion_is_smooth_and_starts_where_told() -> None:
    rng = np.random.default_rng(0)
    path = random_path(rng, 6, start=(10, 20), scale=2.0, speed=5, turn=0.1, zoom=0.1, elastic=3.0)
    assert path.centre[0].tolist() == [10, 20]
    assert np.abs(np.diff(path.centre, axis=0)).max() < 40
    still = random_path(rng, 3, start=(16, 16), scale=1.0, speed=0, turn=0, zoom=0, elastic=0)
    x, y = still.sampling_map(1, (33, 33), 33)
    assert x.shape == y.shape == (33, 33)
    assert x[16, 16] == pytest.approx(16)


def test_shapes_fill_their_square() -> None:
    areas = [(random_shape(np.random.default_rng(n), 100) > 127).mean() for n in range(40)]
    assert min(areas) > 0.005
    assert max(areas) < 0.9


def test_validation_photographs_are_kept_apart(photographs_folder: Path) -> None:
    training, validation = Photographs.open(photographs_folder).split(every=4)
    assert not set(training.masked) & set(validation.masked)
    assert len(validation.masked) == 6


def test_missing_data_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROTOSCOPE_DATA", raising=False)
    with pytest.raises(InputError, match="--data FOLDER or set ROTOSCOPE_DATA"):
        data_root()
    with pytest.raises(InputError, match="no such folder"):
        data_root(tmp_path / "none")
    with pytest.raises(InputError, match="no images/ with masks/"):
        Photographs.open(tmp_path)


def test_the_demo_clip_is_exact_and_the_same_each_time() -> None:
    one, two = demo_clip(5), demo_clip(5)
    assert np.array_equal(one.frames, two.frames)
    assert one.frames.shape == (5, 480, 854, 3)
    assert all(set(np.unique(labels)) == {0, 1, 2} for labels in one.labels)


def test_cells_that_show_the_same_place_look_the_same(photographs_folder: Path) -> None:
    clips = SyntheticClips(Photographs.open(photographs_folder), SyntheticConfig(size=128, frames=3, objects=2), 4)
    alike, unlike = [], []
    rng = np.random.default_rng(0)
    for index in range(30):
        clip = clips.clip(index)
        assert clip.places.shape == (3, 8, 8, 3)
        colours = clip.frames[:, 8::16, 8::16].astype(float).reshape(3, 64, 3)
        places = clip.places.reshape(3, 64, 3)
        for here, place in enumerate(places[1]):
            near = np.abs(places[0, :, 1:] - place[1:]).max(axis=1) < 3
            for there in np.flatnonzero(near & (places[0, :, 0] == place[0]) & (place[0] >= 0)):
                alike.append(np.abs(colours[1, here] - colours[0, there]).mean())
                unlike.append(np.abs(colours[1, here] - colours[0, rng.integers(64)]).mean())
    assert len(alike) > 100
    assert np.median(alike) < 0.5 * np.median(unlike)
