"""What compiled code calls for NumPy's functions on windows and on what is made of them.

Each stands for NumPy's own where its argument is a 1-D array of float64, and leaves all else to what Numba has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from . import _window_groups as groups
from . import _window_order as order
from . import _window_sums as sums
from . import _window_tables as tables
from ._window_sums import OPTIONS


def _family(w: Any) -> int | None:
    """0 for a window of a group, 1 for other windows and arrays like them, 2 for one in tables, else None."""
    if isinstance(w, groups.GroupedWindow | groups.UnseenWindow):
        return 0
    if isinstance(w, tables.TabledWindow):
        return 2
    return 1 if isinstance(w, types.Array) and (w.ndim, w.layout, w.dtype) == (1, "C", types.float64) else None


def _of_window(original: Any, *functions: Any) -> Any:
    """The first function for windows of a group, the second for others, the third for windows in tables (or None where
    they cannot tell), NumPy's `original` for anything else."""

    def stub(w):
        raise NotImplementedError

    @overload(stub)
    def choose(w):
        family = _family(w)
        function = original if family is None else functions[family]
        return None if function is None else lambda w: function(w)

    return njit(**OPTIONS)(lambda w: stub(w))


def _with_number(original: Any, *functions: Any) -> Any:
    """As :func:`_of_window`, with a number; pairs of functions: the other one takes several numbers."""

    def stub(w, number):
        raise NotImplementedError

    @overload(stub)
    def choose(w, number):
        family = _family(w)
        found = original if family is None else functions[family]
        if isinstance(found, tuple):
            found = found[not isinstance(number, types.Number | types.IntegerLiteral | types.Literal)]
        return lambda w, number: found(w, number)

    return njit(**OPTIONS)(lambda w, number: stub(w, number))


@njit(**OPTIONS)
def _group_partitioned(w, rank):
    if not -w.size <= rank < w.size:
        raise ValueError("kth out of bounds")
    return groups.in_order(w)


@njit(**OPTIONS)
def _partitioned(w, rank):
    if not -w.size <= rank < w.size:
        raise ValueError("kth out of bounds")
    return order.in_order(w)


_GROUPED = order.statistics(order.as_it_is, groups.ranked)
_TABLED = tables.STATISTICS
_SINGLE = order.statistics(order.in_order, order.ranked)

_REDUCTIONS: Any = (
    (np.max, groups.largest, sums.largest, tables.largest), (np.amax, groups.largest, sums.largest, tables.largest),
    (np.min, groups.smallest, sums.smallest, tables.smallest),
    (np.amin, groups.smallest, sums.smallest, tables.smallest), (np.ptp, groups.extent, sums.spread, tables.extent),
    (np.sum, groups.total, sums.total, None), (np.mean, groups.mean, sums.mean, None),
    (np.var, groups.variance, sums.variance, None), (np.std, groups.deviation, sums.deviation, None),
    (np.sort, groups.in_order, order.in_order, tables.in_order),
    (np.median, _GROUPED["median"], _SINGLE["median"], _TABLED["median"]),
    (np.nanmedian, _GROUPED["nanmedian"], _SINGLE["nanmedian"], _TABLED["nanmedian"]),
)  # fmt: skip

#: NumPy's functions -> those that compiled code calls.
INSTEAD: dict[Any, Any] = {
    **{original: _of_window(original, *functions) for original, *functions in _REDUCTIONS},
    np.quantile: _with_number(np.quantile, _GROUPED["quantile"], _SINGLE["quantile"], _TABLED["quantile"]),
    np.percentile: _with_number(np.percentile, _GROUPED["percentile"], _SINGLE["percentile"], _TABLED["percentile"]),
    np.partition: _with_number(np.partition, _group_partitioned, _partitioned, tables.partitioned),
}

sums.register_method(sums.Window, "sort", order.sort_in_place)  # of windows that may be written to
