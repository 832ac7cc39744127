"""Numba twin of csrc/filters/median.cpp: every window by itself."""

import numpy as np
from numba import njit

from .._engine.arrays import as_bytes, cast_like_c
from .._engine.separable_numba import border_index


@njit(nogil=True, cache=True)
def _windows(flat, shape, strides, offsets, rank, mode, cval, not_a_number, out):
    ndim = shape.size
    values = np.empty(offsets.shape[0], flat.dtype)
    at = np.zeros(ndim, np.int64)
    for element in range(out.size):
        nan = False
        for k in range(offsets.shape[0]):
            place = 0
            for d in range(ndim):
                i = border_index(at[d] + offsets[k, d], shape[d], mode)
                if i < 0:
                    place = -1
                    break
                place += i * strides[d]
            values[k] = cval if place < 0 else flat[place]
            nan |= values[k] != values[k]
        if nan:
            out[element] = not_a_number
        else:
            values.sort()
            out[element] = values[rank]
        for d in range(ndim - 1, -1, -1):
            at[d] += 1
            if at[d] < shape[d]:
                break
            at[d] = 0


def median_filter(input, footprint, origins, rank, mode, cval, output, threads):
    """Sort each window, take the value of `rank`; a window with a NaN gives NaN.

    Computed in the widest type of the input's kind: compiling for every dtype took minutes.
    """
    values, target = as_bytes(input), as_bytes(output)
    wide = np.dtype({"f": np.float64, "i": np.int64, "u": np.uint64}[values.dtype.kind])
    offsets = np.argwhere(footprint) - (np.array(footprint.shape) // 2 + np.array(origins))
    flat = values.astype(wide).ravel()
    shape = np.array(values.shape, np.int64)
    strides = np.append(np.cumprod(shape[::-1])[::-1][1:], 1).astype(np.int64)
    constant = cast_like_c(np.array(cval, np.float64), values.dtype).astype(wide)[()]
    out = np.empty(flat.size, wide)
    not_a_number = np.array(np.nan if wide.kind == "f" else 0, wide)[()]
    _windows(flat, shape, strides, offsets, rank, mode, constant, not_a_number, out)
    target[...] = out.reshape(target.shape).astype(target.dtype)
