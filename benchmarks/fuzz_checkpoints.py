"""Mutated checkpoints, under limits of memory and time: how many load, are refused in one line, or do worse.

    python benchmarks/fuzz_checkpoints.py --count 300 --seed 0

Whole checkpoints of a small network are written in each format that can be opened (ours, PyTorch's two, NumPy's), and
each case damages one: bytes flipped, cut, doubled; sizes, types and settings in what describes it changed, with
checksums made right again; tensors of other shapes, kinds and values. Cases run in a process with a limit of memory; a
case that ends it is a crash. Exits with 1 if any case was neither read nor refused.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fuzzing import Case, flipped, outcome, run_cases
from rotoscope.errors import RotoscopeError
from rotoscope.methods.capsulevos import CapsuleVOS, CapsuleVOSConfig
from rotoscope.methods.capsulevos.official import OFFICIAL
from rotoscope.weights import save_method
from rotoscope.weights.load import open_file

SIZES = CapsuleVOSConfig(width=2, video_types=3, frame_types=2, types=4)


def released(model: CapsuleVOS) -> dict[str, Tensor]:
    """The network's tensors under the names, and in the layout, that its authors use."""
    names = {ours: re.sub(r"[$\\]", "", theirs) for theirs, ours in OFFICIAL.items()}
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        prefix = max((p for p in names if name.startswith(p)), key=len)
        rest = name[len(prefix) :]
        if rest == "weight":
            tensor = tensor.permute(*range(2, tensor.ndim), 1, 0).contiguous()
        state["network/" + names[prefix] + rest.replace("weight", "kernel")] = tensor
    keys, queries = state.pop("network/sec_caps_keys"), state.pop("network/sec_caps_queries")
    return state | {"network/sec_caps_weights": torch.cat([keys, queries])}


def stride_zero(tensor: Tensor) -> Tensor:
    """A huge view of one number."""
    return tensor.flatten()[:1].clone().expand(30_000, 30_000)


def odd(rng: random.Random, state: dict[str, Tensor]) -> dict[str, Any]:
    """Tensors of which one or two are not what they should be."""
    changed: dict[str, Any] = dict(state)
    for name in rng.sample(sorted(changed), rng.choice((1, 1, 2))):
        tensor = changed[name]
        ways = (
            lambda t: torch.full_like(t, float("nan")),
            lambda t: t * float("inf"),
            lambda t: t.flatten()[0].clone(),
            lambda t: t.flatten(),
            lambda t: t[:0],
            lambda t: t[None],
            lambda t: t.T if t.ndim == 2 else t.transpose(0, -1),
            lambda t: t.to(torch.int64),
            lambda t: t.half(),
            lambda t: t.bool(),
            lambda t: torch.cat([t, t]),
            stride_zero,
            lambda t: "a text",
            lambda t: None,
        )
        changed[name] = rng.choice(ways)(tensor)
        if rng.random() < 0.2:
            changed["network/more\x1b[31m"] = changed.pop(name)
    return changed


def rezipped(rng: random.Random, content: bytes) -> bytes:
    """An archive in which one entry is damaged, with its checksum made right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    tables = [name for name in entries if name.endswith("data.pkl")]
    victim = tables[0] if tables and rng.random() < 0.8 else rng.choice(sorted(entries))
    inside = entries[victim]
    head = 128 if victim.endswith(".npy") else len(inside)
    entries[victim] = flipped(rng, inside[:head]) + inside[head:]
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for name, inside in entries.items():
            archive.writestr(name, inside)
    return out.getvalue()


def reworded(rng: random.Random, content: bytes) -> bytes:
    """A file of ours whose header, or the config in it, says something else."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.6:
        config = json.loads(header["__metadata__"]["config"])
        values: tuple[Any, ...] = (
            None,
            True,
            "x",
            "x" * 10**6,
            [],
            [1] * 500,
            {},
            0,
            -1,
            2,
            3,
            64,
            10**5,
            2**20,
            10**9,
            10**30,
            0.5,
            1e308,
        )
        for name in rng.sample([*sorted(config), "new"], rng.choice((1, 1, 2, 4))):
            config[name] = rng.choice(values)
        text = rng.choice((json.dumps(config), json.dumps([config]), "{", "[" * 20_000)) if rng.random() < 0.2 else None
        header["__metadata__"]["config"] = json.dumps(config) if text is None else text
    else:
        name = rng.choice(sorted(header))
        entry = header[name]
        if name == "__metadata__":
            entry.pop(rng.choice(sorted(entry)))
        else:
            entry["shape"] = rng.choice(([], [0], [2**40], entry["shape"][::-1], [10**5] * 4))
            entry["dtype"] = rng.choice(("F32", "I8", "F16", "BOOL", "F8_E4M3", "U64", "odd"))
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + content[8 + length :]


def damaged(rng: random.Random, whole: dict[str, bytes], state: dict[str, Tensor], folder: Path) -> Path:
    """Write one damaged checkpoint; returns where."""
    kind = rng.choice(sorted(whole))
    path = folder / f"case{Path(kind).suffix}"
    content = whole[kind]
    way = rng.random()
    if way < 0.35:
        content = flipped(rng, content)
    elif way < 0.65 and kind.endswith(".safetensors"):
        content = reworded(rng, content)
    elif way < 0.65 and kind != "legacy.pth":
        content = rezipped(rng, content)
    elif kind.endswith(".pth"):
        table = odd(rng, state)
        torch.save(
            rng.choice((table, {"net": table, "model": table})),
            path,
            _use_new_zipfile_serialization=kind != "legacy.pth",
        )
        return path
    else:
        content = flipped(rng, content)
    path.write_bytes(content)
    return path


def wholes(folder: Path) -> tuple[dict[str, bytes], dict[str, Tensor]]:
    """Checkpoints as they should be, by name, and the tensors in them."""
    torch.manual_seed(0)
    model = CapsuleVOS(SIZES)
    state = released(model)
    save_method(folder / "ours.safetensors", "capsulevos", model.config, model.state_dict())
    save_method(folder / "packed.safetensors", "capsulevos", model.config, model.state_dict(), store="int8")
    torch.save(state, folder / "new.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in state.items()}
    np.savez(folder / "arrays.npz", **arrays)
    for path in sorted(folder.iterdir()):
        open_file(path)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}, state


def judged(path: Path) -> str:
    """What opening comes to: one of what is good, or what it should not."""
    found: list[torch.nn.Module] = []

    def read() -> None:
        try:
            found.append(open_file(path))
        except RotoscopeError as known:
            if not str(known).isprintable():
                raise ValueError(f"raw text {str(known)[:200]!r}") from None
            raise

    what = outcome(read)
    if found and not all(bool(torch.isfinite(tensor).all()) for tensor in found[0].state_dict().values()):
        return "not-finite weights were taken"
    return what


def case_of(whole: dict[str, bytes], state: dict[str, Tensor], seed: int) -> Case:
    """The cases of a seed."""

    def case(number: int, folder: Path) -> tuple[str, str]:
        path = damaged(random.Random(f"{seed}.{number}"), whole, state, folder)
        return path.suffix, judged(path)

    return case


def main() -> int:
    """Run, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        whole, state = wholes(Path(folder))
    return run_cases(case_of(whole, state, given.seed), given.count, given.first).say()


if __name__ == "__main__":
    sys.exit(main())
