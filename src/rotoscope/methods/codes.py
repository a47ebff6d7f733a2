"""A number that tells weights from others."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def code_of_weights(tensors: Iterable[Tensor]) -> int:
    """A checksum of all bytes of the tensors, in their order."""
    code = 0
    for tensor in tensors:
        raw = tensor.detach().cpu().contiguous()
        data: Any = raw.flatten().view(torch.uint8).numpy() if raw.ndim else raw.numpy().tobytes()
        code = zlib.crc32(data, code)
    return code
