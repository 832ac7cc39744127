"""What a compiled function calls for ``w.max()``, ``np.sum(w)`` and their like on a window.

Numba's own go element by element; these keep eight running values, which the compiler turns into vectors. Eight are
also what NumPy's pairwise summation keeps (in blocks of up to 128, halved above): sums, means and deviations come out
with NumPy's very digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import models, overload_classmethod, overload_method, register_model
from numba.np.arrayobj import intrin_alloc, populate_array

from ._lanes import intrinsic

# Calls that are not inlined count the users of an array, see at_address.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": True}


class Window(types.Array):
    """A window's type: a 1-D float64 array whose reductions are those of this file; so are its slices and multiples."""

    def copy(self, dtype=None, ndim=None, layout=None, readonly=None):
        found = super().copy(dtype, ndim, layout, readonly)
        return _Result(found.dtype, found.ndim, found.layout, not found.mutable) if found.aligned else found

    @staticmethod
    def __array_ufunc__(ufunc, method, *args, **kwargs):
        return _Result


class _Result(types.Array):
    """Makes the type of an array that comes from windows: a Window if it can be one."""

    def __new__(cls, dtype, ndim, layout, readonly=False):
        kind = Window if (dtype, ndim, layout) == (types.float64, 1, "C") else types.Array
        return kind(dtype, ndim, layout, readonly)


register_model(Window)(models.ArrayModel)


@overload_classmethod(Window, "_allocate", target="CPU")
def _allocate(cls, allocsize, align):
    take: Any = intrin_alloc
    return lambda cls, allocsize, align: take(allocsize, align)


WINDOW = Window(types.float64, 1, "C")


def at_address(kind: Any) -> Any:
    """An intrinsic ``(address, size) -> array`` of that type, which does not own its memory.

    Arrays that own it count their users, atomically, wherever they are passed on: 15 ns each time.
    """

    @intrinsic
    def array_at(typing, address, size):
        def generate(context, builder, signature, values):
            array = context.make_array(kind)(context, builder)
            word = context.get_constant(types.intp, 8)
            data = builder.inttoptr(values[0], context.get_data_type(types.float64).as_pointer())
            populate_array(array, data=data, shape=[values[1]], strides=[word], itemsize=word, meminfo=None)
            return array._getvalue()

        return kind(types.int64, types.int64), generate

    return array_at


window_at = at_address(WINDOW)


@njit(**OPTIONS)
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


@njit(**OPTIONS)
def largest(w):
    return _extreme(w, 1.0)


@njit(**OPTIONS)
def smallest(w):
    return _extreme(w, -1.0)


@njit(**OPTIONS)
def _block(w, begin, n):
    """The sum of up to 128 values from `begin`, in NumPy's order."""
    if n < 8:
        total = 0.0
        for k in range(begin, begin + n):
            total += w[k]
        return total
    whole = begin + n - n % 8
    a, b, c, d = w[begin], w[begin + 1], w[begin + 2], w[begin + 3]
    e, f, g, h = w[begin + 4], w[begin + 5], w[begin + 6], w[begin + 7]
    for k in range(begin + 8, whole, 8):
        a, b, c, d = a + w[k], b + w[k + 1], c + w[k + 2], d + w[k + 3]
        e, f, g, h = e + w[k + 4], f + w[k + 5], g + w[k + 6], h + w[k + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(whole, begin + n):
        total += w[k]
    return total


@njit(**OPTIONS)
def _pairwise(w):
    """The sum of more than 128: of two halves, each so again. A stack, as a recursive call counts references."""
    sizes, lefts, done = np.empty(64, np.intp), np.empty(64), np.zeros(64, np.uint8)
    sizes[0], depth, begin = w.size, 0, 0
    while True:
        n = sizes[depth]
        if n > 128:
            done[depth] = 0
            sizes[depth + 1] = n // 2 - n // 2 % 8
            depth += 1
            continue
        value = _block(w, begin, n)
        begin += n
        while depth > 0 and done[depth - 1]:
            depth -= 1
            value = lefts[depth] + value
        if depth == 0:
            return value
        lefts[depth - 1], done[depth - 1] = value, 1
        sizes[depth] = sizes[depth - 1] - sizes[depth]


@njit(**OPTIONS)
def _whole(w):
    """As _block, of all of w: without `begin`, no index can be negative, which makes it twice as fast."""
    n = w.size
    if n < 8:
        total = 0.0
        for k in range(n):
            total += w[k]
        return total
    whole = n - n % 8
    a, b, c, d, e, f, g, h = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
    for k in range(8, whole, 8):
        a += w[k]
        b += w[k + 1]
        c += w[k + 2]
        d += w[k + 3]
        e += w[k + 4]
        f += w[k + 5]
        g += w[k + 6]
        h += w[k + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for k in range(whole, n):
        total += w[k]
    return total


@njit(**OPTIONS)
def total(w):
    if w.size > 128:
        return _pairwise(w)
    return _whole(w)


@njit(**OPTIONS)
def mean(w):
    return total(w) / w.size


@njit(**OPTIONS)
def variance(w):
    middle = total(w) / w.size
    distances = np.empty(w.size)
    for k in range(w.size):
        distances[k] = (w[k] - middle) * (w[k] - middle)
    return total(distances) / w.size


@njit(**OPTIONS)
def deviation(w):
    return np.sqrt(variance(w))


@njit(**OPTIONS)
def spread(w):
    return largest(w) - smallest(w)


METHODS = {
    "max": largest, "min": smallest, "sum": total, "mean": mean, "var": variance, "std": deviation,
}  # fmt: skip


def register_method(kind: type, name: str, function: Any) -> None:
    @overload_method(kind, name)
    def method(w):
        return lambda w: function(w)


for _name, _function in METHODS.items():
    register_method(Window, _name, _function)
