"""Sizes and choices of an A-GAME network; every ablation of the paper is a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotoscope.errors import InputError
from rotoscope.layers.trunks import TrunkName
from rotoscope.methods.checks import Count, Lean, MethodConfig, Odd, Share, WorkingSide

Appearance = Literal["mixture", "unimodal", "softmax", "none"]
Recurrence = Literal["aggregated", "own", "coarse"]


@dataclass(frozen=True)
class AGAMEConfig(MethodConfig):
    """A-GAME (Johnander et al., CVPR 2019); the defaults are the released network.

    Attributes:
        trunk: the name of the network that encodes frames (see :mod:`rotoscope.layers.trunks`).
        stages: how many stages of the trunk are used, 3 or 4; the fourth is dilated and stays at stride 16.
        appearance_dim: the number of channels of the features whose distribution is modelled.
        propagation_dim: the number of channels of the mask propagation, and of the first layer of the fusion.
        decoder_dim: the number of channels behind the fusion and of the upsampling.
        coarse_kernel: the side of the coarse predictor's kernel, an odd number.
        appearance: ``mixture``: two Gaussians each for background and target; ``unimodal``: one each; ``softmax``: a
            linear softmax classifier instead; ``none``: nothing is modelled. See the appearance module.
        mean_scores: scores are divided by ``appearance_dim``, so that they begin at the size of what they are fused
            with; not in the released code, whose scores are hundreds below 0.
        propagation: whether masks are propagated.
        end_to_end: whether gradients flow through the fit of the appearance model, and with it through time; else the
            features and masks that it is fitted to count as constants, and only scoring teaches.
        update_rate: the share of the newest frame in the appearance model, in [0, 1]; 0 keeps the model of the given
            frame.
        freeze_hidden: leave an object's appearance model as it is on frames where no pixel of it is seen. The released
            code goes on, and forgets an object that stays hidden.
        recurrence: which mask the next frame takes: ``aggregated``: of all objects together, at full size (released
            code for several objects); ``own``: of each object for itself, at full size (released code for DAVIS-2016);
            ``coarse``: that of the coarse predictor, as in training.
        predict_given: an object given after the first frame is also run on the frame it is given on, and the answer is
            the prediction (released code); else the answer there is the given mask.
        lean: how much is added to the target's logit; 0 in the paper.
        short_side: the network works on frames resized to this short side in pixels; None works at native size.
        max_short_side: frames with a longer short side are shrunk to this one; bounds the memory of 4K video.
    """

    trunk: TrunkName = "resnet101"
    stages: Literal[3, 4] = 4
    appearance_dim: Count = 512
    propagation_dim: Count = 512
    decoder_dim: Count = 128
    coarse_kernel: Odd = 1
    appearance: Appearance = "mixture"
    mean_scores: bool = False
    propagation: bool = True
    end_to_end: bool = True
    update_rate: Share = 0.1
    freeze_hidden: bool = False
    recurrence: Recurrence = "aggregated"
    predict_given: bool = False
    lean: Lean = 0.0
    short_side: WorkingSide | None = None
    max_short_side: WorkingSide | None = 1088

    def check(self) -> None:
        """See that something is left to follow objects with.

        Raises:
            InputError: neither appearance nor propagation.
        """
        if self.appearance == "none" and not self.propagation:
            raise InputError("a network with neither appearance nor propagation cannot follow anything. Keep one.")
