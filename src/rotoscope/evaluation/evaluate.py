"""``rotoscope.evaluate``: a folder of masks in, the field's numbers out."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rotoscope.datasets.folders import folders_in
from rotoscope.datasets.sequences import VideoDataset, VideoSequence
from rotoscope.datasets.spec import open_dataset
from rotoscope.errors import InputError
from rotoscope.evaluation.protocol import ADAPTIVE, Protocol, protocol
from rotoscope.evaluation.results import sequences_root
from rotoscope.evaluation.scores import ObjectScores, SequenceScores, score_sequence

Averages = dict[str, float]
"""Names such as ``J mean`` and their values in [0, 1]."""
MANY_FRAMES = 3000
"""Frames from which on scoring is spread over processes even without T."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of results on a data set.

    Attributes:
        dataset: the spec of the data set.
        split: the split that was scored.
        protocol: the rules that it was scored by.
        results: the folder that was scored.
        objects: the scores of every object, in the order of the sequences.
        problems: damaged masks, missing frames and wrong sizes, a line each; each was counted as an empty mask.
        warnings: traps that the results may have fallen into, a line each.
    """

    dataset: str
    split: str
    protocol: Protocol
    results: str
    objects: tuple[ObjectScores, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def overall(self) -> Averages:
        """Averages over all objects; YouTube-VOS adds those of seen and unseen categories and their mean G."""
        figures = averages(self.objects, self.protocol)
        if "seen" in self.protocol.groups:
            parts = {
                f"{measure} {name}": values[f"{measure} mean"]
                for name, chosen in (("seen", True), ("unseen", False))
                for values in [averages([o for o in self.objects if o.seen is chosen], self.protocol)]
                for measure in ("J", "F")
            }
            figures |= parts
            figures["G"] = float(np.mean(list(parts.values())))
        if "category" in self.protocol.groups:
            rows = [values["J mean"] for _, values in self.by_category()]
            figures["J mean over categories"] = float(np.mean(rows)) if rows else float("nan")
        return figures

    def by_sequence(self) -> list[tuple[str, Averages]]:
        """Averages over the objects of each sequence."""
        return self._grouped(lambda o: o.sequence)

    def by_category(self) -> list[tuple[str, Averages]]:
        """Averages over the objects of each category that the data set names."""
        return sorted((k, v) for k, v in self._grouped(lambda o: o.category or "") if k)

    def by_instances(self) -> list[tuple[str, Averages]]:
        """Averages over the objects of sequences with one object, with two, and so on."""
        return sorted(self._grouped(lambda o: str(o.instances)), key=lambda row: int(row[0]))

    def rows(self) -> list[dict[str, Any]]:
        """A row per object, for ``pandas.DataFrame`` or a table of any other kind: names, ids, and each measure."""
        return [
            {
                "sequence": scores.sequence,
                "object": scores.object_id,
                "category": scores.category,
                "proposal": scores.proposal,
                "frames": len(scores.frames),
                **values_of(scores),
            }
            for scores in self.objects
        ]

    def _grouped(self, key: Callable[[ObjectScores], str]) -> list[tuple[str, Averages]]:
        groups: dict[str, list[ObjectScores]] = {}
        for scores in self.objects:
            groups.setdefault(key(scores), []).append(scores)
        return [(name, averages(members, self.protocol)) for name, members in groups.items()]


def values_of(scores: ObjectScores) -> Averages:
    """The measures of one object, shares of 1."""
    j, f = scores.region, scores.contour
    return {
        "J&F": (j.mean + f.mean) / 2,
        "J mean": j.mean,
        "J recall": j.recall,
        "J decay": j.decay,
        "F mean": f.mean,
        "F recall": f.recall,
        "F decay": f.decay,
        "T": scores.stability,
    }


def averages(objects: Sequence[ObjectScores], how: Protocol) -> Averages:
    """Mean, recall and decay of J and F over objects, J&F, and T where it is measured; NaN of nothing."""

    def mean(values: Iterator[float]) -> float:
        known = [value for value in values if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    region, contour = [o.region for o in objects], [o.contour for o in objects]
    figures = {
        "J mean": mean(s.mean for s in region),
        "J recall": mean(s.recall for s in region),
        "J decay": mean(s.decay for s in region),
        "F mean": mean(s.mean for s in contour),
        "F recall": mean(s.recall for s in contour),
        "F decay": mean(s.decay for s in contour),
    }
    figures = {"J&F": (figures["J mean"] + figures["F mean"]) / 2, **figures}
    if ADAPTIVE in how.measures:
        figures["Ḟ mean"] = mean(float(np.mean(o.adaptive)) if o.adaptive else float("nan") for o in objects)
        figures["J&Ḟ"] = (figures["J mean"] + figures["Ḟ mean"]) / 2
        figures["J&Ḟ away"] = mean(o.absences[0] for o in objects)
        figures["J&Ḟ back"] = mean(o.absences[1] for o in objects)
    if "T" in how.measures:
        figures["T"] = mean(o.stability for o in objects)
    return figures


def evaluate(
    results: str | Path,
    dataset: str | VideoDataset,
    task: str | None = None,
    *,
    frames: str | None = None,
    stability: bool = True,
    jobs: int | None = None,
    partial: bool = False,
    on_sequence: Callable[[str], None] | None = None,
) -> Evaluation:
    """Score a folder of masks.

    Args:
        results: a folder of masks per sequence, each mask named after its frame; also inside ``480p`` or
            ``Annotations/480p``.
        dataset: a spec such as ``davis16:PATH?split=val``, or an open data set.
        task: ``semi``, ``unsupervised`` or ``zero-shot``; the data set's first unless said.
        frames: count other frames than the protocol does, see :func:`~rotoscope.evaluation.protocol.protocol`.
        stability: also measure T where the protocol has it (it takes longer than J and F together).
        jobs: threads or processes that score; as many as processors unless said.
        partial: score the sequences that are there, instead of refusing results that lack some.
        on_sequence: called with the name of each sequence that is done.

    Raises:
        InputError: no such folder, results that lack sequences, or annotations that lack frames.
    """
    opened = open_dataset(dataset) if isinstance(dataset, str) else dataset
    how = protocol(opened.kind, task, frames)
    if not stability:
        how = replace(how, measures=tuple(m for m in how.measures if m != "T"))
    root = sequences_root(Path(results), [s.name for s in opened])
    present, warnings = _present(opened, root, partial)
    done: dict[str, SequenceScores] = {}
    for scores in _scored(present, root, how, jobs or os.cpu_count() or 1):
        done[scores.name] = scores
        if on_sequence is not None:
            on_sequence(scores.name)
    ordered = [done[s.name] for s in present]
    if not any(one.frames for scores in ordered for one in scores.objects):
        raise InputError(_nothing_scored(opened, ordered, how))
    if ordered and all(scores.identical for scores in ordered):
        warnings.append(f"{root}: every mask equals the truth in every pixel. Are these the annotations themselves?")
    if "seen" in how.groups and any(o.seen is None for scores in ordered for o in scores.objects):
        warnings.append(f"{opened.spec}: seen and unseen categories are not known, so neither is G.")
    return Evaluation(
        dataset=opened.spec,
        split=opened.split,
        protocol=how,
        results=str(root),
        objects=tuple(one for scores in ordered for one in scores.objects),
        problems=tuple(line for scores in ordered for line in scores.problems),
        warnings=tuple(warnings + [line for scores in ordered for line in scores.warnings]),
    )


def _nothing_scored(dataset: VideoDataset, ordered: Sequence[SequenceScores], how: Protocol) -> str:
    """Why there is no number to give."""
    if any(scores.objects for scores in ordered):
        frames = max((len(s.annotations) for s in dataset), default=0)
        return (
            f"{dataset.spec}: no frame is left to score: the sequences have at most {frames} annotated frames, and "
            f"{how.describe()}. Choose other frames with --frames."
        )
    return (
        f"{dataset.spec}: no object is left to score: the annotations that count mark none (they hold only 0, or 255 "
        "for unknown). Look at them with check."
    )


def _present(dataset: VideoDataset, root: Path, partial: bool) -> tuple[list[VideoSequence], list[str]]:
    """The sequences that results are there for, and what to say of the others.

    Raises:
        InputError: results or annotations of a sequence are missing.
    """
    bare = [s.name for s in dataset if not s.annotations and (not partial or (root / s.name).is_dir())]
    if bare:
        raise InputError(
            f"{dataset.spec}: {len(bare)} of {len(dataset)} sequences, such as {bare[0]}, have no annotations to score "
            "with. Look with rotoscope check what is missing; add it, or name the others in a list (list=FILE)."
        )
    present = [s for s in dataset if (root / s.name).is_dir()]
    missing = [s.name for s in dataset if not (root / s.name).is_dir()]
    there = {path.name for path in folders_in(root)}
    stray = sorted(there - {s.name.split("/")[0] for s in dataset})
    other = next((name for name, names in dataset.other_splits.items() if stray and set(stray) <= names), None)
    warnings = []
    if stray:
        which = f"; they are of split {other}" if other else ""
        warnings.append(f"{root}: {len(stray)} folder(s) of no sequence of this split, such as {stray[0]}{which}.")
    if missing and not (partial and present):
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        hint = f" These look like results of split {other}." if other else ""
        way = "Add them, or score the rest with --partial." if present else "Check the data set and its split."
        raise InputError(f"{root}: no results for {len(missing)} of {len(dataset)} sequences: {shown}.{hint} {way}")
    if missing:
        warnings.append(f"{root}: scored {len(present)} of {len(dataset)} sequences; without {', '.join(missing[:8])}.")
    return present, warnings


def _scored(
    sequences: Sequence[VideoSequence], root: Path, how: Protocol, jobs: int
) -> Iterator[SequenceScores]:  # fmt: skip
    """Score sequences, the longest first so that processes end together; yields in any order."""
    work = sorted(sequences, key=lambda s: -len(s.annotations))
    if jobs <= 1 or len(work) <= 1:
        for sequence in work:
            yield score_sequence(sequence, root / sequence.name, how)
        return
    frames = sum(len(sequence.annotations) for sequence in work)
    with _pool(min(jobs, len(work)), heavy="T" in how.measures or frames > MANY_FRAMES) as pool:
        tasks = [pool.submit(score_sequence, sequence, root / sequence.name, how) for sequence in work]
        try:
            for task in tasks:
                yield task.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pool(workers: int, heavy: bool) -> Executor:
    """Forked processes where that is safe; else threads for a short piece of work, and processes for a long one.

    A process forked where a library's threads (OpenCV's, PyTorch's) were at work before waits for them for ever, since
    they do not live on in it: so this process is forked only if it has no thread but this one. Else J and F, which are
    computed in libraries that run beside each other, are left to threads; T and many frames repay the second or two
    that processes take which are forked from a server of their own.
    """
    if "fork" in multiprocessing.get_all_start_methods() and _native_threads() == 1:
        return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=_one_thread)
    if not heavy:
        return ThreadPoolExecutor(workers)
    known = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
    if "forkserver" in known:
        context.set_forkserver_preload([score_sequence.__module__])
    return ProcessPoolExecutor(workers, context, initializer=_one_thread)


def _native_threads() -> int:
    """Threads of this process, those of libraries too; 0 where that cannot be told."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 0


def _one_thread() -> None:
    cv2.setNumThreads(1)
