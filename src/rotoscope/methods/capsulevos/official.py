"""Names and layout of the TensorFlow 1 checkpoint that the authors of CapsuleVOS released.

The file itself is opened by :mod:`rotoscope.weights.arrays`: as the checkpoint it is, for which TensorFlow must be
installed, or as an ``.npz`` of its variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from rotoscope.methods.bundles import CheckpointLayout
from rotoscope.methods.capsulevos.branches import FRAME, VIDEO
from rotoscope.methods.capsulevos.capsules import POSE
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.zoom import LAYERS

_VIDEO_NAMES = ("1", "2", "3a", "3b", "4a", "4b")
_ROOT = "network/"

OFFICIAL: dict[str, str] = {
    **{rf"hr_fr_conv{n + 1}/": f"network.zoom.convs.{2 * n}." for n in range(len(LAYERS))},
    r"hr_fr_conv8/": "network.zoom.collect.",
    r"lstm_convs/": "network.zoom.lstm.gates.",
    r"crop_reg/": "network.zoom.region.",
    **{rf"conv{_VIDEO_NAMES[n]}_2d/": f"network.video.convs.{n}.space." for n in range(len(VIDEO))},
    **{rf"conv{_VIDEO_NAMES[n]}_1d/": f"network.video.convs.{n}.time." for n in range(len(VIDEO))},
    r"vid_caps_pose/": "network.video.capsules.pose.",
    r"vid_caps_act/": "network.video.capsules.activation.",
    **{rf"lr_fr_conv{n + 1}/": f"network.frame.convs.{2 * n}." for n in range(len(FRAME))},
    r"lr_fr_lstm/": "network.frame.lstm.gates.",
    r"frame_caps_pose/": "network.frame.capsules.pose.",
    r"frame_caps_act/": "network.frame.capsules.activation.",
    r"sec_caps_keys$": "network.second.key",
    r"sec_caps_queries$": "network.second.query",
    r"sec_caps_weights_2$": "network.second.value",
    r"sec_caps_beta_v1$": "network.second.beta_v",
    r"sec_caps_beta_a1$": "network.second.beta_a",
    r"sec_caps_beta_v2$": "network.second.frame_beta_v",
    r"sec_caps_beta_a2$": "network.second.frame_beta_a",
    r"third_caps_weights$": "network.third.weight",
    r"third_caps_beta_v$": "network.third.beta_v",
    r"third_caps_beta_a$": "network.third.beta_a",
    **{rf"deconv{n}/": f"network.decoder.deconv{n}." for n in range(1, 6)},
    **{rf"skip_{n}/": f"network.decoder.skip{n}." for n in (1, 2)},
    **{rf"deconv{n}_bias$": f"network.decoder.biases.{n - 2}" for n in range(2, 6)},
    r"segment_layer/": "network.decoder.segment.",
}
"""Names as :func:`adapt` leaves them, and what they are here."""

CONFIG = CapsuleVOSConfig()
"""The released network."""

SIGNATURE = ("network/vid_caps_pose/kernel", "network/sec_caps_weights", "network/crop_reg/kernel")
"""Entries that tell this checkpoint from others."""

_SLOT = re.compile(r".*/(Adam(_1)?|Momentum|RMSProp(_1)?|ExponentialMovingAverage)$")
"""What an optimiser keeps beside each variable."""


COUNTERS = ("beta1_power", "beta2_power", "global_step")
"""What an optimiser keeps once."""


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Variables of the network in PyTorch's layout; what the optimiser kept, and its counters, is left out.

    Kernels come as ``[kd,] kh, kw, in, out`` and go ``out, in, [kd,] kh, kw``; the same permutation takes those of
    transposed convolutions from ``…, out, in`` to ``in, out, …``, which is how PyTorch has them.
    """
    adapted = {}
    for name, tensor in state.items():
        if name.rsplit("/", 1)[-1] in COUNTERS or _SLOT.fullmatch(name):
            continue
        name = name.removeprefix(_ROOT)
        if name.endswith("/kernel"):
            axes = (tensor.ndim - 1, tensor.ndim - 2, *range(tensor.ndim - 2))
            adapted[name.removesuffix("kernel") + "weight"] = tensor.permute(axes).contiguous()
        elif name == "sec_caps_weights":
            types = _video_types(state)
            adapted["sec_caps_keys"], adapted["sec_caps_queries"] = tensor[:types], tensor[types:]
        elif "_beta_a" in name or name.endswith("_bias"):
            adapted[name] = tensor.flatten()
        else:
            adapted[name] = tensor
    return adapted


def config_of(state: Mapping[str, Tensor]) -> CapsuleVOSConfig:
    """Sizes, read off the shapes; those of frames and crops are not in a checkpoint."""
    types = _video_types(state)
    weights = state["network/sec_caps_weights"]
    return CapsuleVOSConfig(
        width=state["network/crop_reg/kernel"].shape[2] // 4,
        video_types=types,
        frame_types=max(weights.shape[0] - types, 1),
        types=weights.shape[1],
    )


def _video_types(state: Mapping[str, Tensor]) -> int:
    return state["network/vid_caps_pose/kernel"].shape[-1] // POSE


RELEASED = CheckpointLayout(OFFICIAL, CONFIG, SIGNATURE, adapt=adapt, config_of=config_of)
