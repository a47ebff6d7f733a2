"""A recipe in a checkpoint: written as JSON has it, and read in the fields of today."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rotoscope.methods.augmentation import Augmentation
from rotoscope.methods.recipe import AlternateSteps, Recipe, Stage
from rotoscope.weights.files import upgraded


def as_today(saved: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's recipe in the fields of today.

    What it does not name, because it is older, is as it was then: the defaults. The weight of the correspondence loss
    was a field of its own; alternate steps were called an interlude.
    """
    whole = {**_defaults(Recipe), **saved, "config": upgraded(saved["config"])}
    correspondence = whole.pop("correspondence", 0.0)
    if correspondence:
        whole["loss"] = {**whole["loss"], "correspondence": correspondence}
    whole["augmentation"] = {**_defaults(Augmentation), **whole["augmentation"]}
    whole["stages"] = [_stage_as_today(stage) for stage in whole["stages"]]
    return whole


def _stage_as_today(saved: Mapping[str, Any]) -> dict[str, Any]:
    stage = {**_defaults(Stage), **saved}
    if "interlude" in stage:
        stage["alternate"] = stage.pop("interlude")
    if stage["alternate"] is not None:
        stage["alternate"] = {**_defaults(AlternateSteps), **stage["alternate"]}
    return stage


def _defaults(kind: type[Recipe | Stage | AlternateSteps | Augmentation]) -> dict[str, Any]:
    defaults = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
    made = {f.name: f.default_factory() for f in dataclasses.fields(kind) if callable(f.default_factory)}
    return {name: _listed(value) for name, value in (defaults | made).items()}


def as_saved(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON would give it back."""
    plain: dict[str, Any] = _listed(dataclasses.asdict(recipe))
    return plain


def _listed(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value
