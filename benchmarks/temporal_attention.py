"""What does GIEL's temporal attention give? Mean J with its weights, with all frames alike, and with weights shuffled.

Clips of several objects with truth, made of photographs that training keeps apart: objects that wander with a
look-alike among them, that are covered whole again and again, and copies of one object that cross. Each clip is
followed from its first masks. As they are, support frames are wrong where the network was; with --spoilt, so many of
the frames that enter memory after the first do so with masks that are emptied, shifted, grown, shrunk, swapped or
patched, which no answer shows. All three ways see the very same clips and the same spoilt frames.

    python benchmarks/temporal_attention.py --data PHOTOGRAPHS --model giel-small --model NEW --spoilt 0.3
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import rotoscope
from common import options, report
from rotoscope.datasets.long_clips import Kind, long_clip
from rotoscope.datasets.look_alikes import LookAlikes
from rotoscope.datasets.photographs import Photographs, data_root
from rotoscope.evaluation import region_similarity
from rotoscope.layers.spoiling import spoil
from rotoscope.methods.giel.session import GIELSession

Filmed = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Frames ``[T, H, W, 3]`` and labels ``[T, H, W]``, all objects in the first."""
WAYS = ("trained", "alike", "shuffled")


class Weighed(nn.Module):
    """A temporal attention whose weights are taken, set to one, or given to other frames."""

    def __init__(self, inner: nn.Module, way: str) -> None:
        super().__init__()
        self.inner, self.way = inner, way
        self.generator = torch.Generator().manual_seed(0)
        self.seen: list[float] = []

    def support(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of a support frame."""
        found: tuple[Tensor, Tensor] = self.inner.support(seen)  # type: ignore[operator]
        return found

    def forward(self, *given: Any) -> Tensor:
        """Weights of support frames."""
        weights: Tensor = self.inner(*given)
        self.seen += [float(weights.min()), float(weights.max())]
        if self.way == "alike":
            return torch.ones_like(weights)
        if self.way == "shuffled":
            return weights[:, torch.randperm(weights.shape[1], generator=self.generator)]
        return weights


def spoiling(session: GIELSession, chance: float, seed: int) -> None:
    """Spoil masks of some frames after the first on their way into a session's memory."""
    remember = session._remember
    count = 0

    def spoilt(image: Tensor, features: Any, probabilities: Tensor, union: Tensor, **how: bool) -> None:
        nonlocal count
        count += 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * seed + count)  # by the frame, whatever is drawn elsewhere
            masks = spoil(probabilities[None, 1:], chance if count > 1 else 0.0)[0]
        if not torch.equal(masks, probabilities[1:]):
            masks = masks / masks.sum(dim=0, keepdim=True).clamp(min=1)
            union = masks.sum(dim=0)
            probabilities = torch.cat([1 - union[None], masks])
        remember(image, features, probabilities, union, **how)

    session._remember = spoilt  # type: ignore[method-assign]


def made(chosen: Any, seed: int) -> Iterator[tuple[str, Filmed]]:
    """Clips of a seed, by kind."""
    photographs = Photographs.open(data_root(chosen.data or None)).split()[1]
    kinds: tuple[Kind, ...] = ("wandering", "hidden")
    for number in range(chosen.clips):
        for kind in kinds:
            yield kind, long_clip(photographs, chosen.frames, chosen.size, (seed, number), 2 + number % 3, kind)
    alikes = LookAlikes(photographs, chosen.size, seed=seed)
    for number in range(min(chosen.clips, len(alikes))):
        clip = alikes.clip(number)
        yield "crossing", (clip.frames, clip.labels.astype(np.uint8))


def followed(model: Any, clip: Filmed, chosen: Any, seed: int) -> float:
    """Mean J over objects and all frames after the first."""
    frames, labels = clip
    asked = {"product": True} if chosen.product else {}
    if chosen.memory:
        asked["memory"] = chosen.memory
    session: GIELSession = model.session(**asked)
    if chosen.spoilt:
        spoiling(session, chosen.spoilt, seed)
    ids = [int(i) for i in np.unique(labels[0]) if i]
    session.add({i: labels[0] == i for i in ids})
    session.push(frames[0])
    scores = []
    for frame, truth in zip(frames[1:], labels[1:], strict=True):
        found = np.asarray(session.push(frame)[0].labels)
        scores += [region_similarity(found == i, truth == i) for i in ids]
    return float(np.mean(scores))


def main() -> None:
    chosen = options(
        __doc__,
        data="",
        model=["giel-small"],
        clips=4,
        frames=60,
        size=256,
        seeds=3,
        spoilt=0.0,
        memory="",
        product=False,
    )
    rows = []
    for name in chosen.model:
        model: Any = rotoscope.load(name, precision="exact", device="cpu")
        inner = model.network.temporal
        scores: dict[str, dict[tuple[str, int], list[float]]] = {way: {} for way in WAYS}
        seen: list[float] = []
        for seed in range(chosen.seeds):
            for number, (kind, clip) in enumerate(made(chosen, seed)):
                for way in WAYS:
                    weighed = model.network.temporal = Weighed(inner, way)
                    score = followed(model, clip, chosen, 1000 * seed + number)
                    scores[way].setdefault((kind, seed), []).append(score)
                    seen += weighed.seen if way == "trained" else []
        model.network.temporal = inner
        rows += list(table(Path(name).name, scores))
        print(f"{name}: weights of support frames from {min(seen):.2f} to {max(seen):.2f}, all alike 1", flush=True)
    report("temporal_attention", "Mean J of GIEL by what its support frames count", rows, chosen)


def table(name: str, scores: dict[str, dict[tuple[str, int], list[float]]]) -> Iterator[dict[str, Any]]:
    """Rows by kind of clip, and of all; the gains of each seed beside them."""
    kinds = list(dict.fromkeys(kind for kind, _ in scores["trained"]))
    for called in (*kinds, "all"):
        mine = [(kind, seed) for kind, seed in scores["trained"] if called in (kind, "all")]
        means = {way: float(np.mean([s for key in mine for s in scores[way][key]])) for way in WAYS}
        seeds = sorted({seed for _, seed in mine})
        gains = []
        for seed in seeds:
            pairs = [
                a - b
                for key in mine
                if key[1] == seed
                for a, b in zip(scores["trained"][key], scores["alike"][key], strict=True)
            ]
            gains.append(f"{np.mean(pairs):+.3f}")
        yield {"weights": name, "clips": called, **means, "gain by seed": " ".join(gains)}


if __name__ == "__main__":
    main()
