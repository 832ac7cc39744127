"""Numba twin of csrc/edges/prewitt.cpp."""

from .._engine.separable_numba import one_pass


def prewitt(input, axis, modes, cval, output, threads):
    """Difference along `axis`, then [1, 1, 1] along the others."""
    one_pass(input, output, axis, 3, 1, (-1, 0, 1), modes[axis], cval)
    for other in range(input.ndim):
        if other != axis:
            one_pass(output, output, other, 3, 1, (1, 1, 1), modes[other], cval)
