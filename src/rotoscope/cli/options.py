"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotoscope.errors import InputError
from rotoscope.limits import parse_limits, set_limits

if TYPE_CHECKING:
    from rotoscope.methods.base import Method

# What is loaded, and where it runs.
Weights = Annotated[Path | None, typer.Option(help="Weights file: ours, or one that a method's authors released.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, typer.Option(help="fast, or exact for the reference numbers.")]
Runtime = Annotated[
    str, typer.Option(help="torch, onnxruntime or openvino on a CPU; auto measures once which is the fastest.")
]
Threads = Annotated[int | None, typer.Option(help="Processor threads to use.")]

# Options of a method's sessions.
Memory = Annotated[str | None, typer.Option(help="Memory policy: lfu:M, every:K or first-latest.")]
MemoryBudget = Annotated[str | None, typer.Option(help="Bytes for the memory bank, such as 2GB; chooses M.")]
MemEvery = Annotated[int | None, typer.Option(help="Frames between entries into memory.")]
TopK = Annotated[int | None, typer.Option(help="Memory features that each query reads from; 0 for all.")]
IncludeLast = Annotated[bool | None, typer.Option(help="Also keep the previous frame in memory.")]
Size = Annotated[
    str | None,
    typer.Option(help="Short side that the network works at, in pixels; 'native' leaves frames as they are."),
]
Others = Annotated[
    list[str] | None,
    typer.Option("--option", help="Any option of the method's sessions, NAME=VALUE; see its page in docs."),
]

# Data sets and their scores.
ScoredTask = Annotated[
    str | None, typer.Option(help="semi, unsupervised or zero-shot; the one that fits the method unless said.")
]
Jobs = Annotated[int | None, typer.Option(help="Processes that score; as many as processors unless given.")]
Stability = Annotated[bool, typer.Option(help="Measure T where the protocol has it.")]
Compare = Annotated[bool, typer.Option("--compare", help="Set published figures beside.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a field of the recipe: NAME=VALUE.")]


def use_limits(texts: list[str] | None) -> None:
    """Set the limits that are named, before anything is read.

    Raises:
        InputError: a text that means nothing.
    """
    set_limits(**parse_limits(texts or []))


Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        callback=use_limits,
        help="Read more than usual, NAME=NUMBER: pixels, objects, masks, arrays or json; see docs/guide.md.",
    ),
]

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def session_options(
    *,
    memory: str | None = None,
    memory_budget: str | None = None,
    mem_every: int | None = None,
    top_k: int | None = None,
    include_last: bool | None = None,
    size: str | None = None,
    others: list[str] | None = None,
) -> dict[str, Any]:
    """Collect what was given, in the form that sessions take it.

    Raises:
        InputError: a text that means nothing.
    """
    options: dict[str, Any] = {}
    if memory is not None:
        from rotoscope.memory import parse_policy

        parse_policy(memory)
        options["memory"] = memory
    if memory_budget is not None:
        options["memory_budget"] = byte_count(memory_budget)
    if mem_every is not None:
        options["mem_every"] = mem_every
    if top_k is not None:
        options["top_k"] = top_k or None
    if include_last is not None:
        options["include_last"] = include_last
    if size is not None:
        options |= size_options(size)
    if others:
        from rotoscope.methods.settings import parse_value
    for text in others or []:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise InputError(f"--option {text}: write NAME=VALUE.")
        options[name.strip().replace("-", "_")] = parse_value(value.strip())
    return options


def size_options(size: str) -> dict[str, Any]:
    """What ``--size`` means to a session.

    Raises:
        InputError: neither a side of at least 16 pixels nor ``native``.
    """
    if size == "native":
        return {"short_side": None, "max_short_side": None}
    if size.isdecimal() and int(size) >= 16:
        return {"short_side": int(size)}
    raise InputError(f"size {size!r} is not possible; give a short side of at least 16 pixels, or native.")


def byte_count(text: str) -> int:
    """Read ``2GB``, ``500 MiB`` or ``1000000`` as bytes.

    Raises:
        InputError: none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text.upper())
    if not match:
        raise InputError(f"memory budget {text!r} is not understood; write it like 2GB or 500MB.")
    return int(float(match[1]) * UNITS[match[2]])


def use_threads(threads: int | None) -> None:
    """Set how many threads PyTorch uses in this process.

    Raises:
        InputError: fewer than one.
    """
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"{threads} threads are not possible; give at least 1.")
    import torch

    torch.set_num_threads(threads)


def leave_threads_to_torch() -> None:
    """Let OpenCV have a quarter of PyTorch's threads: frames are shrunk and masks enlarged while a network computes."""
    import cv2
    import torch

    cv2.setNumThreads(max(torch.get_num_threads() // 4, 1))


def load_method(
    method: str,
    weights: Path | None,
    device: str,
    precision: str,
    threads: int | None,
    runtime: str = "torch",
) -> Method:
    """Load the method that the options name, and tell which runtime was chosen, if one was.

    Raises:
        InputError: no such method, weights, device or runtime, or weights of another method.
    """
    from rotoscope.cli.heap import keep_freed_memory
    from rotoscope.cli.output import err
    from rotoscope.methods import METHODS
    from rotoscope.methods.baselines import BASELINES, baseline
    from rotoscope.weights import CATALOGUE, find, load

    keep_freed_memory()
    use_threads(threads)
    leave_threads_to_torch()
    if method in BASELINES:
        if weights is not None:
            raise InputError(f"{method}: is a baseline without weights; leave --weights out.")
        if runtime not in ("torch", "auto"):
            raise InputError(f"{method}: is a baseline without a network; leave --runtime out.")
        return baseline(method)
    if method not in CATALOGUE and Path(method).is_file():
        raise InputError(f"--method {method}: is a file. Give it as --weights.")
    entry = find(method)
    if weights is not None and not weights.exists():
        raise InputError(f"{weights}: no such weights file.")
    released = weights is not None and weights.suffix != ".safetensors" and method in METHODS
    own = entry.method if released else None
    model = load(weights or method, method=own, device=device, precision=precision, runtime=runtime)
    if model.runtime_note:
        err.print(model.runtime_note)
    return model
