"""Sorted values, medians and quantiles of one array, for compiled functions: Numba's own take several times as long.

An array is taken as eight lists side by side, which are sorted at once, lane by lane, and then merged from both ends:
no branch depends on the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ._lanes import BLOCK, COUNT, address_of, by_address, get_number, put_number, spread, store, transpose
from ._window_groups import sort_lanes
from ._window_sums import OPTIONS


@njit(nogil=True)
def _merge(source, size, target):
    """Two sorted lists of `size` at the address `source`, one after the other, into one; nothing is NaN."""
    low, high, last_low, last_high = 0, size, size - 1, 2 * size - 1
    for k in range(size):
        a, b = get_number(source, low), get_number(source, high)
        later = int(b < a)
        put_number(target, k, b if later else a)
        low, high = low + 1 - later, high + later
        a, b = get_number(source, last_low), get_number(source, last_high)
        later = int(b < a)
        put_number(target, 2 * size - 1 - k, a if later else b)
        last_low, last_high = last_low - later, last_high - 1 + later


@njit(nogil=True)
def _sort_into(source, n, lists, room):
    """Sort n values at an address; the result is at `lists`, NaN last. `room` is as large: whole blocks of lists."""
    if n == 0:
        return
    size = (n + COUNT - 1) // COUNT  # of each list
    blocks = (size + BLOCK - 1) // BLOCK
    missing, infinite = 0, spread(np.inf)
    for k in range(n // COUNT, BLOCK * blocks):
        store(lists, COUNT * k, infinite)
    for k in range(n):
        value = get_number(source, k)
        absent = value != value
        missing += absent
        put_number(lists, k, np.inf if absent else value)
    sort_lanes(lists, blocks)
    length = size + (-size) % COUNT
    for k in range(0, length, COUNT):
        transpose(lists + 8 * COUNT * k, room + 8 * k, length)
    for half in range(3):
        for begin in range(0, COUNT * length, 2 * length << half):
            _merge(room + 8 * begin, length << half, lists + 8 * begin)
        lists, room = room, lists
    for k in range(n - missing, n):
        put_number(room, k, np.nan)


_sort_there = by_address(_sort_into)


@njit(**OPTIONS)
def in_order(w):
    """A sorted copy, NaN last."""
    room = COUNT * ((w.size + COUNT - 1) // COUNT + BLOCK)
    memory = np.empty(2 * room)
    _sort_there(address_of(w), w.size, address_of(memory), address_of(memory) + 8 * room)
    return memory[: w.size]


@njit(**OPTIONS)
def sort_in_place(w):
    w[:] = in_order(w)


@njit(**OPTIONS)
def ranked(w, rank):
    return w[rank]


@njit(**OPTIONS)
def as_it_is(w):
    return w


def statistics(prepare: Any, pick: Any) -> dict[str, Any]:
    """NumPy's statistics of order, from ``pick(prepare(w), rank)``."""

    @njit(**OPTIONS)
    def median(w):
        s, n = prepare(w), w.size
        if n == 0 or np.isnan(pick(s, n - 1)):
            return np.nan
        middle = pick(s, n // 2)
        return middle if n % 2 else (pick(s, n // 2 - 1) + middle) / 2

    @njit(**OPTIONS)
    def nanmedian(w):
        s, n = prepare(w), w.size
        while n > 0 and np.isnan(pick(s, n - 1)):
            n -= 1
        if n == 0:
            return np.nan
        middle = pick(s, n // 2)
        return middle if n % 2 else (pick(s, n // 2 - 1) + middle) / 2

    @njit(**OPTIONS)
    def at_share(s, n, share):
        if n == 0 or not 0 <= share <= 1:
            raise ValueError("quantiles must be from 0 to 1, of at least one value")
        if np.isnan(pick(s, n - 1)):
            return np.nan
        place = (n - 1) * share
        low = min(int(place), n - 1)
        a, b, part = pick(s, low), pick(s, min(low + 1, n - 1)), place - low
        distance = b - a
        return b - distance * (1 - part) if part >= 0.5 else a + distance * part

    def of_shares(divisor):
        @njit(**OPTIONS)
        def one(w, q):
            return at_share(prepare(w), w.size, q / divisor)

        @njit(**OPTIONS)
        def many(w, q):
            s, found = prepare(w), np.empty(len(q))
            for k in range(len(q)):
                found[k] = at_share(s, w.size, q[k] / divisor)
            return found

        return one, many

    return {"median": median, "nanmedian": nanmedian, "quantile": of_shares(1.0), "percentile": of_shares(100.0)}
