"""Filters: array -> array of the same shape. One line per operation."""

from ._gaussian import gaussian_filter as gaussian_filter
from ._median import median_filter as median_filter
from ._minmax import maximum_filter as maximum_filter
from ._minmax import maximum_filter1d as maximum_filter1d
from ._minmax import minimum_filter as minimum_filter
from ._minmax import minimum_filter1d as minimum_filter1d
from ._uniform import uniform_filter as uniform_filter

__all__ = [name for name in dir() if not name.startswith("_")]
