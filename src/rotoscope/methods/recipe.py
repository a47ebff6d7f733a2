"""A training recipe is data: stages, sizes, schedules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from rotoscope.errors import InputError
from rotoscope.layers.losses import hardest_share


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one clip size.

    Attributes:
        steps: optimiser steps.
        size: side of the square clips in pixels.
        frames: frames of a clip.
        batch: clips of a step.
    """

    steps: int
    size: int
    frames: int = 3
    batch: int = 4


@dataclass(frozen=True)
class Recipe:
    """How a method is trained.

    Attributes:
        inference: config fields stored with the weights that only concern inference.
        name: what it is called on the command line.
        method: the method trained.
        config: fields of the method's config that differ from its defaults.
        stages: in order.
        objects: chance of a step with 1, 2, 3 … objects.
        learning_rate: its peak, after the warm-up.
        warm_up: steps of the linear warm-up.
        final_rate: share of the peak that the cosine ends at.
        weight_decay: of AdamW, on weights of two or more dimensions.
        clip_norm: largest gradient norm.
        average: decay of the exponential moving average of the weights, which is what is validated and saved.
        bootstrap: share of all steps at which the loss begins, and ends, to narrow to the hardest pixels.
        correspondence: weight of the loss on where keys look (see the method's clip loss); 0 leaves it out.
        seed: of the weights and of the clips.
        validate_every: steps between validations.
        validation_clips: synthetic clips, from photographs kept apart, that validation measures J on.
    """

    name: str
    method: str
    config: Mapping[str, Any]
    stages: tuple[Stage, ...]
    objects: tuple[float, ...] = (0.45, 0.45, 0.1)
    learning_rate: float = 4e-4
    warm_up: int = 200
    final_rate: float = 0.01
    weight_decay: float = 0.01
    clip_norm: float = 3.0
    average: float = 0.998
    bootstrap: tuple[float, float] = (0.15, 0.5)
    correspondence: float = 0.0
    seed: int = 0
    validate_every: int = 250
    validation_clips: int = 24
    inference: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """All optimiser steps."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that step number ``step`` (from 0) belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        share = self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return self.learning_rate * share

    def describe(self) -> list[str]:
        """Lines that say what the recipe does."""
        lines = [f"{self.name}: {self.method} {dict(self.config)}, {self.steps} steps from random weights"]
        lines += [
            f"  {stage.steps} steps: {stage.batch} clips of {stage.frames} frames at {stage.size}x{stage.size}"
            for stage in self.stages
        ]
        lines.append(
            f"  AdamW, rate {self.learning_rate:g} after {self.warm_up} steps, half a cosine to "
            f"{self.final_rate:g} of it, weight decay {self.weight_decay:g}, gradients clipped at {self.clip_norm:g}"
        )
        shares = ", ".join(f"{100 * share / sum(self.objects):.0f} %" for share in self.objects)
        lines.append(f"  1, 2, ... objects in {shares} of the steps; weights averaged at {self.average:g}")
        return lines

    def hardest(self, step: int) -> float:
        """Share of the pixels in the bootstrapped loss at a step."""
        start, end = (int(share * self.steps) for share in self.bootstrap)
        return hardest_share(step, start, end)

    def changed(self, settings: Sequence[str]) -> Recipe:
        """Return the recipe with ``name=value`` settings applied.

        ``stages`` is written as ``STEPSxSIZExFRAMESxBATCH`` joined by commas, such as ``2000x128x3x8,1000x192x3x4``.

        Raises:
            InputError: an unknown field or a value that does not fit it.
        """
        recipe = self
        types = get_type_hints(Recipe)
        for setting in settings:
            name, found, text = setting.partition("=")
            if not found or name not in types or name in ("name", "method", "config", "inference"):
                known = ", ".join(sorted(set(types) - {"name", "method", "config", "inference"}))
                raise InputError(f"--set {setting}: write FIELD=VALUE; the fields are {known}.")
            try:
                recipe = dataclasses.replace(recipe, **{name: _parse(name, text, getattr(recipe, name))})  # type: ignore[arg-type]
            except ValueError as error:
                raise InputError(f"--set {setting}: {error}.") from None
        return recipe


def _parse(name: str, text: str, current: object) -> object:
    if name == "stages":
        return tuple(Stage(*(int(part) for part in stage.split("x"))) for stage in text.split(","))
    if isinstance(current, tuple):
        return tuple(float(part) for part in text.split(","))
    return int(text) if isinstance(current, int) else float(text)
