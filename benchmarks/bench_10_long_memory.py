"""What does the memory bank cost over 10 to 10,000 frames, policy by policy? The bank alone, on drawn features."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch

from common import options, report
from rotoscope.experiments.speed import method_to_time
from rotoscope.memory import MemoryBank, parse_policy

POLICIES = ("every:5", "first-latest", "lfu:2", "lfu:4", "support:5")
LENGTHS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
CELLS = {"stcn": 54 * 30, "stcn-small": 36 * 20}
"""Features of a frame of 854x480, of which the small network sees 576x320."""
LEAST = 3
"""Reads that are timed at each length, by the shortest."""


def walk(name: str, sizes: tuple[int, int, int], lengths: list[int], most: int) -> list[dict[str, Any]]:
    """Fill a bank as a policy does and time its read at each length.

    Args:
        name: of the policy.
        sizes: channels of keys, channels of values, features of a frame.
        lengths: frames after which a read is timed.
        most: bytes that the bank may take; a longer clip is left out.
    """
    keys, values, cells = sizes
    policy, generator, rows = parse_policy(name), torch.Generator().manual_seed(0), []
    bank = MemoryBank(policy)
    key = torch.randn(keys, cells, generator=generator)
    value = torch.randn(values, cells, generator=generator)
    since = 0
    for number in range(1, lengths[-1] + 1):
        key = 0.95 * key + 0.3 * torch.randn(keys, cells, generator=generator)
        if number == 1 or policy.enters(since):
            if bank.nbytes > most:
                break
            bank.store(key, {1: value})
            since = 0
        since += 1
        if name.startswith("lfu") and number > 1 and policy.enters(since):
            bank.read(key[:, :64], 20)  # counts use, for a part of the cells: the policy asks for no more
        if number in lengths:
            spent = []
            for _ in range(LEAST):
                begun = time.perf_counter()
                bank.read(key, 20)
                spent.append(time.perf_counter() - begun)
            rows.append({"policy": name, "frames": number, "features": len(bank), "read (ms)": 1e3 * min(spent)})
            rows[-1]["bank (MiB)"] = bank.nbytes / 2**20
            told = (f"{key}: {value:.4g}" if key != "policy" else value for key, value in rows[-1].items())
            print("  ".join(map(str, told)), file=sys.stderr, flush=True)
    return rows


def draw(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """The same as a picture: time of a read, and memory, over the length of the clip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for number, column in enumerate(("read (ms)", "bank (MiB)"), 1):
        axes = figure.add_subplot(1, 2, number)
        for name in dict.fromkeys(row["policy"] for row in rows):
            own = [row for row in rows if row["policy"] == name]
            axes.loglog([row["frames"] for row in own], [row[column] for row in own], marker="o", label=name)
        axes.set(xlabel="frames", ylabel=column, title=title if number == 1 else "")
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    chosen = options(__doc__, method="stcn-small", longest=10_000, most_gib=4.0, picture="")
    config = method_to_time(chosen.method, None, "exact").config
    sizes = config.key_dim, config.value_dim, CELLS[chosen.method]
    lengths = [length for length in LENGTHS if length <= chosen.longest]
    rows = [row for name in POLICIES for row in walk(name, sizes, lengths, int(chosen.most_gib * 2**30))]
    title = f"{chosen.method}, 854x480, 1 object, top-k 20"
    report(f"long_memory_{chosen.method}", f"{title}: a read, and the bank, after so many frames", rows, chosen)
    if chosen.picture:
        draw(Path(chosen.picture), rows, title)


if __name__ == "__main__":
    main()
