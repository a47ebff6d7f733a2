"""What each published recipe does to a clip: of a motionless object its masks say so."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.datasets.clip_sources import ClipShape, StillClips, SynthVOS
from rotoscope.datasets.spec import open_dataset
from rotoscope.datasets.stills import Still
from rotoscope.errors import InputError
from rotoscope.evaluation.region import region_similarity
from rotoscope.methods import make_config, recipes
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import TrainingData
from rotoscope.training.plan import noise
from rotoscope.training.run import find_recipe
from rotoscope.training.saved_recipe import as_saved, as_today

SIZE = (112, 64)
PUBLISHED = [name for name in recipes() if "small" not in name]
MOVING = {"stcn", "cosnet"}
"""Those that change each frame by itself."""
CLIPS = 12


@pytest.fixture(scope="module")
def motionless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen equal frames of one object, off the middle and of no symmetry, and a photograph of the same."""
    root = tmp_path_factory.mktemp("motionless")
    labels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    labels[20:48, 30:62] = 1
    labels[20:30, 50:62] = 0
    image = np.full((*labels.shape, 3), 60, np.uint8)
    image[labels > 0] = (200, 180, 40)
    for folder, picture in (("images", image), ("masks", labels)):
        (root / "photographs" / folder).mkdir(parents=True)
        Image.fromarray(picture).save(root / "photographs" / folder / "0.png")
    for t in range(16):
        for folder, picture in (("JPEGImages", image), ("Annotations", labels)):
            path = root / folder / "a" / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    return root


def small(name: str) -> Recipe:
    """A published recipe with its last stage alone, at a sixteenth of its pixels, on whatever sets are given."""
    recipe = find_recipe(name)
    last = recipe.stages[-1]
    short = {"steps": CLIPS, "size": 64, "width": SIZE[0] if last.width else 0, "frames": max(last.frames, 3)}
    return replace(recipe, stages=(replace(last, **short, batch=1, alternate=None),), any_set=True)


def masks(name: str, data: Path) -> list[np.ndarray]:
    """The masks of some clips of a recipe, ``[T, H, W]`` each."""
    batches = StepBatches(small(name), TrainingData.open([f"pairs:{data}", f"stills:{data / 'photographs'}"]))
    return [batches[step].labels[0].numpy() > 0 for step in range(CLIPS)]


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - MOVING))
def test_a_motionless_object_stays_where_it_is(name: str, motionless: Path) -> None:
    """In pictures too: those of RSIS are shown for as long as a clip."""
    for clip in masks(name, motionless):
        assert clip[0].any()
        assert all(np.array_equal(mask, clip[0]) for mask in clip)


def test_photographs_are_changed_as_their_recipe_says(motionless: Path) -> None:
    """COSNet mirrors and scales, so that an upright shape stays one: rows of two widths. STCN turns and bends."""
    data = TrainingData.open([f"stills:{motionless / 'photographs'}"])
    widths = {}
    for name in ("cosnet", "stcn"):
        source = data.source("stills", find_recipe(name).augmentation)
        clips = [source.clip(np.random.default_rng(seed), ClipShape(64, 1, 1)) for seed in range(20)]
        widths[name] = [len(np.unique(clip.labels[0].sum(axis=1)[clip.labels[0].any(axis=1)])) for clip in clips]
    assert max(widths["cosnet"]) <= 4  # each give or take a pixel
    assert np.mean(widths["stcn"]) > 6


def test_stcn_moves_each_frame_a_little(motionless: Path) -> None:
    overlaps = [region_similarity(a, b) for clip in masks("stcn", motionless) for a, b in itertools.pairwise(clip)]
    assert 0.5 < np.mean(overlaps) < 0.95
    assert min(overlaps) < 1


def test_cosnet_shows_each_frame_apart(motionless: Path) -> None:
    clips = masks("cosnet", motionless)
    assert sum(not np.array_equal(clip[0], clip[1]) for clip in clips) > 0.9 * CLIPS
    sizes = [clip[t].sum() for clip in clips for t in range(2)]
    assert max(sizes) / min(sizes) > 1.8  # scaled from .7 to 1.3


def test_between_clips_the_object_moves_as_the_recipe_says(motionless: Path) -> None:
    for name in ("agame", "capsulevos"):  # mirrored or not, and nothing else
        assert len({clip[0].tobytes() for clip in masks(name, motionless)}) == 2
    turned = {clip[0].tobytes() for clip in masks("rvos", motionless)}
    assert len(turned) == CLIPS
    sizes = [clip[0].sum() for clip in masks("rvos", motionless)]
    assert max(sizes) / min(sizes) > 1.3


