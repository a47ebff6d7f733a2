"""``rotoscope.load``: a name or a file to a method that is ready to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from rotoscope.errors import CheckpointError, InputError, suggestion
from rotoscope.layers.precision import apply_precision, has_native_bfloat16
from rotoscope.masks.points import Prompter
from rotoscope.methods import make_config, name_of
from rotoscope.methods.base import Method
from rotoscope.methods.model import Model
from rotoscope.prompts import Prompts
from rotoscope.prompts.answering import NetworkPrompter
from rotoscope.prompts.classical import WAYS, ClassicalPrompter
from rotoscope.runtimes.engines import EXTRAS, check_runtime
from rotoscope.weights.arrays import tensorflow_prefix
from rotoscope.weights.catalogue import CATALOGUE, Entry, find
from rotoscope.weights.files import build, from_official, read_official, read_own
from rotoscope.weights.limits import one_line
from rotoscope.weights.prompters import PROMPTERS
from rotoscope.weights.running import put_on_runtime
from rotoscope.weights.store import cache_folder, verified

ModelType = TypeVar("ModelType", bound=Model)
DEFAULT_PROMPTER = "prompts-small"
PRECISIONS = ("exact", "fast")
SUFFIXES = (".pth", ".pt", ".safetensors", ".ckpt", ".npz", ".index")
"""Of files of weights: what ends in one is not taken for a name."""


def load(
    name_or_path: str | Path,
    method: str | None = None,
    device: str | torch.device = "auto",
    precision: str = "fast",
    runtime: str = "torch",
    **config: Any,
) -> Method:
    """Open weights and return the method, ready for sessions.

    Args:
        name_or_path: a name that ``rotoscope methods`` lists, a file of ours (safetensors), or a checkpoint that a
            method's authors released: a file, a folder of files (RVOS), or a TensorFlow checkpoint by the part of its
            name before ``.index`` (CapsuleVOS; needs TensorFlow). A text that is a name is taken as one, whatever lies
            in the working folder: a file or folder called ``cosnet-small`` is ``./cosnet-small``, or a ``Path``.
            Released weights have their names once ``rotoscope fetch`` has got them.
        method: which method a released checkpoint is of; found out by its names if left out.
        device: ``auto`` (CUDA, then MPS, then CPU), or a device of PyTorch such as ``cuda:1``.
        precision: ``exact`` is float32 and gives the reference numbers; ``fast`` folds batch norms, uses the
            channels-last layout, and bfloat16 where the processor has it natively.
        runtime: what computes the network on a CPU: ``torch``, ``onnxruntime`` or ``openvino`` (extras ``onnx`` and
            ``openvino``), or ``auto``, the fastest of those installed by a short measurement, which is kept. Graphs are
            made once, which takes some seconds, and kept in the cache folder. Sessions, memory and what ``exact`` and
            ``fast`` mean stay the same, but for bfloat16, which ONNX Runtime has not.
        config: fields of the method's config that concern inference.

    Raises:
        InputError: an unknown name, device, precision, runtime or field; a runtime that is not installed, or that
            cannot run the method.
        CheckpointError: a file that is truncated, foreign or of another network, a name whose weights are not here,
            or weights that hold NaN or infinity.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; use {' or '.join(PRECISIONS)}.")
    check_runtime(runtime)
    target = find_device("cpu" if device == "auto" and runtime in EXTRAS else device)
    path, entry = located(name_or_path)
    model = open_file(path, method)
    if not isinstance(model, Method):
        raise CheckpointError(f"{path}: weights that turn clicks into masks, which follow nothing. Give a method's.")
    if entry is not None:  # two names may have one file
        config = {k: v for k, v in entry.config.items() if getattr(model.config, k) != v} | config
    model.prompter = partial(load_prompter, device=target)
    return made_ready(model, target, precision, config, runtime)


def load_exact(name_or_path: str | Path, method: str | None = None) -> Model:
    """Open weights of any kind, a method's or the click network's, in float32 on the CPU; see :func:`load`."""
    if str(name_or_path) in PROMPTERS:
        return made_ready(open_file(verified(PROMPTERS[str(name_or_path)])), torch.device("cpu"), "exact", {})
    path, entry = located(name_or_path)
    model = open_file(path, method)
    config = entry.config if entry is not None and isinstance(model, Method) else {}
    changed = {k: v for k, v in config.items() if getattr(model.config, k) != v}
    return made_ready(model, torch.device("cpu"), "exact", changed)


