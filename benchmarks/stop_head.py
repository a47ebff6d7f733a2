"""Would RSIS's stop head tell empty slots of RVOS zero-shot from objects better than their objectness does?

Encoder and decoder stay as they are. A head as RSIS has it, a linear layer on the largest value of each channel of the
four ConvLSTMs, learns on photographs, all of whose objects are labelled, which slots hold an object: those that are
matched with one (one to one, as in training) and overlap it by an IoU of 0.5 or more. Every seed draws its own
photographs, weights and order. It is asked on photographs kept apart and on frames of videos.

Columns: ``AUC`` is the chance that a slot with an object scores above one without, ``AP`` the average precision over
all slots, ``by chance`` the share of slots with an object, which is the AP of a score that says nothing. Means over
seeds, with the standard deviation behind. Controls: the area of the mask alone, and a linear layer on area and
objectness, which learns from the same slots.

    python benchmarks/stop_head.py --photographs FOLDER --dataset davis16:DAVIS
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import rotoscope
from common import options, report
from empty_slots import SLOTS, area_under_curve, objectness
from rotoscope.datasets.photographs import Photographs, read_rgb
from rotoscope.datasets.recurring import PARTLY_LABELLED
from rotoscope.datasets.sequences import object_ids
from rotoscope.datasets.spec import open_dataset
from rotoscope.layers.assignment import least_cost
from rotoscope.layers.normalise import normalise
from rotoscope.methods.rvos.network import resize, run_frame

ENOUGH = 0.5
"""IoU from which a slot holds the object that it is matched with."""
Picture = tuple[NDArray[np.uint8], NDArray[Any]]


class Slots(NamedTuple):
    """All slots of some pictures, one after another.

    Attributes:
        side: what the head sees, ``[N, C]``.
        sure: objectness, ``[N]``.
        area: share of the picture, ``[N]``.
        held: whether it holds an object, bool ``[N]``.
    """

    side: Tensor
    sure: Tensor
    area: Tensor
    held: Tensor


def holds(masks: Tensor, truth: NDArray[Any]) -> Tensor:
    """Which masks ``[S, h, w]`` hold an object, each object at most one of them: bool ``[S]``."""
    inside, held = masks > 0.5, torch.zeros(len(masks), dtype=torch.bool)
    own = [torch.from_numpy(truth == object_id) for object_id in object_ids(truth)]
    if not own:
        return held
    overlap = np.array(
        [[float((mask & o).sum() / (mask | o).sum().clamp(min=1)) for mask in inside] for o in own], np.float64
    )
    rows, columns = least_cost(1 - overlap)
    for row, column in zip(rows, columns, strict=True):
        held[column] = bool(overlap[row, column] >= ENOUGH)
    return held


@torch.inference_mode()
def slots_of(model: Any, pictures: Iterable[Picture]) -> Slots:
    """Run the network over pictures, each by itself."""
    network, config = model.network, model.config
    sides, sures, areas, helds = [], [], [], []
    for image, labels in pictures:
        size = config.working_size((image.shape[1], image.shape[0]))
        small = np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        truth = np.array(Image.fromarray(labels.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST))
        features = network.encode(normalise(torch.from_numpy(small).permute(2, 0, 1)[None]))
        logits, states = run_frame(network, features, config.slots, None, None, config.recurrence)
        masks = torch.sigmoid(resize(logits.float(), torch.Size(size)))[0]
        sides.append(torch.cat([torch.cat([h.amax(dim=(2, 3)) for h in state.hidden], dim=1) for state in states]))
        sures.append(objectness(masks))
        areas.append((masks > 0.5).flatten(1).float().mean(dim=1))
        helds.append(holds(masks, truth))
    parts = (torch.cat(part) for part in (sides, sures, areas, helds))
    return Slots(*(part.clone() for part in parts))  # out of inference mode, so that a head can learn from them


def frames(spec: str, every: int) -> Iterator[Picture]:
    """Annotated frames of a data set's videos."""
    for sequence in open_dataset(spec):
        for frame in [f for f in sequence.annotated if f in sequence.images][::every]:
            yield read_rgb(sequence.images[frame]), sequence.labels(frame)


