"""The truth of a sequence under a protocol: its objects, the frames that count, and the record of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.sequences import VOID, VideoSequence, object_ids, unknown
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import Protocol
from rotoscope.evaluation.statistics import Statistics, statistics

KEPT_BYTES = 64 * 2**20
"""Labels of a sequence that are held rather than read twice."""


@dataclass(frozen=True)
class ObjectScores:
    """One object of one sequence.

    Attributes:
        sequence, object_id: the name of the sequence, and the id of the object in it.
        category: the kind of thing that the object or its sequence shows, if the data set says it.
        seen: whether training shows the category; None if not known.
        instances: the number of objects in the sequence.
        proposal: the id of the prediction that was matched to the object; None for an object that none was left for.
        frames: the names of the frames that were scored.
        j, f: the J and the F of each of these frames, in [0, 1].
        adaptive: as ``f``, with the tolerance of MOSEv2; empty if it is not measured.
        present: whether the truth shows the object, one per frame; empty likewise.
        t: the T of each two consecutive predicted masks, one value fewer than frames; NaN where a mask is empty. Empty
            if T is not measured.
        area: the share of the picture that the object fills in the truth, in [0, 1]: the mean over those of these
            frames that show it; NaN if none does.
    """

    sequence: str
    object_id: int
    category: str | None
    seen: bool | None
    instances: int
    proposal: int | None
    frames: tuple[str, ...]
    j: tuple[float, ...]
    f: tuple[float, ...]
    t: tuple[float, ...] = ()
    adaptive: tuple[float, ...] = ()
    present: tuple[bool, ...] = ()
    area: float = float("nan")

    @property
    def region(self) -> Statistics:
        """Mean, recall and decay of J."""
        return statistics(self.j)

    @property
    def contour(self) -> Statistics:
        """Mean, recall and decay of F."""
        return statistics(self.f)

    @property
    def absences(self) -> tuple[float, float]:
        """Means of J and adaptive F while the object is away, and once it is back; NaN if it never is.

        Each is the mean over stretches of frames, of their means: stretches without the object after it was seen, and
        stretches with it after one without (MOSEv2).
        """
        values = (np.asarray(self.j) + np.asarray(self.adaptive)) / 2
        stretches: dict[bool, list[float]] = {False: [], True: []}
        begun = 0
        for end in range(1, len(self.present) + 1):
            if end == len(self.present) or self.present[end] != self.present[begun]:
                if begun:  # the first stretch follows nothing
                    stretches[self.present[begun]].append(float(values[begun:end].mean()))
                begun = end
        away, back = (float(np.mean(scores)) if scores else float("nan") for scores in stretches.values())
        return away, back

    @property
    def stability(self) -> float:
        """Mean of T; NaN if it is not measured or no pair of masks has contours."""
        known = [value for value in self.t if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")


@dataclass
class SequenceScores:
    """What scoring a sequence gave.

    Attributes:
        name: the name of the sequence.
        objects: the scores of each object, by id.
        identical: whether there are scored predictions and every one equals the truth in every pixel.
        problems: damage, missing frames and wrong sizes, a line each.
        warnings: traps that the results may have fallen into, a line each.
    """

    name: str
    objects: list[ObjectScores] = field(default_factory=list)
    identical: bool = False
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def hides_truth(sequence: VideoSequence) -> bool:
    """Whether only the objects' first masks are here, as of sets that a server scores."""
    if sequence.objects:
        later = {frame for facts in sequence.objects.values() for frame in facts.frames[1:]}
        return not later <= set(sequence.annotated)
    return len(sequence.frames) > 1 and len(sequence.annotated) <= 1


