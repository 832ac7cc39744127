"""Reductions and sorted values of eight neighbouring windows at once, behind ``w.max()``, ``np.sort(w)`` and others.

The first window of a group that asks for, say, its largest value has it found for all eight; the others look it up.
Sums keep NumPy's order in each lane, so their digits are NumPy's. Values are sorted by Batcher's merge exchange (Knuth,
The Art of Computer Programming 3, algorithm 5.2.2M), whose comparisons do not depend on the values.

A window's memory begins with a head, in front of its elements: what the functions here know of the group. Such a window
is read-only, because what is looked up is about the elements as they were; a function that writes to its window is
compiled for windows without a group.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import make_attribute_wrapper, models, overload, register_model

from . import _window_sums as single
from ._lanes import (
    BLOCK,
    COUNT,
    address_of,
    by_address,
    get_number,
    get_whole,
    intrinsic,
    load,
    merge_blocks,
    put_number,
    put_whole,
    sort_block,
    spread,
    store,
    transpose,
    where_less,
    where_missing,
)

# The head, in units of float64: whole numbers first, then eight values of each kind.
LANE, KNOWN, FIRST, OFFSETS, SIZE, ROOM = range(6)
EXTREMA, TOTALS, VARIANCES, ABSENT = 8, 24, 32, 40
HEAD = 48
#: Bits of KNOWN: what has been found for the group.
HAS_EXTREMA, HAS_TOTALS, HAS_VARIANCES, IS_SORTED, HAS_ROWS = 1, 2, 4, 8, 16


class GroupedWindow(single.Window):
    """A window with a head, of a group of eight: read-only."""


class UnseenWindow(types.Type):
    """A window of a group of which a function asks only what is found for the whole group: no elements stand there."""

    mutable = False

    def __init__(self) -> None:
        super().__init__(name="UnseenWindow")


@register_model(UnseenWindow)
class _UnseenModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("size", types.int64)])


make_attribute_wrapper(UnseenWindow, "address", "address")
make_attribute_wrapper(UnseenWindow, "size", "size")
UNSEEN = UnseenWindow()


@intrinsic
def unseen_at(typing: Any, address: Any, size: Any) -> Any:
    def generate(context, builder, signature, values):
        window = cgutils.create_struct_proxy(UNSEEN)(context, builder)
        window.address, window.size = values
        return window._getvalue()

    return UNSEEN(types.int64, types.int64), generate


@overload(len)
def _length(w):
    return (lambda w: w.size) if isinstance(w, UnseenWindow) else None


register_model(GroupedWindow)(models.ArrayModel)
GROUPED = GroupedWindow(types.float64, 1, "C", readonly=True)

grouped_at = single.at_address(GROUPED)
_row_at = single.at_address(single.Window(types.float64, 1, "C", readonly=True))


def _address(w):
    raise NotImplementedError


@overload(_address, inline="always")
def _address_of_kind(w):
    if isinstance(w, UnseenWindow):
        return lambda w: w.address
    return lambda w: address_of(w)


@njit(nogil=True, forceinline=True)
def _head(w):
    return _address(w) - 8 * HEAD


@njit(nogil=True, forceinline=True)
def begin_group(head, first):
    """The windows from the one whose first element stands at the address `first`."""
    put_whole(head, FIRST, first)
    put_whole(head, KNOWN, 0)


# --- what is found for all eight -------------------------------------------------------------------------------------
@njit(nogil=True)
def _find_extrema(head, _1, _2, _3):
    first, offsets, n = get_whole(head, FIRST), get_whole(head, OFFSETS), get_whole(head, SIZE)
    low = high = last = load(first, get_whole(offsets, 0))
    missing, nan = spread(0.0), spread(np.nan)
    for k in range(n):
        value = load(first, get_whole(offsets, k))
        low = where_less(value, low, value, low)
        high = where_less(high, value, value, high)
        missing = where_missing(value, last, nan, missing)
        last = value
    store(head, EXTREMA, low + missing)
    store(head, EXTREMA + COUNT, high + missing)


def _sums(element: Any) -> Any:
    """``sum(first, offsets, n, middle)`` of ``element(value, middle)``, in the order of NumPy's pairwise summation."""

    @njit(nogil=True, forceinline=True)
    def at(first, offsets, k, middle):
        return element(load(first, get_whole(offsets, k)), middle)

    @njit(nogil=True)
    def block(first, offsets, n, middle):
        total = spread(0.0)
        if n < 8:
            for k in range(n):
                total = total + at(first, offsets, k, middle)
            return total
        a, b = at(first, offsets, 0, middle), at(first, offsets, 1, middle)
        c, d = at(first, offsets, 2, middle), at(first, offsets, 3, middle)
        e, f = at(first, offsets, 4, middle), at(first, offsets, 5, middle)
        g, h = at(first, offsets, 6, middle), at(first, offsets, 7, middle)
        whole = n - n % 8
        for k in range(8, whole, 8):
            a, b = a + at(first, offsets, k, middle), b + at(first, offsets, k + 1, middle)
            c, d = c + at(first, offsets, k + 2, middle), d + at(first, offsets, k + 3, middle)
            e, f = e + at(first, offsets, k + 4, middle), f + at(first, offsets, k + 5, middle)
            g, h = g + at(first, offsets, k + 6, middle), h + at(first, offsets, k + 7, middle)
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
        for k in range(whole, n):
            total = total + at(first, offsets, k, middle)
        return total

    @njit(nogil=True)
    def pairwise(first, offsets, n, middle):
        if n <= 128:
            return block(first, offsets, n, middle)
        half = n // 2 - n // 2 % 8
        left = pairwise(first, offsets, half, middle)
        return left + pairwise(first, offsets + 8 * half, n - half, middle)

    return pairwise


