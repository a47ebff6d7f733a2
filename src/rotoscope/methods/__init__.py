"""The methods, imported when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from rotoscope.errors import InputError, suggestion
from rotoscope.methods.base import Method
from rotoscope.methods.checks import fits
from rotoscope.methods.model import Model

if TYPE_CHECKING:
    from rotoscope.methods.ablation import Ablation
    from rotoscope.methods.base import VideoLike
    from rotoscope.methods.bundles import CheckpointLayout, Training
    from rotoscope.methods.mechanism import Looking
    from rotoscope.methods.recipe import Recipe
    from rotoscope.runtimes.graphs import GraphSet

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

MODELS: dict[str, str] = {**METHODS, "prompts": "rotoscope.prompts:Prompts"}
"""The same of all that has weights and is trained: the methods, and the network that turns clicks into masks."""


def method_class(name: str) -> type[Method]:
    """Return the class of a method.

    Raises:
        InputError: no such method.
    """
    if name not in METHODS:
        raise InputError(
            f"method {name!r} is not known{suggestion(name, METHODS)}; the methods are {', '.join(METHODS)}."
        )
    kind: type[Method] = _class(name)
    return kind


def model_class(name: str) -> type[Model]:
    """Return the class of a name in :data:`MODELS`; see :func:`method_class`."""
    return _class(name) if name in MODELS else method_class(name)


def _class(name: str) -> Any:
    module, _, attribute = MODELS[name].partition(":")
    return getattr(import_module(module), attribute)


def released(name: str) -> CheckpointLayout:
    """What the authors of a method released."""
    layout: CheckpointLayout = _room(name, "official").RELEASED
    return layout


def training_of(name: str) -> Training:
    """How a model is trained."""
    training: Training = _room(name, "training").TRAINING
    return training


def graphs_of(name: str) -> GraphSet:
    """What can be made of a model's networks for other programs."""
    graphs: GraphSet = _room(name, "graphs").GRAPHS
    return graphs


def recipes() -> dict[str, Recipe]:
    """The recipes of all models, by name."""
    return {known: recipe for name in MODELS for known, recipe in training_of(name).recipes.items()}


def ablations() -> dict[str, Ablation]:
    """The ablation tables of all methods, by name."""
    tables: dict[str, Ablation] = {}
    for name in METHODS:
        tables |= _room(name, "ablations").ABLATIONS
    return tables


MECHANISMS = ("stcn", "cosnet", "capsulevos", "rvos", "giel")
"""Methods whose mechanism can be shown; each has a room of that name."""


def looking(model: Method, video: VideoLike, wanted: int, options: Mapping[str, Any]) -> Looking:
    """A session that keeps what its mechanism did on one frame.

    Args:
        model: a loaded method.
        video: whose frames will be pushed.
        wanted: the index of the frame.
        options: of the session.

    Raises:
        InputError: the method has no such session, or an option does not fit.
    """
    name = name_of(model)
    if name not in MECHANISMS:
        raise InputError(f"{name} has no picture of its mechanism; there are those of {', '.join(MECHANISMS)}.")
    opened: Looking = _room(name, "mechanism").looking(model, video, wanted, options)
    return opened


def _room(name: str, room: str) -> ModuleType:
    return import_module(f"{MODELS[name].partition(':')[0]}.{room}")


def make_config(name: str, fields: Mapping[str, Any]) -> Any:
    """A model's config from its fields, as Python, JSON or a setting has them.

    Lists become tuples, and the text ``none`` nothing, where a field takes that and not the word.

    Raises:
        InputError: a field that the config does not have, or a value that it refuses.
    """
    config_class: type[Any] = model_class(name).config_class
    hints = get_type_hints(config_class)
    values = {}
    for field, setting in fields.items():
        if field not in hints:
            raise InputError(f"config.{field}: {name} has {', '.join(hints)}.")
        value = tuple(setting) if isinstance(setting, list) else setting
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
    built: Method = method_class(name)(_config(name, config))
    return built


def build_model(name: str, config: Any = None) -> Model:
    """The same of a name in :data:`MODELS`; see :func:`build_method`."""
    return model_class(name)(_config(name, config))


def _config(name: str, config: Any) -> Any:
    return make_config(name, config or {}) if config is None or isinstance(config, Mapping) else config


def name_of(model: Model) -> str:
    """The name of a model in :data:`MODELS`."""
    return next(name for name in MODELS if model_class(name) is type(model))


def look_up(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """The entry of a name.

    Raises:
        InputError: no such entry; ``kind`` says what is missing.
    """
    if name not in known:
        raise InputError(f"{kind} {name!r} is not known{suggestion(name, known)}; there are {', '.join(known)}.")
    return known[name]
