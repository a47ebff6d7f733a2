"""What do the memory policies cost? Whole runs of 100 frames, and the read alone over the length of the clip."""

from __future__ import annotations

import time
from typing import Any

import torch

from common import SIZE, options, report
from rotoscope.experiments.speed import method_to_time, moving_frames, push_and_see, squares
from rotoscope.memory import MemoryBank, parse_policy

POLICIES = ("every:5", "first-latest", "lfu:2", "lfu:4")


def whole_run(model: Any, memory: str, frames: int) -> dict[str, float]:
    """Seconds per frame of a run, in all and for the read."""
    session = model.session(memory=memory)
    session.add(squares(1, SIZE))
    images = moving_frames(min(frames, 120), SIZE)
    for image in images[:2]:
        push_and_see(session, image)
    session.timings.seconds.clear()
    begun = time.perf_counter()
    for number in range(2, frames):
        push_and_see(session, images[number % len(images)])
    total = time.perf_counter() - begun
    return {"all": total / (frames - 2), "read": session.timings.seconds["read memory"] / (frames - 2)}


def curve(model: Any, lengths: list[int]) -> list[dict[str, Any]]:
    """Seconds of one read after so many frames, from banks filled as the policy fills them."""
    config = model.config
    cells = ((SIZE[0] + 15) // 16) * ((SIZE[1] + 15) // 16)
    rows: list[dict[str, Any]] = [{"frames": length} for length in lengths]
    for name in POLICIES:
        policy = parse_policy(name)
        bank = MemoryBank(policy)
        generator = torch.Generator().manual_seed(0)
        key = torch.randn(config.key_dim, cells, generator=generator)
        since = 0
        for t in range(lengths[-1]):
            key = 0.95 * key + 0.3 * torch.randn(config.key_dim, cells, generator=generator)
            if t == 0 or policy.enters(since):
                bank.store(key, {1: torch.randn(config.value_dim, cells, generator=generator)})
                since = 0
            since += 1
            if t + 1 in lengths:
                bank.read(key, 20)
                begun = time.perf_counter()
                for _ in range(3):
                    bank.read(key, 20)
                rows[lengths.index(t + 1)][f"{name} (s)"] = (time.perf_counter() - begun) / 3
    return rows


def main() -> None:
    chosen = options(__doc__, frames=100, method="stcn", longest=1000)
    model = method_to_time(chosen.method, None, "fast")
    every, lfu = (whole_run(model, memory, chosen.frames) for memory in ("every:5", "lfu:2"))
    rows = [
        {"policy": name, "seconds per frame": run["all"], "memory read": run["read"]}
        for name, run in (("every:5", every), ("lfu:2", lfu))
    ]
    ratio = f"lfu:2 is {every['read'] / lfu['read']:.2f}x in the read and {every['all'] / lfu['all']:.2f}x overall"
    report("policies", f"{chosen.method}, 854x480, 1 object, {chosen.frames} frames: {ratio}", rows, chosen)
    lengths = [length for length in (10, 25, 50, 100, 200, 500, 1000, 2000) if length <= chosen.longest]
    title = f"{chosen.method}: seconds of one memory read after so many frames (the rest of a frame does not change)"
    report("policies_curve", title, curve(model, lengths), chosen)


if __name__ == "__main__":
    main()
