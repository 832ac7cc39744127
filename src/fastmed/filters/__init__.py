"""Filters: array -> array of the same shape. One line per operation."""

from ._gaussian import gaussian_filter as gaussian_filter
from ._median import median_filter as median_filter
from ._uniform import uniform_filter as uniform_filter

__all__ = [name for name in dir() if not name.startswith("_")]
