"""Numba twin of csrc/filters/rank.cpp: any rank as the median's; ranks among the elements that count."""

import numpy as np
from numba import njit

from .._engine.arrays import as_bytes, cast_like_c
from .._engine.separable_numba import border_index
from ._median_numba import median_filter


def rank_filter(input, footprint, origins, rank, mode, cval, output, threads):
    """Sort each window, take the value of `rank`; a window with a NaN gives NaN."""
    median_filter(input, footprint, origins, rank, mode, cval, output, threads)


@njit(nogil=True, cache=True)
def _windows(flat, valid, shape, strides, offsets, ranks, mode, cval, not_a_number, out):
    ndim = shape.size
    values = np.empty(offsets.shape[0], flat.dtype)
    at = np.zeros(ndim, np.int64)
    for element in range(out.size):
        nan, count = False, 0
        for k in range(offsets.shape[0]):
            place = 0
            for d in range(ndim):
                i = border_index(at[d] + offsets[k, d], shape[d], mode)
                if i < 0:
                    place = -1
                    break
                place += i * strides[d]
            if place < 0 or valid[place]:
                values[count] = cval if place < 0 else flat[place]
                nan |= values[count] != values[count]
                count += 1
        if 0 < count < offsets.shape[0]:
            out[element] = not_a_number if nan else np.sort(values[:count])[ranks[count]]
        for d in range(ndim - 1, -1, -1):
            at[d] += 1
            if at[d] < shape[d]:
                break
            at[d] = 0


def masked_rank(input, valid, footprint, origins, ranks, mode, cval, output, threads):
    """In each window where some elements count, but not all: the value of rank ``ranks[how many count]`` among them.

    Other elements of `output` stay. In the widest type of the input's kind, as the median.
    """
    values, target = as_bytes(input), as_bytes(output)
    wide = np.dtype({"f": np.float64, "i": np.int64, "u": np.uint64}[values.dtype.kind])
    offsets = np.argwhere(footprint) - (np.array(footprint.shape) // 2 + np.array(origins))
    shape = np.array(values.shape, np.int64)
    strides = np.append(np.cumprod(shape[::-1])[::-1][1:], 1).astype(np.int64)
    constant = cast_like_c(np.array(cval, np.float64), values.dtype).astype(wide)[()]
    out = target.astype(wide).ravel()
    not_a_number = np.array(np.nan if wide.kind == "f" else 0, wide)[()]
    ranks = np.array(ranks, np.int64)
    flat = values.astype(wide).ravel()
    _windows(flat, valid.ravel(), shape, strides, offsets, ranks, mode, constant, not_a_number, out)
    target[...] = out.reshape(target.shape).astype(target.dtype)
