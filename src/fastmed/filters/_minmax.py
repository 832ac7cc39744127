"""Minimum and maximum over a box, any footprint, or along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_bytes, as_mode, as_number, columns_of, halo_of, run
from .._engine.operation import OPERATIONS, kernel, operation
from ._docs import documented
from ._masked import Extended, asked
from ._window import (
    Row,
    as_real_output,
    as_window,
    box_rows,
    cast_through_double,
    first_or_last,
    holds,
    line_row,
    over_window,
    warn_of_two_windows,
    window_halo,
)


def _given_window(size, footprint) -> tuple[Any, Any]:
    """(size, None) for a box, (None, footprint) for anything else."""
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        return size, None
    footprint = np.asarray(footprint, bool)
    if not footprint.any():
        raise ValueError("footprint has no True element: All-zero footprint is not supported.")
    return (footprint.shape, None) if footprint.all() else (None, footprint)


def _halo(ndim, size=None, footprint=None, mode="reflect", origin=0, axes=None, **_):
    size, footprint = _given_window(size, footprint)
    if footprint is not None:
        return window_halo(ndim, None, footprint, origin, axes)
    rows = box_rows(ndim, size, mode, origin, axes)
    return halo_of(ndim, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def _line_halo(ndim, size, axis=-1, mode="reflect", origin=0, **_):
    axis, size, origin, _mode = line_row(ndim, size, axis, mode, origin)
    return halo_of(ndim, [axis], [size], [origin])


class _Extremum(Extended):
    """The smallest or the largest of the elements that count."""

    def __init__(self, name: str, halo: Any, largest: bool) -> None:
        super().__init__(name, halo)
        self.largest = largest

    def whole_windows(self, valid, arguments):
        return self._of_mask("minimum", valid, arguments)

    def correct(self, image, valid, arguments):
        filled = np.where(valid, image, first_or_last(image.dtype, first=self.largest))
        values = self.plain(filled, arguments, image.dtype.newbyteorder("="))
        return values, self._of_mask("maximum", valid, arguments)

    def _of_mask(self, extremum, valid, arguments):
        line = "1d" if self.name.endswith("1d") else ""
        return OPERATIONS[f"{extremum}_filter{line}"].function(valid, **{**arguments, "output": None, "cval": 1})


_MINIMUM_FILTER = _Extremum("minimum_filter", _halo, largest=False)
_MAXIMUM_FILTER = _Extremum("maximum_filter", _halo, largest=True)
_MINIMUM_FILTER1D = _Extremum("minimum_filter1d", _line_halo, largest=False)
_MAXIMUM_FILTER1D = _Extremum("maximum_filter1d", _line_halo, largest=True)


def extremum(largest, input, size, footprint, output, mode, cval, origin, axes) -> np.ndarray:
    """The largest or the smallest element of every window."""
    image = as_array(input)
    size, footprint = _given_window(size, footprint)
    cval = as_number(cval, "cval")
    if footprint is None:
        rows = box_rows(image.ndim, size, mode, origin, axes)
        return _box(largest, image, rows, cval, as_real_output(output, image))
    footprint, origins = as_window(image.ndim, None, footprint, origin, axes)
    if not isinstance(mode, str) and np.iterable(mode):
        raise RuntimeError("A sequence of modes is not supported for non-separable footprints")
    code = as_mode(mode)
    output = as_real_output(output, image)

    def select(source, cval, result, budget):  # SciPy casts cval to the dtype here, and only here
        kernel("footprint_extremum", __name__)(source, footprint, origins, code, cval, largest, result, budget)

    return over_window(select, image, 2 * image.size * int(footprint.sum()), code, cval, output)


def _box(largest: bool, image: np.ndarray, rows: tuple[Row, ...], cval: float, output: np.ndarray) -> np.ndarray:
    if not rows:
        output[...] = image
        return output
    constant = any(row[3] == as_mode("constant") for row in rows)

    def apply(source, rows, target):
        columns = columns_of(rows)
        budget = threads.budget(source.nbytes * len(rows) // 8)  # whole vectors, at the pace of the memory
        kernel("box_extremum", __name__)(source, *columns, float(cval), largest, target, budget)

    def compute(source, target, cval):
        if not constant or (holds(source.dtype, cval) and holds(target.dtype, cval)):
            if source.dtype == target.dtype:
                return apply(source, rows, target)
            if source.dtype != bool and np.can_cast(source.dtype, target.dtype):  # the order stays: all at once
                target[...] = source
                return apply(target, rows, target)
        for row in rows:  # SciPy's way: in float64 along each axis, then a cast to the output's dtype
            # A fraction stays one in a float result, though it is cut among integers.
            kept = holds(source.dtype, cval) and (target.dtype.kind != "f" or float(cval).is_integer())
            plain = row[3] != as_mode("constant") or kept
            work = source if plain else as_bytes(source).astype(np.float64)
            result = np.empty(work.shape, work.dtype)
            apply(work, (row,), result)
            cast_through_double(result, target)
            source = target
        return None

    # Along the last two axes at once a thread reads rows that would be another's results: not in place.
    return run(compute, image, output, cval if constant else 0, in_place=image.ndim > 2)


@operation(halo=_MINIMUM_FILTER.halo)
@documented
def minimum_filter(
    input: Any,
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
    """Replace every element by the smallest element of the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.minimum_filter`. They are exact for every dtype (SciPy
    compares in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    {real_input}
    size : int or sequence of int, optional
        Width of a box window in elements. Either this or `footprint` is needed. An axis with 1 or less is not filtered.
    {footprint}
    {output}
    {mode_of_a_window}
    {cval}
    {origin}
    {axes}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined).

    Raises
    ------
    RuntimeError
        Neither `size` nor `footprint`, unknown mode, a sequence of the wrong length, a sequence of modes for a
        footprint that is not a box, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or cval that is not a real number, an origin that is not whole.
    ValueError
        A footprint without elements, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Notes
    -----
    The time of a box does not grow with its size.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.minimum_filter(np.array([4, 2, 9, 5, 5]), 3)
    array([2, 2, 2, 5, 5])
    """
    warn_of_two_windows(size, footprint)
    if asked(mask, nan_policy, spacing):
        return _MINIMUM_FILTER(locals())
    return extremum(False, input, size, footprint, output, mode, cval, origin, axes)


@operation(halo=_MINIMUM_FILTER1D.halo)
@documented
def minimum_filter1d(
    input: Any,
    size: Any,
    axis: Any = -1,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by the smallest of its neighbours along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.minimum_filter1d`, exact for every dtype.

    Parameters
    ----------
    input : array_like
        Any shape but a single number; bool, integers, float16/32/64. It is not changed.
    size : int
        Length of the window in elements.
    {axis}
    {output}
    {mode}
    {cval}
    {origin_on_line}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined).

    Raises
    ------
    RuntimeError
        A size below 1, unknown mode, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number.
    ValueError
        An axis that is not there, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.minimum_filter1d(np.array([[4, 2, 9], [5, 5, 5]]), 2)
    array([[4, 2, 2],
           [5, 5, 5]])
    """
    if asked(mask, nan_policy, spacing):
        return _MINIMUM_FILTER1D(locals())
    image = as_array(input)
    row = line_row(image.ndim, size, axis, mode, origin)
    cval = as_number(cval, "cval")
    return _box(False, image, (row,), cval, as_real_output(output, image))


@operation(halo=_MAXIMUM_FILTER.halo)
@documented
def maximum_filter(
    input: Any,
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
    """Replace every element by the largest element of the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.maximum_filter`. They are exact for every dtype (SciPy
    compares in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    {real_input}
    size : int or sequence of int, optional
        Width of a box window in elements. Either this or `footprint` is needed. An axis with 1 or less is not filtered.
    {footprint}
    {output}
    {mode_of_a_window}
    {cval}
    {origin}
    {axes}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined).

    Raises
    ------
    RuntimeError
        Neither `size` nor `footprint`, unknown mode, a sequence of the wrong length, a sequence of modes for a
        footprint that is not a box, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or cval that is not a real number, an origin that is not whole.
    ValueError
        A footprint without elements, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Notes
    -----
    The time of a box does not grow with its size.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.maximum_filter(np.array([4, 2, 9, 5, 5]), 3)
    array([4, 9, 9, 9, 5])
    """
    warn_of_two_windows(size, footprint)
    if asked(mask, nan_policy, spacing):
        return _MAXIMUM_FILTER(locals())
    return extremum(True, input, size, footprint, output, mode, cval, origin, axes)


@operation(halo=_MAXIMUM_FILTER1D.halo)
@documented
def maximum_filter1d(
    input: Any,
    size: Any,
    axis: Any = -1,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by the largest of its neighbours along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.maximum_filter1d`, exact for every dtype.

    Parameters
    ----------
    input : array_like
        Any shape but a single number; bool, integers, float16/32/64. It is not changed.
    size : int
        Length of the window in elements.
    {axis}
    {output}
    {mode}
    {cval}
    {origin_on_line}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window that holds a NaN gives NaN (SciPy leaves this undefined).

    Raises
    ------
    RuntimeError
        A size below 1, unknown mode, wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number.
    ValueError
        An axis that is not there, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.maximum_filter1d(np.array([[4, 2, 9], [5, 5, 5]]), 2)
    array([[4, 4, 9],
           [5, 5, 5]])
    """
    if asked(mask, nan_policy, spacing):
        return _MAXIMUM_FILTER1D(locals())
    image = as_array(input)
    row = line_row(image.ndim, size, axis, mode, origin)
    cval = as_number(cval, "cval")
    return _box(True, image, (row,), cval, as_real_output(output, image))