def average_precision(scores: NDArray[Any], positive: NDArray[Any]) -> float:
    """Mean precision at the positives; of equal scores, negatives come first."""
    order = np.lexsort((positive, -scores))
    hits = positive[order]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()) if hits.any() else float("nan")


def learnt(inputs: Tensor, held: Tensor, steps: int, seed: int) -> nn.Module:
    """A linear layer that tells slots with an object from those without."""
    torch.manual_seed(seed)
    head = nn.Sequential(nn.BatchNorm1d(inputs.shape[1], affine=False, momentum=None), nn.Linear(inputs.shape[1], 1))
    optimiser = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=1e-2)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(inputs), (512,))
        loss = F.binary_cross_entropy_with_logits(head(inputs[chosen])[:, 0], held[chosen].float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        fall.step()
    return head.eval()


def scored(train: Slots, test: dict[str, Slots], share: float, steps: int, seed: int, slots: int) -> Iterator[Any]:
    """Each score of each test set under one seed: its name, the set's, AUC and AP."""
    pictures = len(train.held) // slots
    drawn = torch.randperm(pictures, generator=torch.Generator().manual_seed(seed))[: round(share * pictures)]
    rows = (drawn[:, None] * slots + torch.arange(slots)).flatten()
    plain = torch.stack([train.sure, train.area], dim=1)
    head, control = (learnt(inputs[rows], train.held[rows], steps, seed) for inputs in (train.side, plain))
    with torch.inference_mode():
        for name, asked in test.items():
            stop = torch.sigmoid(head(asked.side)[:, 0])
            linear = control(torch.stack([asked.sure, asked.area], dim=1))[:, 0]
            scores = {
                "objectness": asked.sure,
                "area": asked.area,
                "linear on both": linear,
                "stop head": stop,
                "stop head x objectness": stop * asked.sure,
            }
            for score, values in scores.items():
                at, truth = values.numpy(), asked.held.numpy()
                yield name, score, area_under_curve(at, truth), average_precision(at, truth)


def main() -> None:
    """Print the table."""
    chosen = options(
        __doc__,
        photographs="../shared/data/train",
        dataset=["davis16:../shared/data/davis-dev", "davis16:../shared/data/davis-train?split=train"],
        every=20,
        train=500,
        share=0.8,
        steps=400,
        seeds=3,
        model="rvos-small-zeroshot",
    )
    model: Any = rotoscope.load(chosen.model, device="cpu", precision="exact")
    model.config = dataclasses.replace(model.config, slots=SLOTS)
    training, apart = Photographs.open(chosen.photographs).split()
    told = [p for p in training.masked if p.kind != PARTLY_LABELLED]
    picked = np.random.default_rng(0).permutation(len(told))[: chosen.train]
    train = slots_of(model, (told[i].read() for i in picked))
    test = {"photographs kept apart": slots_of(model, (p.read() for p in apart.masked if p.kind != PARTLY_LABELLED))}
    for spec in chosen.dataset:
        test[spec] = slots_of(model, frames(spec, chosen.every))
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed in range(chosen.seeds):
        for name, score, *figures in scored(train, test, chosen.share, chosen.steps, seed, model.config.slots):
            found.setdefault((name, score), []).append((figures[0], figures[1]))
    rows = []
    for (name, score), each in found.items():
        mean, spread = np.array(each).mean(axis=0), np.array(each).std(axis=0)
        held = test[name].held
        rows.append(
            {
                "asked on": name,
                "slots": len(held),
                "with an object": int(held.sum()),
                "score": score,
                "AUC": f"{mean[0]:.3f} ±{spread[0]:.3f}",
                "AP": f"{mean[1]:.3f} ±{spread[1]:.3f}",
                "by chance": f"{held.float().mean():.3f}",
            }
        )
    report("stop_head", f"Slots of {chosen.model} with an object and without", rows, chosen)


if __name__ == "__main__":
    main()
