"""Clips of solid colours: what a pixel shows is known from its colour, so the truth can be checked against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.datasets.look_alikes import LookAlikes
from rotoscope.datasets.pairs import ComposedClip, Cut, MixedClips, all_pairs, flatten, some_triples
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.placement import COARSE, MEETING, find_place, laid_masks
from rotoscope.datasets.sequences import VideoDataset, VideoSequence
from rotoscope.errors import InputError

SIZE = (64, 48)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
BLANK = 2


def solid(folder: Path, colour: str, frames: int, step: int, blank: int = 0) -> VideoSequence:
    """A block of one colour that moves over black; the first ``blank`` masks are empty."""
    images, masks = {}, {}
    width, height = SIZE
    for t in range(frames):
        mask = np.zeros((height, width), np.uint8)
        mask[14:32, 8 + step * t : 26 + step * t] = 255
        image = np.zeros((height, width, 3), np.uint8)
        image[mask > 0] = COLOURS[colour]
        name = f"{t:05d}"
        images[name], masks[name] = folder / f"{colour}-{name}.png", folder / f"{colour}-{name}-mask.png"
        Image.fromarray(image).save(images[name])
        Image.fromarray(mask if t >= blank else mask * 0).save(masks[name])
    return VideoSequence(colour, tuple(images), images, {name: (path,) for name, path in masks.items()}, codec="binary")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> VideoDataset:
    folder = tmp_path_factory.mktemp("solid")
    sequences = (solid(folder, "red", 9, 3), solid(folder, "green", 12, 0, BLANK), solid(folder, "blue", 8, 1))
    return VideoDataset("made up", "davis16", folder, "val", sequences)


def colours_say(clip: ComposedClip) -> tuple[np.ndarray, np.ndarray]:
    """Labels by colour, and where one colour fills so much of a pixel that there is no doubt."""
    inks = [COLOURS[name] for name in clip.name.split("+")]
    shares = np.stack([clip.frames[..., np.argmax(ink)] / 255 for ink in inks])
    shares = np.concatenate([1 - shares.sum(axis=0, keepdims=True), shares])
    return shares.argmax(axis=0), shares.max(axis=0) > 0.75


@pytest.mark.parametrize("short", [24, 48])
def test_the_truth_is_what_the_pixels_show(dataset: VideoDataset, short: int) -> None:
    hidden = []
    for clips in (MixedClips(all_pairs(dataset), short), MixedClips(some_triples(dataset), short)):
        for index in range(len(clips)):
            clip = clips.clip(index)
            shown, certain = colours_say(clip)
            assert certain.mean() > 0.9
            assert np.array_equal(clip.labels[certain], shown[certain])
            assert clip.objects == tuple(range(1, 1 + len(clips.members[index])))
            areas = [(clip.labels == i).sum(axis=(1, 2)) for i in clip.objects]
            hidden.append(max(1 - area.min() / area.max() for area in areas))
    assert max(hidden) > 0.3  # some object is hidden in part at some time
    assert min(hidden) < 1


def test_depths_are_drawn(dataset: VideoDataset) -> None:
    """The scene's own object is hidden in some clips and hides in others; either way all of a front object is there."""
    clips = [MixedClips([pair], 48, seed=seed).clip(0) for pair in all_pairs(dataset)[:2] for seed in range(6)]
    whole = [bool(((clip.labels == 1).sum(axis=(1, 2)) == 18 * 18).all()) for clip in clips]
    assert any(whole)
    assert not all(whole)


def test_a_clip_is_a_function_of_seed_and_number(dataset: VideoDataset) -> None:
    one, two = (MixedClips(all_pairs(dataset), 24).clip(3) for _ in range(2))
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.labels, two.labels)
    other = MixedClips(all_pairs(dataset), 24, seed=1).clip(3)
    assert not np.array_equal(one.labels, other.labels)


def test_fewer_frames_are_the_beginning_of_the_same_clip(dataset: VideoDataset) -> None:
    whole, part = (MixedClips(all_pairs(dataset), 24, frames).clip(1) for frames in (None, 3))
    assert len(part.frames) == 3
    assert np.array_equal(part.frames, whole.frames[:3])
    assert np.array_equal(part.labels, whole.labels[:3])


def test_clips_are_as_long_as_the_shorter_member_from_where_each_is_seen(dataset: VideoDataset) -> None:
    clips = MixedClips(all_pairs(dataset), None)
    lengths = {clip.name: len(clip.frames) for clip in map(clips.clip, range(len(clips)))}
    assert lengths["red+green"] == lengths["green+red"] == 9
    assert lengths["red+blue"] == lengths["blue+green"] == 8
    assert clips.clip(0).frames.shape[1:] == (48, 64, 3)
    assert MixedClips(all_pairs(dataset), 480).clip(0).frames.shape[1:] == (48, 64, 3)  # never enlarged


