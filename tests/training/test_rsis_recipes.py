"""The recipes of RSIS and RIS on photographs in the published layout: classes, terms that join, the curriculum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.methods.recipe import Recipe
from rotoscope.training.clips import StepBatches
from rotoscope.training.data import TrainingData
from rotoscope.training.loop import Trainer
from rotoscope.training.run import find_recipe, new_method, prepare, save_weights
from rotoscope.weights import load

CLASS_OF = {1: 15, 2: 7}
"""Class of each object of the miniature set."""


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pascal VOC in miniature: object 1 is red and of class 15, object 2 blue and of class 7, with unknown borders."""
    root = tmp_path_factory.mktemp("voc") / "VOC2012"
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for number in range(6):
        image, objects = np.full((96, 120, 3), 128, np.uint8), np.zeros((96, 120), np.uint8)
        for object_id, colour, left in ((1, (220, 20, 20), 8 + 2 * number), (2, (20, 20, 220), 72)):
            objects[18:80, left - 2 : left + 38] = 255
            objects[20:78, left : left + 36] = object_id
            image[20:78, left : left + 36] = colour
        classes = objects.copy()
        for object_id, kind in CLASS_OF.items():
            classes[objects == object_id] = kind
        Image.fromarray(image).save(root / "JPEGImages" / f"{number}.jpg", quality=95)
        Image.fromarray(objects).save(root / "SegmentationObject" / f"{number}.png")
        Image.fromarray(classes).save(root / "SegmentationClass" / f"{number}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(map(str, range(6))))
    return root.parent


def short(name: str, *settings: str) -> Recipe:
    """A published recipe with a small trunk, a step in each of its stages, and weights drawn at random."""
    recipe = find_recipe(name)
    stages = ",".join("1x64x1x2" for _ in recipe.stages)
    trunk = [] if recipe.config.get("trunk", "") is None else ["config.trunk=resnet18", "trunk=", "trunk_rate=1"]
    return recipe.changed([f"stages={stages}", *trunk, *settings])


def trainer(recipe: Recipe, voc: Path, folder: Path) -> Trainer:
    return prepare(recipe, f"voc2012:{voc}?split=train", folder, device="cpu", workers=0, threads=1)


def test_classes_come_with_their_objects(voc: Path) -> None:
    """Whatever slot an object is in, its class is that of its colour."""
    batches = StepBatches(short("rsis"), TrainingData.open([f"voc2012:{voc}?split=train"]))
    for step in range(3):
        batch = batches[step].on(torch.device("cpu"))
        assert batch.classes is not None
        assert batch.classes.shape == (2, 20)
        for picture, labels, classes in zip(batch.images[:, 0], batch.labels[:, 0], batch.classes, strict=True):
            for label in range(1, int(labels.max()) + 1):
                red, _, blue = picture[:, labels == label].mean(dim=1)
                assert classes[label - 1] == CLASS_OF[1 if red > blue else 2]
            assert not classes[int(labels.max()) :].any()


def test_terms_join_stage_by_stage(voc: Path, tmp_path: Path) -> None:
    run = trainer(short("rsis", "config.hidden=16"), voc, tmp_path / "rsis")
    lines = list(run.run(log_every=1))
    for line, (classes, stop) in zip(lines, ((0.0, 0.0), (0.1, 0.0), (0.1, 0.5)), strict=True):
        expected = line.parts["soft_iou"] + classes * line.parts["classes"] + stop * line.parts["stop"]
        assert line.loss == pytest.approx(expected, abs=1e-4)
    model = load(save_weights(run), device="cpu", stop_at=0.0)
    assert model.config.classes == 21


def test_classes_that_the_head_does_not_have_are_refused(voc: Path, tmp_path: Path) -> None:
    run = trainer(short("rsis", "config.hidden=16", "config.classes=10"), voc, tmp_path / "few")
    with pytest.raises(InputError, match=r"class 15, and the network tells 10 classes apart.*config\.classes"):
        list(run.run())


def test_a_network_without_a_class_head_takes_no_notice_of_classes(voc: Path) -> None:
    recipe = short("rsis", "config.classes=0", "config.hidden=16")
    assert not any("fc_class" in name for name in new_method(recipe).state_dict())
