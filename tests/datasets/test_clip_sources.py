"""Training clips from photographs and videos."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotoscope.datasets.augment import Affine, Colour, recolour, thin_plate, warp
from rotoscope.datasets.clip_sources import ClipShape, Mixture, StillClips, SynthVOS, finished, read_still
from rotoscope.datasets.interpolation import interpolate_labels
from rotoscope.datasets.spec import open_dataset
from rotoscope.datasets.stills import Still
from rotoscope.datasets.synthetic import Clip
from rotoscope.datasets.video_clips import VideoClips
from rotoscope.errors import InputError

SHAPE = ClipShape(size=48, frames=3, objects=2, skip=2)


@pytest.fixture
def stills(tmp_path: Path) -> list[Still]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(3):
        image = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        labels = np.zeros((60, 80), np.uint8)
        labels[10:35, 12:40], labels[30:55, 45:70] = 1, 2
        Image.fromarray(image).save(tmp_path / f"{number}.jpg")
        Image.fromarray(labels).save(tmp_path / f"{number}.png")
        found.append(Still(tmp_path / f"{number}.jpg", tmp_path / f"{number}.png", False))
    return found


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for t in range(12):
        image = rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)
        labels = np.zeros((60, 90), np.uint8)
        labels[10:40, 5 + 3 * t : 35 + 3 * t] = 1
        for folder, array, suffix in (("JPEGImages", image, "jpg"), ("Annotations", labels, "png")):
            path = tmp_path / "videos" / folder / "a" / f"{t:05d}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "JPEGImages" or t % 5 == 0:
                Image.fromarray(array).save(path)
    return tmp_path / "videos"


def check(clip: Clip) -> None:
    assert clip.frames.shape == (3, 48, 48, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.labels.shape == (3, 48, 48)
    ids = set(np.unique(clip.labels)) - {0}
    assert ids <= {1, 2}
    assert ids <= set(np.unique(clip.labels[0]))
    assert ids
    assert (clip.places[..., 0] == -1).all()


@pytest.mark.parametrize("kind", ["stills", "synthvos", "videos", "between", "mixture"])
def test_a_clip_is_a_function_of_its_generator(kind: str, stills: list[Still], videos: Path) -> None:
    sparse = open_dataset(f"pairs:{videos}")
    source = {
        "stills": lambda: StillClips(stills),
        "synthvos": lambda: SynthVOS(stills),
        "videos": lambda: VideoClips(sparse),
        "between": lambda: VideoClips(sparse, between=True),
        "mixture": lambda: Mixture([(1, StillClips(stills)), (3, VideoClips(sparse))]),
    }[kind]()
    for seed in range(12):
        first, second = (source.clip(np.random.default_rng(seed), SHAPE) for _ in range(2))
        check(first)
        assert np.array_equal(first.frames, second.frames)
        assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.frames, source.clip(np.random.default_rng(99), SHAPE).frames)


def test_mixture_draws_by_weight(stills: list[Still]) -> None:
    class Fixed:
        def __init__(self, value: int) -> None:
            self.value = value

        def clip(self, rng: np.random.Generator, shape: ClipShape) -> Clip:
            return Clip(
                np.full((1, 1, 1, 3), self.value, np.uint8), np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1, 3))
            )

    source = Mixture([(1, Fixed(1)), (3, Fixed(2))])
    rng = np.random.default_rng(0)
    drawn = [int(source.clip(rng, SHAPE).frames[0, 0, 0, 0]) for _ in range(400)]
    assert 0.68 < drawn.count(2) / 400 < 0.82


def test_videos_keep_gaps_within_the_curriculum(videos: Path) -> None:
    source = VideoClips(open_dataset(f"pairs:{videos}"), between=True)
    gaps = set()
    for seed in range(60):
        names = source.choose(np.random.default_rng(seed), source.sequences[0], SHAPE)
        places = [int(name) for name in names]
        assert places in (sorted(places), sorted(places, reverse=True))
        gaps |= {abs(b - a) for a, b in itertools.pairwise(places)}
        assert max(places) <= 10  # the last annotated frame: beyond it nothing can be interpolated
    assert gaps == {1, 2, 3}


def test_photographs_without_objects_say_so(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "0.jpg")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "0.png")
    empty = [Still(tmp_path / "0.jpg", tmp_path / "0.png", True)]
    with pytest.raises(InputError, match="show no object"):
        StillClips(empty).clip(np.random.default_rng(0), SHAPE)
    with pytest.raises(InputError, match="no photographs with masks"):
        SynthVOS([])
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="mask is 40x20 but the image is 40x40"):
        read_still(empty[0])


def test_objects_that_are_not_in_the_first_frame_do_not_exist() -> None:
    marks = [np.zeros((48, 48), np.uint8) for _ in range(2)]
    marks[0][:20, :20] = 7
    marks[1][:20, :20], marks[1][30:, 30:] = 7, 9
    clip = finished(np.random.default_rng(0), [np.zeros((48, 48, 3), np.uint8)] * 2, marks, 2)
    assert clip is not None
    assert set(np.unique(clip.labels)) == {0, 1}
    assert (
        finished(np.random.default_rng(0), [np.zeros((48, 48, 3), np.uint8)], [np.zeros((48, 48), np.uint8)], 2) is None
    )


def test_affine_maps_stay_in_their_ranges() -> None:
    rng = np.random.default_rng(0)
    centre = np.array([(80 - 1) / 2, (60 - 1) / 2, 1])
    for _ in range(50):
        matrix = Affine(degrees=20, scale=(0.9, 1.1), shear=10).draw(rng, (80, 60))
        np.testing.assert_allclose(matrix @ centre, centre[:2], atol=1e-9)
        assert 0.81 - 1e-9 <= np.linalg.det(matrix[:, :2]) <= 1.21 + 1e-9
    np.testing.assert_allclose(Affine().draw(rng, (80, 60)), [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_image_and_mask_move_together() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[20:40, 20:40] = 1
    image = np.repeat(labels[..., None] * 255, 3, axis=2)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        matrix = Affine(degrees=30, shift=0.1).draw(rng, (60, 60))
        moved, marked = warp(image, labels, matrix, (60, 60))
        assert not np.array_equal(marked, labels)
        assert apart(moved, marked) < 0.02
        assert apart(moved, np.roll(marked, 10, axis=1)) > 0.05  # which masks moved elsewhere do not pass
        bent, marks = thin_plate(rng, image, labels)
        assert not np.array_equal(marks, labels)
        assert apart(bent, marks) < 0.03


def apart(image: np.ndarray, mask: np.ndarray) -> float:
    """Share of the pixels inside the picture where a white square and its mask disagree.

    What a map brings in from beyond the picture is grey, neither object nor background.
    """
    beyond = np.abs(image.astype(int) - 124).max(axis=2) < 30
    white = image[..., 0] > 190
    return float(((white != (mask > 0)) & ~beyond & ~edge(mask)).mean())


def edge(mask: np.ndarray) -> np.ndarray:
    """Pixels at a mask's outline, which interpolation mixes."""
    outline: np.ndarray = cv2.dilate(mask, np.ones((3, 3), np.uint8)) != cv2.erode(mask, np.ones((3, 3), np.uint8))
    return outline


