"""Begin a network's encoders, and the further parts that its method takes, with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from rotoscope.errors import InputError
from rotoscope.layers.trunks import residual_name
from rotoscope.methods import METHODS, name_of, released, training_of
from rotoscope.methods.bundles import Part
from rotoscope.methods.model import Model
from rotoscope.methods.recipe import Recipe
from rotoscope.training.optimiser import is_held
from rotoscope.weights.arrays import INDEX
from rotoscope.weights.catalogue import CATALOGUE, Entry
from rotoscope.weights.files import fill
from rotoscope.weights.load import located, open_file
from rotoscope.weights.pretrained import AbsentWeightsError, beginning_file, imagenet_trunk, read_tensors
from rotoscope.weights.released import BEGINNINGS, IMAGENET
from rotoscope.weights.store import kept
from rotoscope.weights.trunk_files import RESIDUAL, bare_trunk

ENCODERS: tuple[Part, ...] = ("image encoder", "mask encoder")
"""Parts that weights are given for by a setting of the recipe each."""
SETTINGS = dict(zip(ENCODERS, ("trunk", "mask_trunk"), strict=True))
UNCOUNTED = "num_batches_tracked"
"""Counters of batches, which nothing here needs."""


@dataclass
class Beginning:
    """What a network begins with.

    Attributes:
        taken: names of tensors that weights gave, with ``network.``, and what those weights are called.
        fitted: what was done to weights to fit, by what they are called.
    """

    taken: dict[str, str] = field(default_factory=dict)
    fitted: dict[str, str] = field(default_factory=dict)

    def describe(self, method: Model) -> list[str]:
        """Lines that say which part of a method's network begins as what."""
        lines, random = ["begins as:"], []
        for part in dict.fromkeys(name.split(".")[1] for name, _ in method.named_parameters()):
            own = [name for name in method.state_dict() if name.split(".")[1] == part and UNCOUNTED not in name]
            sources = dict.fromkeys(self.taken[name] for name in own if name in self.taken)
            for source in sources:
                count = sum(self.taken.get(name) == source for name in own)
                more = f"; {self.fitted[source]}" if self.fitted.get(source) and part in self.fitted[source] else ""
                lines.append(f"  {part}: {source}, {count} of {len(own)} tensors{more}")
            if not sources:
                random.append(part)
        return [*lines, f"  random: {', '.join(random)}"] if random else lines


def begin(method: Model, recipe: Recipe, initial: str | Path = "") -> Beginning:
    """Fill a new method with what its recipe says that it begins with.

    Args:
        method: changed in place.
        recipe: says which weights each part begins with, or all of them together.
        initial: weights of the same network, by name or file, for all of it in place of what the recipe says.

    Raises:
        InputError: weights that do not fit, or a part that the recipe does not train and nothing fills.
        CheckpointError: weights that are not here.
    """
    beginning = Beginning()
    whole = initial or recipe.initial
    if whole:
        if entry := CATALOGUE.get(str(whole)):
            _check_here(entry)
        path, _ = located(whole)
        fill(method, open_file(path, recipe.method).state_dict(), path)
        beginning.taken.update(dict.fromkeys(method.state_dict(), str(whole)))
        return beginning
    for part, setting in SETTINGS.items():
        weights = getattr(recipe, setting)
        if weights:
            begin_trunk(method, recipe.method, weights, part, beginning)
    check_frozen(method, recipe, beginning)
    return beginning


def _check_here(entry: Entry) -> None:
    """Say how to get weights that have a name and no file."""
    if entry.path is None and kept(entry.name) is None:
        raise AbsentWeightsError(
            f"{entry.name}: these weights are not here. Get them: rotoscope fetch {entry.name}; or begin with weights "
            "that you trained: --initial FILE."
        )


def begin_trunk(
    method: Model, name: str, weights: str, part: Part = "image encoder", beginning: Beginning | None = None
) -> int:
    """Copy an encoder of ``weights`` into a method; what the two do not share stays as it is.

    Which further parts a method takes, and from which weights, its :class:`~rotoscope.methods.bundles.Training` says.

    Args:
        method: changed in place.
        name: name of the method.
        weights: name or file of any method's weights; a name in
            :data:`~rotoscope.weights.released.BEGINNINGS`; a file that
            :func:`~rotoscope.weights.trunk_files.bare_trunk` knows, or of what a method begins with; or ``imagenet``,
            for what has learnt ImageNet of the encoder's own architecture.
        part: the image encoder and whatever else the method takes beside it, or the mask encoder alone.
        beginning: what was taken is added to it.
    Returns: how many tensors were taken.

    Raises:
        InputError: the weights are not known, nothing of the encoder fits, or it is an EfficientNet-Lite of another
            size.
        CheckpointError: they are not here.
    """
    training, setting = training_of(name), SETTINGS[part]
    ours = method.state_dict()
    prefix = f"network.{training.parts.get(part, ('',))[0]}"
    there = any(entry.startswith(prefix) for entry in ours) and part in training.parts
    if weights == IMAGENET or part != "image encoder":
        _check_part(there, name, part, weights)
    kind, state, called = _imagenet(method, prefix) if weights == IMAGENET else _weights(weights)
    own = {entry.removeprefix("network."): tensor for entry, tensor in ours.items()}
    theirs = {f"network.{entry}": tensor for entry, tensor in transferred(name, own, kind, state, part).items()}
    fitting = {
        entry: tensor
        for entry, tensor in theirs.items()
        if entry in ours and ours[entry].shape == tensor.shape and tensor.is_floating_point()
    }
    if not any(entry.startswith(prefix if there else "network.") for entry in fitting):
        raise InputError(
            f"{setting} {weights}: nothing of its {part} fits {name}. Give other weights: --set {setting}=…"
        )
    blocks = [entry for entry in theirs if entry.startswith(f"{prefix}blocks.") and entry in ours]
    if any(ours[entry].shape != theirs[entry].shape for entry in blocks):
        raise InputError(
            f"{setting} {weights}: is an EfficientNet-Lite of another size than the {method.config.trunk} of {name}. "
            f"Give weights of the same: --set {setting}=…"
        )
    method.load_state_dict(fitting, strict=False)
    if beginning is not None:
        beginning.taken.update(dict.fromkeys(fitting, called))
        if training.fit is not None:
            beginning.fitted[called] = training.fitted_in_words
    return len(fitting)


