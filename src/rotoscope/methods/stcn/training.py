"""Losses of one training clip of STCN, and its recipes (Cheng et al., NeurIPS 2021, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.layers.aggregation import aggregate_logits
from rotoscope.layers.losses import bootstrapped_cross_entropy, correspondence_loss, dice_loss
from rotoscope.layers.spoiling import spoil
from rotoscope.methods.augmentation import Augmentation
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss, ClipTruth, known_places
from rotoscope.methods.recipe import AlternateSteps, Recipe, Stage
from rotoscope.methods.sources import Sets
from rotoscope.methods.stcn.network import FrameFeatures, STCNNetwork, affinity
from rotoscope.methods.stcn.regularisers import drop_affinity, inside_objects, reallocate
from rotoscope.methods.stcn.scales import at_scales

RESNET_SMALL = {
    "trunk": "resnet18",
    "value_width": 32,
    "value_dim": 128,
    "thin_dim": 128,
    "decoder_dims": (128, 64, 32),
}
"""Sizes of the first ``stcn-small``: a ResNet-18 trunk, half-width value encoder, narrow values and decoder."""

SMALL = {
    "trunk": "efficientnet-lite0",
    "value_encoder": "light",
    "value_width": 24,
    "value_dim": 128,
    "thin_dim": 96,
    "decoder": "light",
    "decoder_dims": (96, 48, 32),
    "subpixel": 2,
    "previous": "matched",
    "scores": True,
}
"""Sizes of ``stcn-small``: an EfficientNet-Lite0 trunk, values from its features, a thin decoder that is told of the
frame before."""

VALUES = "value_encoder."
"""Where the network keeps its encoder of masks."""

CURRICULUM = ((0.0, 5), (0.1, 10), (0.2, 15), (0.3, 20), (0.4, 25), (0.9, 5))
"""Most frames left out between two of a video, by share of the stage."""

RECIPES = {
    "stcn-small": Recipe(
        name="stcn-small",
        method="stcn",
        config=SMALL,
        stages=(
            Stage(1200, 160, 4, 4),
            Stage(3000, 224, 4, 4, "composed", skips=((0.0, 3), (0.3, 8)), alternate=AlternateSteps("synthetic", 4, 3)),
            Stage(700, 256, 8, 2, "composed", skips=((0.0, 6), (0.6, 3)), alternate=AlternateSteps("hiding", 8, 3)),
        ),
        objects=(0.3, 0.45, 0.25),
        trunk="imagenet",
        trunk_rate=0.25,
        learning_rate=4e-4,
        frozen_norms=True,
        frozen=("key_encoder.conv1.", "key_encoder.bn1.", "key_encoder.blocks.0.", "key_encoder.blocks.1."),
        loss={"correspondence": 0.3, "corruption": 0.3, "interval": 5},
        inference={
            "max_short_side": 320,
            "resizing": "area",
            "include_last": True,
            "least_quality": 0.75,
            "crossings": True,
            "strays": 0.33,
            "lean": 0.1,
            "trust": 1.0,
        },
    ),
    "stcn": Recipe(
        name="stcn",
        method="stcn",
        config={},
        stages=(
            Stage(
                300_000,
                384,
                3,
                16,
                "stills",
                (1.0,),
                1e-5,
                decay_at=(150_000,),
                bootstrap=(20_000, 70_000),
                sets=Sets(("fss1000", "duts", "ecssd", "big", "hrsod"), often=(("big", 5.0), ("hrsod", 5.0))),
            ),
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
                sets=Sets(("davis17", "youtubevos"), often=(("davis17", 5.0),)),
            ),
        ),
        trunk="imagenet",
        mask_trunk="imagenet",
        augmentation=Augmentation(between=False),
        optimiser="adam",
        weight_decay=1e-7,
        clip_norm=0.0,
        average=0.0,
        frozen_norms=True,
        loss={"dice": 0.0},
        validate_every=5000,
    ),
}
"""Recipes by name. ``stcn`` is the published one (the released stages 0 and 3; batches of all its GPUs together,
as the thesis has them too; both encoders have learnt ImageNet, and their norms stay so); ``stcn-small`` trains from
scratch on synthetic clips."""


def clip_loss(
    network: STCNNetwork,
    clip: ClipBatch,
    *,
    dice: float = 1.0,
    correspondence: float = 0.0,
    dropout: float = 0.0,
    reallocation: float = 0.0,
    scores: float = 0.1,
    corruption: float = 0.0,
    interval: float = 1,
    trust: float = 0.0,
) -> ClipLoss:
    """Follow the objects of the first frame through clips; predictions enter memory undetached.

    Args:
        network: what is trained.
        clip: what it is computed on; an object that is not in the first frame does not exist.
        dice: weight of the dice loss (not in the released recipe, whose weight is 0).
        correspondence: weight of :func:`~rotoscope.layers.losses.correspondence_loss`, where the clip's places are
            known; not in the released recipe.
        dropout: share of the affinity's entries that are put to minus infinity before the softmax (thesis, chapter 4).
        reallocation: other than 0 turns on support-feature reallocation (thesis, chapter 4).
        scores: weight of the loss on presence and predicted IoU, where the network has such scores.
        corruption: chance that a clip's previous masks are spoilt on a frame before the decoder is told of them (see
            :func:`~rotoscope.layers.spoiling.spoil`), where it is told at all.
        interval: memory takes the first frame and every K-th, K drawn for each call from 1 to this. With 1 (released)
            the frame before is always in memory, and what else the decoder is told of it goes unused.
        trust: is added to the similarity to the first frame, as the option of that name does in a session.
    """
    images, (targets, valid, visible) = clip.images, ClipTruth.of(clip)
    batch, frames = clip.labels.shape[:2]
    features = network.encode_key(images.flatten(0, 1))
    of_frame = [features.select(torch.arange(batch, device=images.device) * frames + t) for t in range(frames)]
    looked = [at_scales(part.key, network.config.scales).flatten(2) for part in of_frame]
    shown = known_places(clip) if correspondence else None
    keys, values, inside = [], [], []
    kept: list[int] = []
    every = int(torch.randint(1, int(interval) + 1, ()))
    masks = targets[:, 0]
    total = PartsOfLoss()
    answers = []
    for t in range(1, frames):
        before = of_frame[t - 1].key.flatten(2)
        if (t - 1) % every == 0:
            kept.append(t - 1)
            keys.append(looked[t - 1])
            values.append(_memorise(network, images[:, t - 1], of_frame[t - 1], masks))
            if reallocation:
                inside.append(inside_objects(masks, of_frame[t - 1].key.shape[-2], of_frame[t - 1].key.shape[-1]))
        similarity = affinity(torch.cat(keys, dim=-1), looked[t])
        heard = similarity
        if trust:
            first = torch.arange(similarity.shape[1], device=similarity.device) < keys[0].shape[-1]
            heard = similarity + trust * first[:, None]
        weights = torch.softmax(drop_affinity(heard, dropout) if dropout else heard, dim=1)
        by_object = reallocate(weights, torch.cat(inside, dim=-1)) if reallocation else weights[:, None]
        known = spoil(masks.detach(), corruption) if corruption else masks
        where = network.places(known, before, of_frame[t])
        readout = _read(by_object, torch.cat(values, dim=-1), of_frame[t])
        decoded = network.decode(readout, of_frame[t], where)
        logits = _aggregated(decoded.logits, valid)
        probabilities = torch.softmax(logits, dim=1)
        masks = probabilities[:, 1:] * valid[:, :, None, None]
        total.add("cross_entropy", bootstrapped_cross_entropy(logits, visible[:, t], clip.hardest))
        total.add("dice", dice_loss(masks, targets[:, t], valid), dice)
        if shown is not None:
            looking = correspondence_loss(similarity, shown[:, kept].flatten(1, 2), shown[:, t])
            total.add("correspondence", looking, correspondence)
        if decoded.scores is not None and scores:
            by_clip = decoded.scores.unflatten(0, (batch, clip.objects))
            total.add("scores", score_loss(by_clip, probabilities, targets[:, t], valid), scores)
        answers.append(probabilities.detach())
    return ClipLoss(total.loss, total.means(frames - 1), torch.stack(answers, dim=1))


class PartsOfLoss:
    """Sums a loss over frames and keeps its parts for the log; a device is waited for at the end only."""

    def __init__(self) -> None:
        self.parts: dict[str, Tensor] = {}
        self.terms: list[Tensor] = []

    def add(self, name: str, value: Tensor, weight: float = 1.0) -> None:
        """Add a frame's part."""
        self.terms.append(weight * value)
        own = value.detach()
        self.parts[name] = self.parts[name] + own if name in self.parts else own

    @property
    def loss(self) -> Tensor:
        """The weighted sum, a scalar."""
        return torch.stack(self.terms).sum()

    def means(self, frames: int) -> dict[str, float]:
        """Each part's mean over the frames."""
        return {name: value.item() / frames for name, value in self.parts.items()}


