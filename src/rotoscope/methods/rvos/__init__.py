"""RVOS: recurrent over objects and over time."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.rvos.config import RVOSConfig
from rotoscope.methods.rvos.network import RVOSNetwork
from rotoscope.methods.rvos.session import RVOSSession

__all__ = ["RVOS", "RVOSConfig", "RVOSNetwork", "RVOSSession"]


class RVOS(Method):
    """RVOS (Ventura et al., CVPR 2019), one-shot or zero-shot by its config."""

    config_class = RVOSConfig
    inference_options = (
        "size",
        "keep_aspect",
        "first_mask_again",
        "carry",
        "merging",
        "objectness",
        "least",
        "apart",
        "recurrence",
        "slots",
    )
    config: RVOSConfig

    def __init__(self, config: RVOSConfig | None = None) -> None:
        super().__init__(config)
        self.network = RVOSNetwork(self.config)
        self.task = "semi" if self.config.one_shot else "unsupervised"

    def session(self, video: VideoLike | None = None, **options: Any) -> RVOSSession:
        """Open a session.

        Args:
            video: not needed.
            options: fields of :class:`RVOSConfig` that concern inference, such as ``size=(240, 427)``,
                ``merging="published"``, ``objectness=0.6``.

        Raises:
            InputError: an option that does not exist.
        """
        return self.opened(RVOSSession(self.functions, self.configured(options)))
