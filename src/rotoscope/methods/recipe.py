"""A training recipe as data; what it asks for at each step is in :mod:`rotoscope.methods.schedule`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

from rotoscope.errors import InputError
from rotoscope.methods.augmentation import RELEASED_STCN, Augmentation
from rotoscope.methods.checks import Count, NotNegative, Range, described, fits
from rotoscope.methods.settings import parse_as, parse_value
from rotoscope.methods.sources import ANY_SET, ON_DEVICE, RECTANGULAR, SOURCES, Origin, Sets, Source

FIXED = ("name", "method", "config", "inference", "loss", "augmentation")
"""Fields that ``--set`` does not change."""


@dataclass(frozen=True)
class AlternateSteps:
    """Steps of another kind among those of a stage; what is not named here is the stage's.

    Attributes:
        source, frames, loss, rates, sets: as of :class:`Stage`.
        every: the first of each so many steps of the stage is of this kind.
    """

    source: Source
    frames: int = 1
    every: int = 3
    loss: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    sets: Sets = ANY_SET


@dataclass(frozen=True)
class Stage:
    """A stretch of training on one kind of clip.

    Attributes:
        steps: optimiser steps.
        size: side of square clips in pixels, or the height of others.
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
        alternate: steps of another kind in between.
        width: of clips that are not square, in pixels; 0 for squares. See
            :data:`~rotoscope.methods.sources.RECTANGULAR`.
        sets: which of the data sets that are given the source takes.
        also: further sources of its clips, each with its share; ``source`` has what they leave.
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
    alternate: AlternateSteps | None = None
    width: int = 0
    sets: Sets = ANY_SET
    also: tuple[Origin, ...] = ()

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All sources of its clips, without those of its alternate steps."""
        rest = 1.0 - sum(origin.share for origin in self.also)
        return Origin(self.source, self.sets, rest), *self.also

    @property
    def shape(self) -> str:
        """Height and width in words."""
        return f"{self.size}x{self.width or self.size}"

    def skip(self, step: int) -> int:
        """Most frames left out at a step of the stage."""
        return [most for share, most in self.skips if step >= share * self.steps][-1]

    def at(self, step: int) -> Stage:
        """The stage as it is at one of its steps: itself, or as its alternate steps have it."""
        other = self.alternate
        if other is None or step % other.every:
            return self
        own: dict[str, Any] = {f.name: getattr(other, f.name) for f in dataclasses.fields(other) if f.name != "every"}
        return dataclasses.replace(self, **own, alternate=None, also=())

    def kinds(self) -> list[Stage]:
        """The stage without its alternate steps, and those as a stage of their own."""
        if self.alternate is None:
            return [self]
        short = -(-self.steps // self.alternate.every)
        plain = dataclasses.replace(self, steps=self.steps - short, alternate=None)
        return [stage for stage in (plain, dataclasses.replace(self.at(0), steps=short)) if stage.steps]

    def factor(self, name: str) -> float:
        """What the learning rate of a parameter is multiplied by, from its name."""
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
            networks do not share begins at random. ``imagenet`` is that of the encoder's own architecture.
        mask_trunk: likewise for the encoder of masks, where ``trunk`` is not of both.
        trunk_rate: the image encoder's learning rate, as a share of the rest's.
        objects: chance of a step with 1, 2, 3 … objects.
        pace: multiplies the stages' pace.
        optimiser: ``adamw``, ``adam`` (whose weight decay is part of the gradient), or ``sgd``.
        betas, epsilon: betas and epsilon of the optimiser; PyTorch's own unless a paper says otherwise. The first is
            SGD's momentum.
        learning_rate: highest learning rate, after the warm-up.
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
        loss: options of the method's clip loss that differ from its defaults, such as ``dice``, ``correspondence`` or
            an ablation.
        augmentation: what happens to clips of videos.
        any_set: stages take whatever data sets are given that fit, not only those that they name.
        initial: weights of the same network that all of it begins with, by name or file; none if empty.
        seed: the seed of the weights and of the clips.
        validate_every: steps between validations.
        validation_clips: synthetic clips, from photographs kept apart, that validation measures J on; half of them show
            one object, half two.
    """

    name: str
    method: str
    config: Mapping[str, Any]
    stages: tuple[Stage, ...]
    inference: Mapping[str, Any] = field(default_factory=dict)
    trunk: str = ""
    mask_trunk: str = ""
    trunk_rate: NotNegative = 1.0
    objects: tuple[float, ...] = (0.45, 0.45, 0.1)
    pace: float = 1.0
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: NotNegative = 1e-8
    learning_rate: float = 4e-4
    warm_up: Annotated[int, Range(0)] = 200
    final_rate: NotNegative = 0.01
    poly: NotNegative = 0.0
    weight_decay: NotNegative = 0.01
    clip_norm: NotNegative = 3.0
    accumulate: Count = 1
    average: Annotated[float, Range(0, 0.99999)] = 0.998
    frozen_norms: bool = False
    frozen: tuple[str, ...] = ()
    bootstrap: tuple[float, float] = (0.15, 0.5)
    loss: Mapping[str, float] = field(default_factory=dict)
    augmentation: Augmentation = RELEASED_STCN
    any_set: bool = False
    initial: str = ""
    seed: Annotated[int, Range(0)] = 0
    validate_every: Count = 250
    validation_clips: Annotated[int, Range(2)] = 24

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
        """The stages with their alternate steps as stages of their own."""
        return [kind for stage in self.stages for kind in stage.kinds()]

    def origins_of(self, stage: Stage) -> tuple[Origin, ...]:
        """All sources of a stage's clips; without the sets that it names if any will do."""
        if not self.any_set:
            return stage.origins
        return tuple(dataclasses.replace(origin, sets=origin.sets.unnamed()) for origin in stage.origins)

    @property
    def on_device(self) -> bool:
        """Whether the device that trains makes clips of some steps."""
        return any(origin.source in ON_DEVICE for origin in self.origins())

    def origins(self) -> list[Origin]:
        """All sources of clips of all stages, each once."""
        return list(dict.fromkeys(origin for stage in self.kinds() for origin in self.origins_of(stage)))

    def stage(self, step: int) -> Stage:
        """The stage that step number ``step`` (from 0) belongs to."""
        return self.place(step)[0]

    def changed(self, settings: Sequence[str]) -> Recipe:
        """Return the recipe with ``name=value`` settings applied.

        ``stages`` is written as ``STEPSxSIZExFRAMESxBATCH`` joined by commas, such as ``2000x128x3x8,1000x192x3x4``; a
        stage that the recipe has in that place keeps its other fields, and ``:SOURCE`` behind it changes the source, of
        whatever sets are given.
        ``loss.NAME`` sets an option of the clip loss, in all stages; ``config.NAME``
        a field of the method's config.

        Raises:
            InputError: an unknown field or a value that does not fit it.
        """
        recipe = self
        for setting in settings:
            name, equals, text = setting.partition("=")
            if equals and name.startswith("loss."):
                recipe = recipe._with_loss(name.removeprefix("loss."), setting, text)
            elif equals and name.startswith("config."):
                field = name.removeprefix("config.")
                value = parse_value(text)
                value = text if value is None else value  # "none" is a word of some fields: the config decides
                recipe = dataclasses.replace(recipe, config={**recipe.config, field: value})
            else:
                recipe = recipe._with_field(name, setting, text if equals else None)
        return recipe

    def _with_loss(self, option: str, setting: str, text: str) -> Recipe:
        """An option of the clip loss changed, in all stages."""
        value = parse_value(text)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"--set {setting}: {text!r} is no number.")
        stages = tuple(
            dataclasses.replace(stage, loss={k: v for k, v in stage.loss.items() if k != option})
            for stage in self.stages
        )
        return dataclasses.replace(self, stages=stages, loss={**self.loss, option: float(value)})

    def _with_field(self, name: str, setting: str, text: str | None) -> Recipe:
        """A field changed that is neither the loss's nor the config's."""
        types = get_type_hints(Recipe, include_extras=True)
        if text is None or name not in types or name in FIXED:
            known = ", ".join(sorted(set(types) - set(FIXED)))
            raise InputError(f"--set {setting}: write FIELD=VALUE; the fields are {known}.")
        try:
            change: dict[str, Any] = {name: self._stages(text) if name == "stages" else parse_as(text, types[name])}
            if not fits(change[name], types[name]):
                raise ValueError(f"{text!r} is not {described(types[name])}")
            if name == "objects" and (min(change[name]) < 0 or not sum(change[name]) > 0):
                raise ValueError("these are no chances; give numbers of at least 0, one of them more")
        except ValueError as error:
            raise InputError(f"--set {setting}: {error}.") from None
        return dataclasses.replace(self, **change)

    def _stages(self, text: str) -> tuple[Stage, ...]:
        known = dict(enumerate(self.stages))
        return tuple(_stage(part, known.get(number)) for number, part in enumerate(text.split(",")))


def _stage(text: str, current: Stage | None) -> Stage:
    sizes, _, source = text.partition(":")
    parts = sizes.split("x")
    numbers = [int(part) for part in parts] if all(part.strip().isdecimal() for part in parts) else []
    if len(numbers) != 4 or min(numbers) < 1:
        raise ValueError(f"stage {text!r} is not STEPSxSIZExFRAMESxBATCH")
    if source and source not in SOURCES:
        raise ValueError(f"source {source!r} is none of {', '.join(SOURCES)}")
    changes: dict[str, Any] = dict(zip(("steps", "size", "frames", "batch"), numbers, strict=True))
    if source:
        changes |= {"source": source, "sets": ANY_SET, "also": ()}
    if current is None:
        return Stage(**changes)
    if changes.get("source", current.source) not in RECTANGULAR:
        changes["width"] = 0
    elif current.width and numbers[1] != current.size:  # keeps its proportions, in whole cells of the networks
        changes["width"] = max(round(current.width * numbers[1] / current.size / 16), 1) * 16
    return dataclasses.replace(current, **changes)
