"""GIEL: all instances in one pass, by global and instance embeddings; and STM, which it builds on."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.giel.config import GIELConfig
from rotoscope.methods.giel.network import GIELNetwork
from rotoscope.methods.giel.session import GIELSession

__all__ = ["GIEL", "GIELConfig", "GIELNetwork", "GIELSession"]


class GIEL(Method):
    """Global and instance embedding learning (Ge et al., CVPR 2021)."""

    config_class = GIELConfig
    inference_options = (
        "output",
        "product",
        "binary_support",
        "slots",
        "memory",
        "usage",
        "mem_every",
        "top_k",
        "include_last",
        "protect_given",
        "strays",
        "short_side",
        "max_short_side",
        "resizing",
        "border",
    )
    config: GIELConfig

    def __init__(self, config: GIELConfig | None = None) -> None:
        super().__init__(config)
        self.network = GIELNetwork(self.config)

    def session(self, video: VideoLike | None = None, **options: Any) -> GIELSession:
        """Open a session.

        Args:
            video: not needed.
            options: fields of :class:`GIELConfig` that concern inference, such as ``output="fast"``,
                ``memory="lfu:4"``, ``top_k=20``, ``short_side=480``.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        return self.opened(GIELSession(self.functions, self.configured(options)))