def score_loss(scores: Tensor, probabilities: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy of presence, and of the IoU that the predicted mask has.

    Args:
        scores: logits, ``[B, N, 2]``: presence, IoU.
        probabilities: the probabilities of background and objects, ``[B, 1 + N, H, W]``.
        targets: 0 or 1, ``[B, N, H, W]``.
        valid: 1 where the slot holds an object, ``[B, N]``.
    Returns: the mean over objects, a scalar. An object that is absent has an IoU of 1 if its mask is empty, else 0.
    """
    slots = torch.arange(1, targets.shape[1] + 1, device=targets.device)[:, None, None]
    answers = probabilities.detach().max(dim=1, keepdim=True).indices == slots  # many times faster than argmax on a CPU
    truth = targets > 0.5
    both, either = (answers & truth).sum(dim=(2, 3)), (answers | truth).sum(dim=(2, 3))
    iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
    wanted = torch.stack([truth.flatten(2).any(dim=2).to(iou.dtype), iou], dim=2)
    loss = F.binary_cross_entropy_with_logits(scores.float(), wanted, reduction="none").sum(dim=2)
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def _memorise(network: STCNNetwork, image: Tensor, features: FrameFeatures, masks: Tensor) -> Tensor:
    """Values ``[B, N, Cv, h*w]`` of a frame with masks ``[B, N, H, W]``."""
    others = masks.sum(dim=1, keepdim=True) - masks
    value = network.encode_value(image, features, masks.flatten(0, 1)[:, None], others.flatten(0, 1)[:, None])
    return value.flatten(2).unflatten(0, (-1, masks.shape[1]))


def _read(weights: Tensor, values: Tensor, query: FrameFeatures) -> Tensor:
    """Readouts ``[B * N, Cv, h, w]`` by the affinity after the softmax, ``[B, 1 or N, M, Q]``."""
    return (values @ weights).flatten(0, 1).unflatten(-1, tuple(query.key.shape[-2:]))


def _aggregated(logits: Tensor, valid: Tensor) -> Tensor:
    """Aggregated logits ``[B, 1 + N, H, W]`` from each object's own, ``[B * N, 1, H, W]``."""
    own = logits.float().unflatten(0, tuple(valid.shape))[:, :, 0]
    return aggregate_logits(torch.sigmoid(own) * valid[:, :, None, None], dim=1)


def fitted(taken: dict[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An encoder of images as an encoder of masks: it begins by seeing the image alone, as it has learnt to.

    Args:
        taken: tensors of other weights, by our names.
        ours: the tensors of the network that begins.
    Returns: with channels of zeros for the masks in the first convolution (as the code that the thesis builds on has
        them), and with biases of zero where the other encoder's convolutions have none (our choice: there they stay as
        they are drawn).
    """
    enter = f"{VALUES}conv1.weight"
    if enter not in taken:
        return taken
    whole = dict(taken)
    missing = ours[enter].shape[1] - taken[enter].shape[1] if enter in ours else 0
    if missing > 0:
        shape = (len(taken[enter]), missing, *taken[enter].shape[2:])
        whole[enter] = torch.cat([taken[enter], taken[enter].new_zeros(shape)], dim=1)
    for name, tensor in ours.items():
        layer = name.removesuffix("bias")
        if name.startswith(VALUES) and layer != name and f"{layer}weight" in taken and name not in taken:
            whole[name] = torch.zeros_like(tensor)
    return whole


TRAINING = Training(
    RECIPES,
    clip_loss,
    parts={
        "image encoder": ("key_encoder.",),
        "mask encoder": (VALUES,),
        "query key": ("key_proj.",),
        "query value": ("key_comp.",),
        "decoder entry": ("compress.downsample.",),
        "upsampling 16 to 8": ("up_16_8.",),
        "upsampling 8 to 4": ("up_8_4.",),
        "mask head": ("pred.",),
    },
    fit=fitted,
    fitted_in_words="in value_encoder new channels of the first layer, and biases, are zero",
)
