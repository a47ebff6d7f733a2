"""The methods, imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from rotoscope.errors import InputError, suggestion
from rotoscope.methods.base import Method
from rotoscope.methods.checks import fits

if TYPE_CHECKING:
    from rotoscope.methods.ablation import Ablation
    from rotoscope.methods.bundles import CheckpointLayout, Training
    from rotoscope.methods.recipe import Recipe

METHODS: dict[str, str] = {
    "stcn": "rotoscope.methods.stcn:STCN",
    "rvos": "rotoscope.methods.rvos:RVOS",
    "rsis": "rotoscope.methods.rsis:RSIS",
    "agame": "rotoscope.methods.agame:AGAME",
    "capsulevos": "rotoscope.methods.capsulevos:CapsuleVOS",
    "cosnet": "rotoscope.methods.cosnet:COSNet",
    "giel": "rotoscope.methods.giel:GIEL",
}
"""Name of a method and where its class is."""


def method_class(name: str) -> type[Method]:
    """Return the class of a method.

    Raises:
        InputError: no such method.
    """
    if name not in METHODS:
        raise InputError(
            f"method {name!r} is not known{suggestion(name, METHODS)}; the methods are {', '.join(METHODS)}."
        )
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def released(name: str) -> CheckpointLayout:
    """What the authors of a method released."""
    found: CheckpointLayout = _room(name, "official").RELEASED
    return found


def training_of(name: str) -> Training:
    """How a method is trained."""
    found: Training = _room(name, "training").TRAINING
    return found


def recipes() -> dict[str, Recipe]:
    """The recipes of all methods, by name."""
    return {known: recipe for name in METHODS for known, recipe in training_of(name).recipes.items()}


def ablations() -> dict[str, Ablation]:
    """The ablation tables of all methods, by name."""
    found: dict[str, Ablation] = {}
    for name in METHODS:
        found |= _room(name, "ablations").ABLATIONS
    return found


def _room(name: str, room: str) -> ModuleType:
    return import_module(f"{METHODS[name].partition(':')[0]}.{room}")


def make_config(name: str, fields: Mapping[str, Any]) -> Any:
    """A method's config from its fields, as Python, JSON or a setting has them.

    Lists become tuples, and the text ``none`` nothing, where a field takes that and not the word.

    Raises:
        InputError: a field that the config does not have, or a value that it refuses.
    """
    config_class = method_class(name).config_class
    hints = get_type_hints(config_class)
    values = {}
    for field, given in fields.items():
        if field not in hints:
            raise InputError(f"config.{field}: {name} has {', '.join(hints)}.")
        value = tuple(given) if isinstance(given, list) else given
        nothing = value == "none" and fits(None, hints[field]) and not fits(value, hints[field])
        values[field] = None if nothing else value
    return config_class(**values)


def build_method(name: str, config: Any = None) -> Method:
    """The one builder of methods: a network with weights drawn at random from PyTorch's generator.

    Args:
        name: the name of the method, in :data:`METHODS`.
        config: the method's config, or some of its fields; the others, and all without it, are the defaults.

    Raises:
        InputError: see :func:`method_class` and :func:`make_config`.
    """
    if config is None or isinstance(config, Mapping):
        config = make_config(name, config or {})
    return method_class(name)(config)


def name_of(method: Method) -> str:
    """The name of a method in :data:`METHODS`."""
    return next(name for name in METHODS if method_class(name) is type(method))


def look_up(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The entry of a name.

    Raises:
        InputError: no such entry; ``kind`` says what is missing.
    """
    if name not in known:
        raise InputError(f"{kind} {name!r} is not known{suggestion(name, known)}; there are {', '.join(known)}.")
    return known[name]
