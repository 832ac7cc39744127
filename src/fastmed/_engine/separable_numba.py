"""Numba twin of csrc/separable.cpp: one pass along one axis, line by line, in SciPy's order of sums."""

from __future__ import annotations

import numpy as np
from numba import njit

FLOAT, INT32, INT64, UINT64 = range(4)


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
def _to_int32(x):
    return np.int64(x) if -2147483649.0 < x < 2147483648.0 else np.int64(-2147483648)


@njit(nogil=True, cache=True)
def _to_int64(x):
    return np.int64(x) if -9223372036854775808.0 <= x < 9223372036854775808.0 else np.int64(-9223372036854775808)


@njit(nogil=True, cache=True)
def _store(line, out, cast):
    """Cast as SciPy's C code does on x86: toward zero, then modulo 2^bits."""
    for i in range(line.size):
        x = line[i]
        if cast == FLOAT:
            out[i] = x
        elif cast == INT32:
            out[i] = _to_int32(x)
        elif cast == UINT64 and x >= 9223372036854775808.0:
            out[i] = np.uint64(_to_int64(x - 9223372036854775808.0)) + np.uint64(9223372036854775808)
        else:
            out[i] = _to_int64(x)


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
def _lines(source, target, length, before, weights, symmetry, mode, cval, running, cast):
    n = source.shape[-1]
    line = np.empty(n + length - 1, np.float64)
    ready = np.empty(n, np.float64)
    for index in np.ndindex(source.shape[:-1]):
        values = source[index]
        for k in range(line.size):
            at = border_index(k - before, n, mode)
            line[k] = cval if at < 0 else values[at]
        if weights.size:
            _correlate(line, weights, symmetry, ready)
        elif running:
            _running_mean(line, length, ready)
        else:
            _mean(line, length, ready)
        _store(ready, target[index], cast)


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
    """One pass along `axis`; `weights` empty means the mean of the window. `target` may be `source`."""
    if source.size == 0:
        return
    weights = np.asarray(weights, np.float64)
    cast = FLOAT
    if target.dtype.kind != "f":
        small = target.dtype.itemsize < 4 or target.dtype == np.int32
        cast = INT32 if small else UINT64 if target.dtype == np.uint64 else INT64
    source, target = (np.atleast_1d(np.moveaxis(_as_bytes(a), axis, -1)) for a in (source, target))
    running = cast != FLOAT and not _sums_are_exact(source.dtype, mode, cval)
    _lines(source, target, length, before, weights, _symmetry(weights), mode, float(cval), running, cast)


def _as_bytes(array):
    return array.view(np.uint8) if array.dtype == bool else array
