"""What do COSNet's references give? Mean J with those of the same video, of another one, of noise, and with none.

On made-up clips in which only the object recurs while other things stand out in each frame (datasets/recurring.py),
from photographs that training keeps apart, and on a data set of real clips. Each frame is answered with five references
spread evenly over its own video (itself among them, as sessions have it), with those of the next video, with five of
noise, and by the encoder's own saliency. A network whose first two columns agree does not look. Beside them: how much
of its weight a cell that shows the object gives to the object in the references, and a cell that does not, and what
both would give if all cells counted alike.

    python benchmarks/co_attention.py --data PHOTOGRAPHS --dataset davis16:DAVIS --model cosnet-small --model NEW
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import rotoscope
from common import options, report
from rotoscope.datasets.clip_sources import ClipShape
from rotoscope.datasets.photographs import Photographs, data_root, read_rgb
from rotoscope.datasets.recurring import RecurringClips
from rotoscope.datasets.sequences import object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.evaluation import region_similarity
from rotoscope.methods.cosnet.network import COSNetNetwork
from rotoscope.methods.cosnet.references import draw
from rotoscope.methods.cosnet.session import COSNetSession
from rotoscope.video.frame import Frame

FRAMES, REFERENCES = 12, 5
Filmed = tuple[str, list[NDArray[np.uint8]], list[NDArray[np.uint8]]]
"""Name of a clip, its frames ``[H, W, 3]``, and the masks of its object, 0 or 1, ``[H, W]``."""
WAYS = ("own", "another's", "noise", "none")


def made(chosen: Any, seed: int) -> list[Filmed]:
    """Clips in which one object recurs."""
    source = RecurringClips(Photographs.open(data_root(chosen.data or None)).split()[1])
    shape = ClipShape(chosen.size, FRAMES, 1)
    found = [source.clip(np.random.default_rng((19, seed, index)), shape) for index in range(chosen.clips)]
    return [(f"recurring {seed}", list(clip.frames), list(clip.labels)) for clip in found]


def real(spec: str, every: int) -> Iterator[Filmed]:
    """Clips of a data set; all that is labelled is the object. First and last frame are left out, as in DAVIS 2016."""
    for sequence in open_dataset(spec):
        names = [name for name in sequence.annotated if name in sequence.images][1:-1:every]
        masks = [sequence.labels(name) for name in names]
        shown = [np.isin(mask, object_ids(mask)).astype(np.uint8) for mask in masks]
        yield sequence.name, [read_rgb(sequence.images[name]) for name in names], shown


class Answers:
    """Answers of one network with references that are given to it."""

    def __init__(self, name: str, fusion: str) -> None:
        asked = {"fusion": fusion} if fusion else {}
        model: Any = rotoscope.load(name, precision="exact", device="cpu")
        self.session: COSNetSession = model.session(**asked)
        self.network: COSNetNetwork = model.network

    def encode(self, image: NDArray[np.uint8]) -> Tensor:
        """Features of a frame."""
        return self.session.encode(Frame(0, image))

    @functools.lru_cache(maxsize=16)  # noqa: B019  # a few answers live as long as the program
    def noise(self, shape: tuple[int, int, int]) -> Tensor:
        """Features of frames of noise."""
        rng = np.random.default_rng(0)
        return torch.cat([self.encode(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(REFERENCES)])

    def mask(self, image: NDArray[np.uint8], features: Tensor, references: Tensor) -> NDArray[np.bool_]:
        """The object on a frame."""
        found = self.session.attend(Frame(0, image), features, dict(enumerate(references.split(1))))
        full = F.interpolate(found[None, None], size=image.shape[:2], mode="bilinear", align_corners=False)
        return np.asarray((full[0, 0] > 0.5).numpy())

    def looks(self, features: Tensor, masks: NDArray[np.uint8]) -> list[float]:
        """Shares of weight that go to the object in references: from its cells, from others, from all alike.

        Args:
            features: of references, each of which asks the others, ``[N, C, h, w]``.
            masks: their objects, ``[N, H, W]``.
        """
        if self.network.attention.kind == "none":
            return [float("nan")] * 3
        cells = F.interpolate(torch.from_numpy(masks).float()[:, None], size=features.shape[-2:], mode="area").flatten(
            1
        )
        found = []
        for one in range(len(features)):
            other = (one + 1) % len(features)
            share = self.network.attention.shares(
                features[one : one + 1], features[other : other + 1], cells[other][None]
            )
            inside = share[0][cells[one] > 0.5], share[0][cells[one] <= 0.5]
            found.append(
                [float(part.mean()) if len(part) else float("nan") for part in inside] + [float(cells[other].mean())]
            )
        return [float(value) for value in np.nanmean(found, axis=0)]


@torch.inference_mode()
def measured(answers: Answers, clips: Sequence[Filmed]) -> dict[str, float]:
    """Mean J over clips by where references come from, and where cells look."""
    features = [[answers.encode(image) for image in images] for _, images, _ in clips]
    drawn = [draw(range(len(images)), 0, REFERENCES, "uniform", 0) for _, images, _ in clips]
    chosen = [torch.cat([own[i] for i in which]) for own, which in zip(features, drawn, strict=True)]
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    looks = []
    for number, (_, images, masks) in enumerate(clips):
        given = {
            "own": chosen[number],
            "another's": chosen[(number + 1) % len(clips)],
            "noise": answers.noise(images[0].shape),
            "none": chosen[number][:0],
        }
        for way, references in given.items():
            each = [
                region_similarity(answers.mask(image, own, references), mask > 0)
                for image, own, mask in zip(images, features[number], masks, strict=True)
            ]
            scores[way].append(float(np.mean(each)))
        looks.append(answers.looks(chosen[number], np.stack([masks[i] for i in drawn[number]])))
    seen = dict(zip(("object looks at it", "rest looks at it", "all alike"), np.nanmean(looks, axis=0), strict=True))
    return {f"J {way}": float(np.mean(values)) for way, values in scores.items()} | {
        k: float(v) for k, v in seen.items()
    }


def main() -> None:
    chosen = options(
        __doc__,
        data="",
        dataset="",
        model=["cosnet-small"],
        clips=24,
        size=256,
        seeds=3,
        every=4,
        fusion="",
    )
    sets: dict[str, list[list[Filmed]]] = {"recurring": [made(chosen, seed) for seed in range(chosen.seeds)]}
    if chosen.dataset:
        sets[Path(chosen.dataset.rpartition(":")[2]).name] = [list(real(chosen.dataset, chosen.every))]
    rows = []
    for name in chosen.model:
        answers = Answers(name, chosen.fusion)
        for called, parts in sets.items():
            found = [measured(answers, clips) for clips in parts]
            means = {key: float(np.mean([row[key] for row in found])) for key in found[0]}
            gains = [row["J own"] - max(row["J another's"], row["J none"]) for row in found]
            rows.append(
                {
                    "weights": Path(name).name,
                    "clips": called,
                    **means,
                    "gain": float(np.mean(gains)),
                    "least": min(gains),
                }
            )
            print("; ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    report("co_attention", "Mean J of COSNet by where its five references come from", rows, chosen)


if __name__ == "__main__":
    main()
