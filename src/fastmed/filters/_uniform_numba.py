"""Numba twin of csrc/filters/uniform.cpp."""

from .._engine.separable_numba import one_pass


def uniform_filter(input, axes, sizes, origins, modes, cval, output, threads):
    """One running window per axis."""
    for axis, size, origin, mode in zip(axes, sizes, origins, modes, strict=True):
        one_pass(input, output, axis, size, size // 2 + origin, (), mode, cval)
        input = output
