"""A-GAME: a generative model of how each object looks."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.agame.config import AGAMEConfig
from rotoscope.methods.agame.network import AGAMENetwork
from rotoscope.methods.agame.session import AGAMESession
from rotoscope.methods.base import Method, VideoLike

__all__ = ["AGAME", "AGAMEConfig", "AGAMENetwork", "AGAMESession"]


class AGAME(Method):
    """A-GAME (Johnander et al., CVPR 2019)."""

    config_class = AGAMEConfig
    inference_options = (
        "update_rate",
        "freeze_hidden",
        "recurrence",
        "predict_given",
        "lean",
        "short_side",
        "max_short_side",
    )
    config: AGAMEConfig

    def __init__(self, config: AGAMEConfig | None = None) -> None:
        super().__init__(config)
        self.network = AGAMENetwork(self.config)

    def session(self, video: VideoLike | None = None, **options: Any) -> AGAMESession:
        """Open a session.

        Args:
            video: not needed.
            options: fields of :class:`AGAMEConfig` that concern inference, such as ``freeze_hidden=True``,
                ``recurrence="own"``, ``short_side=480``.

        Raises:
            InputError: an option that does not exist.
        """
        return self.opened(AGAMESession(self.functions, self.configured(options)))
