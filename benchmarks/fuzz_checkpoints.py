"""Mutated checkpoints, under limits of memory and time: how many load, are refused in one line, or do worse.

    python benchmarks/fuzz_checkpoints.py --count 300 --seed 0

Whole checkpoints of a small network are written in each format that can be opened (ours, PyTorch's two, NumPy's), and
each case damages one: bytes flipped, cut, doubled; sizes, types and settings in what describes it changed, with
checksums made right again; tensors of other shapes, kinds and values. Cases run in a process with a limit of memory; a
case that ends it is a crash. Exits with 1 if any case was neither loaded nor refused.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rotoscope.errors import RotoscopeError
from rotoscope.methods.capsulevos import CapsuleVOS, CapsuleVOSConfig
from rotoscope.methods.capsulevos.official import OFFICIAL
from rotoscope.weights import save_method
from rotoscope.weights.load import open_file

SIZES = CapsuleVOSConfig(width=2, video_types=3, frame_types=2, types=4)
MEMORY = 2 * 2**30
"""Bytes that a case may map beyond what the process has at the start."""
SECONDS = 20
"""Of processor time that a case may take."""
NUMBERS = (0, 1, 2, 7, 127, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, -1)


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


def flipped(rng: random.Random, content: bytes) -> bytes:
    """Bytes damaged as by a bad disk, or by somebody."""
    data = bytearray(content)
    near = min(len(data), 4096)
    for _ in range(rng.choice((1, 2, 5, 20))):
        if not data:
            break
        where = rng.choice((rng.randrange(near), len(data) - 1 - rng.randrange(near), rng.randrange(len(data))))
        where = min(max(where, 0), len(data) - 1)
        way = rng.randrange(5)
        if way < 2:
            data[where] ^= 1 << rng.randrange(8)
        elif way == 2:
            data[where : where + 8] = struct.pack("<Q", rng.choice(NUMBERS) % 2**64)
        elif way == 3:
            data[where:where] = data[where : where + rng.randrange(1, 60)]
        else:
            del data[where : where + rng.randrange(1, 60)]
    return bytes(data[: rng.randrange(len(data) + 1)]) if rng.random() < 0.15 else bytes(data)


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


def case(rng: random.Random, whole: dict[str, bytes], state: dict[str, Tensor], folder: Path) -> Path:
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
    torch.save(state, folder / "new.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in state.items()}
    np.savez(folder / "arrays.npz", **arrays)
    for path in sorted(folder.iterdir()):
        open_file(path)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}, state


def outcome(path: Path) -> str:
    """What opening comes to: ``loaded``, ``refused``, or what it should not."""
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        model = open_file(path)
    except RotoscopeError as known:
        text = str(known)
        return (
            "refused"
            if text.isprintable() and known.exit_code == 2 and len(text) < 1000
            else f"bad line {text[:200]!r}"
        )
    except BaseException:
        return "traceback " + traceback.format_exc(limit=-3).replace("\n", " | ")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finite = all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())
    return "loaded" if finite and time.process_time() - begun < SECONDS else "loaded, but slow or not finite"


def run_cases(
    cases: range, seed: int, whole: dict[str, bytes], state: dict[str, Tensor], folder: Path, out: int
) -> None:
    """In a process of its own: say of each case that it begins, and what it came to."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    for number in cases:
        os.write(out, f"{number}\n".encode())
        path = case(random.Random(f"{seed}.{number}"), whole, state, folder)
        os.write(out, f"{number} {path.suffix} {outcome(path)}\n".encode())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    os.write(out, f"peak {peak}\n".encode())


def fuzz(count: int, seed: int, folder: Path) -> tuple[Counter[str], list[str], int]:
    """Run all cases; returns how often each outcome was, lines on the bad ones, and the peak of memory in KiB."""
    (folder / "whole").mkdir()
    whole, state = wholes(folder / "whole")
    counts: Counter[str] = Counter()
    bad: list[str] = []
    peak, following = 0, 0
    while following < count:
        ear, mouth = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ear)
            run_cases(range(following, count), seed, whole, state, folder, mouth)
            os._exit(0)
        os.close(mouth)
        begun = following
        with os.fdopen(ear, encoding="utf-8") as lines:
            for line in lines:
                number, _, rest = line.rstrip("\n").partition(" ")
                if number == "peak":
                    peak = max(peak, int(rest))
                elif not rest:
                    begun = int(number)
                else:
                    suffix, _, what = rest.partition(" ")
                    counts[f"{suffix} {what.split()[0]}"] += 1
                    following = int(number) + 1
                    if following % 50 == 0:
                        print(f"{following} cases: {dict(counts)}", file=sys.stderr, flush=True)
                    if what not in ("loaded", "refused"):
                        bad.append(f"case {number}: {what}")
        _, status = os.waitpid(child, 0)
        if status:
            counts["crash"] += 1
            bad.append(f"case {begun}: ended the process, status {status}")
            following = begun + 1
    return counts, bad, peak


def main() -> int:
    """Run, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        counts, bad, peak = fuzz(given.count, given.seed, Path(folder))
    for line in bad:
        print(line)
    for name, number in sorted(counts.items()):
        print(f"{name:24} {number}")
    print(f"cases {sum(counts.values())}, neither loaded nor refused {len(bad)}, peak memory {peak >> 10} MiB")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
