"""Masks in and out."""

from rotoscope.masks.drawing import contact_sheet, overlay
from rotoscope.masks.palette import davis_palette
from rotoscope.masks.reading import MaskReading, read_masks
from rotoscope.masks.saving import MaskWriter
from rotoscope.masks.writing import FORMATS, open_writer

__all__ = [
    "FORMATS",
    "MaskReading",
    "MaskWriter",
    "contact_sheet",
    "davis_palette",
    "open_writer",
    "overlay",
    "read_masks",
]