def test_colours_change_within_their_ranges() -> None:
    image = np.full((4, 4, 3), (200, 100, 50), np.uint8)
    assert np.array_equal(recolour(image, (1.0, 1.0, 1.0, 0.0)), image)
    assert recolour(image, (0.5, 1.0, 1.0, 0.0)).mean() == pytest.approx(image.mean() / 2, abs=1)
    grey = recolour(image, (1.0, 1.0, 0.0, 0.0))
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1
    drawn = [Colour(0.1, 0.2, 0.3, 0.05).draw(np.random.default_rng(seed)) for seed in range(50)]
    assert all(abs(b - 1) <= 0.1 and abs(c - 1) <= 0.2 and abs(s - 1) <= 0.3 and abs(h) <= 0.05 for b, c, s, h in drawn)


def test_interpolated_masks_lie_between() -> None:
    before, after = np.zeros((60, 90), np.uint8), np.zeros((60, 90), np.uint8)
    before[20:40, 5:25], after[20:40, 45:65] = 4, 4
    middle = interpolate_labels(before, after, 0.5)
    expected = np.zeros_like(before)
    expected[20:40, 25:45] = 4
    overlap = ((middle == 4) & (expected == 4)).sum() / ((middle == 4) | (expected == 4)).sum()
    assert overlap > 0.95
    assert np.array_equal(interpolate_labels(before, after, 0.0), before)
    assert np.array_equal(interpolate_labels(before, after, 1.0), after)


def test_interpolation_of_what_is_in_one_mask_only() -> None:
    before, after = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
    before[5:20, 5:20] = 3
    assert (interpolate_labels(before, after, 0.4) == 3).sum() > 180
    assert not interpolate_labels(before, after, 0.6).any()
