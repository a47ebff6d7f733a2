"""Names and layout of the checkpoints that the authors of RSIS released: two files in a folder."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.layers.trunks import residual_name
from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.rsis.config import RSISConfig

FILES = {"encoder.": "encoder.pt", "decoder.": "decoder.pt"}
"""Files of a released folder, and what stands before their names here. ``args.pkl`` and the optimisers' states beside
them are not opened."""

OFFICIAL: dict[str, str] = {
    r"encoder\.base\.": "network.encoder.",
    **{rf"encoder\.sk{5 - level}\.": f"network.skips.{level}.0." for level in range(5)},
    **{rf"encoder\.bn{5 - level}\.": f"network.skips.{level}.1." for level in range(5)},
    **{rf"decoder\.clstm_list\.{level}\.Gates\.": f"network.cells.{level}.gates." for level in range(5)},
    r"decoder\.conv_out\.": "network.conv_out.",
    r"decoder\.fc_class\.": "network.fc_class.",
    r"decoder\.fc_stop\.": "network.fc_stop.",
}
"""Prefixes of the released names and what they are here."""

CONFIG = RSISConfig()
"""The network released for Pascal VOC."""

SIGNATURE = (
    "encoder.base.conv1.weight",
    "encoder.sk1.weight",
    "encoder.sk5.weight",
    "decoder.clstm_list.4.Gates.weight",
    "decoder.fc_class.weight",
)
"""Entries that tell this checkpoint from others, such as RVOS's, without the class head and the finest level."""


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the classifier of the trunk, which the network does not have."""
    return {k: v for k, v in state.items() if not k.startswith("encoder.base.fc.")}


def config_of(state: Mapping[str, Tensor]) -> RSISConfig:
    """Sizes read off the shapes: 21 classes for Pascal VOC, 9 for Cityscapes, 2 for leaves."""
    return RSISConfig(
        trunk=residual_name(state, "encoder.base.", "resnet101"),
        hidden=state["encoder.sk5.weight"].shape[0],
        classes=state["decoder.fc_class.weight"].shape[0],
        kernel=state["decoder.clstm_list.4.Gates.weight"].shape[2],
    )


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, adapt=adapt, config_of=config_of, files=FILES)
