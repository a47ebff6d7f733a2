"""The loss of pictures under RSIS and RIS, and their recipes (Salvador et al., 2017; Romera-Paredes and Torr, 2016)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate
from rotoscope.methods.augmentation import PLAIN, Augmentation, Geometry
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.rsis.config import RIS_LEAVES, RIS_PERSONS
from rotoscope.methods.rsis.losses import Targets, ris_loss, rsis_loss
from rotoscope.methods.rsis.network import RSISNetwork, Steps

MOST = 20
"""Objects of a picture that are looked at; of more, the largest."""
SMALL: dict[str, Any] = {"trunk": "efficientnet-lite0", "hidden": 64, "classes": 0, "size": (192, 256)}
"""Sizes of ``rsis-small``: a trunk made for processors without a GPU, half the channels, no classes."""
EVERY = (0.0,) * (MOST - 1) + (1.0,)
"""All objects of a picture, up to :data:`MOST`."""
VOC_EPOCH, LEAVES_EPOCH = 340, 5
"""Steps of an epoch: 9,500 pictures of Pascal VOC and SBD by 28, and 96 of CVPPP by 20."""
PATIENCE = 31
"""Epochs of each limit of the curriculum on leaves. The authors go on once validation has not improved for 30."""
MASKS_ONLY, WITH_CLASSES = {"classes": 0.0, "stop": 0.0}, {"stop": 0.0}


def _stills(epochs: int, epoch: int, size: int, batch: int, loss: dict[str, float], encoder: bool = True) -> Stage:
    """Epochs on single photographs with all their objects, at a constant rate."""
    steps, rates = epochs * epoch, {} if encoder else {"encoder.": 0.0}
    return Stage(steps, size, 1, batch, "stills", EVERY, None, (steps,), loss=loss, rates=rates)


def _turned(degrees: float) -> Augmentation:
    """RIS's changes of a picture: mirrored and turned."""
    return replace(PLAIN, clip=Geometry(degrees=degrees))


def _published(name: str, config: dict[str, Any], stages: tuple[Stage, ...], scale: tuple[float, float]) -> Recipe:
    return Recipe(
        name=name,
        method="rsis",
        config=config,
        stages=stages,
        trunk="imagenet",
        trunk_rate=1e-3,
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=1e-6,
        clip_norm=0.0,
        average=0.0,
        augmentation=replace(PLAIN, clip=Geometry(degrees=10, scale=scale, shear=0.1, shift=0.1, by_axis=True)),
        validate_every=4 * VOC_EPOCH,
    )


def _limited(limit: int) -> Stage:
    """The curriculum on leaves: so many objects of each picture; the stop head learns once there are more than five."""
    loss = {"limit": float(limit), "classes": 0.0, "stop": 0.1 if limit > 5 else 0.0}
    return _stills(PATIENCE, LEAVES_EPOCH, 400, 20, loss)


RECIPES: dict[str, Recipe] = {
    "rsis-small": Recipe(
        name="rsis-small",
        method="rsis",
        config=SMALL,
        stages=(
            Stage(200, 128, 1, 6, "salient", loss={"limit": 2.0, "stop": 0.0}),
            Stage(200, 128, 1, 6, "salient", loss={"limit": 5.0, "stop": 0.0}),
            Stage(400, 160, 1, 6, "salient"),
        ),
        inference={"keep_aspect": True},
        trunk="imagenet",
        trunk_rate=0.2,
        objects=(0.0,) * 9 + (1.0,),
        learning_rate=1e-3,
        warm_up=30,
        average=0.99,
        loss={"entropy": 1.0},
        validate_every=200,
        validation_clips=8,
    ),
    "rsis": _published(
        "rsis",
        {},
        (
            _stills(20, VOC_EPOCH, 256, 28, MASKS_ONLY),
            _stills(40, VOC_EPOCH, 256, 28, WITH_CLASSES),
            _stills(60, VOC_EPOCH, 256, 28, {}),
        ),
        (1 / 1.4, 1 / 0.7),
    ),
    "rsis-leaves": _published(
        "rsis-leaves",
        {"classes": 2, "slots": 20, "size": (400, 400)},
        tuple(_limited(limit) for limit in range(2, MOST + 1)),
        (1.0, 1 / 0.7),
    ),
    "ris-persons": Recipe(
        name="ris-persons",
        method="rsis",
        config={**RIS_PERSONS, "slots": 10},
        stages=(Stage(100_000, 512, 1, 1, "stills", EVERY, None, (100_000,)),),
        inference={"slots": RIS_PERSONS["slots"]},
        trunk="imagenet",
        trunk_rate=0.0,
        optimiser="adam",
        learning_rate=1e-5,
        weight_decay=0.0,
        clip_norm=5.0,
        average=0.0,
        loss={"stop": 1.0},
        augmentation=_turned(22.5),
        validate_every=5000,
    ),
    "ris-leaves": Recipe(
        name="ris-leaves",
        method="rsis",
        config={**RIS_LEAVES, "slots": 40, "size": (112, 112)},
        stages=tuple(
            Stage(steps, 112, 1, 1, "stills", EVERY, None, (steps,), loss={"limit": float(limit), "stop": 1.0})
            for limit, steps in ((2, 5_000), (5, 5_000), (10, 10_000), (40, 40_000))
        ),
        inference={"slots": RIS_LEAVES["slots"]},
        optimiser="adam",
        learning_rate=1e-4,
        weight_decay=0.0,
        clip_norm=5.0,
        average=0.0,
        augmentation=_turned(180),
        validate_every=2500,
    ),
}
"""Recipes by name. ``rsis`` is the published one for Pascal VOC, ``rsis-leaves`` that for CVPPP: terms and objects join
where the authors' patience ran out, which here are fixed numbers of epochs. ``ris-persons`` and ``ris-leaves`` are
RIS's; how long each part of its curriculum was is not published, nor is its trunk one of ours. Its gradients were
clamped element by element, here their norm is. Pictures are changed as the authors' code does where it is asked to."""


