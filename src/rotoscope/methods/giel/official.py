"""Names and layout of STM's checkpoint; the authors of GIEL released none."""

from __future__ import annotations

import torch
from torch import Tensor

from rotoscope.errors import CheckpointError
from rotoscope.layers.normalise import MEAN, STD
from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.giel.config import STM, GIELConfig

OFFICIAL: dict[str, str] = {
    r"Encoder_M\.res2\.": "network.support_encoder.layer1.",
    r"Encoder_M\.res3\.": "network.support_encoder.layer2.",
    r"Encoder_M\.res4\.": "network.support_encoder.layer3.",
    r"Encoder_M\.": "network.support_encoder.",
    r"Encoder_Q\.res2\.": "network.query_encoder.layer1.",
    r"Encoder_Q\.res3\.": "network.query_encoder.layer2.",
    r"Encoder_Q\.res4\.": "network.query_encoder.layer3.",
    r"Encoder_Q\.": "network.query_encoder.",
    r"KV_M_r4\.Key\.": "network.support_key.",
    r"KV_M_r4\.Value\.": "network.support_value.",
    r"KV_Q_r4\.Key\.": "network.query_key.",
    r"KV_Q_r4\.Value\.": "network.query_value.",
    r"Decoder\.convFM\.": "network.decoder.enter.",
    r"Decoder\.ResMM\.": "network.decoder.block.",
    r"Decoder\.RF3\.convFS\.": "network.decoder.up_16_8.skip_conv.",
    r"Decoder\.RF3\.ResFS\.": "network.decoder.up_16_8.skip_block.",
    r"Decoder\.RF3\.ResMM\.": "network.decoder.up_16_8.out_conv.",
    r"Decoder\.RF2\.convFS\.": "network.decoder.up_8_4.skip_conv.",
    r"Decoder\.RF2\.ResFS\.": "network.decoder.up_8_4.skip_block.",
    r"Decoder\.RF2\.ResMM\.": "network.decoder.up_8_4.out_conv.",
    r"Decoder\.pred2\.": "network.decoder.pred.",
}
"""Prefixes of the released names and what they are here; the first that matches counts."""

CONFIG = GIELConfig(**STM)
"""STM's network."""

SIGNATURE = ("Encoder_M.conv1_m.weight", "KV_M_r4.Key.weight", "Decoder.pred2.weight")
"""Entries that tell this checkpoint from others."""


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring the released layout to ours.

    The first convolutions of image, mask and other objects' masks, whose outputs are added, become one over five
    channels; the two channels of the prediction, one of them the background, become their difference; what the images
    are normalised by, which is ImageNet's, is left out.

    Raises:
        CheckpointError: the images are normalised by something else.
    """
    for encoder in ("Encoder_M", "Encoder_Q"):
        for name, expected in (("mean", MEAN), ("std", STD)):
            stored = state.pop(f"{encoder}.{name}", None)
            if stored is not None and not torch.allclose(stored.flatten(), torch.tensor(expected), atol=1e-4):
                raise CheckpointError(
                    f"{encoder}.{name} is {stored.flatten().tolist()}, expected ImageNet's {expected}."
                )
    parts = [f"Encoder_M.{name}.weight" for name in ("conv1", "conv1_m", "conv1_o")]
    if all(name in state for name in parts):
        state[parts[0]] = torch.cat([state.pop(name) for name in parts], dim=1)
    for name in ("Decoder.pred2.weight", "Decoder.pred2.bias"):
        if name in state and state[name].shape[0] == 2:
            state[name] = state[name][1:] - state[name][:1]
    return state


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, adapt=adapt)
