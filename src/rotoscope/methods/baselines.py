"""What any method should beat: the first mask again and again, and the mask carried along optical flow.

They learn nothing and have no weights, so they are no entries of :data:`~rotoscope.methods.METHODS`; data sets are
segmented and scored with them as with any method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate
from rotoscope.methods.base import Method, Session, VideoLike
from rotoscope.methods.prediction import Prediction
from rotoscope.video.frame import Frame

Kind = Literal["first-mask", "flow"]
BASELINES: dict[str, str] = {
    "first-mask": "the first mask of each object, unchanged on all later frames",
    "flow": "the mask of the frame before, carried along dense optical flow (DIS, as OpenCV has it)",
}
"""Names, and what they do."""


@dataclass(frozen=True)
class BaselineConfig:
    """Which baseline it is."""

    kind: Kind = "first-mask"


class BaselineSession(Session):
    """One video's state: the masks of the frame before and, for flow, its grey picture."""

    def __init__(self, network: nn.Module, config: BaselineConfig) -> None:
        super().__init__(network, config)
        self.masks = torch.zeros(0, 0, 0)
        self.before = torch.zeros(0, 0, dtype=torch.uint8)

    def begin(self, size: tuple[int, int]) -> None:
        """No object yet, at the frame's own size."""
        if not self.masks.numel():
            self.masks = torch.zeros(0, size[1], size[0])

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Carry the masks on; those given replace them."""
        grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        with self.timings.part("carry"):
            if self.config.kind == "flow" and len(self.masks) and self.before.numel():
                self.masks = carried(self.masks, self.before.numpy(), grey)
        self.before = torch.from_numpy(grey)
        new = self.objects.enter(prompts)
        self.masks = torch.cat([self.masks, torch.zeros(len(new), *grey.shape)])
        for object_id, mask in prompts.items():
            self.masks[self.objects.slot(object_id)] = mask.cpu()
        return [Prediction.from_probabilities(frame, self.objects.ids, aggregate(self.masks), bool(prompts))]

    def forget(self, object_id: int) -> None:
        """Drop an object's mask."""
        slot = self.objects.slot(object_id)
        self.masks = torch.cat([self.masks[:slot], self.masks[slot + 1 :]])

    def memory_state(self) -> dict[str, Any]:
        """Masks and picture."""
        return {"masks": self.masks, "before": self.before}

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Go on from masks and picture."""
        self.masks, self.before = memory["masks"].cpu(), memory["before"].cpu()


def carried(masks: Tensor, before: np.ndarray[Any, Any], now: np.ndarray[Any, Any]) -> Tensor:
    """Masks moved as the picture moves; each pixel looks where it was on the frame before.

    Args:
        masks: soft masks of the frame before, ``[N, H, W]``.
        before, now: grey pictures of both frames, uint8 ``[H, W]``.
    """
    moves: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = moves.calc(now, before, None)
    height, width = now.shape
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at_x, at_y = xs + flow[..., 0], ys + flow[..., 1]
    moved = [cv2.remap(mask, at_x, at_y, cv2.INTER_LINEAR, borderValue=0.0) for mask in masks.numpy()]
    return torch.from_numpy(np.stack(moved))


class Baseline(Method):
    """A method without weights."""

    config_class = BaselineConfig

    def __init__(self, config: BaselineConfig | None = None) -> None:
        super().__init__(config)
        self.network = nn.Identity()
        self.precision = "fast"

    def session(self, video: VideoLike | None = None, **options: Any) -> BaselineSession:
        """Open a session; there are no options."""
        if options:
            raise InputError(f"{self.config.kind}: has no option {next(iter(options))!r}; it takes none.")
        return self.opened(BaselineSession(self.network, replace(self.config)))

    @property
    def device(self) -> torch.device:
        """Always the processor."""
        return torch.device("cpu")


def baseline(name: str) -> Baseline:
    """A baseline by its name, one of :data:`BASELINES`."""
    return Baseline(BaselineConfig(name))  # type: ignore[arg-type]
