"""RSIS: the objects of a picture one after another; RIS is one of its configs."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.rsis.config import RIS_LEAVES, RIS_PERSONS, RSISConfig
from rotoscope.methods.rsis.network import RSISNetwork
from rotoscope.methods.rsis.session import RSISSession

__all__ = ["RIS_LEAVES", "RIS_PERSONS", "RSIS", "RSISConfig", "RSISNetwork", "RSISSession"]


class RSIS(Method):
    """RSIS (Salvador et al., 2017), or RIS (Romera-Paredes and Torr, ECCV 2016), by its config."""

    task = "unsupervised"
    config_class = RSISConfig
    inference_options = (
        "size",
        "keep_aspect",
        "slots",
        "stop_at",
        "ending",
        "mask_at",
        "least",
        "class_at",
        "merging",
        "linking",
    )
    config: RSISConfig

    def __init__(self, config: RSISConfig | None = None) -> None:
        super().__init__(config)
        self.network = RSISNetwork(self.config)

    def session(self, video: VideoLike | None = None, **options: Any) -> RSISSession:
        """Open a session.

        Args:
            video: not needed.
            options: fields of :class:`RSISConfig` that concern inference, such as ``stop_at=0.7``, ``slots=20``,
                ``linking="none"``.

        Raises:
            InputError: an option that does not exist.
        """
        return self.opened(RSISSession(self.functions, self.configured(options)))
