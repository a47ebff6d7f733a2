"""A training recipe is data: stages, sizes, schedules."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from rotoscope.errors import InputError
from rotoscope.layers.losses import hardest_share

FIXED = ("name", "method", "config", "inference", "loss")
"""Fields that ``--set`` does not change."""


Source = Literal["synthetic", "salient", "primary", "hiding", "stills", "videos", "composed", "synthvos"]
SOURCES: tuple[Source, ...] = get_args(Source)
"""What clips are made of: our synthetic clips, the same with nothing that moves left unlabelled (for methods that find
objects by themselves), the same with all that is labelled as one object, the same with objects that are covered whole
for a while, changed photographs, annotated videos, annotated videos with further objects put into them, A-GAME's
synthetic clips."""

FILMED: tuple[Source, ...] = ("videos", "composed")
"""Sources whose frames come from videos, so that gaps lie between them."""


@dataclass(frozen=True)
class Interlude:
    """Steps of another kind among those of a stage; what is not named here is the stage's.

    Attributes:
        source, frames, loss, rates: as of :class:`Stage`.
        every: the first of each so many steps of the stage is of this kind.
    """

    source: Source
    frames: int = 1
    every: int = 3
    loss: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stretch of training on one kind of clip.

    Attributes:
        steps: optimiser steps.
        size: side of the square clips in pixels.
        frames: frames of a clip.
        batch: clips of a step, in each process.
        source: what clips are made of.
        objects: chance of a step with 1, 2, 3 … objects; the recipe's if empty.
        learning_rate: the recipe's if None.
        decay_at: steps of the stage at which the rate falls to a tenth; with any, there is no cosine.
        fall: every so many steps of the stage the rate is multiplied by this factor; with it, there is no cosine.
        weight_decay: the recipe's if None.
        bootstrap: steps of the stage at which the loss begins, and ends, to narrow to the hardest pixels; None takes
            the recipe's shares.
        skips: curriculum of the most frames left out between two of a video: from which share of the stage on, and
            how many.
        pace: how fast synthetic clips move, as a share of the usual.
        loss: options of the clip loss that differ from the recipe's in this stage.
        rates: factors of the learning rate, by the beginnings of parameters' names; the longest that fits counts.
        interlude: steps of another kind in between.
    """

    steps: int
    size: int
    frames: int = 3
    batch: int = 4
    source: Source = "synthetic"
    objects: tuple[float, ...] = ()
    learning_rate: float | None = None
    decay_at: tuple[int, ...] = ()
    fall: tuple[int, float] | None = None
    weight_decay: float | None = None
    bootstrap: tuple[int, int] | None = None
    skips: tuple[tuple[float, int], ...] = ((0.0, 5),)
    pace: float = 1.0
    loss: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    interlude: Interlude | None = None

    def skip(self, step: int) -> int:
        """Most frames left out at a step of the stage."""
        return [most for share, most in self.skips if step >= share * self.steps][-1]

    def at(self, step: int) -> Stage:
        """The stage as it is at one of its steps: itself, or as its interlude has it."""
        other = self.interlude
        if other is None or step % other.every:
            return self
        return dataclasses.replace(
            self, source=other.source, frames=other.frames, loss=other.loss, rates=other.rates, interlude=None
        )

    def kinds(self) -> list[Stage]:
        """The stage without its interlude, and the interlude as a stage of its own."""
        if self.interlude is None:
            return [self]
        short = -(-self.steps // self.interlude.every)
        plain = dataclasses.replace(self, steps=self.steps - short, interlude=None)
        return [stage for stage in (plain, dataclasses.replace(self.at(0), steps=short)) if stage.steps]

    def factor(self, name: str) -> float:
        """Of the learning rate of a parameter, by its name."""
        fitting = [beginning for beginning in self.rates if name.startswith(beginning)]
        return self.rates[max(fitting, key=len)] if fitting else 1.0


@dataclass(frozen=True)
class Recipe:
    """How a method is trained.

    Attributes:
        name: what it is called on the command line.
        method: the method trained.
        config: fields of the method's config that differ from its defaults.
        stages: in order.
        inference: config fields stored with the weights that only concern inference.
        trunk: weights, by name or file, whose image encoder the network's begins with; random without. What the
            networks do not share begins at random.
        trunk_rate: the image encoder's learning rate, as a share of the rest's.
        objects: chance of a step with 1, 2, 3 … objects.
        pace: multiplies the stages' pace.
        optimiser: ``adamw``, ``adam`` (whose weight decay is part of the gradient), or ``sgd``.
        betas, epsilon: of the optimiser; PyTorch's own unless a paper says otherwise. The first is SGD's momentum.
        learning_rate: its peak, after the warm-up.
        warm_up: steps of the linear warm-up.
        final_rate: share of the peak that the cosine ends at.
        poly: the rate falls to nothing as the share of steps left to this power; 0 for the cosine.
        weight_decay: on weights of two or more dimensions; with ``adam`` and ``sgd`` on all.
        clip_norm: largest gradient norm; 0 does not clip.
        accumulate: parts that a step's clips are computed in, one after another, to save memory.
        average: decay of the exponential moving average of the weights, which is what is validated and saved; 0 takes
            the weights themselves.
        frozen_norms: batch norms keep their statistics, as the released STCN trains.
        frozen: beginnings of the names of parameters that are not trained; batch norms there keep their statistics.
        bootstrap: share of all steps at which the loss begins, and ends, to narrow to the hardest pixels.
        correspondence: weight of the loss on where keys look (see the method's clip loss); 0 leaves it out.
        loss: further options of the method's clip loss, such as ``dice`` or an ablation.
        seed: of the weights and of the clips.
        validate_every: steps between validations.
        validation_clips: synthetic clips, from photographs kept apart, that validation measures J on.
    """

    name: str
    method: str
    config: Mapping[str, Any]
    stages: tuple[Stage, ...]
    inference: Mapping[str, Any] = field(default_factory=dict)
    trunk: str = ""
    trunk_rate: float = 1.0
    objects: tuple[float, ...] = (0.45, 0.45, 0.1)
    pace: float = 1.0
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    learning_rate: float = 4e-4
    warm_up: int = 200
    final_rate: float = 0.01
    poly: float = 0.0
    weight_decay: float = 0.01
    clip_norm: float = 3.0
    accumulate: int = 1
    average: float = 0.998
    frozen_norms: bool = False
    frozen: tuple[str, ...] = ()
    bootstrap: tuple[float, float] = (0.15, 0.5)
    correspondence: float = 0.0
    loss: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    validate_every: int = 250
    validation_clips: int = 24

    @property
    def steps(self) -> int:
        """All optimiser steps."""
        return sum(stage.steps for stage in self.stages)

    def place(self, step: int) -> tuple[Stage, int]:
        """The stage that step number ``step`` (from 0) belongs to, and its number within the stage."""
        for stage in self.stages[:-1]:
            if step < stage.steps:
                return stage.at(step), step
            step -= stage.steps
        return self.stages[-1].at(step), step

    def kinds(self) -> list[Stage]:
        """The stages with their interludes as stages of their own."""
        return [kind for stage in self.stages for kind in stage.kinds()]

    def stage(self, step: int) -> Stage:
        """The stage that step number ``step`` (from 0) belongs to."""
        return self.place(step)[0]

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine; or the stage's own falls, or a power."""
        stage, within = self.place(step)
        peak = self.learning_rate if stage.learning_rate is None else stage.learning_rate
        if stage.decay_at:
            return peak * 0.1 ** sum(within >= at for at in stage.decay_at)
        if stage.fall is not None:
            every, factor = stage.fall
            return peak * factor ** (within // every)
        if self.poly:
            return peak * (1 - step / self.steps) ** self.poly
        if step < self.warm_up:
            return peak * (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(self.steps - self.warm_up, 1)
        share = self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return peak * share

    def decay(self, step: int) -> float:
        """Weight decay of a step."""
        own = self.stage(step).weight_decay
        return self.weight_decay if own is None else own

    def loss_options(self, step: int) -> dict[str, float]:
        """Options of the clip loss at a step."""
        return {**self.loss, **self.stage(step).loss}

    def hardest(self, step: int) -> float:
        """Share of the pixels in the bootstrapped loss at a step."""
        stage, within = self.place(step)
        if stage.bootstrap is not None:
            return hardest_share(within, *stage.bootstrap)
        start, end = (int(share * self.steps) for share in self.bootstrap)
        return hardest_share(step, start, end)

    def describe(self) -> list[str]:
        """Lines that say what the recipe does."""
        lines = [f"{self.name}: {self.method} {dict(self.config)}, {self.steps} steps"]
        for stage in self.kinds():
            peak = self.learning_rate if stage.learning_rate is None else stage.learning_rate
            shares = stage.objects or self.objects
            kinds = ", ".join(f"{100 * share / sum(shares):.0f} %" for share in shares)
            falls = f", a tenth of it from step {', '.join(map(str, stage.decay_at))}" if stage.decay_at else ""
            if stage.fall is not None:
                falls = f", times {stage.fall[1]:g} every {stage.fall[0]} steps"
            if stage.weight_decay is not None:
                falls += f", weight decay {stage.weight_decay:g}"
            skips = f"; gaps up to {'-'.join(str(most) for _, most in stage.skips)}" if stage.source in FILMED else ""
            special = f"; pace {stage.pace * self.pace:g}" if stage.pace * self.pace != 1 else ""
            special += "".join(f"; {name} {value:g}" for name, value in stage.loss.items())
            for factor in dict.fromkeys(stage.rates.values()):
                names = [name or "the rest" for name, value in stage.rates.items() if value == factor]
                special += f"; rate of {', '.join(names)} x {factor:g}"
            lines.append(
                f"  {stage.steps} steps on {stage.source}: {stage.batch} clips of {stage.frames} frames at "
                f"{stage.size}x{stage.size}; 1, 2, ... objects in {kinds}; rate {peak:g}{falls}{skips}{special}"
            )
        cosine = (
            ""
            if all(stage.decay_at or stage.fall for stage in self.stages)
            else (f"rate rises over {self.warm_up} steps, then falls by half a cosine to {self.final_rate:g} of it; ")
        )
        if self.poly:
            cosine = f"rate falls with power {self.poly:g} of the steps left; "
        clipped = f"gradients clipped at {self.clip_norm:g}" if self.clip_norm else "gradients not clipped"
        averaged = f"weights averaged at {self.average:g}" if self.average else "weights not averaged"
        norms = "batch norms frozen" if self.frozen_norms else "batch norms trained"
        kind = str(self.optimiser)
        if self.betas != (0.9, 0.999) or self.epsilon != 1e-8:
            kind += f" (betas {self.betas[0]:g} and {self.betas[1]:g}, epsilon {self.epsilon:g})"
        lines.append(f"  {kind}, {cosine}weight decay {self.weight_decay:g}, {clipped}, {averaged}, {norms}")
        if self.frozen:
            lines.append(f"  not trained: {', '.join(self.frozen)}")
        if self.trunk or self.trunk_rate != 1:
            lines.append(f"  trunk begins as {self.trunk or 'random'}, rate {self.trunk_rate:g} of the rest's")
        if self.loss or self.correspondence:
            options = dict(self.loss) | ({"correspondence": self.correspondence} if self.correspondence else {})
            lines.append("  loss: " + ", ".join(f"{name} {value:g}" for name, value in options.items()))
        return lines

    def changed(self, settings: Sequence[str]) -> Recipe:
        """Return the recipe with ``name=value`` settings applied.

        ``stages`` is written as ``STEPSxSIZExFRAMESxBATCH`` joined by commas, such as ``2000x128x3x8,1000x192x3x4``; a
        stage that the recipe has in that place keeps its other fields, and ``:SOURCE`` behind it changes the source.
        ``loss.NAME`` sets an option of the clip loss, in all stages; ``config.NAME``
        a field of the method's config.

        Raises:
            InputError: an unknown field or a value that does not fit it.
        """
        recipe = self
        types = get_type_hints(Recipe)
        for setting in settings:
            name, found, text = setting.partition("=")
            if found and name.startswith("loss.") and _is_number(text):
                option = name.removeprefix("loss.")
                stages = tuple(
                    dataclasses.replace(stage, loss={k: v for k, v in stage.loss.items() if k != option})
                    for stage in recipe.stages
                )
                recipe = dataclasses.replace(recipe, stages=stages, loss={**recipe.loss, option: float(text)})
                continue
            if found and name.startswith("config."):
                recipe = dataclasses.replace(
                    recipe, config={**recipe.config, name.removeprefix("config."): _value(text)}
                )
                continue
            if not found or name not in types or name in FIXED:
                known = ", ".join(sorted(set(types) - set(FIXED)))
                raise InputError(f"--set {setting}: write FIELD=VALUE; the fields are {known}.")
            try:
                recipe = dataclasses.replace(recipe, **{name: _parse(name, text, getattr(recipe, name))})  # type: ignore[arg-type]
            except ValueError as error:
                raise InputError(f"--set {setting}: {error}.") from None
        return recipe


def _parse(name: str, text: str, current: object) -> object:
    if name == "stages":
        assert isinstance(current, tuple)
        return tuple(_stage(part, current[i] if i < len(current) else None) for i, part in enumerate(text.split(",")))
    if name == "frozen":
        return tuple(part for part in text.split(",") if part)
    if isinstance(current, tuple):
        return tuple(float(part) for part in text.split(","))
    if isinstance(current, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    if name == "trunk":
        return text
    if isinstance(current, str):
        if text not in ("adamw", "adam", "sgd"):
            raise ValueError(f"{text!r} is none of adamw, adam, sgd")
        return text
    return int(text) if isinstance(current, int) else float(text)


def _stage(text: str, current: Stage | None) -> Stage:
    sizes, _, source = text.partition(":")
    numbers = [int(part) for part in sizes.split("x")]
    if len(numbers) != 4 or min(numbers) < 1:
        raise ValueError(f"stage {text!r} is not STEPSxSIZExFRAMESxBATCH")
    if source and source not in SOURCES:
        raise ValueError(f"source {source!r} is none of {', '.join(SOURCES)}")
    changes: dict[str, Any] = dict(zip(("steps", "size", "frames", "batch"), numbers, strict=True))
    if source:
        changes["source"] = source
    return dataclasses.replace(current, **changes) if current is not None else Stage(**changes)


def _value(text: str) -> object:
    """A number, true or false, or the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return (float(text) if "." in text else int(text)) if _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
