"""Losses of one training clip of CapsuleVOS, and its recipes (Duarte et al., ICCV 2019; released code: facts)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.losses import two_sided_dice_loss
from rotoscope.layers.normalise import denormalise
from rotoscope.methods.augmentation import PLAIN
from rotoscope.methods.bundles import Training
from rotoscope.methods.capsulevos.network import CapsuleVOSNetwork, run_clip
from rotoscope.methods.capsulevos.sampling import OUTSIDE, paste
from rotoscope.methods.capsulevos.zoom import LEAST_SIDE, bounds, centre_of, widened
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import Sets

SMALL = {
    "width": 8,
    "video_types": 8,
    "frame_types": 8,
    "types": 8,
    "size": (256, 448),
    "crop": (128, 224),
    "trunk": "efficientnet-lite0",
    "skips": "fine",
}
"""Sizes of ``capsulevos-small``: a quarter of the channels, eight types of capsules, frames of 256x448; an
EfficientNet-Lite0 in place of the first convolutions, which would take far more training from nothing."""

LEEWAY = (0.15, 0.25)
"""What true boxes have beyond the object's extent, as a share of the frame; drawn anew for each."""

EPOCH, DAVIS_EPOCH = 868, 15
"""Steps of an epoch: the 3,471 training videos of YouTube-VOS, and the 60 of DAVIS-2017, by four."""


def _published(name: str, videos: str, steps: int, epoch: int, initial: str = "") -> Recipe:
    """Clips of fifteen frames, which two passes go over, of one set of videos."""
    return Recipe(
        name=name,
        method="capsulevos",
        config={},
        stages=(
            Stage(
                steps,
                512,
                15,
                4,
                "videos",
                (1.0,),
                decay_at=(steps,),
                skips=((0.0, 0),),
                width=896,
                sets=Sets((videos,)),
            ),
        ),
        initial=initial,
        augmentation=replace(PLAIN, between=True, every_frame=True),
        optimiser="adam",
        betas=(0.5, 0.999),
        epsilon=1e-6,
        learning_rate=1e-4,
        weight_decay=0.0,
        clip_norm=0.0,
        average=0.0,
        loss={"every_frame": 1.0},
        validate_every=epoch,
    )


RECIPES: dict[str, Recipe] = {
    "capsulevos-small": Recipe(
        name="capsulevos-small",
        method="capsulevos",
        config=SMALL,
        trunk="stcn-small",
        trunk_rate=0.5,
        stages=(
            Stage(600, 256, 8, 6, "layered", skips=((0.0, 0),), pace=0.2, width=448),
            Stage(200, 256, 15, 3, "layered", skips=((0.0, 1),), pace=0.25, width=448),
        ),
        frozen=tuple(f"trunk.{part}." for part in ("conv1", "bn1", "blocks.0", "blocks.1")),
        warm_up=100,
        objects=(0.6, 0.4),
        learning_rate=1e-3,
        inference={"lean": 0.4},
    ),
    "capsulevos": _published("capsulevos", "youtubevos", 400 * EPOCH, EPOCH),
    "capsulevos-davis": _published("capsulevos-davis", "davis17", 200 * DAVIS_EPOCH, 10 * DAVIS_EPOCH, "capsulevos"),
}
"""Recipes by name. ``capsulevos`` is the published one for YouTube-VOS: one object, drawn by the data set, in each
clip, all frames, masks interpolated between annotations. ``capsulevos-davis`` is its further training on DAVIS-2017, at
the rate that the first began with: the paper names no other. ``capsulevos-small`` has layered clips of one or two
objects, each of them a sample of its own, so that a network that follows whatever moves is wrong half of the time; its
clips have the shape of the working size."""


