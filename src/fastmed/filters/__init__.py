"""Filters: array -> array of the same shape."""

from ._gaussian import gaussian_filter
from ._median import median_filter
from ._uniform import uniform_filter

__all__ = ["gaussian_filter", "median_filter", "uniform_filter"]
