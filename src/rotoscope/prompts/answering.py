"""The click network as a prompter: pictures of any size, clicks in their pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rotoscope.errors import InputError
from rotoscope.layers.canvas import Canvas
from rotoscope.masks.points import Answer, Placed
from rotoscope.methods.codes import code_of_weights
from rotoscope.prompts import Prompts
from rotoscope.prompts.network import FINE, MULTIPLE, Answered, Asked, Scene


class NetworkPrompter:
    """Answers with the click network.

    Args:
        model: with its weights, in evaluation.
    """

    def __init__(self, model: Prompts) -> None:
        self.model = model

    @property
    def code(self) -> str:
        """A checksum of the weights, and the short side that they work at."""
        return f"{code_of_weights(self.model.state_dict().values()):08x} at {self.model.config.short_side}"

    def open(self, image: NDArray[np.uint8]) -> EncodedPicture:
        """Encode a picture, RGB uint8 ``[H, W, 3]``, once.

        Raises:
            InputError: it is no such picture.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise InputError(
                f"a picture of {image.dtype} {list(image.shape)} cannot be clicked on; give RGB [H, W, 3]."
            )
        size = image.shape[1], image.shape[0]
        canvas = Canvas.fit(size, short_side=self.model.config.short_side, multiple=MULTIPLE, resizing="area")
        weight = next(self.model.parameters())
        with torch.inference_mode():
            scene = self.model.network.encode(canvas.image(image, weight.device).to(weight.dtype))
        return EncodedPicture(self.model, canvas, scene)


class EncodedPicture:
    """A picture that the click network has seen.

    Clicks are answered one after another, each with the mask that the ones before led to, as the network was trained.
    What a call shares with the call before is not computed again: one click more costs one pass of the head.

    Args:
        model: the click network.
        canvas: how the picture was brought to it.
        scene: what it has seen.
    """

    def __init__(self, model: Prompts, canvas: Canvas, scene: Scene) -> None:
        self.model = model
        self.canvas = canvas
        self.scene = scene
        self._steps: list[tuple[tuple[Any, ...], Answered]] = []
        self._begun: tuple[Any, ...] = ()

    def answer(self, placed: Placed, before: NDArray[Any] | None = None) -> Answer:
        """The mask that clicks and a box mean.

        Args:
            placed: in pixels of the picture.
            before: the mask to correct, in [0, 1], ``[H, W]``; None for none.

        Raises:
            InputError: a mask of another size.
        """
        width, height = self.canvas.size
        if before is not None and before.shape != (height, width):
            raise InputError(
                f"the mask to correct is {before.shape[1]}x{before.shape[0]} but the picture is {width}x{height}."
            )
        begun = (placed.box, None if before is None else np.asarray(before, np.float32).tobytes())
        if begun != self._begun:
            self._begun, self._steps = begun, []
        clicks = [(*map(int, place), bool(w)) for place, w in zip(placed.places, placed.wanted, strict=True)]
        first = 0 if placed.box is not None else 1
        parts = [tuple(clicks[:count]) for count in range(min(first, len(clicks)), len(clicks) + 1)]
        with torch.inference_mode():
            mask = self._start(before)
            for number, part in enumerate(parts):
                if number >= len(self._steps) or self._steps[number][0] != part:
                    del self._steps[number:]
                    answered = self.model.network.answer(self.scene, self._asked(part, placed.box, mask))
                    self._steps.append((part, answered))
                mask = torch.sigmoid(self._steps[number][1].logits.float())
            return self._answer(self._steps[len(parts) - 1][1])

    def _start(self, before: NDArray[Any] | None) -> torch.Tensor:
        """The mask so far at stride 2, ``[1, 1, H/2, W/2]``."""
        width, height = self.canvas.padded
        device = self.scene.key.device
        if before is None:
            return torch.zeros(1, 1, height // FINE, width // FINE, device=device)
        mask = cv2.resize(np.asarray(before, np.float32), self.canvas.work, interpolation=cv2.INTER_AREA)
        left, right, top, bottom = self.canvas.padding
        padded = np.pad(mask, ((top, bottom), (left, right)))
        return F.avg_pool2d(torch.as_tensor(padded, device=device)[None, None], FINE)

    def _asked(self, clicks: tuple[tuple[int, ...], ...], box: tuple[int, ...] | None, mask: torch.Tensor) -> Asked:
        """Clicks and box in the pixels that the network works at."""
        left, _, top, _ = self.canvas.padding
        scale = np.array(self.canvas.work) / np.array(self.canvas.size)
        points = np.zeros((1, max(len(clicks), 1), 2), np.float32)
        signs = np.zeros(points.shape[:2], np.float32)
        for number, (x, y, wanted) in enumerate(clicks):
            points[0, number] = (np.array([x, y]) + 0.5) * scale + (left, top)
            signs[0, number] = 1 if wanted else -1
        boxes = np.zeros((1, 4), np.float32)
        if box is not None:
            boxes[0] = np.array(box) * (*scale, *scale) + (left, top, left, top)
        device = self.scene.key.device
        places, kinds, frames = (torch.as_tensor(array, device=device) for array in (points, signs, boxes))
        return Asked(places, kinds, frames, mask)

    def _answer(self, answered: Answered) -> Answer:
        """At the picture's own size."""
        logits = F.interpolate(answered.logits.float(), scale_factor=FINE, mode="bilinear", align_corners=False)
        mask = self.canvas.restore(torch.sigmoid(logits)[0])[0]
        return Answer(mask.cpu().numpy(), float(torch.sigmoid(answered.quality.float())[0]))
