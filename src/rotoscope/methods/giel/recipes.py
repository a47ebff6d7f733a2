"""Recipes of GIEL (Ge et al., CVPR 2021)."""

from __future__ import annotations

from dataclasses import replace

from rotoscope.methods.augmentation import PLAIN, Geometry
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.sources import Sets

SMALL = {
    "trunk": "efficientnet-lite0",
    "support_width": 32,
    "key_dim": 64,
    "value_dim": 128,
    "kernel": 3,
    "shared": False,
    "keys": "query",
    "similarity": "l2",
    "judged": "values",
    "decoder_dims": (128, 64, 32),
    "skip_blocks": False,
    "label_dim": 32,
    "coarse_dim": 64,
}
"""Sizes of ``giel-small``: trunk and keys in the form of ``stcn-small``, whose weights they begin with, so that the
affinity works from the first step; a support encoder in the form of the value encoder of ``stcn-small-resnet18``, whose
weights it begins with. Keys are those that frames had as queries, so temporal attention sees values in their place."""

VIDEOS = ("youtubevos", "davis17")
STEPS, TURN, ZOOM = 100_000, 15, (0.75, 1.5)
"""Our choices, as the paper gives no figures: optimiser steps; degrees of the rotation, and factors of the scaling, of
its "random rotation and scaling". Also ours: how many objects a step has, that clips have the gaps of STCN's first
curriculum, and that each set is drawn by its number of videos."""

RECIPES: dict[str, Recipe] = {
    "giel-small": Recipe(
        name="giel-small",
        method="giel",
        config=SMALL,
        stages=(
            Stage(600, 192, 4, 3, "composed"),
            Stage(350, 256, 5, 2, "composed", skips=((0.0, 10),)),
        ),
        trunk="stcn-small",
        mask_trunk="stcn-small-resnet18",
        trunk_rate=0.3,
        frozen_norms=True,
        objects=(0.5, 0.35, 0.15),
        learning_rate=6e-4,
        warm_up=40,
        loss={"dice": 1.0, "correspondence": 0.3, "corruption": 0.3, "worth": 0.3},
        inference={"max_short_side": 320, "resizing": "area", "top_k": 20},
    ),
    "giel": Recipe(
        name="giel",
        method="giel",
        config={},
        stages=(Stage(STEPS, 384, 4, 16, "videos", (0.25, 0.35, 0.25, 0.1, 0.03, 0.02), width=736, sets=Sets(VIDEOS)),),
        trunk="maskrcnn-resnet50",
        augmentation=replace(PLAIN, crop="window", clip=Geometry(degrees=TURN, scale=ZOOM)),
        optimiser="adam",
        learning_rate=1e-5,
        poly=1.0,
        weight_decay=0.0,
        clip_norm=0.0,
        average=0.0,
        bootstrap=(1.0, 1.0),
        validate_every=5000,
    ),
}
"""Recipes by name. Both train the full and the fast output at once, so one file of weights serves both
(``output="fast"``). ``giel`` is the published one: crops of 736x384, batches of all its GPUs
together; for what the paper leaves open see :data:`STEPS`. Its ResNet-50 has learnt Mask R-CNN; the
paper does not say whose, so it is torchvision's here. ``--set trunk=stm`` begins with STM and fills whatever fits.
``giel-small`` begins with trunk and keys of ``stcn-small`` and the value encoder of ``stcn-small-resnet18``. The trunk
was trained with norms that keep their statistics; under those of a batch its keys look anywhere."""
