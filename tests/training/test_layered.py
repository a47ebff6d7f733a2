"""Clips that are laid together where the network trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.photographs import Photographs
from rotoscope.errors import InputError
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import Origin
from rotoscope.training.clips import Batch, StepBatches
from rotoscope.training.data import TrainingData
from rotoscope.training.layered.plan import Chances, ClipPlan, Layer, StepPlan, step_plan
from rotoscope.training.layered.planner import Planner
from rotoscope.training.layered.render import Renderer
from rotoscope.training.layered.source import LayeredClips
from rotoscope.training.run import prepare

SHAPE = ClipShape(64, 4, 2, skip=1, width=96)
SMALL = {"trunk": "efficientnet-lite0", "value_encoder": "light", "decoder": "light", "value_width": 8, "value_dim": 16}
THIN = {"thin_dim": 16, "decoder_dims": (16, 8, 8), "key_dim": 16}


@pytest.fixture(scope="module")
def data(every_data: list[str]) -> TrainingData:
    return TrainingData.open([word for word in every_data if word != "--data"])


@pytest.fixture(scope="module")
def layered(data: TrainingData) -> LayeredClips:
    return data.layered


def plain(layer: Layer) -> Layer:
    """The layer with its colours as they are."""
    return replace(layer, gain=np.ones(3), gamma=1.0, shutter=0.0)


def unchanged(clip: ClipPlan) -> ClipPlan:
    """The clip without what a camera does."""
    still = np.tile([1.0, 0.0], (len(clip.flicker), 1))
    layers = tuple(plain(layer) for layer in clip.layers)
    return replace(clip, scene=plain(clip.scene), layers=layers, flicker=still, noise=0.0, soft=0.0, grey=False)


def rendered(layered: LayeredClips, chances: Chances, seeds: range, camera: bool = False) -> Batch:
    planner = Planner(layered.stock, chances)
    clips = [planner.clip(np.random.default_rng(seed), SHAPE) for seed in seeds]
    return Renderer(layered.stock)(step_plan(clips if camera else [unchanged(clip) for clip in clips], SHAPE))


def test_a_clip_is_a_function_of_its_seed_and_of_nothing_beside_it(layered: LayeredClips) -> None:
    first = rendered(layered, Chances(), range(3), camera=True)
    again = rendered(layered, Chances(), range(3), camera=True)
    assert all(one.equal(other) for one, other in zip(first[:2], again[:2], strict=True))
    alone = rendered(layered, Chances(), range(1, 2))
    beside = rendered(layered, Chances(), range(3))
    assert alone.frames[0].equal(beside.frames[1])
    assert alone.labels[0].equal(beside.labels[1])


def test_frames_and_labels_have_the_shape_that_is_asked_for(layered: LayeredClips) -> None:
    batch = rendered(layered, Chances(), range(12), camera=True)
    assert batch.frames.shape == (12, 4, 3, 64, 96)
    assert batch.frames.dtype == torch.uint8
    assert batch.labels.shape == (12, 4, 64, 96)
    assert batch.places.shape == (12, 4, 4, 6, 3)
    assert int(batch.labels.max()) <= batch.objects == 2


def test_every_label_is_seen_in_the_first_frame(layered: LayeredClips) -> None:
    batch = rendered(layered, Chances(extra=0.5, hide=0.5), range(24), camera=True)
    for labels in batch.labels:
        ids = set(labels.unique().tolist()) - {0}
        assert ids
        assert ids == set(range(1, max(ids) + 1))
        assert all(int((labels[0] == number).sum()) >= 16 for number in ids)


def test_labels_are_where_the_objects_colour_is(layered: LayeredClips, photographs_folder: Path) -> None:
    """Objects of the drawn photographs have one colour each; wherever a label is, a clip shows one colour."""
    batch = rendered(layered, Chances((0, 1, 0), extra=0, hide=0, painted=0, twin=0, filmed=0), range(16))
    spread = []
    for frames, labels in zip(batch.frames, batch.labels, strict=True):
        for number in range(1, int(labels.max()) + 1):
            inner = torch.nn.functional.avg_pool2d((labels == number).float(), 5, 1, 2) > 0.999
            pixels = frames.permute(0, 2, 3, 1)[inner].float()
            if len(pixels) > 40:
                spread.append(float((pixels - pixels.median(dim=0).values).abs().max(dim=1).values.quantile(0.95)))
    assert len(spread) > 12
    assert max(spread) < 24  # of 255: what JPEG leaves


def test_cells_that_show_one_place_show_one_colour(layered: LayeredClips) -> None:
    batch = rendered(layered, Chances((0, 1, 0), extra=0, hide=0, painted=0, twin=0, filmed=0), range(16))
    colours = batch.frames[..., 8::16, 8::16].permute(0, 1, 3, 4, 2).float()
    compared = []
    for colour, place in zip(colours, batch.places, strict=True):
        first, later = (place[t].flatten(0, 1) for t in (0, 1))
        near = (first[:, None, 0] == later[None, :, 0]) & (first[:, None, 0] >= 0)
        near &= (first[:, None, 1:] - later[None, :, 1:]).norm(dim=2) < 0.7
        one, other = near.nonzero(as_tuple=True)
        apart = colour[0].flatten(0, 1)[one] - colour[1].flatten(0, 1)[other]
        compared += apart.abs().mean(dim=1).tolist()
    assert len(compared) > 20
    assert float(np.median(compared)) < 12


def test_a_video_keeps_its_own_motion(layered: LayeredClips) -> None:
    """The drawn video's square moves; with a scene of a video alone, its label moves in the clip too."""
    batch = rendered(layered, Chances((1, 0, 0), extra=0, hide=0, unlabelled=0), range(8))
    moved = 0
    for labels in batch.labels:
        (_, xs), (_, later) = (torch.where(labels[t] == 1) for t in (0, -1))
        moved += bool(len(later) and abs(float(xs.float().mean() - later.float().mean())) > 1.0)
    assert moved >= 4