def test_triples_need_three_sequences(dataset: VideoDataset) -> None:
    two = VideoDataset("made up", "davis16", dataset.root, "val", dataset.sequences[:2])
    assert some_triples(two) == []
    assert len(all_pairs(two)) == 2
    triples = some_triples(dataset, 4)
    assert len(triples) == 4
    assert all(len({sequence.name for sequence in triple}) == 3 for triple in triples)


def test_a_sequence_without_an_object_is_named(dataset: VideoDataset, tmp_path: Path) -> None:
    empty = solid(tmp_path, "red", 3, 0, blank=3)
    with pytest.raises(InputError, match=r"red: no annotated frame .* Leave it out"):
        MixedClips([(dataset.sequences[1], empty)], 24).clip(0)


def test_layers_go_before_and_behind_exactly() -> None:
    """A row of pixels: the scene is 40, its own object 200 in the last two and in half of the second."""
    scene = np.full((1, 4, 3), 40, np.float32)
    scene[0, 2:] = 200
    own = Cut(np.zeros((1, 4, 3), np.float32), np.zeros((1, 4), np.float32))
    own.colour[0, 2:], own.alpha[0, 2:] = 200, 1
    scene[0, 1], own.colour[0, 1], own.alpha[0, 1] = 120, 100, 0.5
    cut = Cut(np.full((1, 4, 3), 80, np.float32), np.ones((1, 4), np.float32))
    assert flatten(scene, own, [], [])[0, :, 0].tolist() == [40, 120, 200, 200]
    assert flatten(scene, own, [cut], [])[0, :, 0].tolist() == [80, 140, 200, 200]
    assert flatten(scene, own, [], [cut])[0, :, 0].tolist() == [80, 80, 80, 80]


def test_a_cut_beyond_the_edges_is_lost() -> None:
    cut = Cut(np.ones((2, 3, 3), np.float32), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert cut.at(-1, 1, (3, 3)).alpha.tolist() == [[0, 0, 0], [1, 2, 0], [4, 5, 0]]
    assert cut.at(1, -1, (3, 3)).alpha.tolist() == [[0, 3, 4], [0, 0, 0], [0, 0, 0]]
    for left, top in ((9, 0), (-9, 0), (0, 9), (0, -9)):
        assert not cut.at(left, top, (3, 3)).alpha.any()


def test_a_place_lets_objects_meet_in_part_of_the_clip() -> None:
    standing = np.zeros((20, COARSE, 107), bool)
    moving = np.zeros((20, COARSE, 107), bool)
    standing[:, 20:40, 45:65] = True
    for t in range(20):
        moving[t, 20:40, 10 + 3 * t : 30 + 3 * t] = True
    for seed in range(5):
        place = find_place(np.random.default_rng(seed), standing, moving)
        pasted = laid_masks(moving, place, standing.shape[1:])
        smaller = np.minimum(standing.sum(axis=(1, 2)), np.maximum(pasted.sum(axis=(1, 2)), 1))
        overlap = (standing & pasted).sum(axis=(1, 2)) / smaller
        assert 0.2 <= (overlap >= MEETING).mean() <= 0.7
        assert overlap[0] <= 0.2


@pytest.mark.parametrize("index", [0, 1])
def test_look_alikes_are_labelled_and_cross(photographs_folder: Path, index: int) -> None:
    clips = LookAlikes(Photographs.open(photographs_folder), 96)
    clip = clips.clip(index)
    copies = 2 + index
    assert 24 <= len(clip.frames) <= 40
    assert clip.frames.shape == (*clip.labels.shape, 3)
    assert clip.objects == tuple(range(1, copies + 1))
    areas = np.array([[(labels == i).sum() for i in clip.objects] for labels in clip.labels])
    assert areas[0].min() > 0.6 * areas[0].max()  # copies of one thing, all seen at first
    assert (areas / areas.max(axis=0)).min() < 0.75  # then one hides another
    centres = [[np.argwhere(clip.labels[t] == i).mean(axis=0) for i in clip.objects] for t in (0, -1)]
    assert np.linalg.norm(np.subtract(*centres), axis=1).min() > 20
    colours = [np.median(clip.frames[0][clip.labels[0] == i], axis=0) for i in clip.objects]
    assert np.ptp(colours, axis=0).max() < 12


def test_look_alikes_are_the_same_each_time(photographs_folder: Path) -> None:
    photographs = Photographs.open(photographs_folder)
    one, two = LookAlikes(photographs, 64).clip(4), LookAlikes(photographs, 64, frames=5).clip(4)
    assert np.array_equal(one.frames[:5], two.frames)
    assert np.array_equal(one.labels[:5], two.labels)
    assert not np.array_equal(one.frames[0], LookAlikes(photographs, 64, seed=1).clip(4).frames[0])
