"""Names and layout of the checkpoint that the authors of STCN released."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.stcn.config import STCNConfig

OFFICIAL: dict[str, str] = {
    r"key_encoder\.res2\.": "network.key_encoder.layer1.",
    r"key_encoder\.": "network.key_encoder.",
    r"value_encoder\.fuser\.attention\.ChannelGate\.mlp\.1\.": "network.fuser.attention.squeeze.",
    r"value_encoder\.fuser\.attention\.ChannelGate\.mlp\.3\.": "network.fuser.attention.excite.",
    r"value_encoder\.fuser\.attention\.SpatialGate\.spatial\.conv\.": "network.fuser.attention.spatial.",
    r"value_encoder\.fuser\.": "network.fuser.",
    r"value_encoder\.": "network.value_encoder.",
    r"key_proj\.key_proj\.": "network.key_proj.",
    r"key_comp\.": "network.key_comp.",
    r"decoder\.": "network.",
}
"""Prefixes of the released names and what they are here; the first that matches counts."""

CONFIG = STCNConfig()
"""The released network."""

SIGNATURE = ("key_encoder.res2.0.conv1.weight", "value_encoder.fuser.block1.conv1.weight", "key_proj.key_proj.weight")
"""Entries that tell this checkpoint from others."""


def unwrap(checkpoint: Mapping[str, object]) -> Mapping[str, object]:
    """The state dict inside a training checkpoint ``{it, network, optimizer, scheduler}``, or the checkpoint itself."""
    inner = checkpoint.get("network")
    return inner if isinstance(inner, Mapping) else checkpoint


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a checkpoint from single-object pre-training (4 input channels) the channel of the other objects, zero."""
    name = "value_encoder.conv1.weight"
    weight = state.get(name)
    if weight is not None and weight.ndim == 4 and weight.shape[1] == 4:
        state[name] = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)
    return state


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, unwrap=unwrap, adapt=adapt)
