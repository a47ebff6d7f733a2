"""Losses of one training clip of A-GAME, and its recipes (Johnander et al., CVPR 2019; ``main_runfile.py``)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rotoscope.methods.agame.heads import enlarge
from rotoscope.methods.agame.network import (
    STRIDE,
    AGAMENetwork,
    FrameFeatures,
    aggregate_pairs,
    shrink,
    with_background,
)
from rotoscope.methods.augmentation import PLAIN
from rotoscope.methods.bundles import Training
from rotoscope.methods.clip_loss import ClipBatch, ClipLoss
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import Origin, Sets

SMALL = {
    "trunk": "efficientnet-lite0",
    "stages": 3,
    "appearance_dim": 128,
    "propagation_dim": 128,
    "decoder_dim": 64,
    "mean_scores": True,
}
"""Sizes of ``agame-small``: heads of a quarter and half the width on an EfficientNet-Lite0 up to stride 16, which
``stcn-small`` has learnt."""

FROZEN = tuple(f"backbone.{part}." for part in ("conv1", "bn1", "layer1", "layer2", "layer3"))
"""What the released code does not train: of the backbone, all but its last stage."""

EPOCH, BETA_EPOCH = 800, 59
"""Steps of an epoch: every training sequence of DAVIS-2017 and of YouTube-VOS's 720x1280 ones once, about 3,200 by four
clips; 118 draws by two."""
SYNTHETIC = 1 / 3
"""Share of SynthVOS's clips in the first stage: a third set beside two. How many there were is not known."""
REAL = ("davis17", "youtubevos")
SYNTHVOS = Origin("synthvos", Sets(("msra10k",), behind=("voc2012",)), SYNTHETIC)
"""Salient objects of MSRA10K over photographs of VOC 2012."""


def _published(name: str, epochs: int, epoch: int, factor: float, also: tuple[Origin, ...]) -> Recipe:
    """Half resolution, then full, which differ between paper and code in the first stage only."""
    half = Stage(
        epochs * epoch,
        240,
        8,
        4,
        "videos",
        (1.0,),
        1e-4,
        fall=(epoch, factor),
        weight_decay=1e-5,
        skips=((0.0, 0),),
        width=432,
        sets=Sets(REAL),
        also=also,
    )
    full = Stage(
        100 * BETA_EPOCH,
        480,
        14,
        2,
        "videos",
        (1.0,),
        1e-5,
        fall=(BETA_EPOCH, 0.985),
        weight_decay=1e-6,
        skips=((0.0, 0),),
        loss={"auxiliary": 0.0},
        width=864,
        sets=Sets(REAL, even=True),
    )
    return Recipe(
        name=name,
        method="agame",
        config={},
        stages=(half, full),
        trunk="imagenet",
        augmentation=PLAIN,
        optimiser="adam",
        weight_decay=1e-5,
        clip_norm=0.0,
        average=0.0,
        frozen=FROZEN,
        validate_every=epoch,
    )


RECIPES: dict[str, Recipe] = {
    "agame-small": Recipe(
        name="agame-small",
        method="agame",
        config=SMALL,
        stages=(
            Stage(600, 192, 5, 12, "layered", skips=((0.0, 4),), pace=0.7),
            Stage(350, 256, 5, 10, "layered", skips=((0.0, 3),), pace=0.5),
        ),
        trunk="stcn-small",
        trunk_rate=0.5,
        frozen=tuple(f"backbone.{part}." for part in ("conv1", "bn1", "blocks.0", "blocks.1")),
        warm_up=100,
        objects=(0.5, 0.35, 0.15),
        learning_rate=1e-3,
        inference={"max_short_side": 240, "lean": 0.4},
    ),
    "agame": _published("agame", 80, round(EPOCH / (1 - SYNTHETIC)), 0.95, (SYNTHVOS,)),
    "agame-released": _published("agame-released", 160, EPOCH, 0.975, ()),
}
"""Recipes by name. ``agame`` is the paper's: three sets at half resolution, 240x432, then two of them at full, 480x864,
each drawn alike. ``agame-released`` is the code's: two sets, and a first stage that is twice as long and falls half as
fast; its author says that SynthVOS made no difference. ``agame-small`` begins with the trunk of ``stcn-small`` and
trains on layered clips of up to three objects."""


def clip_loss(
    network: AGAMENetwork,
    clip: ClipBatch,
    *,
    auxiliary: float = 1.0,
) -> ClipLoss:
    """Follow the objects of the first frame through clips; gradients flow through masks and appearance models.

    Each object is a sample of its own against its background; an object that is not in the first frame is left out. The
    next frame takes the coarse mask, as the released training does.

    Args:
        network: what is trained.
        clip: what it is computed on.
        auxiliary: weight of the loss on the coarse mask; 0 in the released second stage.
    Returns: the mean over all frames, the first included: its answer is its given mask and costs nothing, so that the
        others weigh ``(T - 1) / T``.
    """
    images, labels, objects = clip.images, clip.labels, clip.objects
    batch, frames = labels.shape[:2]
    targets = F.one_hot(labels, objects + 1).permute(0, 1, 4, 2, 3)[:, :, 1:].float()  # [B, T, N, H, W]
    there = targets[:, 0].sum(dim=(2, 3)) > 0
    there = there | ~there.any()  # with no object at all, nothing is to stay nothing
    clips, slots = there.nonzero(as_tuple=True)
    memory = network.begin(_of(network, images[:, 0], clips), shrink(with_background(targets[clips, 0, slots])))
    rate = memory.previous.new_full((len(clips),), network.update_rate)
    main, coarse, answers = [], [], []
    for t in range(1, frames):
        features = _of(network, images[:, t], clips)
        answer = network.segment(features, memory)
        truth = targets[clips, t, slots].long()
        main.append(F.cross_entropy(answer.final, truth))
        coarse.append(F.nll_loss(enlarge(torch.log_softmax(answer.coarse, dim=1), STRIDE), truth))
        answers.append(_joined(answer.final.detach(), clips, slots, (batch, objects)))
        if t < frames - 1:
            memory = network.update(features, memory, torch.softmax(answer.coarse, dim=1), rate)
    losses = {"main": torch.stack(main).sum() / frames, "auxiliary": torch.stack(coarse).sum() / frames}
    loss = losses["main"] + auxiliary * losses["auxiliary"] if auxiliary else losses["main"]
    return ClipLoss(loss, {name: value.item() for name, value in losses.items()}, torch.stack(answers, dim=1))


def _of(network: AGAMENetwork, image: Tensor, clips: Tensor) -> FrameFeatures:
    """Features of a frame of each clip, for each object of it; batch norms see the frames, not the objects."""
    features = network.encode(image)
    one_each = torch.equal(clips, torch.arange(len(image), device=clips.device))
    return features if one_each else features.select(clips)


def _joined(logits: Tensor, clips: Tensor, slots: Tensor, shape: tuple[int, int]) -> Tensor:
    """Aggregated probabilities ``[B, 1 + N, H, W]``; slots without an object are background."""
    pairs = logits.new_zeros(*shape, *logits.shape[1:])
    pairs[:, :, 0] = 1
    pairs[clips, slots] = torch.softmax(logits, dim=1)
    return aggregate_pairs(pairs)


TRAINING = Training(RECIPES, clip_loss, parts={"image encoder": ("backbone.",)})
