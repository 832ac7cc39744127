"""Any rank, and any percentile, over a box or any footprint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine.arrays import as_array, as_axes, as_integer, as_mode, as_number, native, per_axis
from .._engine.operation import OPERATIONS, kernel, operation
from ._docs import documented
from ._masked import Extended, asked, modes_of
from ._minmax import extremum
from ._window import (
    as_real_output,
    as_window,
    first_or_last,
    over_window,
    rank_cost,
    warn_of_two_windows,
    window_halo,
)


def _rank(rank: int, count: int) -> int:
    """`rank` of `count` elements, counted from the smallest; negative ones count from the largest."""
    found = rank + count if rank < 0 else rank
    if not 0 <= found < count:
        wanted = f"wanted is {-count} to {count - 1}"
        raise RuntimeError(f"rank not within filter footprint size: found rank {rank}, {wanted}")
    return found


def _percentile_rank(percentile: float, count: int) -> int:
    """The rank of a percentile, cut down to a whole one; negative percentiles count from 100."""
    found = percentile + 100 if percentile < 0 else percentile
    if found < 0 or found > 100:
        raise RuntimeError(f"invalid percentile: found percentile {percentile}, wanted is -100 to 100")
    if found != found:
        raise ValueError("percentile must be a number, found NaN")
    return count - 1 if found == 100 else int(float(count) * found / 100)


def _rank_of_fewer(rank: int, count: int, valid: int) -> int:
    """The same place among `valid` of `count` elements, cut to a whole rank from the end that it is counted from."""
    _rank(rank, count)
    if count == 1:
        return 0
    if rank < 0:
        return valid - 1 - (-1 - rank) * (valid - 1) // (count - 1)
    return rank * (valid - 1) // (count - 1)


class Ranked(Extended):
    """The element of a rank among those that count.

    Parameters
    ----------
    name : str
        Of the operation.
    rank_of : callable
        ``rank_of(arguments, count, valid)``: the rank in a window where `valid` of its `count` elements count.
    """

    def __init__(self, name: str, rank_of: Callable[[dict[str, Any], int, int], int]) -> None:
        super().__init__(name, window_halo)
        self.rank_of = rank_of

    def axes_of_lengths(self, ndim, arguments):
        return tuple(sorted(super().axes_of_lengths(ndim, arguments)))  # as SciPy: sizes are in the array's order

    def _window(self, ndim, arguments):
        return as_window(ndim, *(arguments[k] for k in ("size", "footprint", "origin", "axes")))

    def _over_mask(self, name, valid, arguments):
        footprint, origins = self._window(valid.ndim, arguments)
        modes = modes_of(valid.ndim, arguments) if footprint.all() else arguments["mode"]
        return OPERATIONS[name].function(valid, footprint=footprint, mode=modes, cval=1, origin=origins)

    def whole_windows(self, valid, arguments):
        return self._over_mask("minimum_filter", valid, arguments)

    def correct(self, image, valid, arguments):
        reached = self._over_mask("maximum_filter", valid, arguments)
        footprint, origins = self._window(image.ndim, arguments)
        count = int(footprint.sum())
        ranks = [0] + [self.rank_of(arguments, count, k) for k in range(1, count + 1)]
        values = np.empty(image.shape, native(image).dtype)
        for largest, last in ((False, [0] * count), (True, list(range(count)))):
            if ranks[1:] == last:
                filled = np.where(valid, image, first_or_last(image.dtype, first=largest))
                name = "maximum_filter" if largest else "minimum_filter"
                modes = modes_of(image.ndim, arguments) if footprint.all() else arguments["mode"]
                more = {"mode": modes, "cval": arguments["cval"], "origin": origins}
                return OPERATIONS[name].function(filled, footprint=footprint, output=values, **more), reached
        code = as_mode(arguments["mode"])

        def select(source, cval, result, budget):
            kernel("masked_rank", __name__)(source, valid, footprint, origins, ranks, code, cval, result, budget)

        return over_window(select, image, 2 * image.size * count, code, arguments["cval"], values), reached


def _select(rank_of, input, wanted, size, footprint, output, mode, cval, origin, axes) -> np.ndarray:
    """The element of rank ``rank_of(wanted, count)`` of every window."""
    image = as_array(input)
    footprint, origins = as_window(image.ndim, size, footprint, origin, axes)
    count = int(np.count_nonzero(footprint))
    rank = rank_of(wanted, count)
    if rank in (0, count - 1):
        modes = _mode_of_each_axis(mode, image.ndim, as_axes(axes, image.ndim)) if footprint.all() else mode
        return extremum(rank > 0 or count == 1, image, None, footprint, output, modes, cval, origins, None)
    if not isinstance(mode, str) and np.iterable(mode):
        raise RuntimeError("A sequence of modes is not supported by non-separable rank filters")
    code = as_mode(mode)
    cval = as_number(cval, "cval")
    output = as_real_output(output, image)

    def select(source, cval, result, budget):  # SciPy casts cval to the dtype, wrapping around
        kernel("rank_filter", __name__)(source, footprint, origins, rank, code, cval, result, budget)

    return over_window(select, image, rank_cost(image, count), code, cval, output)


def _mode_of_each_axis(mode, ndim, axes):
    """What the minimum and the maximum take: one mode for each axis of the array."""
    modes = dict(zip(axes, per_axis(mode, len(axes)), strict=True))
    return [modes.get(axis, "reflect") for axis in range(ndim)]


_RANK_FILTER = Ranked("rank_filter", lambda arguments, count, valid: _rank_of_fewer(arguments["rank"], count, valid))
_PERCENTILE_FILTER = Ranked("percentile_filter", lambda given, _, valid: _percentile_rank(given["percentile"], valid))


@operation(halo=_RANK_FILTER.halo)
@documented
def rank_filter(
    input: Any,
    rank: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by the one of a rank in the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.rank_filter`. They are exact for every dtype (SciPy
    compares in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    {real_input}
    rank : int
        Which of the window's elements in ascending order, from 0; negative ones count from the largest, -1. Where only
        k of the n elements count, it is rank r (k - 1) // (n - 1), from the same end.
    {size}
    {footprint}
    {output}
    {mode_of_a_rank}
    {cval}
    {origin}
    {axes}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined). Empty input gives
        empty output.

    Raises
    ------
    RuntimeError
        A rank that the window does not have, neither `size` nor `footprint`, a size of 0, a footprint
        without elements, unknown mode, a sequence of modes for any other rank, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a rank, size or origin that is not whole, a cval that is
        not a real number.
    ValueError
        A negative size, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.rank_filter(np.array([4, 2, 9, 5, 5]), -2, 3)
    array([4, 4, 5, 5, 5])
    """
    warn_of_two_windows(size, footprint)
    if asked(mask, nan_policy, spacing):
        return _RANK_FILTER(locals())
    rank = as_integer(rank, "rank")
    return _select(_rank, input, rank, size, footprint, output, mode, cval, origin, axes)


