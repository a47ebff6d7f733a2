"""Losses of one training clip of COSNet, and its recipes (Lu et al., CVPR 2019; ``train_iteration_conf.py``)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.losses import class_balanced_bce
from rotoscope.layers.normalise import denormalise
from rotoscope.methods.augmentation import PLAIN, Geometry
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.cosnet.network import COSNetNetwork, as_input, enlarge
from rotoscope.methods.recipe import AlternateSteps, Recipe, Stage
from rotoscope.methods.sources import Sets

SMALL = {
    "trunk": "efficientnet-lite0",
    "stages": 4,
    "caffe": False,
    "aspp_dim": 128,
    "dilations": (3, 6, 9),
    "dim": 128,
    "attention": "symmetric",
    "sharpness": 20.0,
    "size": (224, 400),
}
"""Sizes of ``cosnet-small``: a whole EfficientNet-Lite0, dilated to stride 8; half the channels and, for a smaller
picture, half the ranges; the paper's best attention, sharpened."""

ENCODER, HEADS = ("trunk.", "aspp.", "saliency."), ("attention.", "gate.", "look.", "query_head.", "reference_head.")
"""What a saliency step trains, and what only pairs train."""
EPOCH = 130
"""Steps of an epoch: the 2,079 training frames of DAVIS-2016 by batches of 16."""


def _rates(encoder: float, heads: float) -> dict[str, float]:
    return {**dict.fromkeys(ENCODER, encoder), "": heads}


def _published(epochs: int, learning_rate: float) -> Stage:
    """Some epochs as published: two steps of pairs for each of photographs."""
    return Stage(
        epochs * EPOCH,
        473,
        2,
        16,
        "videos",
        (1.0,),
        learning_rate,
        skips=((0.0, 60),),
        rates=_rates(0.01, 10.0),
        alternate=AlternateSteps("stills", rates=_rates(1.0, 0.0), sets=Sets(("msra10k", "dut-omron"))),
        sets=Sets(("davis16",)),
    )


RECIPES: dict[str, Recipe] = {
    "cosnet-small": Recipe(
        name="cosnet-small",
        method="cosnet",
        config=SMALL,
        stages=tuple(
            Stage(steps, size, 3, 16, "recurring", alternate=AlternateSteps("primary", rates=_rates(1.0, 0.0)))
            for steps, size in ((2000, 192), (1500, 256))
        ),
        inference={"keep_aspect": True, "sampling": "uniform", "fusion": "summary", "size": (256, 456), "guided": 2},
        trunk="imagenet",
        trunk_rate=0.3,
        objects=(1.0,),
        learning_rate=1e-3,
        loss={"balanced": 1.0, "saliency": 1.0, "attention": 0.5},
    ),
    "cosnet": Recipe(
        name="cosnet",
        method="cosnet",
        config={},
        stages=(_published(6, 2.5e-4), _published(54, 1.25e-4)),
        trunk="cosnet-deeplabv3",
        augmentation=replace(PLAIN, share=(0.81, 0.81), clip=Geometry(scale=(0.7, 1.3)), apart=True),
        optimiser="sgd",
        learning_rate=2.5e-4,
        poly=0.9,
        weight_decay=5e-4,
        clip_norm=0.0,
        average=0.0,
        frozen=tuple(f"trunk.layer{stage}.0.downsample.1." for stage in (1, 2, 3, 4)),
        validate_every=EPOCH,
    ),
}
"""Recipes by name. ``cosnet`` is the published one: videos of DAVIS-2016 (``--data "davis16:PATH?split=train"``) and
photographs of MSRA10K and DUT-OMRON, changed alike (how the authors' were is not said); from the DeepLabv3, trained on
saliency, that its authors link.
``cosnet-small`` finds the primary object of synthetic photographs and clips."""


