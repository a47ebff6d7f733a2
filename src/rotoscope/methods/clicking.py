"""Points that a session is given: they wait for a frame and become masks on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.errors import InputError, SessionError
from rotoscope.masks.points import Answer, Points, Prompter, check_apart
from rotoscope.methods.objects import Objects
from rotoscope.methods.prediction import Prediction
from rotoscope.video.arrays import as_bytes
from rotoscope.video.frame import Frame

UNSURE = 0.7
"""Confidence below which a mask made of points is said to be unsure."""


class Following(Protocol):
    """What is asked of a session."""

    objects: Objects
    latency: int

    def advance(self, frame: Frame, given: dict[int, Tensor]) -> list[Prediction]:
        """Process one frame with the masks given on it."""

    def state(self) -> dict[str, Any]:
        """Everything between frames."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was taken."""


@dataclass(frozen=True, eq=False)
class Clicked:
    """What became of the points of one object on one frame.

    Attributes:
        index: of the frame.
        object_id: whose.
        points: as they were given.
        answer: the mask, and how sure it is.
    """

    index: int
    object_id: int
    points: Points
    answer: Answer

    @property
    def unsure(self) -> bool:
        """Whether the mask is worth a look before it is followed: empty, or with a low confidence."""
        low = self.answer.confidence is not None and self.answer.confidence < UNSURE
        return low or not self.answer.chosen.any()

    @property
    def note(self) -> str:
        """One line for a person."""
        share = 100 * float(self.answer.chosen.mean())
        sure = "" if self.answer.confidence is None else f", confidence {self.answer.confidence:.2f}"
        line = (
            f"object {self.object_id} on frame {self.index}: points give a mask of {share:.1f} % of the picture{sure}"
        )
        return f"{line}; unsure, look at it, and add points or a box" if self.unsure else line


class Clicks:
    """The points of a session.

    Attributes:
        prompter: gives what makes masks of them.
        done: what became of those that were given, in order.
    """

    def __init__(self) -> None:
        self.prompter: Callable[[], Prompter] | None = None
        self.done: list[Clicked] = []
        self._waiting: dict[int, Points] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, points: Mapping[int, Points]) -> None:
        """Keep points for the next frame, beside those that wait.

        Raises:
            SessionError: nothing makes masks of them.
        """
        if points and self.prompter is None:
            raise SessionError("nothing here makes masks of points: open the model with rotoscope.load, or give masks.")
        for object_id, given in points.items():
            before = self._waiting.get(object_id)
            self._waiting[object_id] = given if before is None else before.joined(given)

    def drop(self, object_id: int) -> bool:
        """Forget what waits for an object; return whether anything did."""
        return self._waiting.pop(object_id, None) is not None

    def masks(self, session: Following, frame: Frame) -> dict[int, Tensor]:
        """Masks of the points that wait, float32 ``[H, W]`` by object.

        Args:
            session: whose points they are.
            frame: the frame that they are on.

        Raises:
            InputError: points that do not fit the frame, or that only say where an object is not, which has no mask.
        """
        placed = {
            i: given.placed(frame.size, f"object {i} on frame {frame.index}") for i, given in self._waiting.items()
        }
        check_apart(placed, f"frame {frame.index}")
        known = [i for i in placed if i in session.objects and i not in session.objects.pending]
        before = _masks_so_far(session, frame) if known and not session.latency else {}
        before |= {i: mask.cpu().numpy() for i, mask in session.objects.pending.items()}
        for object_id, given in self._waiting.items():
            if not given.starts and object_id not in before:
                raise InputError(f"object {object_id} on frame {frame.index} {ONLY_UNWANTED}")
        assert self.prompter is not None
        picture = self.prompter().open(as_bytes(frame.image))
        found = {}
        for object_id, places in placed.items():
            answer = picture.answer(places, before.get(object_id))
            self.done.append(Clicked(frame.index, object_id, self._waiting[object_id], answer))
            found[object_id] = torch.from_numpy(answer.chosen.astype(np.float32))
        self._waiting = {}
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of all points, a line each."""
        return tuple(clicked.note for clicked in self.done)


ONLY_UNWANTED = "only says where it is not, and it has no mask yet to take that from. Add a point on it, or a box."


def _masks_so_far(session: Following, frame: Frame) -> dict[int, NDArray[Any]]:
    """The masks that followed objects would have on a frame; the session is left as it was."""
    kept = {name: _copied(value) for name, value in session.state().items()}
    with torch.inference_mode():
        predictions = session.advance(frame, {})
    session.restore(kept)
    found = next((prediction for prediction in predictions if prediction.index == frame.index), None)
    if found is None:
        return {}
    return {i: found.probabilities[1 + slot].cpu().numpy() for slot, i in enumerate(found.object_ids)}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
