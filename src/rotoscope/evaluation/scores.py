"""Per-frame values of the objects of one sequence, under a protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.datasets.sequences import VideoSequence, object_ids, unknown
from rotoscope.errors import InputError
from rotoscope.evaluation.contour import adaptive_radius, contour_accuracy
from rotoscope.evaluation.protocol import ADAPTIVE, Protocol
from rotoscope.evaluation.region import region_similarity
from rotoscope.evaluation.results import SequenceResults
from rotoscope.evaluation.temporal import describe, stability_between
from rotoscope.evaluation.truth import ObjectScores, SequenceScores, Truth
from rotoscope.masks.assignment import FirstFrameAssignment, hungarian

__all__ = ["ObjectScores", "SequenceScores", "Truth", "score_sequence"]


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
    _require_same_colours(sequence, results, protocol)
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
    told = [sequence.decision] if sequence.decision else []
    if not truth.frames:
        told.append(f"{sequence.name}: no frame is left to score: {protocol.describe()}.")
    scores.problems, scores.warnings = results.problems, told + results.warnings + scores.warnings
    return scores


def _require_same_colours(sequence: VideoSequence, results: SequenceResults, protocol: Protocol) -> None:
    """Refuse truth in colours of no known palette, unless ids do not matter or the results are in the same colours.

    Raises:
        InputError: which colour is which id cannot be told.
    """
    if sequence.codec != "index" or protocol.merged or protocol.matching != "ids" or not sequence.coding.own:
        return
    colours = {colour for colour, _ in sequence.coding.table}
    if results.coding.kind != "table" or not {colour for colour, _ in results.coding.table} <= colours:
        raise InputError(
            f"{sequence.name}: its annotations are in colours of no known palette, and the results are in others: "
            "which is which id cannot be told. Write both as index masks."
        )


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
    adaptive: dict[int, list[float]] = {i: [] for i in truth.ids}
    present: dict[int, list[bool]] = {i: [] for i in truth.ids}
    areas: dict[int, list[float]] = {i: [] for i in truth.ids}
    before: dict[int, NDArray[np.float64] | None] = {}
    strange: set[int] = set()
    shown: set[int] = set()
    equal: list[bool] = []
    for frame, theirs, ours in frames:
        if protocol.void:
            void = unknown(theirs)
            theirs, ours = np.where(void, 0, theirs), np.where(void, 0, ours)
        strange.update(i for i in object_ids(ours) if i not in truth.first)
        shown.update(object_ids(theirs))
        equal.append(bool(np.array_equal(ours, theirs)))
        for object_id in truth.ids:
            if frame not in truth.scored[object_id]:
                continue
            ours_in, theirs_in = ours == object_id, theirs == object_id
            j[object_id].append(region_similarity(ours_in, theirs_in))
            f[object_id].append(contour_accuracy(ours_in, theirs_in))
            areas[object_id].append(np.count_nonzero(theirs_in) / theirs_in.size)
            if ADAPTIVE in protocol.measures:
                adaptive[object_id].append(contour_accuracy(ours_in, theirs_in, adaptive_radius(theirs_in)))
                present[object_id].append(bool(theirs_in.any()))
            if "T" in protocol.measures:
                described = describe(ours_in)
                if object_id in before:
                    t[object_id].append(stability_between(before[object_id], described))
                before[object_id] = described
    for object_id in truth.ids:
        own = truth.scores(object_id, truth.scored[object_id], j[object_id], f[object_id], t[object_id])
        own = replace(own, adaptive=tuple(adaptive[object_id]), present=tuple(present[object_id]))
        scores.objects.append(replace(own, area=_mean_shown(areas[object_id])))
    scores.identical = bool(equal) and all(equal)
    scores.warnings += _absent(truth, shown)
    if strange:
        told = ", ".join(map(str, sorted(strange)[:8]))
        scores.warnings.append(f"{truth.sequence.name}: predicted id(s) {told} are no object's; they are not scored.")


def _mean_shown(areas: Sequence[float]) -> float:
    """The mean of the areas that are not 0; NaN without any."""
    shown = [area for area in areas if area]
    return float(np.mean(shown)) if shown else float("nan")


def _absent(truth: Truth, shown: set[int]) -> list[str]:
    """A warning of ids that the truth shows in no scored frame: unless predicted, they count as perfect."""
    absent = [i for i in truth.ids if i not in shown and truth.scored[i]]
    if not absent:
        return []
    told = ", ".join(map(str, absent[:8]))
    return [
        f"{truth.sequence.name}: id(s) {told} are absent from the truth in all scored frames; where they are not "
        "predicted either they count as perfect, as in the official evaluation."
    ]


def _by_proposals(truth: Truth, results: SequenceResults, protocol: Protocol, scores: SequenceScores) -> None:
    """All pairs of proposal and object over all frames, then the assignment that maximises (J + F) / 2."""
    maps = []
    for frame, theirs, ours in _predicted(truth, results):
        void = unknown(theirs) if protocol.void else np.zeros(theirs.shape, bool)
        maps.append((frame, np.where(void, 0, theirs), np.where(void, 0, ours)))
    counted: dict[int, int] = {}
    for _, _, ours in maps:
        for proposal in object_ids(ours):
            counted[proposal] = counted.get(proposal, 0) + 1
    proposals = _looked_at(sorted(counted), protocol, scores)
    # Fewer proposals than objects are filled up with empty masks, as the official evaluation does: an object that
    # only an empty mask is left for scores 0, but 1 on frames that do not show it.
    candidates: list[int | None] = [*proposals, *(None for _ in range(len(truth.ids) - len(proposals)))]
    shape = (len(truth.ids), len(candidates), len(maps))
    j, f, areas = np.zeros(shape), np.zeros(shape), np.zeros((shape[0], shape[2]))
    for t, (_, theirs, ours) in enumerate(maps):
        for row, object_id in enumerate(truth.ids):
            theirs_in = theirs == object_id
            areas[row, t] = np.count_nonzero(theirs_in) / theirs_in.size
            for column, candidate in enumerate(candidates):
                ours_in = ours == candidate if candidate is not None else np.zeros(ours.shape, bool)
                j[row, column, t] = region_similarity(ours_in, theirs_in)
                f[row, column, t] = contour_accuracy(ours_in, theirs_in)
    matched = hungarian((j.mean(axis=2) + f.mean(axis=2)) / 2)
    for row, object_id in enumerate(truth.ids):
        column = matched[row]
        own = truth.scores(object_id, [frame for frame, _, _ in maps], j[row, column].tolist(), f[row, column].tolist())
        scores.objects.append(replace(own, proposal=candidates[column], area=_mean_shown(areas[row].tolist())))
    scores.identical = bool(maps) and all(np.array_equal(ours, theirs) for _, theirs, ours in maps)
    scores.warnings += _absent(truth, {i for _, theirs, _ in maps for i in object_ids(theirs)})


def _looked_at(proposals: list[int], protocol: Protocol, scores: SequenceScores) -> list[int]:
    """The first of the proposals, as many as the protocol takes; a warning tells of more."""
    if len(proposals) > protocol.proposals:
        scores.warnings.append(
            f"{scores.name}: {len(proposals)} proposals, the protocol looks at {protocol.proposals}; "
            f"ids from {proposals[protocol.proposals]} are left out."
        )
    return proposals[: protocol.proposals]


def _slots(proposals: Sequence[int], slots: int) -> dict[int, int]:
    """The slot of each proposal, from 1. One that is the number of a slot has it, as RVOS's code has it; others fill
    the slots left, so that no id is too large."""
    own = {number: number for number in proposals if number <= slots}
    free = (slot for slot in range(1, slots + 1) if slot not in own)
    return own | {number: next(free) for number in proposals if number not in own}


def _by_first_frame(truth: Truth, results: SequenceResults, protocol: Protocol, scores: SequenceScores) -> None:
    slot_of = _slots(_looked_at(results.numbers(truth.annotated), protocol, scores), protocol.proposals)
    assignment = FirstFrameAssignment(protocol.proposals)
    births: dict[str, list[int]] = {}
    for object_id, frame in truth.first.items():
        births.setdefault(frame, []).append(object_id)

    def painted() -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
        for frame in truth.annotated:
            theirs = truth.labels(frame)
            masks = results.proposals(frame, theirs.shape)
            proposals = {slot_of[number]: mask for number, mask in masks.items() if number in slot_of}
            first_masks = {i: theirs == i for i in births.get(frame, ())}
            if first_masks:
                assignment.appear(first_masks, proposals)
            if frame in truth.frames:
                yield frame, theirs, assignment.paint(proposals, first_masks, theirs.shape)

    _score_labels(truth, painted(), protocol, scores)
    number_in = {slot: number for number, slot in slot_of.items()}
    scores.objects = [
        replace(own, proposal=number_in.get(assignment.slot_of.get(own.object_id, 0))) for own in scores.objects
    ]
