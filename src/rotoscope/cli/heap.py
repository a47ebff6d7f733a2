"""What the C library does with memory that is given back to it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of ``mallopt`` in ``malloc.h``."""
OWN_PAGES = 32 << 20
"""Bytes from which on a block has pages of its own, which go back to the system with it; glibc takes no larger one."""
KEPT = 128 << 20
"""Bytes at the end of the heap that may be free before they go back to the system."""


def keep_freed_memory() -> bool:
    """Keep what one frame has freed for the next, where glibc would give it back to the system after every frame.

    Features of some megabytes are made and freed for every frame. Given back, each of their pages is fetched and
    emptied by the system again: in float32 thousands a frame. The peak stays what it is. Whoever has set glibc's own
    variables keeps what they say.

    Returns: whether glibc is there and does so now.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    if any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    adjust = ctypes.CDLL(None).mallopt
    return all(adjust(name, size) == 1 for name, size in ((M_MMAP_THRESHOLD, OWN_PAGES), (M_TRIM_THRESHOLD, KEPT)))
