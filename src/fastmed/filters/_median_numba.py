"""Numba twin of csrc/filters/median.cpp: every window by itself."""

import numpy as np
from numba import njit

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
    """Sort each window, take the value of `rank`; a window with a NaN gives NaN."""
    offsets = np.argwhere(footprint) - (np.array(footprint.shape) // 2 + np.array(origins))
    flat = np.ascontiguousarray(input).view(np.uint8 if input.dtype == bool else input.dtype).ravel()
    shape = np.array(input.shape, np.int64)
    strides = np.append(np.cumprod(shape[::-1])[::-1][1:], 1).astype(np.int64)
    out = np.empty(flat.size, flat.dtype)
    not_a_number = flat.dtype.type(np.nan if flat.dtype.kind == "f" else 0)
    with np.errstate(invalid="ignore"):  # toward zero, then modulo 2^bits, as in C
        whole = np.float64(cval).astype(np.int32 if flat.dtype.itemsize < 4 else np.int64)
    constant = flat.dtype.type(cval) if flat.dtype.kind == "f" else whole.astype(flat.dtype)
    _windows(flat, shape, strides, offsets, rank, mode, constant, not_a_number, out)
    output[...] = out.view(output.dtype).reshape(output.shape)
