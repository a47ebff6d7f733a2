"""Memory that a frame has freed serves the next."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource
import numpy as np
from rotoscope.cli.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        parts = [np.ones(1 << 20, np.uint64) for _ in range(4)]  # 8 MiB each
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory()
faults()
print(json.dumps({"kept": kept, "faults": faults()}))
"""


def found(**variables: str) -> dict[str, int]:
    """What a process of its own finds."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    environment = {**plain, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True, timeout=120
    )
    record: dict[str, int] = json.loads(done.stdout)
    return record


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
def test_what_was_freed_is_used_again() -> None:
    record = found()
    assert record["kept"]
    assert record["faults"] < 2048  # a 20th of the pages; nearly all of them if they went back


def test_who_has_set_glibc_s_variables_keeps_them() -> None:
    assert not found(MALLOC_ARENA_MAX="2")["kept"]
