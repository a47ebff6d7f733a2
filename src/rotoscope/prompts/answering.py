"""The click network as a prompter: pictures of any size, clicks in their pixels."""

from __future__ import annotations

from collections.abc import Sequence
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
from rotoscope.prompts.parts import detached_part
from rotoscope.runtimes.served import computing

GONE = -10.0
"""Logit of what a click took away; its probability vanishes in 8 bits."""
HAZE = 4
"""Pixels around such a part that go with it where they are faint."""
Clicked = tuple[int, int, bool]
"""Column and row of a pixel, and whether what is there is wanted."""


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
        with computing(self.model.functions):
            scene = self.model.functions.encode(canvas.image(image, weight.device).to(weight.dtype))
        return EncodedPicture(self.model, canvas, scene)


class EncodedPicture:
    """A picture that the click network has seen.

    Clicks are answered one after another, each with the mask that the ones before led to, as the network was trained.
    What a call shares with the call before is not computed again: one click more costs one pass of the head.

    Where a mask is corrected, an unwanted click on a small part that stands apart from the rest takes that part away,
    and nothing else changes: masks from elsewhere are not what the network would have answered, and it may go on
    from them in ways that nobody asked for.

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

        Returns: the mask; no confidence where clicks only took parts of ``before`` away.

        Raises:
            InputError: a mask of another size.
        """
        width, height = self.canvas.size
        if before is not None and before.shape != (height, width):
            raise InputError(
                f"the mask to correct is {before.shape[1]}x{before.shape[0]} but the picture is {width}x{height}."
            )
        wanted = map(bool, placed.wanted)
        clicks = [(int(x), int(y), w) for (x, y), w in zip(placed.places, wanted, strict=True)]
        spent = 0
        if before is not None and placed.box is None:
            spent, before = without_parts(clicks, np.asarray(before, np.float32))
            if spent and spent == len(clicks):
                return Answer(before)
        begun = (placed.box, None if before is None else np.asarray(before, np.float32).tobytes())
        if begun != self._begun:
            self._begun, self._steps = begun, []
        first = 0 if placed.box is not None else spent + 1
        parts = [tuple(clicks[:count]) for count in range(min(first, len(clicks)), len(clicks) + 1)]
        with computing(self.model.functions):
            mask = self._start(before)
            for number, part in enumerate(parts):
                if number >= len(self._steps) or self._steps[number][0] != part:
                    del self._steps[number:]
                    asked = self._asked(part, placed.box, mask)
                    answered = self.model.functions.answer(self.scene, asked)
                    if number and before is not None and not part[-1][2]:
                        answered = without_part(answered, self._steps[-1][1], asked)
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


def without_parts(clicks: Sequence[Clicked], before: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]]:
    """Take parts of a mask away that stand apart, as long as that is what the clicks say.

    Args:
        clicks: in the order in which they were made.
        before: the mask, in [0, 1], ``[H, W]``.

    Returns: how many clicks said so before the first that does not, and the mask that they left.
    """
    for number, (x, y, wanted) in enumerate(clicks):
        part = None if wanted else detached_part(before > 0.5, (x, y))
        if part is None:
            return number, before
        before = np.where(_with_haze(part, before), np.float32(0), before)
    return len(clicks), before


def _with_haze(part: NDArray[np.bool_], mask: NDArray[np.float32]) -> NDArray[np.bool_]:
    """A part and the faint pixels that surround it, which would be left as a ring."""
    near = cv2.dilate(part.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=HAZE).astype(bool)
    return np.asarray(near & (part | (mask <= 0.5)))


def without_part(answered: Answered, earlier: Answered, asked: Asked) -> Answered:
    """The answer before the last click without the part that the click lies on; where there is none, the new answer."""
    places = (asked.points[0] / FINE).floor().int().tolist()
    wanted = [(x, y) for (x, y), sign in zip(places, asked.signs[0].tolist(), strict=True) if sign > 0]
    mask = earlier.logits[0, 0].float().cpu().numpy()
    part = detached_part(mask > 0, tuple(places[-1]), wanted)
    if part is None:
        return answered
    gone = torch.as_tensor(_with_haze(part, 1 / (1 + np.exp(-mask))), device=earlier.logits.device)
    return Answered(earlier.logits.masked_fill(gone, GONE), answered.quality)
