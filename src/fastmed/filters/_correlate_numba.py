"""Numba twin of csrc/filters/correlate.cpp."""

import numpy as np

from .._engine.arrays import as_bytes, cast_like_c
from .._engine.separable_numba import border_index, one_pass


def correlate1d(input, weights, axis, before, mode, cval, exact, output, threads):
    """One pass; sums are in double whatever `exact` says."""
    one_pass(input, output, axis, len(weights), before, weights, mode, cval)


def correlate(input, weights, befores, mode, cval, exact, output, threads):
    """One shifted image per weight, in their order; sums are in double whatever `exact` says."""
    values = as_bytes(input).astype(np.float64)
    for axis, (size, before) in enumerate(zip(weights.shape, befores, strict=True)):
        n = input.shape[axis]
        index = np.array([border_index(i - before, n, mode) for i in range(n + size - 1)])
        shape = [-1 if a == axis else 1 for a in range(input.ndim)]
        values = np.where((index < 0).reshape(shape), cval, np.take(values, index, axis))
    total = np.zeros(input.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        for place, weight in np.ndenumerate(weights):
            if abs(weight) > np.finfo(float).eps:
                window = tuple(slice(p, p + n) for p, n in zip(place, input.shape, strict=True))
                total += values[window] * weight
    target = as_bytes(output)
    target[...] = cast_like_c(total, target.dtype)
    if target.dtype == np.uint64:  # SciPy casts negative sums without their sign here, and then negates
        np.copyto(target, -cast_like_c(-total, target.dtype), where=~(total > -1))
