"""An interaction function for CVAT's agent: clicks and a box become a mask.

``cvat-cli function run-agent ID --function-module rotoscope.plugins.cvat.interactor`` runs it.
"""

from __future__ import annotations

from typing import Any

import cvat_sdk.auto_annotation as cvataa
from cvat_sdk import models
from PIL import Image

from rotoscope.masks.points import Picture, Points, Prompter
from rotoscope.plugins.cvat.shapes import as_array, points_of
from rotoscope.weights import load_prompter

Place = tuple[float, float]


class Interactor:
    """CVAT's ``InteractionFunction`` over what answers clicks.

    Args:
        prompter: what answers.
    """

    def __init__(self, prompter: Prompter) -> None:
        self._prompter = prompter
        self.spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def preprocess_image(
        self, context: cvataa.InteractionFunctionContext, image: Image.Image
    ) -> tuple[Picture, tuple[int, int]]:
        """Look at a frame once, for all clicks on it."""
        return self._prompter.open(as_array(image)), image.size

    def detect(
        self,
        context: cvataa.InteractionFunctionContext,
        pp_image: tuple[Picture, tuple[int, int]],
        prompts: cvataa.InteractionPrompts,
    ) -> list[cvataa.InteractionResultShape]:
        """The mask that is meant, with the IoU that it is predicted to have; none if there is no object.

        Raises:
            InputError: a click outside of the frame, or nothing that says where the object is.
        """
        picture, size = pp_image
        box: Any = prompts.bounding_box
        corners = None if box is None else (*_pixel(box[0]), *_pixel(box[1]))
        points = Points([_pixel(p) for p in prompts.pos_points], [_pixel(p) for p in prompts.neg_points], corners)
        if not points.starts:
            return []  # only where the object is not
        answer = picture.answer(points.placed(size))
        if not answer.chosen.any():
            return []
        sure: list[Any] = []
        if answer.confidence is not None:
            spec = int(cvataa.InteractionResultAttributes.CONFIDENCE)
            sure = [models.AttributeValRequest(spec_id=spec, value=f"{answer.confidence:.4f}")]
        shape = cvataa.InteractionResultShape(type="mask", points=points_of("mask", answer.chosen, 0), attributes=sure)
        return [shape]


def _pixel(place: Place) -> Any:
    """A place in whole pixels; floats between 0 and 1 would be read as shares of the frame."""
    return int(place[0]), int(place[1])


def create(prompter: str = "prompts-small", device: str = "auto") -> Interactor:
    """What the agent calls, with what ``-p NAME=TYPE:VALUE`` says.

    Args:
        prompter: ``prompts-small``, or ``grabcut``, ``flood`` or ``edges`` without weights.
        device: see :func:`rotoscope.load`.

    Raises:
        InputError: something of it does not fit.
    """
    return Interactor(load_prompter(prompter, device=device))
