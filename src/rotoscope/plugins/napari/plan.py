"""What a button means: which frames a run goes over, what it is given, and which answers count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from rotoscope.errors import InputError
from rotoscope.plugins.napari.ledger import Ledger, Masks
from rotoscope.runs.job import Direction

What = Literal["here", "forward", "back", "both", "correct"]
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        direction: see :func:`rotoscope.segment`.
        start, end: the part of the clip that is read; ``end`` is the frame after the last.
        prompts: masks by frame and object; empty for methods that find objects.
        answers: frames whose answers are wanted; others are only passed through.
    """

    direction: Direction
    start: int
    end: int
    prompts: dict[int, Masks] = field(default_factory=dict)
    answers: range = range(0)

    @property
    def steps(self) -> int:
        """Frames that are gone over; direction ``both`` first goes back from the last prompt to the clip's start."""
        return self.end - self.start + (max(self.prompts) + 1 if self.direction == "both" else 0)


def plan_run(what: What, here: int, ledger: Ledger, finds: bool = False) -> Plan:
    """Turn a button into a run.

    A run begins at the nearest frame from which on every object that was given so far has been shown, so that an
    object that is out of sight on the frame of a correction is not lost.

    Args:
        what: ``here`` answers the frame shown; ``forward`` and ``back`` all frames from it on, in one direction;
            ``both`` the whole clip from all given frames; ``correct`` takes the frame shown as a correction and answers
            what comes after it, up to the next given frame.
        here: the frame shown.
        ledger: of the labels.
        finds: whether the method finds objects by itself, and takes no masks.

    Raises:
        InputError: nothing is given to follow, or nothing is left to do.
    """
    frames = len(ledger)
    if finds:
        return _without_masks(what, here, frames)
    prompted = ledger.prompted()
    if not prompted:
        raise InputError("nothing is given to follow. Paint each object with a label of its own on one frame first.")
    if what == "both":
        return Plan("both", 0, frames, _prompts(ledger, prompted), range(frames))
    if what == "correct" and here not in prompted:
        raise InputError(f"the labels of frame {here} are as they were found. Change them first, then press Correct.")
    if what == "here" and here in prompted:
        raise InputError(f"the masks of frame {here} are given. Go to another frame, or press Forward or Back.")
    before, after = [g for g in prompted if g <= here], [g for g in prompted if g >= here]
    if what == "back" or (what == "here" and not before):
        return _backward(what, here, after, prompted, ledger)
    if not before:
        raise InputError(f"nothing is given on frame {here} or before it. Press Back or Both, or paint here.")
    end = frames
    if what == "here":
        end = here + 1
    elif what == "correct":
        end = next((g for g in prompted if g > here), frames)
    if end <= here + 1 and what != "here":
        raise InputError(f"nothing comes after frame {here} to be answered.")
    start = _begin(reversed(before), ledger)
    return Plan("forward", start, end, _prompts(ledger, [g for g in prompted if start <= g < end]), range(here, end))


def _backward(what: What, here: int, after: list[int], prompted: list[int], ledger: Ledger) -> Plan:
    """From the nearest given frame that all objects are shown by, back to the clip's start or only to ``here``."""
    if not after:
        raise InputError(
            f"nothing is given on frame {here} or after it. Press Forward or Both, or paint an object here."
        )
    first = here if what == "here" else 0
    if what == "back" and here == 0:
        raise InputError("nothing comes before frame 0.")
    last = _begin(after, ledger)
    prompts = _prompts(ledger, [g for g in reversed(prompted) if first <= g <= last])
    return Plan("backward", first, last + 1, prompts, range(first, here + 1))


def _without_masks(what: What, here: int, frames: int) -> Plan:
    if what in ("back", "correct"):
        raise InputError("this method finds objects by itself and goes forward only. Press Here, Forward or Both.")
    start, end = {"here": (here, here + 1), "both": (0, frames)}.get(what, (here, frames))
    return Plan("forward", start, end, {}, range(start, end))


def _begin(nearest_first: Iterable[int], ledger: Ledger) -> int:
    """The nearest given frame such that it, and those passed to come to it, show all objects given on that side."""
    shown: set[int] = set()
    start = 0
    for frame in nearest_first:
        own = {object_id for object_id, mask in ledger.masks(frame).items() if mask.any()}
        start = frame if own - shown or not shown else start
        shown |= own
    return start


def _prompts(ledger: Ledger, in_order: list[int]) -> dict[int, Masks]:
    """Masks by frame; those that a person emptied count once their object has been shown."""
    known: set[int] = set()
    prompts = {}
    for frame in in_order:
        masks = {i: mask for i, mask in ledger.masks(frame).items() if i in known or mask.any()}
        known |= set(masks)
        if masks:
            prompts[frame] = masks
    return dict(sorted(prompts.items()))
