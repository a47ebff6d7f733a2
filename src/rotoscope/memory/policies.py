"""What stays in a memory bank (thesis, chapter 3).

A policy answers two questions: does this frame enter, and which features leave. It sees counts and ages only.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rotoscope.errors import InputError


class Policy(Protocol):
    """Decides over a memory bank."""

    @property
    def frames(self) -> int | None:
        """Capacity in frames' worth of features; None grows without end."""

    @property
    def keeps_first(self) -> bool:
        """Whether the whole first frame stays for good."""

    def enters(self, since: int) -> bool:
        """Whether a frame enters that comes ``since`` frames after the last that did."""

    def victims(self, hits: Tensor, age: Tensor, surplus: int) -> Tensor:
        """Which features leave.

        Args:
            hits: use of each candidate so far, ``[N]``, in the order of storing.
            age: frames since it was stored, ``[N]``.
            surplus: how many must leave, at most N.
        Returns: positions of those that leave, ``[surplus]``.
        """


@dataclass(frozen=True)
class EveryK:
    """Every K-th frame enters and stays: the released STCN. Grows with the video."""

    k: int = 5
    frames: int | None = None
    keeps_first: bool = False

    def enters(self, since: int) -> bool:
        """Every ``k`` frames."""
        return since >= self.k

    def victims(self, hits: Tensor, age: Tensor, surplus: int) -> Tensor:
        """The oldest, should a capacity be set from outside."""
        return age.argsort(descending=True, stable=True)[:surplus]


@dataclass(frozen=True)
class FirstLatest:
    """The first frame and the latest one; every frame enters."""

    frames: int | None = 2
    keeps_first: bool = True

    def enters(self, since: int) -> bool:
        """Always."""
        return True

    def victims(self, hits: Tensor, age: Tensor, surplus: int) -> Tensor:
        """The oldest of what is not the first frame."""
        return age.argsort(descending=True, stable=True)[:surplus]


@dataclass(frozen=True)
class SupportSet:
    """Frames spread over all that has gone by, for whoever reads a few of them at a time (GIEL, section 3.5).

    Temporal segment networks take a frame from each of several equal segments of what has gone by. The ends of those
    move with every frame, and a frame that has left cannot come back; so twice as many are held as are read. Those
    leave first whose number, counted from the first frame, the smallest power of two divides; so what is held thins
    out evenly.

    Attributes:
        read: the number of frames that are read at a time.
        keeps_first: False: the first frame needs no protection, as the oldest frame is the last to leave.
    """

    read: int = 5
    keeps_first: bool = False

    @property
    def frames(self) -> int:
        """Frames held."""
        return 2 * self.read

    def enters(self, since: int) -> bool:
        """Always."""
        return True

    def victims(self, hits: Tensor, age: Tensor, surplus: int) -> Tensor:
        """Whole frames; of those equally divisible the oldest, but the oldest of all last."""
        time = age.max() - age
        worth = torch.where(time == 0, sys.maxsize, time & -time)
        order = (-age).argsort(stable=True)
        return order[worth[order].argsort(stable=True)][:surplus]


@dataclass(frozen=True)
class LeastFrequentlyUsed:
    """The features used least often for their age leave (thesis, section 3.2).

    Every ``k``-th frame enters; score = hits / age; ties leave in the order they were stored.
    """

    frames: int | None = 4
    k: int = 5
    keeps_first: bool = False

    def enters(self, since: int) -> bool:
        """Every ``k`` frames."""
        return since >= self.k

    def victims(self, hits: Tensor, age: Tensor, surplus: int) -> Tensor:
        """Those of the lowest score."""
        return (hits / age.clamp(min=1)).argsort(stable=True)[:surplus]


ONE_WORD: dict[str, Policy] = {
    "first-latest": FirstLatest(),
    "first": EveryK(sys.maxsize),
    "latest": FirstLatest(1, keeps_first=False),
}
"""Policies without a number."""


def parse_policy(text: str, mem_every: int = 5) -> Policy:
    """Read ``every:K``, ``first-latest``, ``lfu:M``, ``support:T``, ``first`` or ``latest``.

    ``first`` takes in no frame but those on which masks are given; ``latest`` holds the latest frame only.

    Args:
        text: the policy's name and number.
        mem_every: how often frames enter under ``lfu``.

    Raises:
        InputError: none of these.
    """
    if mem_every < 1:
        raise InputError(f"mem_every is {mem_every}; give a whole number of at least 1.")
    name, _, number = text.partition(":")
    if text in ONE_WORD:
        return ONE_WORD[text]
    if name == "support" and number.isdecimal() and int(number) >= 2:
        return SupportSet(int(number))
    if name in ("every", "lfu") and (number or name == "every"):
        value = int(number) if number.isdecimal() else mem_every if not number else 0
        if value >= 1:
            return EveryK(value) if name == "every" else LeastFrequentlyUsed(value, mem_every)
    raise InputError(
        f"memory policy {text!r} is not known; use every:K, first-latest, support:T or lfu:M, such as lfu:4."
    )
