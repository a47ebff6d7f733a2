"""Losses of one training clip of GIEL (Ge et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate_logits
from rotoscope.layers.losses import bootstrapped_cross_entropy, correspondence_loss, dice_loss
from rotoscope.layers.spoiling import spoil
from rotoscope.methods.bundles import Part, Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss, ClipTruth
from rotoscope.methods.giel.network import FrameFeatures, GIELNetwork, affinity_logits, label_tensors, weigh
from rotoscope.methods.giel.recipes import RECIPES

TRUST = 0.25
"""How much of the quality of masks makes one support frame count e times another."""


class Support(NamedTuple):
    """Support frames of G clips, or of G objects where each has keys of its own.

    Attributes:
        key: the keys of the M positions of all support frames, ``[G, Ck, M]``.
        values: ``[G, V, Cv, M]``: the plain value first where there is a global embedding, then one for each object.
        own: what the temporal attention keeps of each support frame, ``[G, T, Ck]``; without channels if there is none.
    """

    key: Tensor
    values: Tensor
    own: Tensor

    def and_then(self, later: Support) -> Support:
        """With a later frame behind."""
        return Support(
            torch.cat([self.key, later.key], dim=-1),
            torch.cat([self.values, later.values], dim=-1),
            torch.cat([self.own, later.own], dim=1),
        )


class FrameOutput(NamedTuple):
    """What the network answers on a frame.

    Attributes:
        masks: probabilities of each object by name of the output, ``[B, N, H, W]``; the last is what is carried on.
        common: logits of the global map, ``[B, 1, H, W]``; None without.
        scores: affinity before temporal attention and softmax, ``[G, M, Q]``.
        weights: how much each support frame counts, ``[G, T]``; None without temporal attention.
    """

    masks: dict[str, Tensor]
    common: Tensor | None
    scores: Tensor
    weights: Tensor | None


def clip_loss(
    network: GIELNetwork,
    clip: ClipBatch,
    *,
    correspondence: float = 0.0,
    dice: float = 0.0,
    fast: float = 1.0,
    union: float = 1.0,
    corruption: float = 0.0,
    worth: float = 0.0,
) -> ClipLoss:
    """Follow the objects of the first frame through clips; what is predicted of a frame supports the next, undetached.

    Args:
        network: what is trained.
        clip: what it is computed on; an object that is not in the first frame does not exist.
        correspondence: weight of :func:`~rotoscope.layers.losses.correspondence_loss`, where the clip's places are
            known; not in the paper.
        dice: weight of a dice loss on the output that is carried on; not in the paper.
        fast: weight of the cross-entropy of the fast output, where it is trained beside the full one.
        union: weight of the binary cross-entropy of the global map.
        corruption: chance that a support frame after the first enters with masks that are spoilt (see
            :func:`~rotoscope.layers.spoiling.spoil`), so that support frames are of unequal worth; not in the paper.
        worth: weight of :func:`worth_loss` on the temporal attention; not in the paper.
    Returns: the sum over all frames but the first.
    """
    images, truth = clip.images, ClipTruth.of(clip)
    batch, frames = clip.labels.shape[:2]
    features = network.encode_query(images.flatten(0, 1))
    clips = torch.arange(batch, device=images.device)
    of_frame = [features.select(clips * frames + t) for t in range(frames)]
    shown = None if clip.places is None or not correspondence or _separate(network) else clip.places.flatten(2, 3)
    probabilities = _with_background(truth.targets[:, 0] * truth.valid[:, :, None, None])
    together = 1 - probabilities[:, :1]
    support: Support | None = None
    first: Tensor | None = None
    losses: dict[str, list[Tensor]] = {}
    answers, worths = [], []
    for t in range(1, frames):
        if corruption and t > 1:
            probabilities, together = _spoilt(probabilities, together, corruption)
        if worth:
            worths.append(_quality(probabilities[:, 1:].detach(), truth, t - 1))
        fresh, as_first = _memorise(network, images[:, t - 1], of_frame[t - 1], probabilities, together)
        support = fresh if support is None else support.and_then(fresh)
        first = as_first if first is None else first
        output = _follow(network, support, first, of_frame[t], clip.objects)
        probabilities, terms = _terms(output, truth, t, clip.hardest)
        together = _all_objects(network, output, probabilities)
        if shown is not None:
            terms["correspondence"] = correspondence_loss(output.scores, shown[:, :t].flatten(1, 2), shown[:, t])
        if worth and output.weights is not None and not _separate(network):
            terms["worth"] = worth_loss(output.weights, torch.stack(worths, dim=1))
        for name, term in terms.items():
            losses.setdefault(name, []).append(term)
        answers.append(probabilities.detach())
    totals = {name: torch.stack(values).sum() for name, values in losses.items()}
    shares = {"fast": fast, "dice": dice, "global": union, "correspondence": correspondence, "worth": worth}
    if "full" not in totals:
        shares["fast"] = 1.0
    loss = torch.stack([shares.get(name, 1.0) * total for name, total in totals.items()]).sum()
    names = {"full": "cross_entropy", "fast": "auxiliary" if "full" in totals else "cross_entropy"}
    parts = {names.get(name, name): total.item() / (frames - 1) for name, total in totals.items()}
    return ClipLoss(loss, parts, torch.stack(answers, dim=1))


def _terms(output: FrameOutput, truth: ClipTruth, t: int, hardest: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Probabilities ``[B, 1 + N, H, W]`` of the output that is carried on, and the losses of a frame by name."""
    valid = truth.valid[:, :, None, None]
    terms: dict[str, Tensor] = {}
    for name, masks in output.masks.items():
        logits = aggregate_logits(masks * valid, dim=1)
        terms[name] = bootstrapped_cross_entropy(logits, truth.visible[:, t], hardest)
    probabilities = torch.softmax(logits, dim=1)
    target = truth.targets[:, t] * valid
    terms["dice"] = dice_loss(probabilities[:, 1:] * valid, target, truth.valid)
    if output.common is not None:
        everything = target.sum(dim=1, keepdim=True)
        terms["global"] = F.binary_cross_entropy_with_logits(output.common.float(), everything)
    return probabilities, terms


