"""Refinement of a mask by a dense conditional random field (Krähenbühl and Koltun, NIPS 2011; parameters: facts)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import InputError

ITERATIONS = 5
NEAR, NEAR_COMPAT = 1, 5
"""Standard deviation in pixels and weight of the term that only sees places."""
COLOUR = 7
"""Standard deviation of the colour term, in grey levels."""


def library() -> tuple[Any, Any]:
    """The library that computes it: its field, and its helpers.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module("pydensecrf.densecrf"), import_module("pydensecrf.utils")
    except ModuleNotFoundError:
        raise InputError(
            'crf: pydensecrf2 is not installed. Install it: pip install -e ".[crf]", which needs a C++ compiler. '
            "Or leave crf out."
        ) from None


def refine(
    image: NDArray[np.uint8], probability: NDArray[np.float32], position: float, compat: float
) -> NDArray[np.float32]:
    """Let neighbours of one colour agree.

    Args:
        image: RGB ``[H, W, 3]``.
        probability: the object's, ``[H, W]`` in [0, 1]; stretched to the whole of [0, 1] first, as the authors do,
            unless it is the same everywhere.
        position: standard deviation of the colour term in pixels.
        compat: weight of the colour term.
    Returns: probabilities ``[H, W]``.

    Raises:
        InputError: the library is not installed.
    """
    dense, helpers = library()
    low, high = float(probability.min()), float(probability.max())
    stretched = (probability - low) / (high - low) if high > low else probability
    both = np.stack([1 - stretched, stretched]).reshape(2, -1)
    height, width = probability.shape
    field = dense.DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(np.clip(both, 1e-5, 1)), np.float32))
    options = {"kernel": dense.DIAG_KERNEL, "normalization": dense.NORMALIZE_SYMMETRIC}
    # The helpers order coordinates otherwise than the field's own shorthands, which moves unsure pixels by a tenth.
    near = helpers.create_pairwise_gaussian(sdims=(NEAR, NEAR), shape=(height, width))
    field.addPairwiseEnergy(near, compat=NEAR_COMPAT, **options)
    alike = helpers.create_pairwise_bilateral(sdims=(position,) * 2, schan=(COLOUR,) * 3, img=image, chdim=2)
    field.addPairwiseEnergy(alike, compat=compat, **options)
    probabilities = np.asarray(field.inference(ITERATIONS), np.float32).reshape(2, height, width)
    return probabilities[1]
