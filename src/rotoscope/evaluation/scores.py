"""Per-frame values of the objects of one sequence, under a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.sequences import VOID, VideoSequence, object_ids
from rotoscope.errors import InputError
from rotoscope.evaluation.contour import contour_accuracy
from rotoscope.evaluation.protocol import Protocol
from rotoscope.evaluation.region import region_similarity
from rotoscope.evaluation.results import SequenceResults
from rotoscope.evaluation.statistics import Statistics, statistics
from rotoscope.evaluation.temporal import describe, stability_between
from rotoscope.layers.assignment import FirstFrameAssignment, hungarian

KEPT_BYTES = 64 * 2**20
"""Labels of a sequence that are held rather than read twice."""


@dataclass(frozen=True)
class ObjectScores:
    """One object of one sequence.

    Attributes:
        sequence, object_id: which.
        category: of the object or of its sequence, if the data set says it.
        seen: whether training shows the category; None if not known.
        instances: objects in the sequence.
        proposal: the prediction's id, where proposals are matched; None for an object that none was left for.
        frames: names of the frames scored.
        j, f: values, one per frame.
        t: costs of consecutive predicted masks, one fewer; NaN where a mask is empty. Empty if T is not measured.
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

    @property
    def region(self) -> Statistics:
        """Mean, recall and decay of J."""
        return statistics(self.j)

    @property
    def contour(self) -> Statistics:
        """Mean, recall and decay of F."""
        return statistics(self.f)

    @property
    def stability(self) -> float:
        """Mean of T; NaN if it is not measured or no pair of masks has contours."""
        known = [value for value in self.t if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")


@dataclass
class SequenceScores:
    """What scoring a sequence gave.

    Attributes:
        name: of the sequence.
        objects: by id.
        identical: whether every scored prediction equals the truth in every pixel.
        problems: damage, missing frames, wrong sizes.
        warnings: traps that the results may have fallen into.
    """

    name: str
    objects: list[ObjectScores] = field(default_factory=list)
    identical: bool = True
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def score_sequence(sequence: VideoSequence, folder: Path, protocol: Protocol) -> SequenceScores:
    """Score one sequence.

    Args:
        sequence: the truth.
        folder: predicted masks of this sequence.
        protocol: how.

    Raises:
        InputError: the truth cannot be read, or does not cover the frames the protocol asks for.
    """
    truth = Truth(sequence, protocol)
    results = SequenceResults(folder, protocol.merged, single=len(truth.ids) == 1 and protocol.matching == "ids")
    scores = SequenceScores(sequence.name)
    if protocol.matching == "hungarian":
        _by_proposals(truth, results, protocol, scores)
    elif protocol.matching == "first-frame":
        _by_first_frame(truth, results, protocol, scores)
    else:
        _by_ids(truth, results, protocol, scores)
    results.finish()
    extra = results.extra(sequence.frames)
    if extra:
        results.warnings.append(
            f"{folder}: {len(extra)} mask(s) of frames that are not in the data set, {extra[0]} first."
        )
    scores.problems, scores.warnings = results.problems, results.warnings + scores.warnings
    return scores


class Truth:
    """The annotated frames of a sequence, its objects, and the frames each is scored in.

    Attributes:
        ids: the objects.
        frames: names of all frames that any object is scored in, in order.
        scored: by object, the frames it is scored in.
        first: by object, the frame it appears in.
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
            unknown = labels == VOID if self.protocol.void else None
            labels = (labels > 0).astype(np.uint8)
            if unknown is not None:
                labels[unknown] = VOID
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


def _by_ids(truth: Truth, results: SequenceResults, protocol: Protocol, scores: SequenceScores) -> None:
    _score_labels(truth, _predicted(truth, results), protocol, scores)


def _predicted(truth: Truth, results: SequenceResults) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    for frame in truth.frames:
        theirs = truth.labels(frame)
        yield frame, theirs, results.labels(frame, theirs.shape)


def _score_labels(
    truth: Truth,
    frames: Iterator[tuple[str, NDArray[Any], NDArray[Any]]],
    protocol: Protocol,
    scores: SequenceScores,
) -> None:
    """Score label maps whose ids are those of the truth."""
    j: dict[int, list[float]] = {i: [] for i in truth.ids}
    f: dict[int, list[float]] = {i: [] for i in truth.ids}
    t: dict[int, list[float]] = {i: [] for i in truth.ids}
    before: dict[int, NDArray[np.float64] | None] = {}
    strange: set[int] = set()
    for frame, theirs, ours in frames:
        if protocol.void:
            unknown = theirs == VOID
            theirs, ours = np.where(unknown, 0, theirs), np.where(unknown, 0, ours)
        strange.update(i for i in object_ids(ours) if i not in truth.first)
        scores.identical = scores.identical and bool(np.array_equal(ours, theirs))
        for object_id in truth.ids:
            if frame not in truth.scored[object_id]:
                continue
            ours_in, theirs_in = ours == object_id, theirs == object_id
            j[object_id].append(region_similarity(ours_in, theirs_in))
            f[object_id].append(contour_accuracy(ours_in, theirs_in))
            if "T" in protocol.measures:
                described = describe(ours_in)
                if object_id in before:
                    t[object_id].append(stability_between(before[object_id], described))
                before[object_id] = described
    for object_id in truth.ids:
        scores.objects.append(
            truth.scores(object_id, truth.scored[object_id], j[object_id], f[object_id], t[object_id])
        )
    if strange:
        shown = ", ".join(map(str, sorted(strange)[:8]))
        scores.warnings.append(f"{truth.sequence.name}: predicted id(s) {shown} are no object's; they are not scored.")


def _by_proposals(truth: Truth, results: SequenceResults, protocol: Protocol, scores: SequenceScores) -> None:
    """All pairs of proposal and object over all frames, then the assignment that maximises (J + F) / 2."""
    maps = []
    for frame, theirs, ours in _predicted(truth, results):
        unknown = theirs == VOID if protocol.void else np.zeros(theirs.shape, bool)
        maps.append((frame, np.where(unknown, 0, theirs), np.where(unknown, 0, ours)))
    counted: dict[int, int] = {}
    for _, _, ours in maps:
        for proposal in object_ids(ours):
            counted[proposal] = counted.get(proposal, 0) + 1
    proposals = sorted(counted)
    if len(proposals) > protocol.proposals:
        scores.warnings.append(
            f"{truth.sequence.name}: {len(proposals)} proposals, the protocol looks at {protocol.proposals}; "
            f"ids from {proposals[protocol.proposals]} are left out."
        )
        proposals = proposals[: protocol.proposals]
    # Fewer proposals than objects are filled up with empty masks, as the official evaluation does: an object that
    # only an empty mask is left for scores 0, but 1 on frames that do not show it.
    candidates: list[int | None] = [*proposals, *(None for _ in range(len(truth.ids) - len(proposals)))]
    shape = (len(truth.ids), len(candidates), len(maps))
    j, f = np.zeros(shape), np.zeros(shape)
    for t, (_, theirs, ours) in enumerate(maps):
        for row, object_id in enumerate(truth.ids):
            theirs_in = theirs == object_id
            for column, candidate in enumerate(candidates):
                ours_in = ours == candidate if candidate is not None else np.zeros(ours.shape, bool)
                j[row, column, t] = region_similarity(ours_in, theirs_in)
                f[row, column, t] = contour_accuracy(ours_in, theirs_in)
    matched = hungarian((j.mean(axis=2) + f.mean(axis=2)) / 2)
    for row, object_id in enumerate(truth.ids):
        column = matched[row]
        found = truth.scores(
            object_id, [frame for frame, _, _ in maps], j[row, column].tolist(), f[row, column].tolist()
        )
        scores.objects.append(replace(found, proposal=candidates[column]))
    scores.identical = all(np.array_equal(ours, theirs) for _, theirs, ours in maps)


def _by_first_frame(truth: Truth, results: SequenceResults, protocol: Protocol, scores: SequenceScores) -> None:
    assignment = FirstFrameAssignment(protocol.proposals)
    births: dict[str, list[int]] = {}
    for object_id, frame in truth.first.items():
        births.setdefault(frame, []).append(object_id)

    def painted() -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
        for frame in truth.annotated:
            theirs = truth.labels(frame)
            proposals = results.proposals(frame, theirs.shape)
            proposals = {slot: mask for slot, mask in proposals.items() if slot <= protocol.proposals}
            given = {i: theirs == i for i in births.get(frame, ())}
            if given:
                assignment.appear(given, proposals)
            if frame in truth.frames:
                yield frame, theirs, assignment.paint(proposals, given, theirs.shape)

    _score_labels(truth, painted(), protocol, scores)
    scores.objects = [replace(found, proposal=assignment.slot_of.get(found.object_id)) for found in scores.objects]
