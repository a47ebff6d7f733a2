"""Names and layout of the checkpoint that the authors of A-GAME released."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.layers.trunks import residual_name
from rotoscope.methods.agame.config import AGAMEConfig
from rotoscope.methods.bundles import CheckpointLayout

PREFIX = "trackseg."
REGULARISER = f"{PREFIX}appmod.cov_reg"

OFFICIAL: dict[str, str] = {
    r"trackseg\.backbone\.": "network.backbone.",
    r"trackseg\.appmod\.cov_reg": "network.appearance.regulariser",
    r"trackseg\.appmod\.conv_in\.": "network.appearance.project.",
    r"trackseg\.dynmod\.layers\.layer00\.conv\.": "network.propagation.enter.",
    r"trackseg\.dynmod\.layers\.layer01\.conv0\.": "network.propagation.branches.0.",
    r"trackseg\.dynmod\.layers\.layer01\.conv1\.": "network.propagation.branches.1.",
    r"trackseg\.dynmod\.layers\.layer01\.conv2\.": "network.propagation.branches.2.",
    r"trackseg\.dynmod\.layers\.layer02\.conv\.": "network.propagation.leave.",
    r"trackseg\.fusmod\.layers\.layer00\.conv\.": "network.fusion.conv1.",
    r"trackseg\.fusmod\.layers\.layer01\.conv\.": "network.fusion.conv2.",
    r"trackseg\.fusmod\.predictor\.layer00\.conv\.": "network.fusion.coarse.",
    r"trackseg\.segmod\.project_s8\.conv\.": "network.upsampling.project8.",
    r"trackseg\.segmod\.blend_s8\.conv\.": "network.upsampling.blend8.",
    r"trackseg\.segmod\.project_s4\.conv\.": "network.upsampling.project4.",
    r"trackseg\.segmod\.blend_s4\.conv\.": "network.upsampling.blend4.",
    r"trackseg\.segmod\.predictor\.conv\.": "network.upsampling.predict.",
}
"""Prefixes of the released names and what they are here."""

CONFIG = AGAMEConfig()
"""The released network."""

SIGNATURE = (REGULARISER, f"{PREFIX}backbone.conv1.weight", f"{PREFIX}fusmod.predictor.layer00.conv.weight")
"""Entries that tell this checkpoint from others."""


def unwrap(checkpoint: Mapping[str, object]) -> Mapping[str, object]:
    """The state dict inside ``{epoch, net_type, net, optimizer, stats, use_gpu}``, or the checkpoint itself."""
    inner = checkpoint.get("net")
    return inner if isinstance(inner, Mapping) else checkpoint


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the trunk's classifier, which nothing uses, and the regulariser's dimensions of size 1."""
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(f"{PREFIX}backbone.fc.")}
    row = kept.get(REGULARISER)
    if row is not None and row.ndim == 5:  # [4, 1, C, 1, 1]
        kept[REGULARISER] = row.flatten(1)
    return kept


def config_of(state: Mapping[str, Tensor]) -> AGAMEConfig:
    """Sizes read off the shapes, such as the coarse predictor's kernel, which the code's own default has otherwise."""
    coarse, fused = state[SIGNATURE[2]], state.get(f"{PREFIX}fusmod.layers.layer00.conv.weight")
    return AGAMEConfig(
        trunk=residual_name(state, f"{PREFIX}backbone.", CONFIG.trunk),
        appearance_dim=state[REGULARISER].numel() // state[REGULARISER].shape[0],
        propagation_dim=CONFIG.propagation_dim if fused is None else fused.shape[0],
        stages=4 if f"{PREFIX}backbone.layer4.0.conv1.weight" in state else 3,
        decoder_dim=coarse.shape[1],
        coarse_kernel=coarse.shape[2],
        appearance="mixture" if state[REGULARISER].shape[0] == 4 else "unimodal",
    )


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, unwrap=unwrap, adapt=adapt, config_of=config_of)