def worth_loss(weights: Tensor, quality: Tensor) -> Tensor:
    """How far the temporal attention is from trusting support frames by how right their masks are.

    Args:
        weights: of support frames, their mean 1, ``[B, T]``.
        quality: mean soft IoU of the masks that each has in memory with the true ones, in [0, 1], ``[B, T]``.
    Returns: the cross-entropy against a softmax of the quality over :data:`TRUST`, less its least value: 0 where they
        agree, and for a single frame.
    """
    target = torch.softmax(quality.float() / TRUST, dim=1)
    share = (weights.float() / weights.shape[1]).clamp(min=1e-6)
    return (target * (target.clamp(min=1e-6).log() - share.log())).sum(dim=1).mean()


def _quality(masks: Tensor, truth: ClipTruth, t: int) -> Tensor:
    """Mean soft IoU of masks ``[B, N, H, W]`` with the true ones of a frame over the clip's objects, ``[B]``."""
    target = truth.targets[:, t]
    both = (masks * target).sum(dim=(2, 3))
    either = (masks + target - masks * target).sum(dim=(2, 3))
    each = torch.where(either > 1, both / either.clamp(min=1), 1.0) * truth.valid
    return each.sum(dim=1) / truth.valid.sum(dim=1).clamp(min=1)


def _spoilt(probabilities: Tensor, together: Tensor, chance: float) -> tuple[Tensor, Tensor]:
    """Masks ``[B, 1 + N, H, W]`` of some clips spoilt, and for these the union ``[B, 1, H, W]`` by them."""
    masks = probabilities[:, 1:]
    spoilt = spoil(masks, chance)
    masks = spoilt / spoilt.sum(dim=1, keepdim=True).clamp(min=1)  # two objects may have grown into each other
    changed = (spoilt != probabilities[:, 1:]).flatten(1).any(dim=1)[:, None, None, None]
    union = masks.sum(dim=1, keepdim=True)
    return torch.cat([1 - union, masks], dim=1), torch.where(changed, union, together)


def _all_objects(network: GIELNetwork, output: FrameOutput, probabilities: Tensor) -> Tensor:
    """The map of all objects ``[B, 1, H, W]`` that supports the next frame."""
    if output.common is None:
        return 1 - probabilities[:, :1]
    together = torch.sigmoid(output.common.float())
    return (together > 0.5).to(probabilities.dtype) if network.config.binary_support else together


