"""One picture, or one video frame by frame, under RSIS or RIS."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rotoscope.errors import InputError
from rotoscope.layers.aggregation import aggregate
from rotoscope.layers.normalise import normalise
from rotoscope.methods.base import Session
from rotoscope.methods.prediction import Prediction
from rotoscope.methods.rsis.answers import Instance, Links, named, objects_of
from rotoscope.methods.rsis.config import RSISConfig
from rotoscope.methods.rsis.network import RSISNetwork, Step, resize
from rotoscope.video.frame import Frame


class RSISSession(Session):
    """Finds the objects of each frame by itself, one after another.

    The network knows nothing of other frames. Between frames the session keeps the last mask of each id, at the
    working size, so that an object keeps its id; nothing grows with the video.

    Attributes:
        instances: the objects of the last frame pushed, in the order they were found, with their classes and scores.
        ids: their ids.
    """

    network: RSISNetwork
    config: RSISConfig

    def __init__(self, network: RSISNetwork, config: RSISConfig) -> None:
        super().__init__(network, config)
        self.instances: list[Instance] = []
        self.ids: list[int] = []
        self._links = Links(config.slots)

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Answer the frame."""
        if prompts:
            raise InputError("masks are given, but this method finds objects by itself. Leave the masks out.")
        size = self.config.working_size(frame.size)
        weight = self.network.conv_out.weight
        with self.timings.part("encode"):
            features = self.network.encode(self._image(frame, size).to(weight.device, weight.dtype))
        with self.timings.part("decode"):
            steps = self._steps(features)
            small = self.network.masks(torch.cat([step.logits for step in steps], dim=1), size)
        with self.timings.part("restore"):
            return [self._answer(frame, steps, small)]

    def forget(self, object_id: int) -> None:
        """Refused: the objects are the network's own.

        Raises:
            InputError: always.
        """
        raise InputError("this session's objects are its own; they cannot be removed.")

    def memory_state(self) -> dict[str, Any]:
        """The last mask of each id."""
        return self._links.state()

    def restore_memory(self, memory: Mapping[str, Any]) -> None:
        """Continue where :meth:`memory_state` was taken."""
        self._links.restore(memory)

    def _image(self, frame: Frame, size: tuple[int, int]) -> Tensor:
        """The frame at the working size, ``[1, 3, H, W]``: Pillow's bilinear on 8 bits."""
        image = frame.image
        if image.dtype != np.uint8:
            image = np.round(image * 255).astype(np.uint8)
        resized = np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        return normalise(torch.from_numpy(resized).permute(2, 0, 1)[None])

    def _steps(self, features: list[Tensor]) -> list[Step]:
        """The steps on a picture: all of them, or up to the one that says to stop."""
        steps: list[Step] = []
        for _ in range(self.config.slots):
            steps.append(self.network.decode(features, steps[-1].state if steps else None))
            if self.config.ending == "end" and torch.sigmoid(steps[-1].stop.float()).item() < self.config.stop_at:
                break
        return steps

    def _answer(self, frame: Frame, steps: list[Step], small: Tensor) -> Prediction:
        """Choose the steps that are objects, give them ids, and lay them over each other.

        Args:
            frame: the frame.
            steps: all steps.
            small: their masks at the working size, ``[1, T, h, w]``.
        """
        config = self.config
        stop = torch.sigmoid(torch.cat([step.stop for step in steps]).float())
        sure = [number for number, score in enumerate(stop.tolist()) if score >= config.stop_at]
        full = torch.zeros(0)
        if sure:  # steps that are no objects anyway need no picture of their own
            full = resize(small[:, sure], (frame.size[1], frame.size[0]))[0]
        heads = [steps[number].classes for number in sure]
        classes = [torch.softmax(logits[0].float(), dim=0) for logits in heads if logits is not None]
        kept = objects_of(
            full,
            stop[sure],
            torch.stack(classes) if classes else None,
            stop_at=config.stop_at,
            mask_at=config.mask_at,
            least=config.least,
        )
        kept = named(kept, config.class_at)
        self.instances = [dataclasses.replace(one, step=sure[one.step]) for one in kept]
        chosen = [one.step for one in self.instances]
        if config.linking == "overlap":
            self.ids = self._links.link((small[0, chosen] > config.mask_at).float())
        else:
            self.ids = [step + 1 for step in chosen]
            for one in self.ids:
                self._links.masks.setdefault(one, small.new_zeros(0))
                self._links.unseen.setdefault(one, 0)
        self.objects.replace(self._links.ids)
        return self._merged(frame, full[[one.step for one in kept]] if kept else None)

    def _merged(self, frame: Frame, masks: Tensor | None) -> Prediction:
        """The answer from the objects' own probabilities ``[N, H, W]``; None for no object on this frame."""
        if not self.objects:
            return Prediction.empty(frame)
        width, height = frame.size
        every = torch.zeros(len(self.objects), height, width, device=self.device)
        slots = self.objects.slots(self.ids)
        if masks is not None and self.config.merging == "soft":
            every[slots] = masks
        elif masks is not None:
            free = torch.ones(height, width, dtype=torch.bool, device=self.device)
            for slot, mask in zip(slots, masks > self.config.mask_at, strict=True):
                every[slot] = (mask & free).float()
                free &= ~mask
            hard = torch.cat([1 - every.sum(dim=0, keepdim=True), every])
            return Prediction.from_probabilities(frame, self.objects.ids, hard)
        return Prediction.from_probabilities(frame, self.objects.ids, aggregate(every))
