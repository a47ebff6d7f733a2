"""The field's measures."""

from rotoscope.evaluation.contour import contour_accuracy
from rotoscope.evaluation.region import region_similarity
from rotoscope.evaluation.statistics import Statistics, statistics

__all__ = ["Statistics", "contour_accuracy", "region_similarity", "statistics"]