def fitted(taken: dict[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was found in other weights, in the layout of this network; the caller leaves out what still does not fit.

    Args:
        taken: tensors of other weights, by our names.
        ours: the tensors of the network that begins.
    Returns: a support encoder without the biases that ours does not have, and with the input channels that it has.
    """
    taken = _without_biases(taken, ours)
    enter = "support_encoder.conv1.weight"
    if enter in taken and taken[enter].shape[2:] == ours[enter].shape[2:] and len(taken[enter]) == len(ours[enter]):
        # Image, mask, others, in this order everywhere; channels that are not given begin as they are.
        count = min(taken[enter].shape[1], ours[enter].shape[1])
        taken[enter] = torch.cat([taken[enter][:, :count], ours[enter][:, count:]], dim=1)
    return taken


def _without_biases(state: dict[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Biases of convolutions before batch norms, which ours have none of, move the running means instead."""
    kept = dict(state)
    for name, bias in state.items():
        if not name.startswith("support_encoder.") or not name.endswith(".bias") or name in ours:
            continue
        layer = name.removesuffix(".bias")
        norm = layer.replace("downsample.0", "downsample.1") if "downsample" in layer else layer.replace("conv", "bn")
        if norm != layer and f"{norm}.running_mean" in state:
            del kept[name]
            kept[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - bias
    return kept


def _separate(network: GIELNetwork) -> bool:
    """Whether each object has keys of its own (STM)."""
    return not network.config.instance_embedding and network.config.keys == "support"


def _with_background(masks: Tensor) -> Tensor:
    return torch.cat([1 - masks.sum(dim=1, keepdim=True), masks], dim=1)


def _memorise(
    network: GIELNetwork, image: Tensor, features: FrameFeatures, probabilities: Tensor, union: Tensor
) -> tuple[Support, Tensor]:
    """A frame with probabilities ``[B, 1 + N, H, W]`` and their union ``[B, 1, H, W]``, and itself as the first one."""
    config = network.config
    batch, objects = len(image), probabilities.shape[1] - 1
    if config.instance_embedding:
        key, value = network.encode_support(image, union, features.key)
        codes = network.encode_labels(label_tensors(probabilities).flatten(0, 1)).unflatten(0, (batch, objects))
        values = value[:, None] * codes
        if config.global_embedding:
            values = torch.cat([value[:, None], values], dim=1)
    else:
        each = torch.arange(batch, device=image.device).repeat_interleave(objects)
        masks = probabilities[:, 1:]
        rest = [masks.sum(dim=1, keepdim=True) - masks] if config.others else []
        seen = torch.stack([masks, *rest], dim=2).flatten(0, 1)
        key, values = network.encode_support(image[each], seen, features.key[each])
        if _separate(network):
            values = values[:, None]
        else:
            key, values = features.key, values.unflatten(0, (batch, objects))
    empty = key[:, :0, 0, 0]
    seen = value if config.judged == "values" else key
    first, own = (empty, empty) if network.temporal is None else network.temporal.support(seen)
    return Support(key.flatten(2), values.flatten(3), own[:, None]), first


def _follow(network: GIELNetwork, support: Support, first: Tensor, query: FrameFeatures, objects: int) -> FrameOutput:
    """Find the objects of the support frames on a query frame."""
    config = network.config
    batch = len(query.key)
    each = torch.arange(batch, device=query.key.device).repeat_interleave(objects)
    key = query.key[each] if _separate(network) else query.key
    scores = affinity_logits(config, support.key, key.flatten(2))
    weighed, weights = scores, None
    if network.temporal is not None:
        weights = network.temporal(first, support.own, key)
        weighed = weigh(config, scores, weights.repeat_interleave(key[0, 0].numel(), dim=1))
    readout = support.values.flatten(1, 2) @ torch.softmax(weighed, dim=1).to(support.values.dtype)
    readout = readout.unflatten(1, support.values.shape[1:3]).unflatten(-1, tuple(key.shape[-2:]))  # [G, V, Cv, h, w]
    expanded = query.select(each)

    def by_clip(masks: Tensor) -> Tensor:
        return masks[:, 0].unflatten(0, (batch, objects))

    if not config.instance_embedding:
        masks = torch.sigmoid(network.find_all(readout.flatten(0, 1), expanded).float())
        return FrameOutput({"full": by_clip(masks)}, None, scores, weights)
    common = total = None
    if config.global_embedding:
        common = network.find_all(readout[:, 0], query)
        total = torch.sigmoid(common.float())[each]
        readout = readout[:, 1:]
    instances = readout.flatten(0, 1)
    outputs = {"fast": by_clip(network.find_fast(instances, expanded, total))}
    if network.refine is not None:
        outputs["full"] = by_clip(network.find_fine(instances, expanded, total if config.product else None))
    return FrameOutput(outputs, common, scores, weights)


PARTS: dict[Part, tuple[str, ...]] = {
    "image encoder": ("query_encoder.",),
    "mask encoder": ("support_encoder.",),
    "query key": ("query_key.",),
    "query value": ("query_value.",),
    "decoder": ("decoder.", "refine."),
    "decoder entry": ("decoder.enter.", "refine.enter."),
    "upsampling 16 to 8": ("decoder.up_16_8.", "refine.up_16_8."),
    "upsampling 8 to 4": ("decoder.up_8_4.", "refine.up_8_4."),
    "mask head": ("decoder.pred.", "refine.pred."),
}
TRAINING = Training(
    RECIPES,
    clip_loss,
    parts=PARTS,
    takes=tuple(PARTS),
    own=("",),
    fit=fitted,
    fitted_in_words="in support_encoder new channels of the first layer are random",
)
