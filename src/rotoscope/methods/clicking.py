"""Points that a session is given: they wait for a frame and become masks on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.errors import InputError, SessionError
from rotoscope.masks.points import Answer, Placed, Points, Prompter, check_apart
from rotoscope.methods.objects import Objects
from rotoscope.methods.prediction import Prediction
from rotoscope.video.arrays import as_bytes
from rotoscope.video.frame import Frame

KEPT = 16
"""Answers that wait to be shown; whoever shows them takes them after each frame."""
UNSURE = 0.7
"""Confidence below which a mask made of points is said to be unsure."""


class Following(Protocol):
    """What is asked of a session."""

    objects: Objects
    latency: int

    def advance(self, frame: Frame, prompts: dict[int, Tensor]) -> list[Prediction]:
        """Process one frame with the masks given on it."""

    def state(self) -> dict[str, Any]:
        """Everything between frames."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was taken."""


@dataclass(frozen=True, eq=False)
class Clicked:
    """What became of the points of one object on one frame.

    Attributes:
        frame: where they are.
        object_id: whose.
        placed: the points in pixels.
        answer: the mask, and how sure it is.
    """

    frame: Frame
    object_id: int
    placed: Placed
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
        whose = f"object {self.object_id} on frame {self.frame.index}"
        line = f"{whose}: points give a mask of {share:.1f} % of the picture{sure}"
        return f"{line}; unsure, look at it, and add points or a box" if self.unsure else line


class Clicks:
    """The points of a session.

    Attributes:
        prompter: gives what makes masks of them.
        fresh: what became of those given last, for who takes them to show them; at most :data:`KEPT`.
        notes: the same in words, of all that were given, a line each.
    """

    def __init__(self) -> None:
        self.prompter: Callable[[], Prompter] | None = None
        self.fresh: deque[Clicked] = deque(maxlen=KEPT)
        self.notes: list[str] = []
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
        for object_id, own in points.items():
            before = self._waiting.get(object_id)
            self._waiting[object_id] = own if before is None else before.joined(own)

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
        known = [i for i in self._waiting if i in session.objects and i not in session.objects.pending]
        before = _masks_so_far(session, frame) if known and not session.latency else {}
        before |= {i: mask.cpu().numpy() for i, mask in session.objects.pending.items()}
        assert self.prompter is not None
        clicked_now = answered(self.prompter, frame, self._waiting, before)
        self.fresh.extend(clicked_now)
        self.notes += [clicked.note for clicked in clicked_now]
        self._waiting = {}
        labels = labels_of({clicked.object_id: clicked.answer.mask for clicked in clicked_now})
        return {clicked.object_id: torch.from_numpy(labels == clicked.object_id).float() for clicked in clicked_now}

    def state(self) -> dict[str, Any]:
        """The points that wait, and the notes, as plain values."""
        waiting = [[i, list(p.wanted), list(p.unwanted), p.box] for i, p in self._waiting.items()]
        return {"points": waiting, "point_notes": list(self.notes)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken; states of before there were points hold none."""
        waiting = state.get("points", [])
        self._waiting = {int(i): Points(wanted, unwanted, box) for i, wanted, unwanted, box in waiting}
        self.notes = [str(note) for note in state.get("point_notes", [])]


ONLY_UNWANTED = "only says where it is not, and it has no mask yet to take that from. Add a point on it, or a box."


def answered(
    prompter: Callable[[], Prompter], frame: Frame, points: Mapping[int, Points], before: Mapping[int, NDArray[Any]]
) -> list[Clicked]:
    """What points of objects on a frame mean.

    Args:
        prompter: gives what answers; it is asked for once the points are known to fit.
        frame: that they are on.
        points: by object.
        before: masks to correct, ``[H, W]`` in [0, 1], by object.

    Raises:
        InputError: points that do not fit the frame, or that only say where an object is not, which has no mask.
    """
    placed = {i: own.placed(frame.size, f"object {i} on frame {frame.index}") for i, own in points.items()}
    check_apart(placed, f"frame {frame.index}")
    for object_id, own in points.items():
        if not own.starts and object_id not in before:
            raise InputError(f"object {object_id} on frame {frame.index} {ONLY_UNWANTED}")
    picture = prompter().open(as_bytes(frame.image))
    return [Clicked(frame, i, places, picture.answer(places, before.get(i))) for i, places in placed.items()]


def labels_of(masks: Mapping[int, NDArray[np.float32]]) -> NDArray[Any]:
    """Ids ``[H, W]``, 0 the background, of masks in [0, 1] by object; where they overlap, that of the most probable."""
    shape = next(iter(masks.values())).shape
    stack = np.stack([np.full(shape, 0.5, np.float32), *masks.values()])
    return np.array([0, *masks], np.uint16 if max(masks) > 255 else np.uint8)[stack.argmax(axis=0)]


def _masks_so_far(session: Following, frame: Frame) -> dict[int, NDArray[Any]]:
    """The masks that followed objects would have on a frame; the session is left as it was."""
    kept = {name: _copied(value) for name, value in session.state().items()}
    with torch.inference_mode():
        predictions = session.advance(frame, {})
    session.restore(kept)
    answer = next((prediction for prediction in predictions if prediction.index == frame.index), None)
    if answer is None:
        return {}
    return {i: answer.probabilities[1 + slot].cpu().numpy() for slot, i in enumerate(answer.object_ids)}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