class Truth:
    """The annotated frames of a sequence, its objects, and the frames each is scored in.

    Attributes:
        ids: the ids of the objects that are scored.
        frames: the names of all frames that any object is scored in, in order of time.
        scored: the names of the frames that each object is scored in, by id.
        first: the name of the frame that each object appears in, by id.
    """

    def __init__(self, sequence: VideoSequence, protocol: Protocol) -> None:
        self.sequence = sequence
        self.protocol = protocol
        self.annotated = sequence.annotated
        if not self.annotated:
            raise InputError(f"{sequence.name}: has no annotations; nothing can be scored.")
        if len(self.annotated) == 1 and len(sequence.frames) > 1:
            raise InputError(
                f"{sequence.name}: only its first frame is annotated, as in test sets scored by a server. "
                "Choose a split with all masks."
            )
        self._kept: dict[str, NDArray[Any]] = {}
        self.first = self.first_frames(sequence, protocol, self._keep)
        self.ids = sorted(self.first)
        self.scored = {i: self._frames_of(i) for i in self.ids}
        wanted = {frame for frames in self.scored.values() for frame in frames}
        missing = sorted(wanted - set(self.annotated))
        if missing:
            raise InputError(
                f"{sequence.name}: frame {missing[0]} should be scored but its annotation is not there. "
                "Annotations of this split are not complete."
            )
        self.frames = [frame for frame in self.annotated if frame in wanted]

    def labels(self, frame: str) -> NDArray[Any]:
        """Labels of an annotated frame; merged to one object where the protocol says so."""
        labels = self._kept.pop(frame, None)
        if labels is None:
            labels = self.sequence.labels(frame)
        if self.protocol.merged:
            void = unknown(labels) if self.protocol.void else None
            labels = (labels > 0).astype(np.uint8)
            if void is not None:
                labels[void] = VOID
        return labels

    def scores(
        self, object_id: int, frames: Sequence[str], j: Sequence[float], f: Sequence[float], t: Sequence[float] = ()
    ) -> ObjectScores:
        """An object's values with what the data set says of it."""
        known = self.sequence.objects.get(object_id)
        return ObjectScores(
            sequence=self.sequence.name,
            object_id=object_id,
            category=(known.category if known is not None else None) or self.sequence.category,
            seen=None if known is None else known.seen,
            instances=len(self.ids),
            proposal=None,
            frames=tuple(frames),
            j=tuple(j),
            f=tuple(f),
            t=tuple(t),
        )

    def _keep(self, frame: str, labels: NDArray[Any]) -> None:
        """Hold labels that were read to find the objects until they are scored, as far as memory allows."""
        if sum(kept.nbytes for kept in self._kept.values()) + labels.nbytes <= KEPT_BYTES:
            self._kept[frame] = labels

    @staticmethod
    def first_frames(
        sequence: VideoSequence, protocol: Protocol, on_read: Callable[[str, NDArray[Any]], None] | None = None
    ) -> dict[int, str]:
        """The objects that count, and the annotated frame each appears in; ``on_read`` is handed what is read."""
        annotated = sequence.annotated
        if protocol.merged:
            return {1: annotated[0]}
        if sequence.objects:
            return {i: facts.frames[0] for i, facts in sequence.objects.items() if facts.frames}
        if not protocol.appearing:
            ids = object_ids(sequence.labels(annotated[0]))
            return dict.fromkeys(range(1, max(ids, default=0) + 1), annotated[0])
        first: dict[int, str] = {}
        for frame in annotated:
            labels = sequence.labels(frame)
            if on_read is not None:
                on_read(frame, labels)
            for object_id in object_ids(labels):
                first.setdefault(object_id, frame)
        return first

    def _frames_of(self, object_id: int) -> tuple[str, ...]:
        known = self.sequence.objects.get(object_id)
        if self.protocol.frames == "after-first" and known is not None and known.frames:
            return known.frames[1:]
        start = self.annotated.index(self.first[object_id])
        if self.protocol.frames == "all":
            return self.annotated if self.protocol.matching == "hungarian" else self.annotated[start:]
        after = self.annotated[start + 1 :]
        if self.protocol.frames == "after-first":
            return after
        last = self.sequence.frames[-1]
        return tuple(frame for frame in after if frame != last)
