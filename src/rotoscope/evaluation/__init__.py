"""The field's measures, protocols and reports."""

from rotoscope.evaluation.contour import contour_accuracy
from rotoscope.evaluation.evaluate import Evaluation, evaluate
from rotoscope.evaluation.region import region_similarity
from rotoscope.evaluation.statistics import Statistics, statistics
from rotoscope.evaluation.temporal import temporal_stability

__all__ = [
    "Evaluation",
    "Statistics",
    "contour_accuracy",
    "evaluate",
    "region_similarity",
    "statistics",
    "temporal_stability",
]