def clip_loss(
    network: COSNetNetwork,
    clip: ClipBatch,
    *,
    balanced: float = 0.0,
    l1: float = 0.8,
    saliency: float = 0.1,
    orthogonal: float = 0.01,
    attention: float = 0.0,
) -> ClipLoss:
    """The loss of a saliency step (clips of one frame) or of a step of pairs (two or more).

    All objects are one. The answer on a photograph is the encoder's own output. In a clip every later frame is a query
    and the first its reference; both give a mask. Parameters that a kind of step does not use get gradients of zero,
    for which several processes would otherwise wait.

    Args:
        network: what is trained.
        clip: what it is computed on.
        balanced: other than 0: cross-entropy is balanced between the classes, as the paper says; else weighted alike
            everywhere by the inverse share of the object (released code).
        l1: weight of the mean absolute difference.
        saliency: weight of a saliency step.
        orthogonal: weight of what keeps the projection of symmetric attention orthogonal; not known from the paper.
        attention: weight of :func:`attention_loss` in steps of pairs; not in the paper.
    Returns: the loss; ``probabilities`` are those of background and object on later frames, ``[B, T - 1, 2, H, W]``.
    """
    images, labels = clip.images, clip.labels
    batch, frames = labels.shape[:2]
    size = (images.shape[-2], images.shape[-1])
    truth = (labels > 0).to(torch.float32)
    features = network.encode(as_input(denormalise(images.flatten(0, 1)), network.caffe)).unflatten(0, (batch, frames))
    guided = bool(attention) and network.attention.kind != "none"
    looks = [truth.new_zeros(())] if frames == 1 else []
    if frames == 1:
        used: tuple[str, ...] = ENCODER
        weight = saliency
        losses = [_mask_loss(network.single(features[:, 0]), truth[:, 0], bool(balanced))]
        answers = images.new_zeros(batch, 0, 2, *size)
    else:
        used, weight = (*ENCODER[:2], *HEADS), 1.0
        losses, predicted = [], []
        for t in range(1, frames):
            if guided:
                looks.append(attention_loss(network, features[:, t], features[:, 0], truth[:, t], truth[:, 0]))
            ahead, back = network.pair(features[:, t], features[:, 0])
            losses.append(_mask_loss(ahead, truth[:, t], bool(balanced)))
            losses.append(_mask_loss(back, truth[:, 0], bool(balanced)))
            object_ = torch.sigmoid(enlarge(ahead.detach(), size))
            predicted.append(torch.cat([1 - object_, object_], dim=1))
        answers = torch.stack(predicted, dim=1)
    entropy = torch.stack([entropy for entropy, _ in losses]).sum() / max(frames - 1, 1)
    distance = torch.stack([distance for _, distance in losses]).sum() / max(frames - 1, 1)
    loss = weight * (entropy + l1 * distance)
    parts = {"entropy": entropy.item(), "distance": distance.item()}
    if guided:
        looked = torch.stack(looks).mean()
        loss = loss + attention * looked
        parts["attention"] = looked.item()
    if frames > 1 and network.attention.kind == "symmetric":
        loss = loss + orthogonal * network.attention.irregularity()
    return ClipLoss(loss + 0.0 * _unused(network, used), parts, answers)


def attention_loss(
    network: COSNetNetwork, query: Tensor, reference: Tensor, truth: Tensor, reference_truth: Tensor
) -> Tensor:
    """How far cells are from looking at the object where they show it, and past it where they do not.

    Args:
        network: whose attention is asked.
        query, reference: features ``[B, C, h, w]`` of the two frames of a pair.
        truth, reference_truth: masks of the object, 0 or 1, ``[B, H, W]``.
    Returns: the binary cross-entropy of the share of its weight that each cell gives to the object in the other frame,
        both ways. Cells that show the object and those that do not count alike; those on its edge count by what they
        show.
    """
    here, there = _by_cell(truth, query), _by_cell(reference_truth, reference)
    attention = network.attention
    ways = (
        (here, attention.shares(query, reference, there)),
        (there, attention.shares(reference, query, here, back=True)),
    )
    terms = []
    for own, share in ways:
        share = share.clamp(1e-6, 1 - 1e-6)
        inside = -(own * share.log()).sum() / own.sum().clamp(min=1)
        outside = -((1 - own) * (1 - share).log()).sum() / (1 - own).sum().clamp(min=1)
        terms.append(0.5 * (inside + outside))
    return torch.stack(terms).mean()


def _by_cell(mask: Tensor, features: Tensor) -> Tensor:
    """What share of each cell a mask ``[B, H, W]`` covers, ``[B, h * w]``."""
    return F.interpolate(mask[:, None], size=features.shape[-2:], mode="area").flatten(1)


def _mask_loss(logits: Tensor, truth: Tensor, balanced: bool) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy and mean absolute difference of masks, logits ``[B, 1, h, w]``, truth ``[B, H, W]``."""
    full = enlarge(logits, (truth.shape[-2], truth.shape[-1]))[:, 0]
    return class_balanced_bce(full, truth, balanced), F.l1_loss(torch.sigmoid(full), truth)


def _unused(network: COSNetNetwork, used: tuple[str, ...]) -> Tensor:
    """The sum of all parameters that a step does not use."""
    left = [p.sum() for name, p in network.named_parameters() if p.requires_grad and not name.startswith(used)]
    return torch.stack(left).sum() if left else torch.zeros(())


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("trunk.",)}, own=ENCODER)
"""Of another COSNet the whole encoder is taken, but nothing of how frames look at each other: rows of
``cosnet-attention`` that begin with ``trunk=cosnet-small`` differ in nothing but their attention."""