def clip_loss(
    network: RSISNetwork,
    clip: ClipBatch,
    *,
    limit: float = 0.0,
    classes: float = 0.1,
    stop: float = 0.5,
    box: float = 0.1,
    entropy: float = 0.0,
) -> ClipLoss:
    """The loss of a clip, each of whose frames is a picture of its own.

    Terms of weight 0 are computed and logged only, so a recipe lets one join in a later stage.

    Args:
        network: what is trained.
        clip: what it is computed on.
        limit: most objects looked for, for a curriculum; 0 for as many as there are.
        classes: weight of the classes' cross-entropy, where the network has the head and the classes are known.
        stop: weight of the stop scores' cross-entropy. RIS has 1.
        box: weight of the boxes' smooth L1, where the network has the head.
        entropy: weight of a binary cross-entropy beside the soft IoU (not in the released recipe).

    Raises:
        InputError: objects of a class that the network's head does not have.
    """
    images, labels = clip.images.flatten(0, 1), clip.labels.flatten(0, 1)
    most = max(MOST, network.slots)
    known = None if clip.classes is None else clip.classes.repeat_interleave(clip.labels.shape[1], dim=0)
    truth = Targets.of(labels, known, most, network.beyond)
    steps = min(network.slots, int(limit) or network.slots, truth.most + network.beyond)
    answers = network.run(images, steps)
    if not network.pyramid:
        return _ris_loss(answers, truth, clip, stop, network.beyond)
    if answers.classes is not None and int(truth.classes.max()) >= answers.classes.shape[2]:
        raise InputError(
            f"objects are of class {int(truth.classes.max())}, and the network tells {answers.classes.shape[2]} "
            f"classes apart, 0 among them. Give more: --set config.classes=…"
        )
    costs = rsis_loss(answers, truth)
    weights = {"soft_iou": 1.0, "stop": stop, "entropy": entropy}
    terms = {"soft_iou": costs.mask, "stop": costs.stop, "entropy": costs.entropy}
    if answers.classes is not None and known is not None:
        terms["classes"], weights["classes"] = costs.classes, classes
    if answers.boxes is not None:
        terms["box"], weights["box"] = costs.box, box
    loss = torch.stack([weights[name] * term for name, term in terms.items() if weights[name]]).sum()
    parts = {name: term.item() for name, term in terms.items()}
    return ClipLoss(loss, parts, _answers(answers, truth, costs.truth_of, costs.matched, clip))


def _ris_loss(answers: Steps, truth: Targets, clip: ClipBatch, stop: float, beyond: int) -> ClipLoss:
    """The loss of RIS: of each picture by itself, over its own number of steps."""
    losses, matched, truth_of = [], torch.zeros_like(answers.stop), torch.zeros_like(answers.stop, dtype=torch.long)
    for number, count in enumerate(truth.objects.sum(dim=1).int().tolist()):
        steps = min(answers.stop.shape[1], count + beyond)
        scores = torch.sigmoid(answers.stop[number, :steps])
        costs = ris_loss(answers.masks[number, :steps], scores, truth.masks[number, :count], stop)
        losses.append(costs.loss)
        first = min(count, steps)
        truth_of[number, :first], matched[number, :first] = costs.truth_of[:first], 1
    loss = torch.stack(losses).mean()
    return ClipLoss(loss, {"ris": loss.item()}, _answers(answers, truth, truth_of, matched, clip))


@torch.no_grad()
def _answers(answers: Steps, truth: Targets, truth_of: Tensor, matched: Tensor, clip: ClipBatch) -> Tensor:
    """The steps as answers about the objects that they were matched with, of the frames after the first."""
    clips, frames = clip.labels.shape[:2]
    size = answers.masks.shape[-2:]
    own = answers.masks.new_zeros(clips * frames, clip.objects, *size)
    if frames > 1:
        label_of = torch.gather(truth.order, 1, truth_of)
        for picture, step in (matched > 0).nonzero().tolist():
            own[picture, label_of[picture, step]] = answers.masks[picture, step]
    later = own.unflatten(0, (clips, frames))[:, 1:]
    return aggregate(later.float(), dim=2)


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("encoder.",)})
