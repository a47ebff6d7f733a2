"""Masks as outlines, in the files of annotation tools and editors."""

from rotoscope.shapes.export import FORMATS, export_shapes

__all__ = ["FORMATS", "export_shapes"]
