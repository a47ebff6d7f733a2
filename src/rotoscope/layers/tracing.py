"""Whether a network is being written down rather than run."""

from __future__ import annotations

import torch


def is_traced() -> bool:
    """Whether an export follows this call: it keeps numbers as they are now, and loses what is written into views."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
