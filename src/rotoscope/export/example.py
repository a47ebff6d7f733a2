"""Follow objects through a clip with the graphs beside this file: ONNX Runtime and NumPy, and nothing else.

    python segment.py frames.npy mask.npy labels.npy

frames.npy: RGB uint8 [T, H, W, 3]; mask.npy: the first frame's objects by number, [H, W]; labels.npy: the same of every
frame, [T, H, W]. It does what Rotoscope's own session does with the policy lfu:M, step by step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

HERE = Path(__file__).parent
FACTS: dict[str, Any] = json.loads((HERE / "session.json").read_text("utf-8"))
GRAPHS: dict[str, Any] = {g["name"]: onnxruntime.InferenceSession(str(HERE / g["file"])) for g in FACTS["graphs"]}
MEMORY, DECODER = FACTS["memory"], FACTS["decoder"]


def run(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """Run a graph on those of the known arrays that it asks for."""
    graph = GRAPHS[name]
    answers = graph.run(None, {port.name: known[port.name] for port in graph.get_inputs()})
    return {port.name: answer for port, answer in zip(graph.get_outputs(), answers, strict=True)}


def area(size: int, to: int) -> Any:
    """Weights that average ``size`` samples to ``to``, each by how much of it is covered, [to, size]."""
    edges = np.arange(to + 1) * size / to
    covered = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    return covered.clip(0) / covered.clip(0).sum(axis=1, keepdims=True)


def whole_area(size: int, to: int) -> Any:
    """The same, where every sample that is touched counts alike."""
    touched = (area(size, to) > 1e-9).astype(float)
    return touched / touched.sum(axis=1, keepdims=True)


def linear(size: int, to: int) -> Any:
    """Weights that interpolate between the centres of samples, [to, size]."""
    at = ((np.arange(to) + 0.5) * size / to - 0.5).clip(0, size - 1)
    return (1 - np.abs(at[:, None] - np.arange(size))).clip(0)


def pieces(mask: Any) -> Any:
    """Numbers of the pieces of a mask, 0 outside, [H, W]: runs of its rows, joined where they touch."""
    numbers, owner = np.zeros(mask.shape, int), [0]

    def first(number: int) -> int:
        while owner[number] != number:
            number = owner[number]
        return number

    for y, row in enumerate(np.pad(mask.astype(int), [(0, 0), (1, 1)])):
        edges = np.flatnonzero(np.diff(row))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            above = numbers[max(y - 1, 0), max(start - 1, 0) : end + 1]
            touched = {first(int(number)) for number in np.unique(above[above > 0])}
            own = min(touched, default=len(owner))
            if not touched:
                owner.append(own)
            for number in touched:
                owner[number] = own
            numbers[y, start:end] = own
    return np.array([first(number) for number in range(len(owner))])[numbers]


class Session:
    """One clip: its geometry, the memory, and the frame before."""

    def __init__(self, height: int, width: int) -> None:
        rule = FACTS["size"]
        shortest = min(height, width)
        side = rule["short_side"] or min(shortest, rule["max_short_side"] or shortest)
        self.size = height, width
        self.work = tuple(max(1, round(length * side / shortest)) for length in self.size)
        if self.work != self.size and rule["resizing"] != "area":
            raise SystemExit(f"frames of {width}x{height} are larger than this example works at.")
        pads = [-length % rule["multiple"] for length in self.work]
        self.pads = [(pad // 2, pad - pad // 2) for pad in pads]
        self.cells = (self.work[0] + pads[0]) * (self.work[1] + pads[1]) // 256
        self.capacity = int(MEMORY["policy"].removeprefix("lfu:")) * self.cells
        self.stored = self.since = self.temporary = 0
        self.before: dict[str, Any] = {}

    def image(self, frame: Any) -> Any:
        """RGB uint8 [H, W, 3] as the network takes it."""
        if self.work != self.size:
            rows, columns = (area(a, b) for a, b in zip(self.size, self.work, strict=True))
            frame = np.einsum("ih,hwc,jw->ijc", rows, frame, columns, optimize=True).round()
        rule = FACTS["normalisation"]
        values = (frame / rule["scale"] - rule["mean"]) / rule["deviation"]
        return np.pad(values, [*self.pads, (0, 0)]).transpose(2, 0, 1)[None].astype(np.float32)

    def masks(self, masks: Any) -> Any:
        """Masks [N, H, W] at the working size."""
        rows, columns = (whole_area(a, b) for a, b in zip(self.size, self.work, strict=True))
        return np.pad(rows @ masks @ columns.T, [(0, 0), *self.pads]).astype(np.float32)

    def labels(self, probabilities: Any) -> Any:
        """Probabilities [1 + N, H', W'] to the number of the most probable at the frame's own size."""
        (top, _), (left, _) = self.pads
        shown = probabilities[:, top : top + self.work[0], left : left + self.work[1]]
        rows, columns = (linear(a, b) for a, b in zip(self.work, self.size, strict=True))
        return (rows @ shown @ columns.T).argmax(axis=0)

    def remember(self, known: dict[str, Any], pinned: Any, temporary: bool = False, given: bool = False) -> None:
        """Keep a frame's key and values; the least used of those that are not pinned make room."""
        value = run("encode_value", known)["value"]
        if not self.stored:
            places = self.capacity + self.cells
            self.keys = np.zeros((known["key"].shape[1], places), np.float32)
            self.values = np.zeros((len(value), places, value.shape[1]), np.float32)
            self.hits, self.age = np.zeros(places), np.zeros(places)
            self.pinned, self.trusted = np.zeros(places, bool), np.zeros(places, bool)
        surplus = self.stored + self.cells - self.capacity
        if not temporary and surplus > 0:
            free = np.flatnonzero(~self.pinned[: self.stored])
            used = self.hits[free] / self.age[free].clip(1)
            kept = np.delete(np.arange(self.stored), free[used.argsort(kind="stable")[:surplus]])
            self.stored = len(kept)
            self.keys[:, : self.stored] = self.keys[:, kept]
            self.values[:, : self.stored] = self.values[:, kept]
            for row in (self.hits, self.age, self.pinned, self.trusted):
                row[: self.stored] = row[kept]
        span = slice(self.stored, self.stored + self.cells)
        self.keys[:, span] = known["key"][0].reshape(len(self.keys), -1)
        self.values[:, span] = value.reshape(*value.shape[:2], -1).transpose(0, 2, 1)
        self.hits[span] = self.age[span] = 0
        self.trusted[span] = given
        self.temporary = self.cells if temporary else 0
        if not temporary:
            room = self.capacity - self.cells - self.pinned[: self.stored].sum()
            self.pinned[span] = pinned & (pinned.cumsum() <= room)
            self.stored, self.since = span.stop, 0

    def without_strays(self, found: Any, key: Any) -> Any:
        """Probabilities [1 + N, H', W'] without pieces that lie apart and hardly resemble the given object."""
        out, (given, inside) = np.zeros(found.shape, bool), self.given
        labels = found[:, ::2, ::2].argmax(axis=0)
        for slot in range(len(found) - 1):
            mask = labels == 1 + slot
            numbers = pieces(mask)
            names = np.unique(numbers[mask])
            if len(names) < 2:
                continue
            shape = key.shape[1], 8, key.shape[2], 8
            covered = np.stack([(numbers == name).reshape(shape).mean(axis=(1, 3)).ravel() for name in names])
            scores = (2 * key.reshape(len(key), -1).T @ given - (given**2).sum(axis=0)) / len(key) ** 0.5
            nearest = (-scores).argsort(axis=1)[:, :20]
            weights = np.exp(np.take_along_axis(scores, nearest, 1) - scores.max(axis=1, keepdims=True))
            resembled = (weights * inside[slot][nearest]).sum(axis=1) / weights.sum(axis=1)
            alike = covered @ resembled / (covered**2).sum(axis=1)
            best = (alike * covered.sum(axis=1)).argmax()
            stray = np.isin(numbers, names[alike < DECODER["strays"] * alike[best]])
            wide = np.lib.stride_tricks.sliding_window_view(np.pad(stray, 1), (3, 3)).any(axis=(2, 3))
            out[1 + slot] = (wide & (stray | ~mask)).repeat(2, axis=0).repeat(2, axis=1)
        rest = np.where(out, 0, found)
        rest[0] += rest.sum(axis=0) <= 0
        return np.where(out.any(axis=0), rest / rest.sum(axis=0), found)

    def begin(self, frame: Any, masks: Any) -> Any:
        """The first frame, with the masks [N, H, W] of its objects."""
        known = {"image": self.image(frame)}
        known |= run("encode_key", known)
        own = self.masks(masks)
        both = np.concatenate([(1 - own).prod(axis=0, keepdims=True), own]).clip(1e-7, 1 - 1e-7)
        probabilities = (both / (1 - both) / (both / (1 - both)).sum(axis=0)).astype(np.float32)
        known["masks"] = probabilities[1:]
        shown = (probabilities[1:].max(axis=0) > 0.5).reshape(known["key"].shape[2], 16, -1, 16).any(axis=(1, 3))
        self.remember(known, shown.ravel() & MEMORY["protect_first"], given=True)
        self.before = {"masks": probabilities[1:], "before": known["key"]}
        inside = probabilities[1:].reshape(len(masks), known["key"].shape[2], 16, -1, 16).mean(axis=(2, 4))
        self.given = known["key"][0].reshape(len(self.keys), -1), inside.reshape(len(masks), -1)
        return self.labels(probabilities)

    def follow(self, frame: Any) -> Any:
        """A later frame."""
        self.since += 1
        known = {"image": self.image(frame), "keys": self.keys, "values": self.values}
        known |= run("encode_key", known)
        taken = self.stored + self.temporary
        known |= run("read", known | {"valid": np.arange(self.keys.shape[1]) < taken, "given": self.trusted})
        used = np.bincount(known["places"].ravel(), minlength=len(self.hits))
        self.hits[: self.stored] += used[: self.stored]
        self.age[: self.stored] += 1
        if DECODER["previous"] != "none":
            known |= run("places", known | self.before)
        known |= run("decode", known)
        if DECODER["strays"]:
            known["probabilities"] = self.without_strays(known["probabilities"], known["key"][0])
        known["masks"] = known["probabilities"][1:]
        self.before = {"masks": known["masks"], "before": known["key"]}
        sure = True
        if DECODER["least_quality"]:
            there = known["scores"][known["scores"][:, 0] >= 0.5, 1]
            sure = len(there) > 0 and there.mean() >= DECODER["least_quality"]
        if sure and self.since >= MEMORY["mem_every"]:
            self.remember(known, np.zeros(self.cells, bool))
        elif sure and MEMORY["include_last"]:
            self.remember(known, None, temporary=True)
        else:
            self.temporary = 0
        return self.labels(known["probabilities"])


def main() -> None:
    """Read the clip, follow its objects, write their labels."""
    frames, prompts = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2])
    ids = np.unique(prompts)[np.unique(prompts) > 0]
    session = Session(*frames.shape[1:3])
    labels = [session.begin(frames[0], (prompts == ids[:, None, None]).astype(np.float32))]
    labels += [session.follow(frame) for frame in frames[1:]]
    np.save(sys.argv[3], np.array([0, *ids], prompts.dtype)[np.stack(labels)])


if __name__ == "__main__":
    main()
