"""STCN with the thesis's adaptive memory."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.stcn.config import STCNConfig
from rotoscope.methods.stcn.network import STCNNetwork
from rotoscope.methods.stcn.session import STCNSession

__all__ = ["STCN", "STCNConfig", "STCNNetwork", "STCNSession"]


class STCN(Method):
    """Space-time correspondence networks (Cheng et al., NeurIPS 2021)."""

    config_class = STCNConfig
    inference_options = (
        "short_side",
        "max_short_side",
        "resizing",
        "memory",
        "usage",
        "mem_every",
        "top_k",
        "include_last",
        "protect_first",
        "counters",
        "scales",
        "reach",
        "least_presence",
        "crossings",
        "strays",
        "lean",
        "trust",
        "least_quality",
    )
    config: STCNConfig

    def __init__(self, config: STCNConfig | None = None) -> None:
        super().__init__(config)
        self.network = STCNNetwork(self.config)

    def session(
        self, video: VideoLike | None = None, *, memory_budget: int | None = None, **options: Any
    ) -> STCNSession:
        """Open a session.

        Args:
            video: not needed.
            memory_budget: bytes for the memory bank; chooses M of ``lfu:M``.
            options: fields of :class:`STCNConfig` that concern inference, such as ``memory="lfu:4"``, ``mem_every=5``,
                ``top_k=20``, ``include_last=False``, ``short_side=480``.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        return self.opened(STCNSession(self.functions, self.configured(options), memory_budget))
