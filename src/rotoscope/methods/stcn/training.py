"""Losses of one training clip of STCN, and its recipes (Cheng et al., NeurIPS 2021, section 4; facts, section 6)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate_logits
from rotoscope.layers.losses import bootstrapped_cross_entropy, correspondence_loss, dice_loss
from rotoscope.methods.lesson import ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork, affinity
from rotoscope.methods.stcn.regularisers import drop_affinity, inside_objects, reallocate

SMALL = {"key_depth": 18, "value_width": 32, "value_dim": 128, "thin_dim": 128, "decoder_dims": (128, 64, 32)}
"""Sizes of ``stcn-small``: a ResNet-18 trunk, half-width value encoder, narrow values and decoder."""

TRUNK = "key_encoder."
"""Where the network keeps its image encoder."""
CURRICULUM = ((0.0, 5), (0.1, 10), (0.2, 15), (0.3, 20), (0.4, 25), (0.9, 5))
"""Most frames left out between two of a video, by share of the stage."""

RECIPES = {
    "stcn-small": Recipe(
        name="stcn-small",
        method="stcn",
        config=SMALL,
        stages=(Stage(1400, 128, 3, 4), Stage(4200, 192, 3, 4), Stage(1500, 256, 3, 4)),
        objects=(0.5, 0.4, 0.1),
        learning_rate=4e-4,
        correspondence=0.3,
        inference={"max_short_side": 320, "resizing": "area", "include_last": True},
    ),
    "stcn": Recipe(
        name="stcn",
        method="stcn",
        config={},
        stages=(
            Stage(300_000, 384, 3, 16, "stills", (1.0,), 1e-5, decay_at=(150_000,), bootstrap=(20_000, 70_000)),
            Stage(
                150_000,
                384,
                3,
                8,
                "videos",
                (0.0, 1.0),
                1e-5,
                decay_at=(125_000,),
                bootstrap=(20_000, 70_000),
                skips=CURRICULUM,
            ),
        ),
        optimiser="adam",
        weight_decay=1e-7,
        clip_norm=0.0,
        average=0.0,
        frozen_norms=True,
        loss={"dice": 0.0},
        validate_every=5000,
    ),
}
"""Recipes by name. ``stcn`` is the published one (facts, section 6, stages 0 and 3; batches of all its GPUs together,
as the thesis has them too); ``stcn-small`` trains from scratch on synthetic clips."""


def clip_loss(
    network: STCNNetwork,
    images: Tensor,
    labels: Tensor,
    objects: int,
    *,
    hardest: float = 1.0,
    dice: float = 1.0,
    places: Tensor | None = None,
    correspondence: float = 0.0,
    dropout: float = 0.0,
    reallocation: float = 0.0,
) -> ClipLoss:
    """Follow the objects of the first frame through clips; every frame's prediction enters memory, undetached.

    Args:
        network: what is trained.
        images: normalised RGB, ``[B, T, 3, H, W]``.
        labels: int64 ``[B, T, H, W]`` in [0, objects]; an object not in the first frame does not exist.
        objects: slots ``N``.
        hardest: share of pixels in the bootstrapped cross-entropy.
        dice: weight of the dice loss (not in the released recipe, whose weight is 0).
        places: what each cell at stride 16 shows, ``[B, T, h, w, 3]`` (see
            :func:`~rotoscope.layers.losses.correspondence_loss`).
        correspondence: weight of that loss (not in the released recipe either).
        dropout: share of the affinity's entries that are put to minus infinity before the softmax (thesis, chapter 4).
        reallocation: other than 0 turns on support-feature reallocation (thesis, chapter 4).
    """
    batch, frames = labels.shape[:2]
    targets = F.one_hot(labels, objects + 1).permute(0, 1, 4, 2, 3)[:, :, 1:].to(images.dtype)
    valid = (targets[:, 0].sum(dim=(2, 3)) > 0).to(images.dtype)
    exists = torch.cat([torch.zeros_like(valid[:, :1]), valid], dim=1).long()
    features = network.encode_key(images.flatten(0, 1))
    of_frame = [features.select(torch.arange(batch) * frames + t) for t in range(frames)]
    shown = None if places is None or not correspondence else places.flatten(2, 3)
    keys, values, inside = [], [], []
    masks = targets[:, 0]
    losses, answers = [], []
    parts: dict[str, list[float]] = {"cross_entropy": [], "dice": []}
    for t in range(1, frames):
        keys.append(of_frame[t - 1].key.flatten(2))
        values.append(_memorise(network, images[:, t - 1], of_frame[t - 1].f16, masks))
        scores = affinity(torch.cat(keys, dim=-1), of_frame[t].key.flatten(2))
        if reallocation:
            inside.append(inside_objects(masks, of_frame[t - 1].key.shape[-2], of_frame[t - 1].key.shape[-1]))
        weights = torch.softmax(drop_affinity(scores, dropout) if dropout else scores, dim=1)
        by_object = reallocate(weights, torch.cat(inside, dim=-1)) if reallocation else weights[:, None]
        logits = _follow(network, by_object, torch.cat(values, dim=-1), of_frame[t], valid)
        probabilities = torch.softmax(logits, dim=1)
        masks = probabilities[:, 1:] * valid[:, :, None, None]
        visible = labels[:, t] * exists.gather(1, labels[:, t].flatten(1)).view_as(labels[:, t])
        entropy = bootstrapped_cross_entropy(logits, visible, hardest)
        overlap = dice_loss(masks, targets[:, t], valid)
        loss = entropy + dice * overlap
        parts["cross_entropy"].append(entropy.item())
        parts["dice"].append(overlap.item())
        if shown is not None:
            looking = correspondence_loss(scores, shown[:, :t].flatten(1, 2), shown[:, t])
            loss = loss + correspondence * looking
            parts.setdefault("correspondence", []).append(looking.item())
        losses.append(loss)
        answers.append(probabilities.detach())
    means = {name: sum(values_) / len(values_) for name, values_ in parts.items()}
    return ClipLoss(torch.stack(losses).sum(), means, torch.stack(answers, dim=1))


def _memorise(network: STCNNetwork, image: Tensor, f16: Tensor, masks: Tensor) -> Tensor:
    """Values ``[B, N, Cv, h*w]`` of a frame with masks ``[B, N, H, W]``."""
    objects = masks.shape[1]
    others = masks.sum(dim=1, keepdim=True) - masks

    def per_object(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(objects, dim=0)

    value = network.encode_value(
        per_object(image), per_object(f16), masks.flatten(0, 1)[:, None], others.flatten(0, 1)[:, None]
    )
    return value.flatten(2).unflatten(0, (-1, objects))


def _follow(network: STCNNetwork, weights: Tensor, values: Tensor, query: FrameFeatures, valid: Tensor) -> Tensor:
    """Aggregated logits ``[B, 1 + N, H, W]`` of a query frame.

    ``weights`` are the affinity after the softmax, ``[B, 1 or N, M, Q]``.
    """
    batch, objects = valid.shape
    readout = (values @ weights).flatten(0, 1)
    readout = readout.unflatten(-1, tuple(query.key.shape[-2:]))
    expanded = FrameFeatures(*(tensor.repeat_interleave(objects, dim=0) for tensor in query))
    logits = network.decode(readout, expanded).unflatten(0, (batch, objects))[:, :, 0]
    return aggregate_logits(torch.sigmoid(logits) * valid[:, :, None, None], dim=1)
