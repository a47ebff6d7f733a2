"""Clips of videos with further objects in them; solid colours tell which pixel shows what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rotoscope.datasets.chances import Chances
from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.composed import ComposedClips
from rotoscope.datasets.photographs import Photographs
from rotoscope.datasets.spec import open_dataset
from rotoscope.datasets.sprites import boxes, cover, cut_out, drift, lay, placements
from rotoscope.datasets.synthetic import Clip
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.methods.augmentation import Geometry

NO_COLOUR = (0.0, 0.0, 0.0, 0.0)
SHAPE = ClipShape(size=96, frames=4, objects=2, skip=2)
WAYS = ("paste", "photo", "twin", "crossing", "halves", "cut", "plain")


def only(way: str, **others: float) -> Chances:
    """One way of composing, and nothing left to chance that is not asked for."""
    chances = {**dict.fromkeys((*WAYS, "second", "unlabelled", "behind", "leave", "hide"), 0.0), way: 1.0, **others}
    return Chances(**chances)


@pytest.fixture
def videos(tmp_path: Path) -> VideoClips:
    """Three clips of a disc, pure red, green and blue, that wanders over grey; nothing changes their colours."""
    for channel, name in enumerate("abc"):
        for t in range(10):
            image, labels = np.full((120, 180, 3), (128, 128, 120), np.uint8), np.zeros((120, 180), np.uint8)
            cv2.circle(labels, (70 + 3 * t, 60), 22, 1, -1)
            image[labels > 0] = np.eye(3)[channel] * 255
            for folder, array in (("JPEGImages", image), ("Annotations", labels)):
                path = tmp_path / "videos" / folder / name / f"{t:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path)
    videos = VideoClips(open_dataset(f"pairs:{tmp_path / 'videos'}"))
    videos.how = replace(videos.how, grey=0.0, clip_colour=NO_COLOUR, frame_colour=NO_COLOUR)
    return videos


def made(source: ComposedClips, count: int = 24, shape: ClipShape = SHAPE) -> list[Clip]:
    return [source.clip(np.random.default_rng(seed), shape) for seed in range(count)]


def inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its edge, which is blended."""
    padded = np.pad(mask, 1).astype(np.uint8)  # erosion would not count the picture's edge as one
    return cv2.erode(padded, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)[1:-1, 1:-1] > 0


