"""Numba twin of csrc/filters/gaussian.cpp."""

from .._engine.separable_numba import one_pass


def gaussian_filter(input, axes, radii, weights, modes, cval, exact, output, threads):
    """One correlation per axis; sums are in double whatever `exact` says."""
    begin = 0
    for axis, radius, mode in zip(axes, radii, modes, strict=True):
        length = 2 * radius + 1
        one_pass(input, output, axis, length, radius, weights[begin : begin + length], mode, cval)
        begin += length
        input = output
