"""A tracking function for CVAT's agent: follows masks, polygons and boxes from frame to frame.

``cvat-cli function run-agent ID --function-module rotoscope.plugins.cvat.tracker`` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import InputError
from rotoscope.masks.points import Points
from rotoscope.methods.base import Method, Session
from rotoscope.plugins.cvat.shapes import SHAPES, as_array, mask_of, points_of
from rotoscope.runs.options import check_options
from rotoscope.video import Frame
from rotoscope.weights import load, load_prompter


@dataclass
class Picture:
    """A frame, and what can be computed on it for all shapes at once.

    Attributes:
        image: RGB uint8 ``[H, W, 3]``.
        ready: what a session prepared on it; None if none has yet.
    """

    image: NDArray[np.uint8]
    ready: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass
class State:
    """What is known of one shape: a session of its own that holds one object, and how many frames it has seen."""

    session: Session
    kind: str
    frames: int = 0


class Tracker:
    """CVAT's ``TrackingFunction`` over a method that is given masks.

    Each shape has a session of its own, so shapes can be followed together or one by one, from different frames on.
    What the network sees of a frame is computed once for all of them.

    Args:
        model: the method.
        tolerance: of polygons, in pixels.
        options: of the method's sessions.

    Raises:
        InputError: the method takes no masks, or holds frames back, or an option does not fit.
    """

    def __init__(self, model: Method, tolerance: float, options: dict[str, Any]) -> None:
        if model.task != "semi":
            raise InputError("this method finds objects by itself and follows no shape. Take stcn-small.")
        if not tolerance >= 0:
            raise InputError(f"a tolerance of {tolerance} pixels is none; give 0 or more.")
        check_options(model, options)
        if model.session(**options).latency:
            raise InputError("this method answers several frames together; CVAT asks for one. Take stcn-small.")
        self._model, self._tolerance, self._options = model, tolerance, options
        self.spec = cvataa.TrackingFunctionSpec(supported_shape_types=SHAPES)

    def preprocess_image(self, context: cvataa.TrackingFunctionContext, image: Image.Image) -> Picture:
        """Take a frame."""
        return Picture(as_array(image))

    def init_tracking_state(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: Picture, shape: cvataa.TrackableShape
    ) -> State:
        """Take a shape on a frame as the object to follow.

        Raises:
            InputError: it covers nothing.
        """
        if shape.type == "rectangle":
            corners = tuple(round(value) for value in shape.points)
            placed = Points(box=corners).placed(pp_image.size, "the box")
            mask = load_prompter(device=self._model.device).open(pp_image.image).answer(placed).chosen
            if not mask.any():
                raise InputError("no object is found in the box. Draw a polygon or a mask instead.")
        else:
            mask = mask_of(shape.type, shape.points, pp_image.size)
        state = State(self._model.session(**self._options), shape.type)
        state.session.add({1: mask})
        self._push(pp_image, state)
        return state

    def track(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: Picture, state: State
    ) -> cvataa.TrackableShape | None:
        """The shape on the next frame; None where the object does not show."""
        mask = self._push(pp_image, state)
        points = points_of(state.kind, mask, self._tolerance) if mask.any() else []
        return cvataa.TrackableShape(type=state.kind, points=points) if points else None

    def _push(self, picture: Picture, state: State) -> NDArray[np.bool_]:
        session, frame = state.session, Frame(state.frames, picture.image)
        if session.prepares and picture.ready is None:
            picture.ready = session.prepare(frame)
        (prediction,) = session.push(frame, prepared=picture.ready)
        state.frames += 1
        return np.asarray(prediction.labels == 1)


def create(
    model: str = "stcn-small", device: str = "auto", precision: str = "fast", tolerance: float = 1.0, **options: Any
) -> Tracker:
    """What the agent calls, with what ``-p NAME=TYPE:VALUE`` says.

    Args:
        model: a name that ``rotoscope methods`` lists, or a file of weights.
        device: see :func:`rotoscope.load`.
        precision: see :func:`rotoscope.load`.
        tolerance: how far a polygon may be from the mask's edge, in pixels; 0 follows its pixels exactly.
        options: of the method's sessions, such as ``memory``.

    Raises:
        InputError: something of it does not fit.
    """
    return Tracker(load(model, device=device, precision=precision), tolerance, options)