@operation(halo=_PERCENTILE_FILTER.halo)
@documented
def percentile_filter(
    input: Any,
    percentile: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by a percentile of the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.percentile_filter`. They are exact for every dtype
    (SciPy compares in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    {real_input}
    percentile : float
        From 0, the smallest element, to 100, the largest. Negative ones count from 100: -20 is 80. Nothing is
        interpolated: it is the element of rank ``int(n * percentile / 100)`` of the n that count.
    {size}
    {footprint}
    {output}
    {mode_of_a_rank}
    {cval}
    {origin}
    {axes}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined). Empty input gives
        empty output.

    Raises
    ------
    RuntimeError
        A percentile outside -100 to 100, neither `size` nor `footprint`, a size of 0, a footprint
        without elements, unknown mode, a sequence of modes for any other rank, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a percentile or cval that is
        not a real number.
    ValueError
        A negative size, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.percentile_filter(np.array([4, 2, 9, 5, 5]), 50, 3)
    array([4, 4, 5, 5, 5])
    """
    warn_of_two_windows(size, footprint)
    if asked(mask, nan_policy, spacing):
        return _PERCENTILE_FILTER(locals())
    percentile = as_number(percentile, "percentile")
    return _select(_percentile_rank, input, percentile, size, footprint, output, mode, cval, origin, axes)
