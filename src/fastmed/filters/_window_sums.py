"""What a compiled function calls for ``w.max()``, ``np.sum(w)`` and their like on a window.

Numba's own go element by element; these keep eight running values, which the compiler turns into vectors. Eight are
also what NumPy's pairwise summation keeps (in blocks of up to 128, halved above): sums, means and deviations come out
with NumPy's very digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, models, overload, overload_method, register_model

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class Window(types.Array):
    """A window's type: a 1-D float64 array whose reductions are those of this file."""


register_model(Window)(models.ArrayModel)
WINDOW = Window(types.float64, 1, "C")


@intrinsic
def as_window(typing, array):
    """The same memory as a :class:`Window`."""

    def generate(context, builder, signature, values):
        if context.enable_nrt:
            context.nrt.incref(builder, signature.args[0], values[0])
        return values[0]

    return WINDOW(array), generate


@njit(**_OPTIONS)
def _extreme(w, sign):
    """The largest of ``sign * w``, times `sign`; NaN if any is."""
    if w.size == 0:
        raise ValueError("zero-size array to reduction operation which has no identity")
    a = b = c = d = e = f = g = h = -np.inf
    whole = w.size - w.size % 8
    for k in range(0, whole, 8):
        v0, v1, v2, v3 = sign * w[k], sign * w[k + 1], sign * w[k + 2], sign * w[k + 3]
        v4, v5, v6, v7 = sign * w[k + 4], sign * w[k + 5], sign * w[k + 6], sign * w[k + 7]
        a, b, c, d = v0 if v0 > a else a, v1 if v1 > b else b, v2 if v2 > c else c, v3 if v3 > d else d
        e, f, g, h = v4 if v4 > e else e, v5 if v5 > f else f, v6 if v6 > g else g, v7 if v7 > h else h
    for k in range(whole, w.size):
        a = sign * w[k] if sign * w[k] > a else a
    missing = 0
    for k in range(w.size):
        missing += w[k] != w[k]
    if missing:
        return np.nan
    return sign * max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@njit(**_OPTIONS)
def largest(w):
    return _extreme(w, 1.0)


@njit(**_OPTIONS)
def smallest(w):
    return _extreme(w, -1.0)


@njit(**_OPTIONS)
def _block(w, mean, squared):
    """The sum of up to 128 values, or of their squared distances from `mean`, in NumPy's order."""
    n = w.size
    whole = n - n % 8
    if not squared:
        if n < 8:
            total = 0.0
            for k in range(n):
                total += w[k]
            return total
        a, b, c, d, e, f, g, h = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
        for k in range(8, whole, 8):
            a, b, c, d = a + w[k], b + w[k + 1], c + w[k + 2], d + w[k + 3]
            e, f, g, h = e + w[k + 4], f + w[k + 5], g + w[k + 6], h + w[k + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
        for k in range(whole, n):
            total += w[k]
        return total
    a = b = c = d = e = f = g = h = 0.0
    for k in range(0, whole, 8):
        v0, v1, v2, v3 = w[k] - mean, w[k + 1] - mean, w[k + 2] - mean, w[k + 3] - mean
        v4, v5, v6, v7 = w[k + 4] - mean, w[k + 5] - mean, w[k + 6] - mean, w[k + 7] - mean
        a, b, c, d = a + v0 * v0, b + v1 * v1, c + v2 * v2, d + v3 * v3
        e, f, g, h = e + v4 * v4, f + v5 * v5, g + v6 * v6, h + v7 * v7
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(whole, n):
        total += (w[k] - mean) * (w[k] - mean)
    return total


@njit(**_OPTIONS)
def _pairwise(w, mean, squared):
    if w.size <= 128:
        return _block(w, mean, squared)
    half = w.size // 2
    half -= half % 8
    return _pairwise(w[:half], mean, squared) + _pairwise(w[half:], mean, squared)


@njit(**_OPTIONS)
def total(w):
    return _block(w, 0.0, False) if w.size <= 128 else _pairwise(w, 0.0, False)


@njit(**_OPTIONS)
def mean(w):
    return total(w) / w.size


@njit(**_OPTIONS)
def variance(w):
    middle = total(w) / w.size
    return (_block(w, middle, True) if w.size <= 128 else _pairwise(w, middle, True)) / w.size


@njit(**_OPTIONS)
def deviation(w):
    return np.sqrt(variance(w))


@njit(**_OPTIONS)
def spread(w):
    return largest(w) - smallest(w)


_METHODS = {
    "max": largest, "min": smallest, "sum": total, "mean": mean, "var": variance, "std": deviation,
}  # fmt: skip


def _register(name: str, function: Any) -> None:
    @overload_method(Window, name)
    def method(w):
        return lambda w: function(w)


for _name, _function in _METHODS.items():
    _register(_name, _function)


def _chosen(original: Any, function: Any) -> Any:
    """`function` for windows and arrays that look like them, NumPy's `original` for anything else."""

    def stub(w):
        raise NotImplementedError

    @overload(stub)
    def choose(w):
        if isinstance(w, types.Array) and w.ndim == 1 and w.layout == "C" and w.dtype == types.float64:
            return lambda w: function(w)
        return lambda w: original(w)

    return njit(**_OPTIONS)(lambda w: stub(w))


#: NumPy's functions -> those of this file, for the namespace of a function that is compiled.
INSTEAD = {
    original: _chosen(original, function)
    for original, function in (
        (np.max, largest), (np.amax, largest), (np.min, smallest), (np.amin, smallest), (np.sum, total),
        (np.mean, mean), (np.var, variance), (np.std, deviation), (np.ptp, spread),
    )
}  # fmt: skip
