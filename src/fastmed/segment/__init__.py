"""Segmentation: mask or image -> labels, and what is measured of each."""

from ._groups import histogram, labeled_comprehension, median
from ._histogram import intensity_histogram
from ._label import label, label_regions
from ._objects import find_objects, value_indices
from ._statistics import (
    center_of_mass,
    extrema,
    maximum,
    maximum_position,
    mean,
    minimum,
    minimum_position,
    standard_deviation,
    sum,
    sum_labels,
    variance,
)
from ._summary import label_statistics
from ._threshold import threshold_otsu

__all__ = [
    "center_of_mass",
    "extrema",
    "find_objects",
    "histogram",
    "intensity_histogram",
    "label",
    "label_regions",
    "label_statistics",
    "labeled_comprehension",
    "maximum",
    "maximum_position",
    "mean",
    "median",
    "minimum",
    "minimum_position",
    "standard_deviation",
    "sum",
    "sum_labels",
    "threshold_otsu",
    "value_indices",
    "variance",
]
