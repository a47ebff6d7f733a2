"""COSNet: the primary object, found without a mask by looking across the whole video."""

from __future__ import annotations

from typing import Any

from rotoscope.methods.base import Method, VideoLike
from rotoscope.methods.cosnet.config import COSNetConfig
from rotoscope.methods.cosnet.network import COSNetNetwork
from rotoscope.methods.cosnet.session import COSNetSession

__all__ = ["COSNet", "COSNetConfig", "COSNetNetwork", "COSNetSession"]


class COSNet(Method):
    """COSNet (Lu et al., CVPR 2019)."""

    task = "unsupervised"
    config_class = COSNetConfig
    inference_options = (
        "fusion",
        "own_share",
        "recurrence",
        "carried",
        "references",
        "sampling",
        "seed",
        "size",
        "keep_aspect",
        "pool",
        "cached",
        "reservoir",
        "guided",
        "crf",
        "crf_position",
        "crf_compat",
    )
    config: COSNetConfig

    def __init__(self, config: COSNetConfig | None = None) -> None:
        super().__init__(config)
        self.network = COSNetNetwork(self.config)

    def session(self, video: VideoLike | None = None, **options: Any) -> COSNetSession:
        """Open a session.

        Args:
            video: whose frames will be pushed, with its own indices; references are drawn from all of it. Without, or
                with one whose frames come in order only, they are drawn from past frames, and the session's
                ``notes`` say so.
            options: fields of :class:`COSNetConfig` that concern inference, such as ``references=2``,
                ``fusion="summary"``, ``sampling="uniform"``, ``crf=True``.

        Raises:
            InputError: an option that does not exist, or ``crf`` without the extra of that name.
        """
        return self.opened(COSNetSession(self.functions, self.configured(options), video))