@pytest.mark.parametrize("filmed", [True, False])
def test_what_comes_nearer_grows_and_what_goes_away_shrinks(layered: LayeredClips, filmed: bool) -> None:
    scene = (1.0, 0.0, 0.0) if filmed else (0.0, 0.0, 1.0)
    chances = Chances(scene=scene, filmed=0.0, twin=0.0, crossing=0.0, hide=0.0, extra=0.0, unlabelled=0.0, leave=0.0)
    ratios: dict[float, list[float]] = {0.0: [], 1.0: []}
    for approach in ratios:
        planner = Planner(layered.stock, replace(chances, approach=approach))
        for seed in range(30):
            clip = planner.clip(np.random.default_rng(seed), SHAPE)
            layer = clip.scene if filmed else clip.layers[0]
            extents = [abs(float(np.linalg.det(matrix[:, :2]))) ** -0.5 for matrix in layer.matrices]
            ratios[approach].append(abs(np.log(extents[-1] / extents[0])))
    assert np.median(ratios[0.0]) < 0.2
    assert np.median(ratios[1.0]) > (0.25 if filmed else 0.4)  # the films here are small, and not enlarged without end


def test_a_window_that_becomes_narrower_keeps_its_object_in_sight(layered: LayeredClips) -> None:
    chances = Chances(scene=(1.0, 0.0, 0.0), approach=1.0, unlabelled=0.0, hide=0.0, extra=0.0)
    planner, seen = Planner(layered.stock, chances), 0
    for seed in range(20):
        clip = planner.clip(np.random.default_rng(seed), SHAPE)
        labels = Renderer(layered.stock)(step_plan([unchanged(clip)], SHAPE)).labels[0]
        first = int(clip.targets[clip.targets > 0][0]) if (clip.targets > 0).any() else 0
        if first:
            assert all(bool((frame == first).any()) for frame in labels)
            seen += 1
    assert seen > 10


def test_what_hides_an_object_covers_it_whole_for_a_while(layered: LayeredClips) -> None:
    shape = replace(SHAPE, frames=8, objects=1)
    planner = Planner(layered.stock, Chances((0, 0, 1), extra=0, hide=1, filmed=0, leave=0))
    clips = [planner.clip(np.random.default_rng(seed), shape) for seed in range(16)]
    hidden = [clip for clip in clips if len(clip.layers) == 2]
    assert len(hidden) > 4
    labels = Renderer(layered.stock)(step_plan(hidden, shape)).labels
    gone = (labels == 1).flatten(2).sum(dim=2) == 0
    assert gone.any(dim=1).float().mean() > 0.7
    assert not gone[:, 0].any()


def test_a_run_with_layered_steps_resumes(tmp_path: Path, every_data: list[str]) -> None:
    stages = (Stage(2, 48, 3, 2, "layered"), Stage(1, 48, 3, 2))
    recipe = Recipe("r", "stcn", {**SMALL, **THIN}, stages, warm_up=1, validate_every=100, validation_clips=2)
    given = [word for word in every_data if word != "--data"]
    states = []
    for folder, stops in (("whole", [3]), ("cut", [1, 3])):
        for stop in stops:
            trainer = prepare(recipe, given, tmp_path / folder, device="cpu", workers=0, threads=1, resume=True)
            for line in trainer.run(save_every=1, log_every=1):
                if line.step == stop:
                    break
        states.append(trainer.average)
    assert all(states[0][name].equal(tensor) for name, tensor in states[1].items())


def test_plans_are_shared_out_between_processes(data: TrainingData) -> None:
    recipe = Recipe("r", "stcn", {}, (Stage(1, 48, 2, 2, "layered"),))
    half = replace(recipe, stages=(Stage(1, 48, 2, 1, "layered"),))
    whole = StepBatches(recipe, data)[0]
    parts = [StepBatches(half, data, process, 2)[0] for process in (0, 1)]
    for number, part in enumerate(parts):
        assert isinstance(whole, StepPlan)
        assert isinstance(part, StepPlan)
        assert part.scenes.matrices[0].equal(whole.scenes.matrices[number])


def test_what_cannot_be_laid_together_is_said(data: TrainingData) -> None:
    recipe = Recipe("r", "stcn", {}, (Stage(1, 48, 2, 1, "layered", also=(Origin("stills", share=0.5),)),))
    with pytest.raises(InputError, match="layered clips make whole steps"):
        StepBatches(recipe, data)
    with pytest.raises(InputError, match="layered clips need photographs"):
        TrainingData(None).sources(Recipe("r", "stcn", {}, (Stage(1, 48, 2, 1, "layered"),)))
    with pytest.raises(InputError, match="layered clips need photographs"):
        LayeredClips(Photographs((), ()), []).stock  # noqa: B018  # it is read when asked for