@pytest.mark.parametrize("name", PUBLISHED)
def test_clips_have_the_shape_that_the_network_works_at(name: str) -> None:
    """Nothing is stretched in training that is not in use: A-GAME, STCN and GIEL take frames as they are."""
    recipe = find_recipe(name)
    config = make_config(recipe.method, {**recipe.config, **recipe.inference})
    worked_at = getattr(config, "size", None)
    if worked_at is not None:
        assert {(stage.size, stage.width or stage.size) for stage in recipe.stages} == {worked_at}


def test_frames_are_as_wide_as_asked_and_shown_whole_where_the_recipe_says_so(motionless: Path) -> None:
    batch = StepBatches(
        small("agame"), TrainingData.open([f"pairs:{motionless}", f"stills:{motionless / 'photographs'}"])
    )[0]
    assert batch.frames.shape[-2:] == batch.labels.shape[-2:] == (64, 112)
    assert batch.places.shape[2:4] == (4, 7)
    truth = np.asarray(Image.open(motionless / "Annotations" / "a" / "00000.png")) > 0
    shown = batch.labels[0, 0].numpy() > 0
    assert max(region_similarity(shown, truth), region_similarity(shown[:, ::-1], truth)) == 1.0
    assert noise(small("agame").stages[0], 2).frames.shape[-2:] == (64, 112)


def test_other_sources_of_rectangles(tmp_path: Path) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[10:45, 12:50] = 1
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(tmp_path / "0.png")
    Image.fromarray(labels).save(tmp_path / "0m.png")
    stills = [Still(tmp_path / "0.png", tmp_path / "0m.png", False)]
    shape = ClipShape(48, 3, 2, width=96)
    for source in (StillClips(stills), SynthVOS(stills)):
        clip = source.clip(np.random.default_rng(0), shape)
        assert clip.frames.shape == (3, 48, 96, 3)
        assert clip.labels.shape == (3, 48, 96)
    recipe = replace(small("agame"), stages=(Stage(1, 48, 2, 1, "pictures", width=96),))
    with pytest.raises(InputError, match="pictures clips are squares"):
        StepBatches(recipe, TrainingData(None))


def test_gaps_of_sparse_sets_count_in_annotations(motionless: Path, tmp_path: Path) -> None:
    """The released STCN takes annotated frames of YouTube-VOS only, and a fifth of the gaps."""
    from rotoscope.datasets.video_clips import VideoClips

    dataset = open_dataset(f"pairs:{motionless}")
    videos = VideoClips(dataset, between=False, how=find_recipe("stcn").augmentation, step=5)
    gaps = set()
    for seed in range(80):
        names = videos.choose(np.random.default_rng(seed), videos.sequences[0], ClipShape(64, 3, 1, 10))
        gaps |= {abs(int(b) - int(a)) for a, b in itertools.pairwise(names)}
    assert gaps == {1, 2, 3}
    assert not find_recipe("stcn").augmentation.between
    assert find_recipe("capsulevos").augmentation.between


def test_recipes_are_saved_with_their_augmentation_and_older_ones_had_the_default() -> None:
    saved = as_saved(find_recipe("rvos"))
    assert as_today(saved) == saved
    before = as_saved(find_recipe("stcn-small"))
    older = {key: value for key, value in before.items() if key not in ("augmentation", "mask_trunk", "any_set")}
    older["stages"] = [{k: v for k, v in stage.items() if k not in ("width", "also")} for stage in older["stages"]]
    for stage in older["stages"]:
        if stage["alternate"] is not None:
            stage["alternate"] = {k: v for k, v in stage["alternate"].items() if k != "sets"}
    assert as_today(older) == before
    partly = {k: v for k, v in before["augmentation"].items() if k not in ("every_frame", "stills")}
    assert as_today({**before, "augmentation": partly}) == before


def test_a_stage_that_is_made_smaller_keeps_its_proportions() -> None:
    changed = find_recipe("agame").changed(["stages=2x120x3x1,2x64x3x1"])
    assert [stage.shape for stage in changed.stages] == ["120x224", "64x112"]
    assert [s.shape for s in find_recipe("agame").changed(["stages=2x64x3x1:pictures"]).stages] == ["64x64"]
    assert [s.shape for s in find_recipe("rvos-davis").changed(["stages=2x240x3x1"]).stages] == ["240x427"]
