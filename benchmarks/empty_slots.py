"""Which score tells a slot that found an object from one that found none: RSIS's stop head, or the masks' objectness?

Networks see single frames of a data set, each by itself. A slot has found an object if its mask, cut at 0.5, overlaps
an annotated one by an IoU of 0.5 or more. The area under the ROC curve is the chance that a slot with an object scores
above one without: 0.5 says nothing, 1 all. Objects that the data set does not annotate count as none, for each score
alike.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import rotoscope
from common import options, report
from rotoscope.datasets.photographs import read_rgb
from rotoscope.datasets.sequences import object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.layers.normalise import normalise
from rotoscope.methods.rvos.network import resize, run_frame

SLOTS = 10
"""Objects looked for on a picture, as published."""
LEAST = 0.001
"""Share of the picture below which RVOS takes no slot for an object."""


def slots_of(model: Any, image: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    """Masks of all slots ``[S, h, w]``, and their stop scores ``[S]`` where the network has them."""
    network, config = model.network, model.config
    features = network.encode(image)
    if hasattr(network, "conv_stop") or hasattr(network, "fc_stop"):
        steps: list[Any] = []
        for _ in range(config.slots):
            steps.append(network.decode(features, steps[-1].state if steps else None))
        masks = network.masks(torch.cat([step.logits for step in steps], dim=1), size)[0]
        return masks, torch.sigmoid(torch.cat([step.stop for step in steps]).float()).flatten()
    logits, _ = run_frame(network, features, config.slots, None, None, config.recurrence)
    return torch.sigmoid(resize(logits.float(), torch.Size(size)))[0], None


def objectness(masks: Tensor) -> Tensor:
    """How sure each mask is inside itself, ``[S]``; 0 for one that is too small."""
    inside = masks > 0.5
    area = inside.flatten(1).sum(dim=1)
    sure = (masks * inside).flatten(1).sum(dim=1) / area.clamp(min=1)
    return torch.where(area >= LEAST * masks[0].numel(), sure, 0.0)


def found(masks: Tensor, truth: np.ndarray) -> Tensor:
    """Whether each mask shows an annotated object, bool ``[S]``."""
    inside = masks > 0.5
    best = torch.zeros(len(masks))
    for object_id in object_ids(truth):
        own = torch.from_numpy(truth == object_id)
        both, either = (inside & own).flatten(1).sum(dim=1), (inside | own).flatten(1).sum(dim=1)
        best = torch.maximum(best, both / either.clamp(min=1))
    return best >= 0.5


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores above a negative; ties count half."""
    ahead = scores[positive][:, None] - scores[~positive][None]
    return float(((ahead > 0) + 0.5 * (ahead == 0)).mean()) if ahead.size else float("nan")


@torch.inference_mode()
def main() -> None:
    chosen = options(
        __doc__, dataset="davis16:../shared/data/davis-dev", every=10, model=["rsis-small", "rvos-small-zeroshot"]
    )
    rows = []
    for name in chosen.model:
        model: Any = rotoscope.load(name, device="cpu", precision="exact")
        model.config = dataclasses.replace(model.config, slots=SLOTS)
        scores: dict[str, list[Tensor]] = {}
        positive = []
        for sequence in open_dataset(chosen.dataset):
            for frame in [f for f in sequence.annotated if f in sequence.images][:: chosen.every]:
                image = read_rgb(sequence.images[frame])
                size = model.config.working_size((image.shape[1], image.shape[0]))
                small = np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
                truth = np.array(Image.fromarray(sequence.labels(frame).astype(np.uint8)).resize(size[::-1], 0))
                masks, stop = slots_of(model, normalise(torch.from_numpy(small).permute(2, 0, 1)[None]), size)
                sure = objectness(masks)
                scores.setdefault("objectness", []).append(sure)
                if stop is not None:
                    scores.setdefault("stop score", []).append(stop)
                    scores.setdefault("product", []).append(stop * sure)
                positive.append(found(masks, truth))
        truths = torch.cat(positive).numpy()
        for score, values in scores.items():
            area = area_under_curve(torch.cat(values).numpy(), truths)
            rows.append(
                {"model": name, "score": score, "slots": len(truths), "with an object": int(truths.sum()), "AUC": area}
            )
    report(
        "empty_slots", f"Slots with an object and without, {chosen.dataset}, every {chosen.every}th frame", rows, chosen
    )


if __name__ == "__main__":
    main()
