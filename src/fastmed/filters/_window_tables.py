"""Extrema and ranks that kernels find for all windows, behind ``w.max()``, ``np.median(w)`` and ``np.sort(w)[k]``.

A function that asks nothing else of its window needs no elements: the loop looks up what the filters of minima, maxima
and ranks have found, which share most of their work between neighbouring windows. Which ranks it asks for is seen when
it asks: a rank that is not there is noted, and the loop is repeated with it.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import make_attribute_wrapper, models, overload, register_model

from . import _window_order as order
from . import _window_sums as single
from ._lanes import get_number, get_whole, intrinsic, put_whole

#: Places in a window's head, whole numbers: which window it is, the rank that was asked for in vain (plus 1, else 0),
#: how many ranks are known, these and the addresses of their tables.
INDEX, MISSED, KNOWN, RANKS = range(4)
#: The most ranks that may be known.
MOST = 5
TABLES = RANKS + MOST
HEAD = TABLES + MOST


class TabledWindow(types.Type):
    """A window of which only extrema and single ranks are asked."""

    mutable = False

    def __init__(self) -> None:
        super().__init__(name="TabledWindow")


class TabledOrder(types.Type):
    """The sorted values of a window, asked for one by one."""

    mutable = False

    def __init__(self) -> None:
        super().__init__(name="TabledOrder")


class _Model(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64), ("size", types.int64)])


def _made(kind: type, instance: Any) -> Any:
    """An intrinsic ``(address, size) -> instance``."""
    register_model(kind)(_Model)
    make_attribute_wrapper(kind, "address", "address")
    make_attribute_wrapper(kind, "size", "size")

    @intrinsic
    def make(typing, address, size):
        def generate(context, builder, signature, values):
            made = cgutils.create_struct_proxy(instance)(context, builder)
            made.address, made.size = values
            return made._getvalue()

        return instance(types.int64, types.int64), generate

    return make


tabled_at = _made(TabledWindow, TabledWindow())
_order_at = _made(TabledOrder, TabledOrder())


@overload(len)
def _length(w):
    return (lambda w: w.size) if isinstance(w, TabledWindow | TabledOrder) else None


@njit(**single.OPTIONS)
def ranked(w, rank):
    head = w.address
    for k in range(get_whole(head, KNOWN)):
        if get_whole(head, RANKS + k) == rank:
            return get_number(get_whole(head, TABLES + k), get_whole(head, INDEX))
    put_whole(head, MISSED, rank + 1)
    return np.nan


@njit(**single.OPTIONS)
def smallest(w):
    return ranked(w, 0)


@njit(**single.OPTIONS)
def largest(w):
    return ranked(w, w.size - 1)


@njit(**single.OPTIONS)
def extent(w):
    return largest(w) - smallest(w)


@njit(**single.OPTIONS)
def in_order(w):
    return _order_at(w.address, w.size)


@njit(**single.OPTIONS)
def partitioned(w, rank):
    if not -w.size <= rank < w.size:
        raise ValueError("kth out of bounds")
    return in_order(w)


@overload(operator.getitem)
def _element(w, index):
    if not isinstance(w, TabledOrder) or not isinstance(index, types.Integer | types.IntegerLiteral):
        return None

    def element(w, index):
        if not -w.size <= index < w.size:
            raise IndexError("index is out of bounds")
        return ranked(w, index + w.size if index < 0 else index)

    return element


STATISTICS = order.statistics(order.as_it_is, ranked)

for _name, _function in {"max": largest, "min": smallest}.items():
    single.register_method(TabledWindow, _name, _function)
