"""Losses of one training clip of RVOS, and its recipes (Ventura et al., CVPR 2019, and its released code)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.losses import soft_iou_loss
from rotoscope.layers.matching import assign, forbid, soft_iou_costs
from rotoscope.methods.augmentation import PLAIN, Geometry
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.rvos.network import Pyramid, RVOSNetwork, carried, resize, run_frame
from rotoscope.methods.sources import Origin, Sets

SMALL = {"trunk": "efficientnet-lite0", "size": (224, 384)}
"""Sizes of ``rvos-small``: an EfficientNet-Lite0 trunk and a smaller picture."""
SLOTS = 10
TRUE, INFERRED = {"inferred": 0.0}, {"inferred": 1.0}


EPOCH, DAVIS_EPOCH, BOTH_EPOCH = 4300, 205, 302
"""Steps of an epoch: four clips of five consecutive annotated frames, which do not overlap, of YouTube-VOS's training
videos; of the 60 of DAVIS-2017; and of those with the 30 of its validation."""


def _published(name: str, one_shot: bool, stages: tuple[Stage, ...], epoch: int, initial: str = "") -> Recipe:
    return Recipe(
        name=name,
        method="rvos",
        config={"one_shot": one_shot},
        stages=stages,
        inference={"size": DAVIS_SIZE} if initial else {},
        trunk="imagenet",
        initial=initial,
        augmentation=replace(
            PLAIN, clip=Geometry(degrees=10, scale=(1 / 1.4, 1 / 0.7), shear=0.1, shift=0.1, by_axis=True)
        ),
        trunk_rate=1e-3,
        optimiser="adam",
        weight_decay=1e-6,
        clip_norm=0.0,
        average=0.0,
        validate_every=epoch,
    )


UNION = {"merged": 1.0, "slots": 1.0, "empty": 0.0}
EARLY = tuple(f"encoder.{part}." for part in ("conv1", "bn1", "blocks.0", "blocks.1"))
"""What the small ones do not train: the trunk up to stride 4."""
FILMS = Origin("videos", share=0.4)
"""Real videos, all of whose salient objects are labelled."""
ALL = (*(0.0,) * 9, 1.0)
"""Chances of objects: ten slots in every step, for all that are annotated."""
DAVIS_SIZE = (240, 427)
"""Height and width of frames of DAVIS-2017 in the released code."""


def _video(steps: int, loss: dict[str, float], size: tuple[int, int] = (256, 448), videos: str = "youtubevos") -> Stage:
    """A stage as published: a constant rate, clips of five consecutive annotated frames, up to ten objects."""
    height, width = size
    return Stage(
        steps,
        height,
        5,
        4,
        "videos",
        ALL,
        1e-3,
        (steps,),
        skips=((0.0, 0),),
        loss=loss,
        width=width,
        sets=Sets((videos,)),
    )


RECIPES: dict[str, Recipe] = {
    "rvos-small": Recipe(
        name="rvos-small",
        method="rvos",
        config={**SMALL, "carry": "hard"},
        stages=(
            Stage(150, 224, 4, 6, "layered", skips=((0.0, 3),), pace=0.5, loss=TRUE),
            Stage(550, 224, 5, 5, "layered", skips=((0.0, 3),), pace=0.5),
            Stage(150, 256, 8, 3, "layered", skips=((0.0, 3),), pace=0.5),
        ),
        inference={"keep_aspect": True},
        trunk="rvos-small-zeroshot",
        trunk_rate=0.5,
        frozen=EARLY,
        warm_up=50,
        objects=(0.5, 0.35, 0.15),
        learning_rate=1e-3,
        loss={"inferred": 1.0, "entropy": 0.5},
    ),
    "rvos-small-zeroshot": Recipe(
        name="rvos-small-zeroshot",
        method="rvos",
        config={**SMALL, "one_shot": False},
        stages=(
            Stage(650, 192, 2, 6, "salient", pace=0.5, loss=UNION, also=(FILMS,)),
            Stage(150, 192, 3, 4, "salient", pace=0.77, also=(FILMS,)),
        ),
        inference={"keep_aspect": True, "apart": 0.7, "slots": 3},
        trunk="cosnet-small",
        trunk_rate=0.5,
        frozen=EARLY,
        objects=(0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
        warm_up=50,
        learning_rate=1e-3,
        loss={"slots": 6.0, "entropy": 0.3, "empty": 0.05},
    ),
    "rvos": _published("rvos", True, (_video(20 * EPOCH, TRUE), _video(20 * EPOCH, INFERRED)), EPOCH),
    "rvos-zeroshot": _published("rvos-zeroshot", False, (_video(50 * EPOCH, {}),), EPOCH),
    "rvos-davis": _published(
        "rvos-davis", True, (_video(20 * DAVIS_EPOCH, INFERRED, DAVIS_SIZE, "davis17"),), DAVIS_EPOCH, "rvos"
    ),
    "rvos-zeroshot-davis": _published(
        "rvos-zeroshot-davis",
        False,
        (_video(10 * BOTH_EPOCH, {}, DAVIS_SIZE, "davis17"),),
        BOTH_EPOCH,
        "rvos-zeroshot",
    ),
}
"""Recipes by name. ``rvos`` and ``rvos-zeroshot`` are the published ones for YouTube-VOS (20 + 20 and 50 epochs), at
256x448, from a trunk that has learnt ImageNet. ``rvos-davis`` and ``rvos-zeroshot-davis`` are their further training on
DAVIS-2017 (20 and 10 epochs, the second on training and validation videos), at the code's size. The small ones add a
cross-entropy to the soft IoU, which alone lets an object that has left the picture go on for free."""


@dataclass(frozen=True)
class ClipRun:
    """What running a clip gives.

    Attributes:
        losses: the soft IoU loss of each frame.
        entropies: binary cross-entropy over the slots that count, of each frame.
        empties: binary cross-entropy against nothing over the slots that hold no object, of each frame; 0 if all do.
        probabilities: the probabilities of each frame, by slot, ``[B, S, H, W]``, detached.
        cost: matrix ``[B, S, S]`` (true slot, predicted slot) that was matched; None for one-shot.
        truth_of: the true slot of each predicted slot, ``[B, S]``; None for one-shot.
    """

    losses: list[Tensor]
    entropies: list[Tensor]
    empties: list[Tensor]
    probabilities: list[Tensor]
    cost: Tensor | None = None
    truth_of: Tensor | None = None


def run_clip(
    network: RVOSNetwork,
    images: Tensor,
    truth: Tensor,
    weight: Tensor,
    *,
    recurrence: str = "spatial-temporal",
    inferred: bool = False,
    any_slot: bool = False,
) -> ClipRun:
    """Run a clip and compare with the truth; gradients flow back through the hidden states, not through masks.

    Args:
        network: what is trained.
        images: normalised RGB, ``[B, T, 3, H, W]``.
        truth: masks by slot, ``[B, T, S, H, W]``, 0 or 1.
        weight: 1 for slots that hold an object of the clip, ``[B, S]``.
        recurrence: see :class:`~rotoscope.methods.rvos.config.RVOSConfig`.
        inferred: one-shot takes its own mask of the frame before (second stage, the "+" model), else the true one. The
            first frame takes its own truth either way.
        any_slot: zero-shot may match an object with any slot, as the paper says; the released code only with the slots
            that stand at the objects' own places.
    """
    slots = truth.shape[2]
    before: list[Pyramid | None] | None = None
    masks = truth[:, 0]
    losses, entropies, empties, answers = [], [], [], []
    cost = truth_of = None
    for t in range(images.shape[1]):
        features = network.encode(images[:, t])
        if not inferred and t:
            masks = truth[:, t - 1]
        logits, states = run_frame(network, features, slots, masks if network.one_shot else None, before, recurrence)
        before = [state.hidden for state in states]
        full = resize(logits.float(), images.shape[-2:])  # the losses and the matching want full precision
        if inferred:
            masks = carried(torch.sigmoid(full).detach(), network.carry)
        if not network.one_shot and truth_of is None:
            cost = matching_cost(full.detach(), truth[:, 0], weight, any_slot)
            truth_of = assign(cost)
        target = truth[:, t]
        if truth_of is not None:
            target = torch.gather(target, 1, truth_of[..., None, None].expand_as(target))
        counted = weight
        if truth_of is not None and any_slot:
            counted = torch.gather(weight, 1, truth_of)
        losses.append(soft_iou_loss(full.flatten(2).flatten(0, 1), target.flatten(2).flatten(0, 1), counted.flatten()))
        each = F.binary_cross_entropy_with_logits(full, target, reduction="none").mean(dim=(2, 3))
        entropies.append((each * counted).sum() / counted.sum().clamp(min=1))
        nothing = F.softplus(full).mean(dim=(2, 3))
        empties.append((nothing * (1 - counted)).sum() / (1 - counted).sum().clamp(min=1))
        answers.append(torch.sigmoid(full).detach())
    return ClipRun(losses, entropies, empties, answers, cost, truth_of)


def matching_cost(logits: Tensor, truth: Tensor, weight: Tensor, any_slot: bool) -> Tensor:
    """Soft-IoU costs of all pairs of the first frame, ``[B, true slot, predicted slot]``; forbidden pairs cost ten."""
    cost = soft_iou_costs(torch.sigmoid(logits), truth)
    allowed = (weight[:, :, None] > 0).expand_as(cost)
    return forbid(cost, allowed if any_slot else allowed & (weight[:, None, :] > 0))


def clip_loss(
    network: RVOSNetwork,
    clip: ClipBatch,
    *,
    inferred: float = 1.0,
    any_slot: float = 0.0,
    entropy: float = 0.0,
    empty: float = 0.0,
    slots: float = SLOTS,
    merged: float = 0.0,
) -> ClipLoss:
    """The loss of a clip of labels, as the training loop asks for it.

    Args:
        network: what is trained.
        clip: what it is computed on.
        inferred, any_slot: other than 0: see :func:`run_clip`.
        entropy: weight of a binary cross-entropy beside the soft IoU (not in the released recipe).
        empty: weight of a cross-entropy against nothing for zero-shot slots that no object was matched with (not in
            the released recipe); what makes a slot's objectness mean something.
        slots: how many slots zero-shot has; ten as published.
        merged: other than 0: all objects are one, with which zero-shot begins to tell objects from the rest.
    """
    images, labels, objects = clip.images, clip.labels, clip.objects
    if merged:
        labels, objects = (labels > 0).long(), 1
    count = objects if network.one_shot else max(int(slots), objects)
    truth = F.one_hot(labels, count + 1).permute(0, 1, 4, 2, 3)[:, :, 1:].to(images.dtype)
    weight = (truth[:, 0].sum(dim=(2, 3)) > 0).to(images.dtype)
    run = run_clip(
        network, images, truth, weight, recurrence=network.recurrence, inferred=bool(inferred), any_slot=bool(any_slot)
    )
    answers = []
    for probabilities in run.probabilities[1:]:
        if run.truth_of is not None:  # back from predicted slots to the objects' own
            places_of = run.truth_of.argsort(dim=1)[:, :objects]
            size = (-1, -1, *probabilities.shape[-2:])
            probabilities = torch.gather(probabilities, 1, places_of[..., None, None].expand(size))
        answers.append(torch.stack([aggregate(p) for p in probabilities.float()]))
    terms = {"soft_iou": run.losses, "entropy": run.entropies}
    weights = {"soft_iou": 1.0, "entropy": entropy, "empty": empty}
    if not network.one_shot:
        terms["empty"] = run.empties
    sums = {name: torch.stack(term).sum() for name, term in terms.items()}
    loss = torch.stack([weights[name] * total for name, total in sums.items() if weights[name]]).sum()
    parts = {name: total.item() / len(run.losses) for name, total in sums.items()}
    return ClipLoss(loss, parts, torch.stack(answers, dim=1))


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("encoder.",)})
