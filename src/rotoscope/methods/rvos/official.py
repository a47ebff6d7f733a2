"""Names and layout of the checkpoints that the authors of RVOS released: two files in a folder."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.layers.trunks import residual_name
from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.rvos.config import RVOSConfig

FILES = {"encoder.": "encoder.pt", "decoder.": "decoder.pt"}
"""Files of a released folder, and what stands before their names here. ``args.pkl`` beside them is not opened."""

OFFICIAL: dict[str, str] = {
    r"encoder\.base\.": "network.encoder.",
    r"encoder\.sk5\.": "network.skips.0.0.",
    r"encoder\.bn5\.": "network.skips.0.1.",
    r"encoder\.sk4\.": "network.skips.1.0.",
    r"encoder\.bn4\.": "network.skips.1.1.",
    r"encoder\.sk3\.": "network.skips.2.0.",
    r"encoder\.bn3\.": "network.skips.2.1.",
    r"encoder\.sk2\.": "network.skips.3.0.",
    r"encoder\.bn2\.": "network.skips.3.1.",
    r"decoder\.clstm_list\.0\.Gates\.": "network.cells.0.gates.",
    r"decoder\.clstm_list\.1\.Gates\.": "network.cells.1.gates.",
    r"decoder\.clstm_list\.2\.Gates\.": "network.cells.2.gates.",
    r"decoder\.clstm_list\.3\.Gates\.": "network.cells.3.gates.",
    r"decoder\.conv_out\.": "network.conv_out.",
}
"""Prefixes of the released names and what they are here."""

CONFIG = RVOSConfig()
"""The released one-shot network."""

SIGNATURE = ("encoder.base.conv1.weight", "encoder.sk5.weight", "decoder.clstm_list.0.Gates.weight")
"""Entries that tell this checkpoint from others."""


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what the network does not have: the classifier of the trunk, and stop heads left over from RSIS."""
    return {k: v for k, v in state.items() if not k.startswith("encoder.base.fc.") and "fc_stop" not in k}


def config_of(state: Mapping[str, Tensor]) -> RVOSConfig:
    """Variant and sizes, read off the shapes."""
    trunk = residual_name(state, "encoder.base.", CONFIG.trunk)
    gates = state["decoder.clstm_list.0.Gates.weight"]
    hidden = gates.shape[0] // 4
    return RVOSConfig(trunk=trunk, hidden=hidden, kernel=gates.shape[2], one_shot=gates.shape[1] == 3 * hidden + 1)


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, adapt=adapt, config_of=config_of, files=FILES)
