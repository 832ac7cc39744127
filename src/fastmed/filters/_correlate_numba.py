"""Numba twin of csrc/filters/correlate.cpp."""

from .._engine.separable_numba import one_pass


def correlate1d(input, weights, axis, before, mode, cval, exact, output, threads):
    """One pass; sums are in double whatever `exact` says."""
    one_pass(input, output, axis, len(weights), before, weights, mode, cval)
