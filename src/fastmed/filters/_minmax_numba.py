"""Numba twin of csrc/filters/minmax.cpp: every window by itself."""

import numpy as np
from numba import njit

from .._engine.arrays import as_bytes, cast_like_c
from .._engine.separable_numba import border_index


@njit(nogil=True, cache=True)
def _windows(flat, shape, strides, offsets, mode, cval, largest, out):
    ndim = shape.size
    at = np.zeros(ndim, np.int64)
    for element in range(out.size):
        best = cval
        for k in range(offsets.shape[0]):
            place = 0
            for d in range(ndim):
                i = border_index(at[d] + offsets[k, d], shape[d], mode)
                if i < 0:
                    place = -1
                    break
                place += i * strides[d]
            value = cval if place < 0 else flat[place]
            if k == 0 or value != value or (best == best and ((value > best) if largest else (value < best))):
                best = value
        out[element] = best
        for d in range(ndim - 1, -1, -1):
            at[d] += 1
            if at[d] < shape[d]:
                break
            at[d] = 0


def footprint_extremum(input, footprint, origins, mode, cval, largest, output, threads):
    """The best of each window; one with a NaN gives NaN. In the widest type of the input's kind, as the median."""
    values, target = as_bytes(input), as_bytes(output)
    wide = np.dtype({"f": np.float64, "i": np.int64, "u": np.uint64}[values.dtype.kind])
    offsets = np.argwhere(footprint) - (np.array(footprint.shape) // 2 + np.array(origins))
    shape = np.array(values.shape, np.int64)
    strides = np.append(np.cumprod(shape[::-1])[::-1][1:], 1).astype(np.int64)
    constant = cast_like_c(np.array(cval, np.float64), values.dtype).astype(wide)[()]
    out = np.empty(values.size, wide)
    _windows(values.astype(wide).ravel(), shape, strides, offsets, mode, constant, largest, out)
    target[...] = out.reshape(target.shape).astype(target.dtype)


def box_extremum(input, axes, sizes, origins, modes, cval, largest, output, threads):
    """A window of one line along each axis in turn."""
    for axis, size, origin, mode in zip(axes, sizes, origins, modes, strict=True):
        shape, shift = np.ones(input.ndim, int), np.zeros(input.ndim, int)
        shape[axis], shift[axis] = size, origin
        footprint_extremum(input, np.ones(shape, bool), shift, mode, cval, largest, output, threads)
        input = output
