"""The click network's config."""

from __future__ import annotations

from dataclasses import dataclass

from rotoscope.layers.trunks import TrunkName
from rotoscope.methods.checks import Count, MethodConfig, WorkingSide


@dataclass(frozen=True)
class PromptsConfig(MethodConfig):
    """Sizes of the click network, and how it is used.

    Attributes:
        trunk: the image encoder; an EfficientNet-Lite's batch norms keep their statistics.
        dims: channels at stride 4, 8, 16 and 32 of what is made of picture and clicks.
        key_dim: channels of the features that tell which places look alike.
        short_side: pictures are resized so that the shorter side has this length.
    """

    trunk: TrunkName = "efficientnet-lite0"
    dims: tuple[Count, Count, Count, Count] = (32, 64, 96, 128)
    key_dim: Count = 32
    short_side: WorkingSide = 320
