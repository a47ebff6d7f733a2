"""One video's state under RVOS: each object's hidden states and its last mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate, put_in
from rotoscope.layers.matching import soft_iou_costs
from rotoscope.layers.normalise import normalise
from rotoscope.masks.assignment import FirstFrameAssignment
from rotoscope.methods.base import Session
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.rvos.config import RVOSConfig
from rotoscope.methods.rvos.network import Pyramid, RVOSNetwork, carried, resize, run_frame
from rotoscope.video.frame import Frame


class RVOSSession(Session):
    """Segments one video.

    Between frames it holds, for each object, the hidden states of four levels and a mask at the working size; nothing
    grows with the video. Slots run one after another: time grows with the number of objects, and a mistake of one slot
    reaches those after it.

    One-shot: masks given on a frame are the previous masks of that very frame (and the first ones once more of the
    next, as released); the answer on it is the given masks. Zero-shot: no masks; slot ``i`` is object ``i + 1`` along
    the whole clip, from the first frame on which it is sure enough of itself: the mean probability over its pixels,
    its *objectness*, reaches the config's threshold, it fills the share of the picture that the config asks, and it is
    not what another object's slot has found too.
    """

    prepares = True
    network: RVOSNetwork
    config: RVOSConfig

    def __init__(self, network: RVOSNetwork, config: RVOSConfig) -> None:
        super().__init__(network, config)
        self._hidden: list[Pyramid | None] | None = None
        self._masks: Tensor | None = None
        self._repeat = False
        self._found: list[int] = []
        self._painter = FirstFrameAssignment(config.slots)

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame."""
        if prompts and not self.config.one_shot:
            raise InputError("masks are given, but this method finds objects by itself. Leave the masks out.")
        if self.config.one_shot and not self.objects and not prompts:
            return [Prediction.empty(frame)]
        begun = not self.objects
        self._take(prompts, self.config.working_size(frame.size))
        slots = len(self.objects) if self.config.one_shot else self.config.slots
        weight = self.network.conv_out.weight
        features = self.encoded(frame)
        with self.timings.part("decode"):
            masks = None if self._masks is None else self._masks[None].to(weight.dtype)
            logits, states = run_frame(self.network, features, slots, masks, self._hidden, self.config.recurrence)
            probabilities = torch.sigmoid(resize(logits.float(), torch.Size(self.config.working_size(frame.size))))[0]
        self._hidden = [state.hidden for state in states]
        if self.config.one_shot:
            self._remember(probabilities, begun)
        with self.timings.part("restore"):
            return [self._answer(frame, probabilities, prompts)]

    def encode(self, frame: Frame) -> Pyramid:
        """The frame's features."""
        weight = self.network.conv_out.weight
        return self.network.encode(self._image(frame).to(weight.device, weight.dtype))

    def forget(self, object_id: int) -> None:
        """Drop the object's slot; those after it move up."""
        if not self.config.one_shot:
            raise InputError("a zero-shot session's objects are its own; they cannot be removed.")
        slot = self.objects.slot(object_id)
        if self._hidden is not None and slot < len(self._hidden):
            del self._hidden[slot]
        if self._masks is not None:
            self._masks = torch.cat([self._masks[:slot], self._masks[slot + 1 :]])
        self._painter.leave(object_id, slot + 1)

    def memory_state(self) -> dict[str, Any]:
        """Hidden states, masks, and what is due on the next frame."""
        hidden = {
            f"hidden.{slot}.{level}": tensor
            for slot, pyramid in enumerate(self._hidden or [])
            for level, tensor in enumerate(pyramid or [])
        }
        masks = {} if self._masks is None else {"masks": self._masks}
        facts = {
            "slots": -1 if self._hidden is None else len(self._hidden),
            "found": list(self._found),
            "repeat": self._repeat,
            "slot_of": [[i, s] for i, s in self._painter.slot_of.items()],
            "cost_of": [[i, c] for i, c in self._painter.cost_of.items()],
        }
        return hidden | masks | facts

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        slots = int(memory["slots"])
        self._hidden = None
        if slots >= 0:
            self._hidden = [
                [memory[f"hidden.{slot}.{level}"] for level in range(4)] if f"hidden.{slot}.0" in memory else None
                for slot in range(slots)
            ]
        self._masks = memory.get("masks")
        self._found = [int(i) for i in memory["found"]]
        self._repeat = bool(memory["repeat"])
        self._painter.slot_of = {int(i): int(s) for i, s in memory["slot_of"]}
        self._painter.cost_of = {int(i): float(c) for i, c in memory["cost_of"]}

    def _image(self, frame: Frame) -> Tensor:
        """The frame at the working size, ``[1, 3, H, W]``: Pillow's bilinear on 8 bits."""
        image = frame.image
        if image.dtype != np.uint8:
            image = np.round(image * 255).astype(np.uint8)
        height, width = self.config.working_size(frame.size)
        resized = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        return normalise(torch.from_numpy(resized).permute(2, 0, 1)[None])

    def _take(self, prompts: dict[int, Tensor], size: tuple[int, int]) -> None:
        """Put given masks into their objects' slots, new slots behind the known ones."""
        if not prompts:
            return
        device = self.device
        for object_id, mask in prompts.items():
            # cells read the pixel at their centre, as Pillow's nearest neighbour, which the released code uses, does
            small = F.interpolate(mask[None, None].to(device), size=size, mode="nearest-exact")[0]
            if object_id in self.objects:
                assert self._masks is not None
                self._masks = self._masks.clone()
                self._masks[self.objects.slot(object_id)] = small[0]
                continue
            self.objects.enter([object_id])
            self._masks = small if self._masks is None else torch.cat([self._masks, small])
            if self._hidden is not None:
                self._hidden.append(None)

    def _remember(self, probabilities: Tensor, begun: bool) -> None:
        """The masks for the next frame: what was predicted, but once more those of the first frame."""
        self._repeat = begun and self.config.first_mask_again
        if not self._repeat:
            self._masks = carried(probabilities, self.config.carry)

    def _answer(self, frame: Frame, probabilities: Tensor, prompts: dict[int, Tensor]) -> Prediction:
        if not self.config.one_shot:
            self._discover(probabilities)
            self.objects.replace(self._found)
            probabilities = probabilities[[i - 1 for i in self._found]] if self._found else probabilities[:0]
        if not self.objects:
            return Prediction.empty(frame)
        if self.config.merging == "published" and self.config.one_shot:
            return self._painted(frame, probabilities, prompts)
        full = F.interpolate(probabilities[None], size=frame.size[::-1], mode="bilinear", align_corners=False)[0]
        if prompts:
            full = put_in(full, self.objects.slots(prompts), torch.stack(list(prompts.values())).to(full.device))
        return Prediction.from_probabilities(frame, self.objects.ids, aggregate(full), bool(prompts))

    def _discover(self, masks: Tensor) -> None:
        """Slots that are objects from now on."""
        if len(self._found) == len(masks):
            return
        cut = masks > 0.5
        overlaps = 1 - soft_iou_costs(cut[None], cut[None])[0]
        for slot, probabilities in enumerate(masks):
            object_id, inside = slot + 1, cut[slot]
            if object_id in self._found or inside.float().mean().item() < self.config.least:
                continue
            if any(overlaps[slot, other - 1] > self.config.apart for other in self._found):
                continue
            if probabilities[inside].mean().item() >= self.config.objectness:
                self._found = sorted([*self._found, object_id])

    def _painted(self, frame: Frame, masks_found: Tensor, prompts: dict[int, Tensor]) -> Prediction:
        """The published merging: cut at 0.5, resized by nearest neighbour, the best first match on top."""
        shape = (frame.size[1], frame.size[0])
        proposals = {slot + 1: _nearest(mask.cpu().numpy() > 0.5, shape) for slot, mask in enumerate(masks_found)}
        masks = {object_id: mask.numpy() > 0.5 for object_id, mask in prompts.items()}
        if masks:
            self._painter.slots = len(masks_found)
            self._painter.appear(masks, proposals)
        labels = self._painter.paint(proposals, masks, shape, numbers={i: n for n, i in enumerate(self.objects.ids, 1)})
        hard = F.one_hot(torch.from_numpy(labels.astype(np.int64)), len(self.objects) + 1).permute(2, 0, 1).float()
        return Prediction.from_probabilities(frame, self.objects.ids, hard, bool(prompts))


def _nearest(mask: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    resized = Image.fromarray(mask.astype(np.uint8)).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    return np.asarray(resized).astype(bool)
