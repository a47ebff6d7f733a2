"""Work on several objects, shared with a thread that helps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import torch

Given = TypeVar("Given")
Made = TypeVar("Made")


def shared_out(helper: Executor | None, work: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
    """Do some work on each of several things: every other one by the helper, where there is one.

    Args:
        helper: with one thread, which computes with as many of PyTorch's threads as the caller does.
        work: what calls pure functions of a network.
        given: the things; each goes on its own, with a helper or without, so that results are the same.
    """
    if helper is None or len(given) < 2:
        return [work(one) for one in given]
    threads = torch.get_num_threads()

    def beside(one: Given) -> Made:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return work(one)

    coming = [helper.submit(beside, one) for one in given[1::2]]
    own = [work(one) for one in given[::2]]
    return [own[n // 2] if n % 2 == 0 else coming[n // 2].result() for n in range(len(given))]
