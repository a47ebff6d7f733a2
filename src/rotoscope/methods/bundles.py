"""What a method tells the rest of the house, in two typed bundles: what its authors released, and how it is trained."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from rotoscope.methods.clip_loss import ClipLossFunction
from rotoscope.methods.recipe import Recipe

Part = Literal[
    "image encoder",
    "mask encoder",
    "query key",
    "query value",
    "decoder",
    "decoder entry",
    "upsampling 16 to 8",
    "upsampling 8 to 4",
    "mask head",
]
"""Parts that networks of several methods have. A method says where they are in its own network, so that another can
begin with what they have learnt and needs to know no name of theirs."""


def as_it_is(value: Any) -> Any:
    """The value itself, for what needs no change."""
    return value


@dataclass(frozen=True)
class CheckpointLayout:
    """The checkpoint that a method's authors released, and how it becomes weights of ours.

    Attributes:
        names: regular expressions of the beginnings of released names, and what stands there in our state dict; the
            first that matches counts.
        config: the released network's config, for checkpoints whose shapes say nothing else.
        signature: names of entries that tell this checkpoint from those of other methods.
        unwrap: takes what the file holds, such as ``{"epoch": …, "net": …}``, and returns the state dict in it.
        adapt: takes a state dict under released names and returns it in our layout, still under those names.
        config_of: reads a config off the shapes of a state dict under released names; None where ``config`` is all
            there is.
        files: where the checkpoint is a folder, the files in it by the prefix that their names get here; empty for a
            checkpoint that is one file.
        part: where a released file holds only a part of the network, which training begins with: what its names lack
            of the whole network's, and entries that tell such a file; None if there is no such file.
    """

    names: Mapping[str, str]
    config: Any
    signature: tuple[str, ...]
    unwrap: Callable[[Mapping[str, object]], Mapping[str, object]] = as_it_is
    adapt: Callable[[dict[str, Tensor]], dict[str, Tensor]] = as_it_is
    config_of: Callable[[Mapping[str, Tensor]], Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    part: tuple[str, tuple[str, ...]] | None = None

    def renamed(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """A state dict under our names, and the names in it that are not known."""
        known: dict[str, Tensor] = {}
        unknown: list[str] = []
        for name, tensor in state.items():
            for pattern, prefix in self.names.items():
                match = re.match(pattern, name)
                if match:
                    known[prefix + name[match.end() :]] = tensor
                    break
            else:
                unknown.append(name)
        return known, unknown


@dataclass(frozen=True)
class Training:
    """How a method is trained, and what its network can begin with.

    Attributes:
        recipes: the recipes of the method, by name.
        clip_loss: the loss of a batch of clips.
        parts: beginnings of the names under which the network keeps its parts, without ``network.``; the image
            encoder is always among them. A part that the network has several times is offered as its first place
            and fills all of them.
        takes: parts that are filled from other weights where those have them.
        own: beginnings of the names that are taken unchanged from weights of the same method.
        fit: takes what was found in other weights, by our names, and our network's tensors, and returns it in our
            network's layout.
        validation: gives a score in [0, 1] of a network on photographs kept apart, ``(network, recipe, photographs,
            device)``; J on synthetic clips where it is None.
        fitted_in_words: what ``fit`` adds to what the weights hold, for a person; empty if nothing.
    """

    recipes: Mapping[str, Recipe]
    clip_loss: ClipLossFunction
    parts: Mapping[Part, tuple[str, ...]]
    takes: tuple[Part, ...] = ("image encoder",)
    own: tuple[str, ...] = ()
    fit: Callable[[dict[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    validation: Callable[..., float] | None = None
    fitted_in_words: str = ""

    @property
    def loss_options(self) -> tuple[str, ...]:
        """Names of the options that the clip loss has."""
        parameters = inspect.signature(self.clip_loss).parameters.values()
        return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)

    @property
    def image_encoder(self) -> str:
        """Beginning of the names of the image encoder, without ``network.``."""
        return self.parts["image encoder"][0]