def true_region(masks: Tensor, leeway: Tensor, every_frame: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """What the zoom branch should say: the square around the object's extent in a clip.

    Args:
        masks: bool, ``[P, T, H, W]``.
        leeway: to add to the side, ``[P]``.
        every_frame: the square holds the object in all frames (paper); else in the first, the middle and the last
            (released code).
    Returns: corner and side, ``[P, 3]``; the centre, ``[P, 2]``, which is that of the first mask (or of the first that
        is not empty); and which clips show the object at all, ``[P]``: the others get the whole frame.
    """
    count = masks.shape[1]
    chosen = range(count) if every_frame else (0, count // 2, count - 1)
    looked = [bounds(masks[:, t]) for t in chosen]
    centre = torch.full_like(looked[0][0][:, :2], 0.5)
    for edges, there in reversed(looked):
        centre = torch.where(there[:, None], centre_of(edges), centre)
    half = torch.zeros_like(leeway)
    for edges, there in looked:
        reach = torch.maximum(centre - edges[:, :2], edges[:, 2:] - centre).amax(dim=1)
        half = torch.where(there, torch.maximum(half, reach), half)
    shown = torch.stack([there for _, there in looked]).any(dim=0)
    side = torch.where(shown, (2 * half + leeway).clamp(LEAST_SIDE, 1), 1.0)
    corner = torch.minimum((centre - side[:, None] / 2).clamp(min=0), 1 - side[:, None])
    return torch.cat([corner, (side + 0.01).clamp(max=1)[:, None]], dim=1), centre, shown


@dataclass
class Terms:
    """Losses of the passes over a clip, and the samples' probabilities by frame, ``[P, H, W]``, detached."""

    bce: list[Tensor]
    dice: list[Tensor]
    zoom: list[Tensor]
    answers: list[Tensor]


def run_passes(
    network: CapsuleVOSNetwork, frames: Tensor, truth: Tensor, true_seeds: bool, every_frame: bool = False
) -> Terms:
    """Samples of one object each through their clips.

    A pass takes as many frames as the network does, and shares one with the pass before, whose answer on it is its
    mask; states go on. The last pass is filled with the last frame, which does not count again.

    Args:
        network: what is trained. In training, boxes are true ones; in evaluation, its own.
        frames: RGB in [0, 1] at the working size, ``[P, T, 3, H, W]``.
        truth: masks, ``[P, T, H, W]``, 0 or 1.
        true_seeds: later passes begin with true masks.
        every_frame: see :func:`true_region`.
    """
    config, total = network.config, frames.shape[1]
    terms = Terms([], [], [], [])
    seed, state = truth[:, 0], None
    low, high = LEEWAY
    for start in range(0, max(total - 1, 1), config.clip - 1):
        stop = min(start + config.clip, total)
        clip, masks = frames[:, start:stop], truth[:, start:stop]
        real = stop - start
        if real < config.clip:
            clip = torch.cat([clip, clip[:, -1:].expand(-1, config.clip - real, -1, -1, -1)], dim=1)
        drawn = torch.rand(len(clip), device=clip.device) if network.training else torch.full((len(clip),), 0.5)
        region, centre, shown = true_region(masks > 0.5, low + (high - low) * drawn.to(clip.device), every_frame)
        boxes = widened(region[:, :2], region[:, 2]) if network.training and config.zoom == "learnt" else None
        answer = run_clip(network, clip, seed[:, None], centre=centre, boxes=boxes, state=state)
        state = answer.state if config.carry_states else None
        logits = paste(answer.logits[:, :real], answer.boxes, config.size)
        inside = logits > OUTSIDE / 2
        # Outside the box the logit is a constant: what it costs there teaches nothing, and is left out.
        terms.bce.append(F.binary_cross_entropy_with_logits(logits, masks * inside))
        probabilities = torch.sigmoid(logits)
        terms.dice.append(two_sided_dice_loss(probabilities, masks))
        if answer.region is not None:
            apart = (answer.region - region).square().sum(dim=1)
            terms.zoom.append((apart * shown).sum() / shown.sum().clamp(min=1))
        predicted = probabilities.detach()
        seed = masks[:, -1] if true_seeds else predicted[:, -1]
        terms.answers += list(predicted[:, 1 if start else 0 :].unbind(dim=1))
    return terms


def clip_loss(
    network: CapsuleVOSNetwork,
    clip: ClipBatch,
    *,
    zoom: float = 1.0,
    true_seeds: float = 0.0,
    every_frame: float = 0.0,
) -> ClipLoss:
    """The loss of a clip of labels, as the training loop asks for it.

    Args:
        network: what is trained.
        clip: what it is computed on; frames are stretched to the working size. Each object of a clip's first frame is
            a sample; without any, the clips themselves are, with empty masks.
        zoom: weight of the zoom branch's squared error, summed over corner and side.
        true_seeds: other than 0: passes after the first begin with true masks.
        every_frame: other than 0: true boxes hold the object in all frames of a pass; see :func:`true_region`.
    """
    images, labels, objects = clip.images, clip.labels, clip.objects
    config = network.config
    frames = F.interpolate(denormalise(images).flatten(0, 1), size=config.size, mode="bilinear", align_corners=False)
    frames = frames.unflatten(0, images.shape[:2])
    sized = F.interpolate(labels.float(), size=config.size, mode="nearest").long()
    truth = F.one_hot(sized, objects + 1).permute(0, 4, 1, 2, 3)[:, 1:].to(frames.dtype)  # [B, N, T, H, W]
    there = truth[:, :, 0].flatten(2).any(dim=2)
    if not there.any():
        there = there.clone()
        there[:, 0] = True
    clip_of, slot_of = there.nonzero(as_tuple=True)
    terms = run_passes(network, frames[clip_of], truth[clip_of, slot_of], bool(true_seeds), bool(every_frame))
    sums = {"bce": torch.stack(terms.bce).sum(), "dice": torch.stack(terms.dice).sum()}
    if terms.zoom:
        sums["zoom"] = zoom * torch.stack(terms.zoom).sum()
    answers = []
    for answer in terms.answers[1:]:
        each = answer.new_zeros(*there.shape, *config.size).index_put((clip_of, slot_of), answer)
        each = F.interpolate(each, size=images.shape[-2:], mode="bilinear", align_corners=False)
        answers.append(aggregate(each, dim=1))
    parts = {name: value.item() / len(terms.bce) for name, value in sums.items()}
    return ClipLoss(torch.stack(list(sums.values())).sum(), parts, torch.stack(answers, dim=1))


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("trunk.",)}, own=("",))
"""The image encoder is there only if the config asks for one."""
