"""A network with its config: what weights are saved of, loaded into, and trained."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from rotoscope.errors import InputError
from rotoscope.runtimes.recording import can_record
from rotoscope.runtimes.replayed import Replayed
from rotoscope.runtimes.served import Served


class Model(nn.Module):
    """A network and its config. Holds weights only, no state of a video."""

    config_class: ClassVar[type[Any]]
    inference_options: ClassVar[tuple[str, ...]] = ()
    """Fields of the config that may differ from what the weights were trained with."""

    precision: str = "exact"
    runtime: str = "torch"
    """What computes the functions that sessions call (:mod:`rotoscope.runtimes`)."""
    runtime_note: str = ""
    """How it was chosen, where it was; one line."""
    served: Served | None = None
    replayed: Replayed | None = None
    """What stands in the network's place where PyTorch computes it on a CPU; see :meth:`replay`."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config if config is not None else self.config_class()

    def reconfigure(self, **changes: Any) -> None:
        """Change inference options of the config.

        Raises:
            InputError: a field that does not exist, or that the weights fix.
        """
        self.config = self.configured(changes)

    def configured(self, changes: Mapping[str, Any]) -> Any:
        """The config with inference options changed; see :meth:`reconfigure`."""
        unknown = sorted(set(changes) - set(self.inference_options))
        if unknown:
            raise InputError(self._no_option(unknown[0]))
        return dataclasses.replace(self.config, **changes)

    def _no_option(self, name: str) -> str:
        """What to tell who asks for an option that there is not; of a short side, how sizes are given instead."""
        size = getattr(self.config, "size", None)
        if name not in ("short_side", "max_short_side") or size is None:
            return f"there is no option {name!r}; the options are {', '.join(self.inference_options)}."
        sides = f"{size[0]},{size[1]}"
        if "size" in self.inference_options:
            return f"{name} (--size): this method works at a height and a width; give size={sides} or others like it."
        return f"{name} (--size): this network works at a height and width of {sides} and at no other size."

    @property
    def functions(self) -> Any:
        """What sessions call: the network, or what stands in its place."""
        if self.replayed is not None:
            self.replayed.refresh()
        return self.served or self.replayed or self.network

    def replay(self) -> None:
        """From now on let PyTorch compute the network's functions without Python, where it can: on a CPU.

        For a model that is ready to be used, in its last form (see :class:`~rotoscope.runtimes.replayed.Replayed`).
        """
        network: Any = self.network
        pure = getattr(network, "pure", ())
        if not pure or self.served is not None or self.device.type != "cpu":
            return
        if can_record():
            self.replayed = Replayed(network, pure)
        else:
            text = f"PyTorch {torch.__version__} cannot replay a network's functions: calling them takes longer."
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device