def _check_part(there: bool, name: str, part: Part, weights: str) -> None:
    """Refuse weights for an encoder that a network lacks (CapsuleVOS as published has no trunk)."""
    if not there:
        setting = SETTINGS[part]
        raise InputError(
            f"{setting}={weights}: {name} has no {part} as it is; "
            + ("give one: --set config.trunk=…" if part == "image encoder" else f"leave it out: --set {setting}=")
        )


def transferred(
    name: str, ours: Mapping[str, Tensor], kind: str, state: Mapping[str, Tensor], asked: Part = "image encoder"
) -> dict[str, Tensor]:
    """What a network begins with of other weights; what does not fit it is left out by the caller.

    Args:
        name: the name of the method that begins.
        ours: tensors of its network, by their names without ``network.``.
        kind: method of the weights; empty for a bare image encoder, of which a residual one is a mask encoder too.
        state: their tensors, by their names without ``network.``.
        asked: the mask encoder alone, or the image encoder with all that the method takes beside it.
    Returns: tensors by the names of our network.
    """
    training = training_of(name)
    offered: Mapping[Part, tuple[str, ...]] = {"image encoder": ("",)}
    if kind:
        offered = training_of(kind).parts
    elif RESIDUAL[1] in state:
        offered = {"image encoder": ("",), "mask encoder": ("",)}
    alone = asked != "image encoder"
    places = [(begins, begins) for begins in training.own if kind == name and not alone]
    for part in (asked,) if alone else training.takes:
        if part in offered:
            places += [(offered[part][0], place) for place in training.parts[part]]
    taken: dict[str, Tensor] = {}
    for begins, place in places:
        for entry, tensor in state.items():
            if entry.startswith(begins):
                taken.setdefault(place + entry.removeprefix(begins), tensor)
    return taken if training.fit is None else training.fit(taken, ours)


def check_frozen(method: Model, recipe: Recipe, beginning: Beginning) -> None:
    """Refuse to train around an encoder that stays as it was drawn.

    Raises:
        InputError: parameters that the recipe does not train, or norms of an encoder whose statistics it holds, that
            no weights gave. Layers behind would learn what random filters show them.
    """
    training = training_of(recipe.method)
    encoders = {place: part for part in ENCODERS for place in training.parts.get(part, ())}
    for name, module in method.network.named_modules():  # type: ignore[union-attr]
        part = next((encoder for place, encoder in encoders.items() if f"{name}.".startswith(place)), None)
        frozen = bool(recipe.frozen) and f"{name}.".startswith(recipe.frozen)
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if not (frozen or (norm and part is not None and is_held(name, recipe))):
            continue
        own = [f"network.{name}.{entry}" for entry in module.state_dict() if UNCOUNTED not in entry]
        if any(entry not in beginning.taken for entry in own):
            what = "is not trained" if frozen else "keeps the statistics of its batch norms"
            setting = SETTINGS.get(part or "image encoder", "trunk")
            way = f"--set {setting}=…, or train all of it: --set {'frozen=' if frozen else 'frozen_norms=false'}"
            raise InputError(f"{recipe.name}: {name} {what}, but begins at random. Give it weights: {way}.")


def _imagenet(method: Model, prefix: str) -> tuple[str, Mapping[str, Tensor], str]:
    """What has learnt ImageNet of the architecture that stands in a network behind a prefix."""
    trunk = method.config.trunk
    if f"{prefix}layer1.0.conv1.weight" in method.state_dict():
        trunk = residual_name(list(method.state_dict()), prefix, trunk)
    return "", imagenet_trunk(trunk), f"{IMAGENET}-{trunk}"


def _weights(weights: str) -> tuple[str, Mapping[str, Tensor], str]:
    """The method of weights, empty for a bare image encoder, its network's tensors, and what the weights are called."""
    path = beginning_file(weights) if weights in BEGINNINGS else located(weights)[0]
    if path.is_file() and path.suffix not in (".safetensors", ".npz", INDEX):
        tensors = read_tensors(path)
        for name in METHODS:
            part = released(name).part
            if part is not None and all(entry in tensors for entry in part[1]):
                state, _ = released(name).renamed({part[0] + entry: tensor for entry, tensor in tensors.items()})
                return name, _without_root(state), weights
        bare = bare_trunk(tensors)
        if bare is not None:
            return "", bare, weights
    source = open_file(path)
    return name_of(source), _without_root(source.state_dict()), weights


def _without_root(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {entry.removeprefix("network."): tensor for entry, tensor in state.items()}
