"""What the fuzzers share: damage done to bytes, and cases run one after another under limits of memory and time."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rotoscope.cli import main
from rotoscope.cli.output import err, out
from rotoscope.errors import RotoscopeError

NUMBERS = (0, 1, 2, 7, 127, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, -1)
MEMORY = 2 * 2**30
"""Bytes that a case may map beyond what the process has at the start."""
SECONDS = 20
"""Of processor time that a case may take."""
STANDS = 300
"""Seconds after which a case that does nothing is ended."""
NOT_OURS = r"(?!rotoscope\b|\w*(?:Error|Warning|Exception|Interrupt)\b)"
COMPLAINTS = re.compile(rf"tempfile\.tif: |{NOT_OURS}[A-Za-z_]\w+: |libpng ")
"""What libtiff and libpng print on damage, which cannot be kept from it; they name no file of the user's.

libtiff's lines begin with the name of its function. Lines of ours, and the last ones of tracebacks, do so too.
"""
GOOD = ("read", "refused", "damage told")
"""What a case may come to."""

Case = Callable[[int, Path], tuple[str, str]]
"""Takes the number of a case and an empty folder; gives its kind, and what it came to."""


def flipped(rng: random.Random, content: bytes, near: int = 4096) -> bytes:
    """Bytes damaged as by a bad disk, or by somebody; most often within ``near`` of the beginning or the end."""
    data = bytearray(content)
    near = min(len(data), near)
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


def command(*arguments: str) -> str:
    """What a command of ours comes to, in a process whose streams nothing else uses: one of :data:`GOOD`, or a fault.

    A good end prints only lines that are safe to print, errors and warnings on the error stream, and exits with 0;
    with 2 and one error; or with 1 where damage is told. Libraries print nothing, but for :data:`COMPLAINTS`.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        kept = os.dup(1), os.dup(2)
        try:
            os.dup2(told.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            try:
                code = main(list(arguments))
            finally:
                out.file.flush()
                err.file.flush()
        finally:
            for number, stream in zip(kept, (1, 2), strict=True):
                os.dup2(number, stream)
                os.close(number)
        told.seek(0)
        errors.seek(0)
        return _judged(code, told.read(), errors.read())


def _judged(code: int, told: bytes, errors: bytes) -> str:
    lines = errors.decode("utf-8", "backslashreplace").splitlines()
    everything = [*told.decode("utf-8", "backslashreplace").split("\n"), *lines]
    wrong = [line for line in lines if line.startswith("rotoscope: error: ")]
    ours = ("rotoscope: error: ", "rotoscope: warning: ")
    others = [line for line in lines if not line.startswith(ours) and not COMPLAINTS.match(line)]
    shown = " | ".join(lines)[:600]
    if not all(line.isprintable() for line in everything):
        return f"raw {shown!r}"
    if others:
        return f"noise {others[0]!r}"
    if "fault of ours" in shown:
        return f"fault {shown}"
    if code == 2 and len(wrong) == 1 and len(wrong[0]) < 1000:
        return "refused"
    if code == 1 and wrong:
        return "damage told"
    return "read" if code == 0 and not wrong else f"code {code} {shown}"


def outcome(read: Callable[[], object]) -> str:
    """What a call comes to: ``read``, ``refused``, or a fault with the end of its traceback."""
    try:
        read()
    except RotoscopeError as known:
        text = str(known)
        return "refused" if known.exit_code == 2 and len(text) < 2000 else f"error {text[:200]!r}"
    except BaseException:
        return "traceback " + traceback.format_exc(limit=-4).replace("\n", " | ")
    return "read"


@dataclass
class Counts:
    """What the cases came to.

    Attributes:
        outcomes: how often each kind came to what.
        bad: lines on the cases that came to what they should not.
        peak: most memory that a process held, in KiB.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    peak: int = 0

    def say(self) -> int:
        """Print; returns the exit code."""
        for line in self.bad:
            print(line)
        for name, number in sorted(self.outcomes.items()):
            print(f"{name:32} {number}")
        total = sum(self.outcomes.values())
        print(f"cases {total}, of another outcome than {', '.join(GOOD)}: {len(self.bad)}", end="")
        print(f", peak memory {self.peak >> 10} MiB")
        return 1 if self.bad else 0


def run_cases(case: Case, count: int, first: int = 0) -> Counts:
    """Run cases one at a time in a process of their own; one that ends it is a crash, and the next get another."""
    counts, following = Counts(), first
    while following < first + count:
        ear, mouth = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(ear)
            _child(case, range(following, first + count), mouth)
        os.close(mouth)
        with os.fdopen(ear, encoding="utf-8", errors="backslashreplace") as lines:
            following = _listen(counts, lines, following)
        _, status = os.waitpid(child, 0)
        if status:
            counts.outcomes["crash"] += 1
            counts.bad.append(f"case {following}: ended the process, status {status}")
            following += 1
    return counts


def _listen(counts: Counts, lines: object, following: int) -> int:
    """Count what a child says; returns the first case that it did not finish."""
    for line in lines:  # type: ignore[attr-defined]
        number, _, rest = line.rstrip("\n").partition(" ")
        if number == "peak":
            counts.peak = max(counts.peak, int(rest))
            continue
        kind, _, what = rest.partition(" ")
        good = what in GOOD
        counts.outcomes[f"{kind} {what if good else what.split()[0]}"] += 1
        following = int(number) + 1
        if not good:
            counts.bad.append(f"case {number} ({kind}): {what}")
            print(counts.bad[-1], file=sys.stderr, flush=True)
        if following % 100 == 0:
            print(f"{following} cases, {len(counts.bad)} bad", file=sys.stderr, flush=True)
    return following


def _child(case: Case, cases: range, mouth: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    for number in cases:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            signal.alarm(STANDS)
            try:
                kind, what = case(number, Path(folder))
            except BaseException:  # a fault of the fuzzer, or one that got past it
                kind, what = "?", "traceback " + traceback.format_exc(limit=-4).replace("\n", " | ")
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.alarm(0)
        os.write(mouth, f"{number} {kind} {what}\n".encode("utf-8", "backslashreplace"))
    os.write(mouth, f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n".encode())
    os._exit(0)