_total = _sums(njit(nogil=True, forceinline=True)(lambda value, middle: value))
_squares = _sums(njit(nogil=True, forceinline=True)(lambda value, middle: (value - middle) * (value - middle)))


@njit(nogil=True)
def _find_totals(head, _1, _2, _3):
    n = get_whole(head, SIZE)
    store(head, TOTALS, _total(get_whole(head, FIRST), get_whole(head, OFFSETS), n, spread(0.0)))


@njit(nogil=True)
def _find_variances(head, _1, _2, _3):
    n = get_whole(head, SIZE)
    if not get_whole(head, KNOWN) & HAS_TOTALS:
        _find_totals(head, 0, 0, 0)
        put_whole(head, KNOWN, get_whole(head, KNOWN) | HAS_TOTALS)
    count = spread(1.0 * n)
    middle = load(head, TOTALS) / count
    found = _squares(get_whole(head, FIRST), get_whole(head, OFFSETS), n, middle)
    store(head, VARIANCES, found / count)


@njit(nogil=True)
def sort_lanes(room, blocks):
    """Sort each lane of so many blocks: every block, then Batcher's merge exchange with blocks in place of values."""
    for k in range(blocks):
        sort_block(room + 8 * COUNT * BLOCK * k, room)
    top = 1
    while 2 * top < blocks:
        top *= 2
    p = top if blocks > 1 else 0
    while p > 0:
        q, r, d = top, 0, p
        while True:
            for begin in range(r, blocks - d, 2 * p):
                for i in range(begin, min(begin + p, blocks - d)):
                    merge_blocks(room + 8 * COUNT * BLOCK * i, room + 8 * COUNT * BLOCK * (i + d))
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2


@njit(nogil=True)
def _sort(head, _1, _2, _3):
    first, offsets, n = get_whole(head, FIRST), get_whole(head, OFFSETS), get_whole(head, SIZE)
    room = get_whole(head, ROOM)
    absent, one, infinite = spread(0.0), spread(1.0), spread(np.inf)
    for k in range(n):  # NaN as infinity, so that it comes last
        value = load(first, get_whole(offsets, k))
        absent = where_missing(value, value, absent + one, absent)
        store(room, COUNT * k, where_missing(value, value, infinite, value))
    store(head, ABSENT, absent)
    blocks = (n + BLOCK - 1) // BLOCK
    for k in range(n, blocks * BLOCK):
        store(room, COUNT * k, infinite)
    sort_lanes(room, blocks)
    for lane in range(COUNT):
        for k in range(n - int(get_number(head, ABSENT + lane)), n):
            put_number(room, COUNT * k + lane, np.nan)


@njit(nogil=True, forceinline=True)
def _stride(n):
    """Of the rows of sorted values: whole vectors."""
    return n + (-n) % BLOCK


@njit(nogil=True)
def _turn(head, _1, _2, _3):
    """The sorted values of each window in a row of its own."""
    n, room = get_whole(head, SIZE), get_whole(head, ROOM)
    stride = _stride(n)
    rows = room + 8 * COUNT * stride
    for k in range(0, n, COUNT):
        transpose(room + 8 * COUNT * k, rows + 8 * k, stride)


def _known(bit: int, find: Any) -> Any:
    """``need(w)`` -> the head, after `find` if the group has not been asked before."""
    found = by_address(find)

    @njit(nogil=True, forceinline=True)
    def need(w):
        head = _head(w)
        known = get_whole(head, KNOWN)
        if not known & bit:
            found(head, 0, 0, 0)
            put_whole(head, KNOWN, get_whole(head, KNOWN) | bit)
        return head

    return need


_with_extrema = _known(HAS_EXTREMA, _find_extrema)
_with_totals = _known(HAS_TOTALS, _find_totals)
_with_variances = _known(HAS_VARIANCES, _find_variances)
_with_sorted = _known(IS_SORTED, _sort)
_with_rows = _known(HAS_ROWS, _turn)


# --- what a function asks of its window ------------------------------------------------------------------------------
@njit(**single.OPTIONS)
def smallest(w):
    head = _with_extrema(w)
    return get_number(head, EXTREMA + get_whole(head, LANE))


@njit(**single.OPTIONS)
def largest(w):
    head = _with_extrema(w)
    return get_number(head, EXTREMA + COUNT + get_whole(head, LANE))


@njit(**single.OPTIONS)
def total(w):
    head = _with_totals(w)
    return get_number(head, TOTALS + get_whole(head, LANE))


@njit(**single.OPTIONS)
def mean(w):
    return total(w) / w.size


@njit(**single.OPTIONS)
def variance(w):
    head = _with_variances(w)
    return get_number(head, VARIANCES + get_whole(head, LANE))


@njit(**single.OPTIONS)
def deviation(w):
    return np.sqrt(variance(w))


@njit(**single.OPTIONS)
def extent(w):
    return largest(w) - smallest(w)


@njit(**single.OPTIONS)
def in_order(w):
    """The sorted values, NaN last."""
    head = _with_sorted(w)
    _with_rows(w)
    rows = get_whole(head, ROOM) + 8 * COUNT * _stride(w.size)
    return _row_at(rows + 8 * _stride(w.size) * get_whole(head, LANE), w.size)


@njit(**single.OPTIONS)
def ranked(w, rank):
    """The value of that rank; NaN come last."""
    head = _with_sorted(w)
    return get_number(get_whole(head, ROOM), COUNT * rank + get_whole(head, LANE))


METHODS = {
    "max": largest, "min": smallest, "sum": total, "mean": mean, "var": variance, "std": deviation,
}  # fmt: skip

for _name, _function in METHODS.items():
    for _kind in (GroupedWindow, UnseenWindow):
        single.register_method(_kind, _name, _function)