def load_prompter(
    name_or_path: str | Path = DEFAULT_PROMPTER,
    device: str | torch.device = "auto",
    precision: str = "fast",
    runtime: str = "torch",
) -> Prompter:
    """Open what makes masks of clicks and boxes; the same call gives the same one again.

    Args:
        name_or_path: ``prompts-small``, a file of weights of the click network, or a way that needs none:
            ``grabcut``, ``flood`` or ``edges``.
        device: see :func:`load`.
        precision: see :func:`load`.
        runtime: see :func:`load`; of the click network.

    Raises:
        InputError: an unknown name, device, precision or runtime; a runtime for a way that has no network.
        CheckpointError: a file that is truncated, foreign, or of a method.
    """
    check_runtime(runtime)
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; use {' or '.join(PRECISIONS)}.")
    if str(name_or_path) in WAYS:
        if runtime in EXTRAS:
            raise InputError(f"{name_or_path} has no network that {runtime} could compute. Leave --runtime out.")
        return ClassicalPrompter(str(name_or_path))
    target = find_device("cpu" if device == "auto" and runtime in EXTRAS else device)
    return _network_prompter(str(name_or_path), target, precision, runtime)


@cache
def _network_prompter(name: str, target: torch.device, precision: str, runtime: str) -> Prompter:
    path = Path(name)
    if name in PROMPTERS:
        path = verified(PROMPTERS[name])
    elif not path.exists():
        known = (*PROMPTERS, *WAYS)
        raise InputError(f"{name}: neither a file nor what answers clicks{suggestion(name, known)}; give {_or(known)}.")
    model = open_file(path)
    if not isinstance(model, Prompts):
        raise CheckpointError(f"{path}: weights of {name_of(model)}, which answers no clicks. Give those of prompts.")
    return NetworkPrompter(made_ready(model, target, precision, {}, runtime))


def _or(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def made_ready(
    model: ModelType, target: torch.device, precision: str, config: Mapping[str, Any], runtime: str = "torch"
) -> ModelType:
    """A model with its options, where it shall be, as its precision has it and on its runtime; in place.

    Args:
        model: with its weights in float32, on the CPU.
        target: where it shall be.
        precision: see :func:`load`.
        config: options of its sessions that differ from what the weights were trained with.
        runtime: see :func:`load`.

    Raises:
        InputError: an option or a runtime that the model does not have.
    """
    if config:
        model.reconfigure(**config)
    model.requires_grad_(False).eval().to(target)
    put_on_runtime(model, runtime, precision, cache_folder())
    apply_precision(model, precision, bfloat16=model.served is None and has_native_bfloat16(target))
    model.precision = precision
    model.replay()
    return model


def located(name_or_path: str | Path) -> tuple[Path, Entry | None]:
    """The file or folder that a name or a path stands for, and the name's entry; see :func:`load`.

    Raises:
        InputError: neither a name nor a file.
        CheckpointError: a name whose weights are not here, or are damaged.
    """
    path = Path(name_or_path)
    named = isinstance(name_or_path, str) and name_or_path in CATALOGUE
    try:
        there = path.exists() or tensorflow_prefix(path) is not None
    except (OSError, ValueError):  # no name that a file could have
        there = False
    if there and not named:
        return path, None
    if path.suffix in SUFFIXES:
        raise InputError(f"{path}: no such weights file.")
    entry = find(str(name_or_path))
    return verified(entry), entry


def open_file(path: Path, method: str | None = None) -> Model:
    """Build a method from a file of ours or of its authors, in float32 on the CPU.

    Raises:
        CheckpointError: truncated, foreign, of another network, or not finite.
    """
    if path.suffix == ".safetensors":
        name, fields, state = read_own(path)
        if method is not None and method != name:
            raise CheckpointError(f"{path}: weights of {name}, not of {method}.")
        try:
            config = make_config(name, fields)
        except InputError as error:
            raise CheckpointError(f"{path}: has a config that cannot be: {one_line(error)}") from None
        return build(name, config, state, path)
    name, tensors = read_official(path, method)
    return from_official(path, name, tensors)


MEANT = {"gpu": "cuda", "nvidia": "cuda", "rocm": "cuda", "amd": "cuda", "metal": "mps", "apple": "mps"}
"""What people call devices, and what PyTorch calls them."""


def _how_to_get(kind: str) -> str:
    """How to get a PyTorch that can use a device; nothing where the one that is installed can."""
    if kind == "cuda" and not torch.backends.cuda.is_built():
        return " This PyTorch computes on processors only; pytorch.org says how to install one for GPUs."
    if kind == "mps" and not torch.backends.mps.is_built():
        return " mps is for Apple's computers, and this PyTorch is built without it."
    return ""


def find_device(device: str | torch.device) -> torch.device:
    """Choose the device; ``auto`` picks CUDA, then MPS, then CPU.

    Raises:
        InputError: not a device, or one that this machine lacks.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = str(device).lower().partition(":")
    if kind in MEANT:
        meant = f"{MEANT[kind]}:{number}" if number else MEANT[kind]
        raise InputError(f"device {str(device)!r} is not known; did you mean {meant}?{_how_to_get(MEANT[kind])}")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(
            f"device {str(device)!r} cannot be used here ({reason}). Use auto or cpu.{_how_to_get(kind)}"
        ) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {str(device)!r} cannot compute masks. Use auto, cpu, cuda or mps.")
    return chosen
