"""Numba twin of csrc/filters/derivatives.cpp: whole components, one after the other, in the output's dtype."""

import numpy as np

from .._engine.separable_numba import one_pass


def laplace(input, axes, modes, cval, output, threads):
    """Sum of [1, -2, 1] along the axes."""
    term = np.empty_like(output)
    for axis, mode in zip(axes, modes, strict=True):
        first = axis == axes[0]
        one_pass(input, output if first else term, axis, 3, 1, (1, -2, 1), mode, cval)
        if not first:
            output += term


def generic_gradient_magnitude(input, axes, modes, cval, centre, output, threads):
    """Root of the summed squares of: [-1, 0, 1] along one axis, then [1, centre, 1] along the others."""
    term = np.empty_like(output)
    total = np.zeros_like(output)
    for axis, mode in zip(axes, modes, strict=True):
        one_pass(input, term, axis, 3, 1, (-1, 0, 1), mode, cval)
        for other in range(input.ndim):
            if other != axis:
                one_pass(term, term, other, 3, 1, (1, centre, 1), mode, cval)
        total += term * term
    np.sqrt(total, output)


def gaussian_derivatives(input, axes, radii, smooth, derived, odd, mode, cval, magnitude, output, threads):
    """Sum, or root of the summed squares, of Gaussian derivatives; weights of all axes, one after the other."""
    ends = np.cumsum([2 * radius + 1 for radius in radii])
    term = np.empty_like(output)
    total = np.zeros_like(output)
    for along in axes:
        source = input
        for axis, (radius, end) in enumerate(zip(radii, ends, strict=True)):
            length = 2 * radius + 1
            weights = (derived if axis == along else smooth)[end - length : end]
            one_pass(source, term, axis, length, radius, weights, mode, cval)
            source = term
        total += term * term if magnitude else term
    output[...] = np.sqrt(total) if magnitude else total
