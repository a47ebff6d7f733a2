"""What is shown where there is no object: nothing, green, or the background blurred. All on values as they are stored.

Values stand for light by a curve, and are mixed as they are, which is what editing programs do with video.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rotoscope.video.nature import Colours

GREEN = (0, 177, 64)
"""RGB of the green of chroma keys."""
LUMA = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by matrix (ITU-T H.273, table 4); of all others BT.601's."""
BLUR = 40
"""The height of a picture by the standard deviation of its blurred background."""
SMALL = 4
"""The background is blurred at a size so many times smaller."""
HIDDEN = 17
"""Side of a square; a pixel without alpha in all of it about a pixel lets nothing of that pixel be seen."""

Planes = NDArray[np.uint16]
Alpha = NDArray[np.float32]


def blacks(full: bool) -> tuple[int, int, int]:
    """Y, U and V of black with 10 bits."""
    return (0 if full else 64, 512, 512)


def with_alpha(planes: Planes, alpha: Alpha, full: bool, premultiplied: bool, hide: bool) -> Planes:
    """Y, U, V and alpha with 10 bits, ``[4, H, W]``.

    Args:
        planes: Y, U and V, ``[3, H, W]``.
        alpha: ``[H, W]`` in [0, 1].
        full: whether planes use the full range.
        premultiplied: colours are multiplied by alpha, which leaves black without alpha; else they are the source's.
        hide: make black what lies well outside, so that the file does not hold it.
    """
    black = np.array(blacks(full), np.uint16)[:, None, None]
    if premultiplied:
        planes = mixed(planes, np.broadcast_to(black, planes.shape), alpha)
    elif hide:
        near = cv2.dilate(alpha, np.ones((HIDDEN, HIDDEN), np.uint8)) > 0
        planes = np.where(near, planes, black)
    return np.concatenate([planes, np.round(alpha * 1023).astype(np.uint16)[None]])


def rgba(image: NDArray[np.uint8] | NDArray[np.uint16], alpha: Alpha, premultiplied: bool) -> NDArray[np.uint16]:
    """RGBA ``[H, W, 4]`` of the depth of ``image``, RGB ``[H, W, 3]``; the rest as in :func:`with_alpha`."""
    white = np.iinfo(image.dtype).max
    colours = np.round(image * alpha[..., None]).astype(image.dtype) if premultiplied else image
    return np.dstack([colours, np.round(alpha * white).astype(image.dtype)])


def grey(alpha: Alpha, full: bool) -> Planes:
    """Alpha as a grey picture, ``[3, H, W]``: 0 is black and 1 is white."""
    low, high = (0, 1023) if full else (64, 940)
    luma = np.round(low + alpha * (high - low)).astype(np.uint16)
    return np.stack([luma, *np.full((2, *alpha.shape), 512, np.uint16)])


def over_green(planes: Planes, alpha: Alpha, colours: Colours, full: bool) -> Planes:
    """The objects over plain green, :data:`GREEN`."""
    green = np.array(as_stored(GREEN, colours, full), np.uint16)[:, None, None]
    return mixed(planes, np.broadcast_to(green, planes.shape), alpha)


def over_blur(planes: Planes, alpha: Alpha) -> Planes:
    """The objects over their background, blurred.

    What is blurred is the background alone: pixels count by how little of an object is in them, so that objects leave
    no halo in their own colours.
    """
    height, width = alpha.shape
    small = (max(1, width // SMALL), max(1, height // SMALL))
    weight = 1 - alpha
    sigma = max(0.5, height / BLUR / SMALL)

    def blurred(values: NDArray[np.float32]) -> NDArray[np.float32]:
        less = cv2.resize(values, small, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(less, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)

    total = blurred(weight)
    behind = []
    for plane in planes:
        mean = np.float32(plane.mean())  # where objects fill everything about, it is hidden
        less = (blurred((plane - mean) * weight) / np.maximum(total, 1e-3)) + mean
        behind.append(cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR))
    return mixed(planes, np.clip(np.round(np.stack(behind)), 0, 1023).astype(np.uint16), alpha)


def mixed(front: Planes, behind: Planes, alpha: Alpha) -> Planes:
    """``front`` where alpha is 1, ``behind`` where it is 0; both ``[3, H, W]``."""
    back = behind.astype(np.float32)
    return np.round(back + (front - back) * alpha).astype(np.uint16)


def as_stored(rgb: tuple[int, int, int], colours: Colours, full: bool) -> tuple[int, int, int]:
    """Y, U and V with 10 bits of an RGB colour with 8 (ITU-T H.273, equations 20 to 43)."""
    red, green, blue = (value / 255 for value in rgb)
    share_red, share_blue = LUMA.get(colours.matrix, (0.299, 0.114))
    luma = share_red * red + (1 - share_red - share_blue) * green + share_blue * blue
    u, v = (blue - luma) / (2 - 2 * share_blue), (red - luma) / (2 - 2 * share_red)
    low, wide, chroma = (0, 1023, 1023) if full else (64, 876, 896)
    return round(low + wide * luma), round(512 + chroma * u), round(512 + chroma * v)