def hues(frame: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which of the three colours a pixel shows, as 1, 2, 3; 0 for grey and for mixtures."""
    low, high = np.sort(frame, axis=-1)[..., 1].astype(int), frame.max(axis=-1).astype(int)
    return np.where((high > 60) & (low < 0.1 * high), frame.argmax(axis=-1) + 1, 0)


@pytest.mark.parametrize("way", [*WAYS, "default"])
@pytest.mark.parametrize("photographs", [True, False])
def test_a_clip_is_a_function_of_its_generator(
    way: str, photographs: bool, videos: VideoClips, photographs_folder: Path
) -> None:
    chances = Chances() if way == "default" else only(way, hide=0.5, behind=0.5, second=0.5)
    source = ComposedClips(videos, Photographs.open(photographs_folder) if photographs else None, chances)
    for first, again in zip(made(source, 8), made(source, 8), strict=True):
        assert np.array_equal(first.frames, again.frames)
        assert np.array_equal(first.labels, again.labels)
        assert first.frames.shape == (4, 96, 96, 3)
        assert first.frames.dtype == first.labels.dtype == np.uint8
        ids = set(np.unique(first.labels)) - {0}
        assert ids == set(np.unique(first.labels[0])) - {0}
        assert ids in ({1}, {1, 2})
        assert (first.places == -1).all()


def test_clips_hold_the_objects_asked_for(videos: VideoClips, photographs_folder: Path) -> None:
    source = ComposedClips(videos, Photographs.open(photographs_folder))
    assert np.mean([clip.labels.max() == 2 for clip in made(source, 60)]) > 0.7
    one = ClipShape(size=96, frames=4, objects=1, skip=2)
    assert all(clip.labels.max() == 1 for clip in made(source, 12, one))


@pytest.mark.parametrize("chances", [only("paste"), only("paste", behind=1.0), only("halves")], ids=str)
def test_masks_are_exactly_what_is_seen(chances: Chances, videos: VideoClips) -> None:
    shape = ClipShape(size=96, frames=4, objects=6, skip=2)
    met = 0
    for clip in made(ComposedClips(videos, None, chances), 40, shape):
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            seen = hues(frame)
            for label in np.unique(labels[labels > 0]):
                shown = np.unique(seen[inner(labels == label)])
                assert len(shown) <= 1
                assert 0 not in shown
            if len(np.unique(clip.labels[0])) == 1 + len(set(np.unique(hues(clip.frames[0]))) - {0}):
                known = np.unique(hues(clip.frames[0])[clip.labels[0] > 0])
                assert not inner(np.isin(seen, known[known > 0]) & (labels == 0)).any()
            met += len(np.unique(labels)) > 2
    assert met > 40


def test_objects_pass_behind_and_before_each_other() -> None:
    frame, mark = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)
    mark[:, :10], frame[:, :10] = 1, 200
    mark[3, 15] = 1
    sprite = np.full((1, 20, 20, 4), 255, np.uint8)
    sprite[0, :10, :, 3] = 0
    sprite[0, 2:5, 14:17, 3] = 255
    for front, covered in (((), True), ((1,), False)):
        frames, marks = [frame.copy()], [mark.copy()]
        lay(frames, marks, sprite, 2, front)
        assert (marks[0][10:, :10] == (2 if covered else 1)).all()
        assert (marks[0][10:, 10:] == 2).all()
        assert marks[0][3, 15] == (2 if covered else 1)
        assert (frames[0][12:, 2:8] == (255 if covered else 200)).all()
        assert np.array_equal(marks[0][:2], mark[:2])


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 1.7])
def test_cut_outs_land_where_they_are_sent(factor: float) -> None:
    image, mask = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), np.uint8)
    cv2.circle(mask, (150, 70), 40, 1, -1)
    image[mask > 0] = 250
    [matrix] = placements(np.array([150.0, 70.0]), np.array([[48.0, 40.0]]), np.array([factor]), 0.3, True)
    moved = cut_out(image, mask > 0, matrix, 96)
    shown = moved[..., 3] > 127
    assert abs(shown.sum() / (factor**2 * mask.sum()) - 1) < (0.06 if factor <= 1 else 0.8)  # the largest is cut off
    if factor <= 0.5:
        ys, xs = np.nonzero(shown)
        assert (xs.mean(), ys.mean()) == pytest.approx((48, 40), abs=0.3)
    assert (moved[inner(shown)][:, :3] == 250).all()


def test_twins_look_alike(videos: VideoClips) -> None:
    videos.how = replace(videos.how, share=(1.0, 1.0), frame=Geometry())
    for clip in made(ComposedClips(videos, None, only("twin"))):
        colours = [np.unique(hues(clip.frames[0])[inner(clip.labels[0] == label)]) for label in (1, 2)]
        assert clip.labels.max() == 2
        assert len(np.unique(np.concatenate(colours))) == 1
    unlabelled = made(ComposedClips(videos, None, only("twin", unlabelled=1.0)))
    assert all(clip.labels.max() == 1 for clip in unlabelled)


def test_parts_of_a_cut_object_make_up_the_whole(videos: VideoClips) -> None:
    videos.how = replace(videos.how, share=(1.0, 1.0), frame=Geometry())
    for clip in made(ComposedClips(videos, None, only("cut"))):
        assert clip.labels.max() == 2
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            assert not inner((hues(frame) > 0) != (labels > 0)).any()
            assert (labels == 1).any()
            assert (labels == 2).any()


def test_hidden_objects_vanish_and_come_back(videos: VideoClips) -> None:
    shape = ClipShape(size=96, frames=6, objects=2, skip=1, pace=0.3)
    back = 0
    for clip in made(ComposedClips(videos, None, only("paste", hide=1.0)), 40, shape):
        sizes = np.array([[(labels == i).sum() for i in (1, 2)] for labels in clip.labels])
        back += any(0 in sizes[1:-1, i] and sizes[-1, i] > 20 for i in (0, 1))
    assert back > 10


def test_a_cover_hides_the_whole_box_and_not_at_first() -> None:
    marks = [np.zeros((96, 96), np.uint8) for _ in range(5)]
    for t, mark in enumerate(marks):
        mark[30:50, 20 + 6 * t : 50 + 6 * t] = 1
    track = boxes(marks, 1)
    assert track[2].tolist() == [47, 40, 15, 10]
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sprite = cover(rng, rng.integers(0, 255, (40, 40, 3), dtype=np.uint8), track, 96)
        left = [(mark > 0) & (rgba[..., 3] < 128) for mark, rgba in zip(marks, sprite, strict=True)]
        assert np.array_equal(left[0], marks[0] > 0)
        assert any(not rest.any() for rest in left[1:])


def test_objects_leave_the_picture(videos: VideoClips) -> None:
    clips = made(ComposedClips(videos, None, only("paste", leave=1.0)), 40)
    gone = [clip.labels.max() == 2 and set(np.unique(clip.labels[-1])) != {0, 1, 2} for clip in clips]
    assert np.mean(gone) > 0.5
    rng = np.random.default_rng(0)
    assert all(np.hypot(*drift(rng, 4, 96, 0.1, True)[-1]) > 96 for _ in range(20))
    assert all(np.array_equal(drift(rng, 4, 96, 1.0, leaves)[0], [0, 0]) for leaves in (True, False))


def test_one_frame_is_enough(videos: VideoClips) -> None:
    for clip in made(ComposedClips(videos, None, Chances(hide=1.0)), 30, ClipShape(size=96, frames=1, objects=2)):
        assert clip.labels.shape == (1, 96, 96)


def test_copies_that_cross_share_a_colour_and_come_nearer(videos: VideoClips) -> None:
    shape, together, nearer = ClipShape(size=96, frames=6, objects=4, skip=0), 0, 0
    for clip in made(ComposedClips(videos, None, only("crossing")), 24, shape):
        colours = {int(i): hues(clip.frames[0])[inner(clip.labels[0] == i)] for i in np.unique(clip.labels[0]) if i}
        shown = {i: int(np.bincount(found).argmax()) for i, found in colours.items() if len(found)}
        copies = [i for i in shown if list(shown.values()).count(shown[i]) > 1]
        if len(copies) < 2:
            continue
        together += 1
        tracks = [boxes(list(clip.labels), i)[:, :2] for i in copies[:2]]
        apart = np.linalg.norm(tracks[0] - tracks[1], axis=1)
        nearer += bool(apart.min() < 0.8 * apart[0])
    assert together > 12
    assert nearer > 0.6 * together
