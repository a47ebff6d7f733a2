"""What a run would take, from up to ten measured steps of each stage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rotoscope.methods import training_of
from rotoscope.methods.recipe import Recipe, Stage
from rotoscope.methods.schedule import Schedule
from rotoscope.runs.measure import peak_memory
from rotoscope.training.clips import Batch
from rotoscope.training.loop import LossModule
from rotoscope.training.optimiser import freeze, hold_norms
from rotoscope.training.run import new_method
from rotoscope.training.trunk import begin
from rotoscope.weights.pretrained import AbsentWeightsError

STEPS = 10
"""Steps that are measured of each stage, at most."""
PATIENCE = 30.0
"""Seconds after which no further step of a stage is measured. Two are in any case: the first, which asks for memory and
chooses algorithms, does not count."""


@dataclass(frozen=True)
class StageCost:
    """What a stage takes, on this machine and device.

    Attributes:
        stage: the stage that was measured.
        seconds: how long a step with the whole batch takes; measured with one clip and multiplied.
        memory: bytes that the process needs with the whole batch, at most; measured likewise. (Peaks only grow, so a
            small stage behind a large one shows the large one's need of a clip.)
    """

    stage: Stage
    seconds: float
    memory: float

    def line(self) -> str:
        """For a person."""
        hours = self.seconds * self.stage.steps / 3600
        return (
            f"  {self.stage.source} at {self.stage.shape}: {self.seconds:.2f} s a step, {hours:.1f} hours for "
            f"{self.stage.steps} steps, about {self.memory / 2**30:.1f} GiB"
        )


def beginning_lines(recipe: Recipe, initial: str | Path = "") -> list[str]:
    """What each part of the network would begin as; or, where weights are not here, how to get them.

    Args:
        recipe: what would be trained.
        initial: weights for all of the network in place of what the recipe says.

    Raises:
        InputError: weights that do not fit, or a part that would stay as it was drawn.
    """
    method = new_method(recipe)
    try:
        return begin(method, recipe, initial).describe(method)
    except AbsentWeightsError as missing:
        return ["begins as:", f"  missing: {missing}"]


def stage_costs(recipe: Recipe, device: torch.device, processes: int = 1) -> list[StageCost]:
    """Time some steps of one clip of noise for each stage; clips are not made, which other processes do meanwhile.

    There are :data:`STEPS`, or as many as begin within :data:`PATIENCE`.

    Args:
        recipe: what to measure.
        device: where.
        processes: that share each machine's processor; a step's clips are per process.
    """
    method: Any = new_method(recipe)
    freeze(method.network, recipe.frozen)
    module = LossModule(method.network, training_of(recipe.method).clip_loss).to(device)
    optimiser = torch.optim.Adam(method.network.parameters(), lr=1e-6)
    costs = []
    before = peak_memory()
    for stage in recipe.kinds():
        shares = stage.objects or recipe.objects
        objects = 1 + max(range(len(shares)), key=lambda i: shares[i])
        batch = noise(stage, objects)
        spent: list[float] = []
        while len(spent) < STEPS and (len(spent) < 2 or sum(spent) < PATIENCE):
            begun = time.perf_counter()
            method.network.train()
            hold_norms(method.network, recipe)
            terms = module(vars(batch.on(device, Schedule(recipe).hardest(0))), **{**recipe.loss, **stage.loss})
            optimiser.zero_grad(set_to_none=True)
            terms["loss"].backward()
            optimiser.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            spent.append(time.perf_counter() - begun)
        counted = sorted(spent[1:] or spent)
        each = counted[len(counted) // 2]
        clip = max(peak_memory() - before, 0)
        costs.append(StageCost(stage, each * stage.batch * processes, before + clip * stage.batch / recipe.accumulate))
    return costs


def noise(stage: Stage, objects: int) -> Batch:
    """A clip of noise with a square for each object."""
    width = stage.width or stage.size
    frames = torch.randint(0, 256, (1, stage.frames, 3, stage.size, width), dtype=torch.uint8)
    labels = torch.zeros(1, stage.frames, stage.size, width, dtype=torch.long)
    side = stage.size // (2 * objects)
    for slot in range(objects):
        labels[..., side // 2 : side // 2 + side, 2 * slot * side : 2 * slot * side + side] = slot + 1
    return Batch(frames, labels, objects, torch.zeros(1, stage.frames, stage.size // 16, width // 16, 3))
