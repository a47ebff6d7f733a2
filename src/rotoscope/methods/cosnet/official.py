"""Names and layout of the checkpoint that the authors of COSNet released."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.layers.trunks import residual_name
from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.cosnet.config import COSNetConfig

OFFICIAL: dict[str, str] = {
    r"encoder\.layer5\.conv\.": "network.aspp.pool.0.",
    r"encoder\.layer5\.bn_x\.": "network.aspp.pool.1.",
    r"encoder\.layer5\.conv2d_0\.": "network.aspp.branches.0.0.",
    r"encoder\.layer5\.bn_0\.": "network.aspp.branches.0.1.",
    r"encoder\.layer5\.conv2d_1\.": "network.aspp.branches.1.0.",
    r"encoder\.layer5\.bn_1\.": "network.aspp.branches.1.1.",
    r"encoder\.layer5\.conv2d_2\.": "network.aspp.branches.2.0.",
    r"encoder\.layer5\.bn_2\.": "network.aspp.branches.2.1.",
    r"encoder\.layer5\.conv2d_3\.": "network.aspp.branches.3.0.",
    r"encoder\.layer5\.bn_3\.": "network.aspp.branches.3.1.",
    r"encoder\.layer5\.bottleneck\.": "network.aspp.merge.0.",
    r"encoder\.layer5\.bn\.": "network.aspp.merge.1.",
    r"encoder\.layer5\.prelu\.": "network.aspp.prelu.",
    r"encoder\.main_classifier\.": "network.saliency.",
    r"encoder\.": "network.trunk.",
    r"linear_e\.": "network.attention.similarity.",
    r"gate\.": "network.gate.",
    r"conv1\.": "network.query_head.conv.",
    r"bn1\.": "network.query_head.bn.",
    r"main_classifier1\.": "network.query_head.predict.",
    r"conv2\.": "network.reference_head.conv.",
    r"bn2\.": "network.reference_head.bn.",
    r"main_classifier2\.": "network.reference_head.predict.",
}
"""Prefixes of the released names and what they are here."""

CONFIG = COSNetConfig()
"""The released network."""

SIGNATURE = ("encoder.layer5.bottleneck.weight", "linear_e.weight", "main_classifier1.weight")
"""Entries that tell this checkpoint from others."""


def unwrap(checkpoint: Mapping[str, object]) -> Mapping[str, object]:
    """The state dict inside ``{epoch, model}``, or the checkpoint itself."""
    inner = checkpoint.get("model")
    return inner if isinstance(inner, Mapping) else checkpoint


def config_of(state: Mapping[str, Tensor]) -> COSNetConfig:
    """Sizes read off the shapes."""
    trunk = residual_name(state, "encoder.", CONFIG.trunk)
    merge = state[SIGNATURE[0]]
    return COSNetConfig(trunk=trunk, aspp_dim=merge.shape[1] // 5, dim=merge.shape[0])


DEEPLAB = ("encoder.", ("layer5.bottleneck.weight", "layer1.0.conv1.weight"))
"""The DeepLabv3 that its authors begin with: the encoder under its own names."""

RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, unwrap=unwrap, config_of=config_of, part=DEEPLAB)
