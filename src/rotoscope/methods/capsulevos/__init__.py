"""CapsuleVOS: eight frames at once, conditioned on the first by attention routing between capsules."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.capsulevos.config import CapsuleVOSConfig
from rotoscope.methods.capsulevos.network import CapsuleVOSNetwork
from rotoscope.methods.capsulevos.session import CapsuleVOSSession

__all__ = ["CapsuleVOS", "CapsuleVOSConfig", "CapsuleVOSNetwork", "CapsuleVOSSession"]


class CapsuleVOS(Method):
    """CapsuleVOS (Duarte, Rawat, Shah, ICCV 2019)."""

    config_class = CapsuleVOSConfig
    inference_options = ("overlap", "merging", "carry_states", "lean")
    config: CapsuleVOSConfig

    def __init__(self, config: CapsuleVOSConfig | None = None) -> None:
        super().__init__(config)
        self.network = CapsuleVOSNetwork(self.config)

    def session(self, video: VideoLike | None = None, **options: Any) -> CapsuleVOSSession:
        """Open a session.

        Args:
            video: not needed.
            options: fields of :class:`CapsuleVOSConfig` that concern inference, such as ``overlap=1``,
                ``merging="published"``, ``carry_states=False``.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        return self.opened(CapsuleVOSSession(self.functions, self.configured(options)))
