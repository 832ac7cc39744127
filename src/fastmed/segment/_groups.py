"""What needs all the values of a label at once: medians, histograms, functions of the caller's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine.arrays import kernel_dtype, native
from .._engine.operation import is_dask
from ._docs import documented
from ._measures import present
from ._slots import as_image, chosen, paired, slots_of, unwrapped
from ._statistics import middles, ordered, scipys


@documented
def median(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Median of the values of each label.

    {shared}

    Returns
    -------
    float, or array of the shape of `index`
        Of integers float64, of floats their dtype. A NaN counts as larger than all. For a label that is not there
        SciPy's value: the smallest one of the lowest label. Of Dask arrays the middle values are
        found in two trips over the chunks: their leading bits are counted, then the values with those bits taken.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.median(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([0.5, 4. ])
    """
    input, labels = unwrapped(input, labels)
    if is_dask(input) or is_dask(labels):
        from . import _medians_chunks

        return _medians_chunks.medians(input, labels, index)
    values = as_image(input)
    if labels is None or index is None or np.isscalar(index):
        return np.median(chosen(values, labels, index)[0])
    if not kernel_dtype(values.dtype):
        return scipys("median", values, labels, index)
    values, marks = paired(values, labels)
    slots = slots_of(marks, index)
    order, starts = ordered(slots)
    grouped = np.ascontiguousarray(native(values.ravel()[order]))
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    low, high = (part.astype(kind) for part in middles(grouped, starts))
    there = present(slots, np.diff(starts))
    found = ((low + high) / low.dtype.type(2))[np.where(there, slots.asked, 0)] if slots.size else low
    if there.all():
        return found
    least = values[marks == marks.min()]
    return np.where(there, found, np.sort(least)[0]).astype(found.dtype)


def histogram(input: Any, min: Any, max: Any, bins: int, labels: Any = None, index: Any = None) -> Any:
    """Histogram of the values of each label.

    Names, defaults and results are those of :func:`scipy.ndimage.histogram`.

    Parameters
    ----------
    input : array_like
        The values. A Dask array gives a delayed result, added up over its chunks.
    min, max : float
        The limits of the bins.
    bins : int
        Their number.
    labels, index
        As for `sum_labels`.

    Returns
    -------
    array of int, or of such arrays
        None for a label that is not there.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.histogram(np.arange(6), 0, 6, 3, np.array([1, 1, 0, 2, 2, 2]), 2)
    array([0, 1, 2])
    """
    input, labels = unwrapped(input, labels)
    if is_dask(input) or is_dask(labels):
        from . import _statistics_chunks

        return _statistics_chunks.histograms(input, labels, index, (min, max, bins))
    edges = np.linspace(min, max, bins + 1)
    count = functools.partial(_histogram, edges=edges)
    return labeled_comprehension(input, labels, index, count, object, None)


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(values, edges)[0]


def labeled_comprehension(
    input: Any, labels: Any, index: Any, func: Callable[..., Any], out_dtype: Any, default: Any,
    pass_positions: bool = False,
) -> Any:
    """A function of the caller's on the values of each label.

    Names and results are those of :func:`scipy.ndimage.labeled_comprehension`.

    Parameters
    ----------
    input : array_like
        The values. A Dask array gives a delayed result; the values of the labels asked for are held together.
    labels : array_like or None
        Labels of the same shape, or one that broadcasts to it. None: all values are one group.
    index : int, sequence of int or None
        The labels asked for. None: all above 0 together.
    func : callable
        ``func(values)``, or ``func(values, positions)``: values in raster order, and their flat places.
    out_dtype : dtype
        Of the result.
    default : scalar
        The result for a label that is not there.
    pass_positions : bool, optional
        Whether `func` gets the places.

    Returns
    -------
    scalar or array of the shape of `index`

    Raises
    ------
    ValueError
        An index without labels, or one that the labels' dtype cannot hold; shapes that do not fit.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.labeled_comprehension(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2, 3], np.ptp, int, -1)
    array([ 1,  2, -1])
    """
    input, labels = unwrapped(input, labels)
    if is_dask(input) or is_dask(labels):
        from . import _statistics_chunks

        return _statistics_chunks.comprehension(input, labels, index, func, out_dtype, default, pass_positions)
    values = as_image(input)
    if labels is None:
        if index is not None:
            raise ValueError(f"index without defined labels: found index={index!r} and labels=None")
        return func(values.ravel(), np.arange(values.size)) if pass_positions else func(values.ravel())
    values, marks = paired(values, labels)
    if index is None:
        there = marks > 0
        return func(values[there], np.flatnonzero(there)) if pass_positions else func(values[there])
    asked = np.atleast_1d(index)
    if np.any(asked.astype(marks.dtype).astype(asked.dtype) != asked):
        raise ValueError(
            f"Cannot convert index values from <{asked.dtype}> to <{marks.dtype}> (labels' type) without loss of "
            "precision"
        )
    if asked.size == 0:
        raise ValueError("index must hold at least one label, found none")
    slots = slots_of(marks, asked)
    order, starts = ordered(slots)
    grouped = values.ravel()[order]
    result = np.empty(asked.shape, out_dtype)
    result[...] = default
    there = present(slots, np.diff(starts))
    for place, slot in np.ndenumerate(slots.asked):
        if there[place]:
            part = slice(starts[slot], starts[slot + 1])
            result[place] = func(grouped[part], order[part]) if pass_positions else func(grouped[part])
    return result[0] if np.isscalar(index) else result
