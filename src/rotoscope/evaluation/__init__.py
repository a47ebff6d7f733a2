"""The field's measures."""

from rotoscope.evaluation.region import region_similarity

__all__ = ["region_similarity"]
