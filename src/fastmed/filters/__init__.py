"""Filters: array -> array of the same shape. One line per operation."""

from ._correlate import convolve as convolve
from ._correlate import convolve1d as convolve1d
from ._correlate import correlate as correlate
from ._correlate import correlate1d as correlate1d
from ._derivatives import gaussian_gradient_magnitude as gaussian_gradient_magnitude
from ._derivatives import gaussian_laplace as gaussian_laplace
from ._derivatives import generic_gradient_magnitude as generic_gradient_magnitude
from ._derivatives import generic_laplace as generic_laplace
from ._derivatives import laplace as laplace
from ._gaussian import gaussian_filter as gaussian_filter
from ._gaussian import gaussian_filter1d as gaussian_filter1d
from ._generic import generic_filter as generic_filter
from ._generic1d import generic_filter1d as generic_filter1d
from ._median import median_filter as median_filter
from ._minmax import maximum_filter as maximum_filter
from ._minmax import maximum_filter1d as maximum_filter1d
from ._minmax import minimum_filter as minimum_filter
from ._minmax import minimum_filter1d as minimum_filter1d
from ._rank import percentile_filter as percentile_filter
from ._rank import rank_filter as rank_filter
from ._uniform import uniform_filter as uniform_filter
from ._uniform import uniform_filter1d as uniform_filter1d
from ._vectorized import vectorized_filter as vectorized_filter

__all__ = [name for name in dir() if not name.startswith("_")]
