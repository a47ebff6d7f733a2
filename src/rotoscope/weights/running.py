"""A loaded method on a runtime: its graphs made or found, and what its sessions call from then on."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rotoscope.errors import GraphError, InputError
from rotoscope.layers.precision import apply_precision, fold_batch_norms, has_native_bfloat16
from rotoscope.methods import graphs_of, name_of
from rotoscope.methods.model import Model
from rotoscope.runtimes.choosing import Choice, choose
from rotoscope.runtimes.engines import RUNTIMES, check_runtime, installed_runtimes
from rotoscope.runtimes.graphs import GraphSet, Portable
from rotoscope.runtimes.served import Served
from rotoscope.runtimes.store import graphs_in, key_of


def put_on_runtime(model: Model, runtime: str, precision: str, folder: Path) -> None:
    """Let a runtime compute what sessions of a method ask of its network; in place.

    Args:
        model: with its weights in float32 and its options, on the CPU; before a precision was applied. With ``torch``
            it is left as it is.
        runtime: a name in :data:`~rotoscope.runtimes.RUNTIMES`, or ``auto``, which measures those that are installed.
        precision: see :func:`rotoscope.load`.
        folder: the user's cache folder.

    Raises:
        InputError: an unknown runtime, one that is not installed or cannot compute the network, or a network that its
            method has no graphs of.
    """
    check_runtime(runtime)
    others = [name for name in installed_runtimes() if name != "torch"]
    if runtime == "auto" and (not others or model.device.type != "cpu"):
        why = "no other is installed" if model.device.type == "cpu" else f"on {model.device.type}"
        model.runtime_note = f"runtime torch ({why})"
        return
    if runtime == "torch":
        return
    made = graphs_of(name_of(model))
    if model.device.type != "cpu":
        raise InputError(f"runtime {runtime} computes on the CPU, not on {model.device.type}. Give --device cpu.")
    if runtime == "auto":
        choice = _chosen(model, made, precision, folder, others)
        model.runtime_note = choice.note
        runtime = choice.runtime
    if runtime != "torch":
        try:
            model.served = _served(model, made, runtime, precision, folder)
        except GraphError as error:
            rest = " or ".join(name for name in RUNTIMES if name != runtime)
            raise InputError(f"{runtime} does not run this {name_of(model)}. {error} Use --runtime {rest}.") from None
        model.runtime = runtime


def _served(model: Model, made: GraphSet, runtime: str, precision: str, folder: Path) -> Served:
    """What stands in the network's place."""
    whole = made.calls(model.network, model.config)
    paths = graphs_in(folder / "graphs" / _key(model, whole, runtime), runtime, partial(_folded, model, made))
    bfloat16 = precision == "fast" and has_native_bfloat16(model.device)
    served: Served = made.served(model.network, whole, paths, bfloat16)
    return served


def _folded(model: Model, made: GraphSet) -> Portable:
    """The graphs of a copy whose batch norms are folded."""
    other = copy.deepcopy(model)
    fold_batch_norms(other)
    return made.calls(other.network, other.config)


def _key(model: Model, whole: Portable, runtime: str) -> str:
    config = dataclasses.asdict(model.config)
    fixed = {name: value for name, value in config.items() if name not in model.inference_options}
    network: Any = model.network
    return key_of(network, whole, runtime, fixed)


def _chosen(model: Model, made: GraphSet, precision: str, folder: Path, others: list[str]) -> Choice:
    """The fastest of the runtimes that are installed."""

    def as_torch_runs_it() -> Portable:
        other = copy.deepcopy(model)
        apply_precision(other, precision, bfloat16=has_native_bfloat16(model.device))
        return made.calls(other.network, other.config)

    whole = made.calls(model.network, model.config)
    keys = [precision, *(_key(model, whole, name) for name in RUNTIMES if name in others)]
    makers: dict[str, Callable[[], Served]] = {
        name: partial(_served, model, made, name, precision, folder) for name in others
    }
    key = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:32]
    return choose(folder / "runtimes", key, as_torch_runs_it, makers)
