"""Numba twin of csrc/separable.cpp: one pass along one axis, line by line, in SciPy's order of sums."""

from __future__ import annotations

import numpy as np
from numba import njit

from .arrays import as_bytes, cast_like_c

#: Elements that are converted to float64 at a time.
BLOCK = 1 << 20


@njit(nogil=True, cache=True)
def border_index(i, n, mode):
    """The index inside [0, n) that stands for i, or -1 where the constant does (see arrays.MODES)."""
    if 0 <= i < n:
        return i
    if mode == 0:  # nearest
        return 0 if i < 0 else n - 1
    if mode == 1:  # wrap
        return i % n
    if mode == 2:  # reflect
        r = i % (2 * n)
        return r if r < n else 2 * n - 1 - r
    if mode == 3:  # mirror
        if n == 1:
            return 0
        r = i % (2 * n - 2)
        return r if r < n else 2 * n - 2 - r
    return -1


@njit(nogil=True, cache=True)
def _correlate(line, weights, symmetry, out):
    length = weights.size
    half = length // 2
    for i in range(out.size):
        if symmetry == 0:
            total = line[i + length - 1] * weights[length - 1]
            for k in range(length - 1):
                total += line[i + k] * weights[k]
        else:
            total = line[i + half] * weights[half]
            for k in range(half):
                total += (line[i + k] + symmetry * line[i + length - 1 - k]) * weights[k]
        out[i] = total


@njit(nogil=True, cache=True)
def _mean(line, length, out):
    for i in range(out.size):
        total = 0.0
        for k in range(length):
            total += line[i + k]
        out[i] = total / length


@njit(nogil=True, cache=True)
def _running_mean(line, length, out):
    total = 0.0
    for k in range(length):
        total += line[k]
    out[0] = total / length
    for i in range(1, out.size):
        total += line[i + length - 1] - line[i - 1]
        out[i] = total / length


@njit(nogil=True, cache=True)
def _lines(values, length, before, weights, symmetry, mode, cval, running):
    """One pass along the last axis of a contiguous float64 array of two axes, in place."""
    n = values.shape[1]
    line = np.empty(n + length - 1, np.float64)
    for row in range(values.shape[0]):
        for k in range(line.size):
            at = border_index(k - before, n, mode)
            line[k] = cval if at < 0 else values[row, at]
        if weights.size:
            _correlate(line, weights, symmetry, values[row])
        elif running:
            _running_mean(line, length, values[row])
        else:
            _mean(line, length, values[row])


def _symmetry(weights: np.ndarray) -> int:
    half = weights.size // 2
    if weights.size % 2 == 0:
        return 0
    left, right = weights[:half], weights[half + 1 :][::-1]
    tiny = np.finfo(float).eps
    if np.all(np.abs(right - left) <= tiny):
        return 1
    return -1 if np.all(np.abs(right + left) <= tiny) else 0


def _sums_are_exact(dtype: np.dtype, mode: int, cval: float) -> bool:
    if dtype.kind == "f" or dtype.itemsize == 8:
        return False
    return mode != 4 or (float(cval).is_integer() and abs(cval) < 1e9)


def one_pass(source, target, axis, length, before, weights, mode, cval):
    """One pass along `axis`; `weights` empty means the mean of the window. `target` may be `source`.

    Everything is computed in blocks of float64 lines: compiling for every dtype and layout took minutes.
    """
    weights = np.asarray(weights, np.float64)
    running = target.dtype.kind != "f" and not _sums_are_exact(source.dtype, mode, cval)
    source, target = (np.atleast_2d(np.moveaxis(as_bytes(a), axis, -1)) for a in (source, target))
    for rows in _blocks(source.shape):
        values = np.array(source[rows], np.float64, order="C")
        lines = values.reshape(-1, values.shape[-1])
        _lines(lines, length, before, weights, _symmetry(weights), mode, float(cval), running)
        target[rows] = cast_like_c(values, target.dtype)


def _blocks(shape):
    """Slices of the first axis, about BLOCK elements each."""
    per_row = max(1, int(np.prod(shape[1:])))
    step = max(1, BLOCK // per_row)
    return (slice(i, i + step) for i in range(0, shape[0], step))
