"""What is measured of each label: sums, means, extremes, centres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import kernel_dtype, native
from .._engine.operation import is_dask, kernel
from . import _measures as of
from ._docs import documented
from ._slots import Slots, as_image, chosen, flat_labels, paired, slots_of, unwrapped
from ._tables import Tables, added

#: An image is cut into so many blocks at most, of at least so many elements, for tables of at most its own size.
BLOCKS, ELEMENTS_PER_BLOCK = 16, 1 << 20


@documented
def sum_labels(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Sum of the values of each label.

    {shared}

    Returns
    -------
    float, or array of float64 of the shape of `index`
        0 for a label that is not there. Without an index as NumPy's ``sum`` of the values, in its dtype.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.sum_labels(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2, 3])
    array([ 1., 12.,  0.])
    """
    return _measured("sum_labels", input, labels, index, ("sums",), of.sums, of.group_sum)


@documented
def sum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Sum of the values of each label; another name of `sum_labels`.

    {shared}

    Returns
    -------
    float, or array of float64 of the shape of `index`
        As of `sum_labels`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.ndimage.sum(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), 2)
    np.int64(12)
    """
    return sum_labels(input, labels, index)


@documented
def mean(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Mean of the values of each label.

    {shared}

    Returns
    -------
    float, or array of float64 of the shape of `index`
        NaN, and NumPy's warning, for a label that is not there.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.mean(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([0.5, 4. ])
    """
    return _measured("mean", input, labels, index, ("sums",), of.means, of.group_mean)


@documented
def variance(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Variance of the values of each label: the mean of the squared distances from their mean.

    {shared}

    Returns
    -------
    float, or array of float64 of the shape of `index`
        NaN, and NumPy's warning, for a label that is not there.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.variance(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2]).round(2)
    array([0.25, 0.67])
    """
    return _measured("variance", input, labels, index, ("sums", "squares"), of.variances, of.group_variance)


@documented
def standard_deviation(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Standard deviation of the values of each label: the root of `variance`.

    {shared}

    Returns
    -------
    float, or array of float64 of the shape of `index`
        NaN, and NumPy's warning, for a label that is not there.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.standard_deviation(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([0.5       , 0.81649658])
    """
    return np.sqrt(variance(input, labels, index))


@documented
def minimum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Smallest value of each label.

    {shared}

    Returns
    -------
    scalar, or array of the shape of `index`
        In the dtype of `input`; 0 for a label that is not there. With an index a NaN counts as larger than all.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.minimum(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([0, 3])
    """
    return _measured("minimum", input, labels, index, ("extremes",), of.minima, lambda v, p: v.min())


@documented
def maximum(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Largest value of each label.

    {shared}

    Returns
    -------
    scalar, or array of the shape of `index`
        In the dtype of `input`; 0 for a label that is not there. With an index a NaN counts as larger than all.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.maximum(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([1, 5])
    """
    return _measured("maximum", input, labels, index, ("extremes",), of.maxima, lambda v, p: v.max())


@documented
def minimum_position(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Where the smallest value of each label stands; of several the first.

    {shared}

    Returns
    -------
    tuple of int, or list of them
        An index per axis; zeros for a label that is not there. Of Dask arrays a Dask array, the axes last.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> [tuple(map(int, p)) for p in fastmed.minimum_position(np.eye(3), np.eye(3) + 1, [1, 2])]
    [(0, 1), (0, 0)]
    """
    return _measured("minimum_position", input, labels, index, ("extremes",), of.first_places, of.group_first)


@documented
def maximum_position(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Where the largest value of each label stands; of several the last, without an index the first.

    SciPy says nothing of equal values where an index is given; in small arrays it gives the last.

    {shared}

    Returns
    -------
    tuple of int, or list of them
        An index per axis; zeros for a label that is not there. Of Dask arrays a Dask array, the axes last.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> [tuple(map(int, p)) for p in fastmed.maximum_position(np.arange(4).reshape(2, 2), np.eye(2) + 1, [1, 2])]
    [(1, 0), (1, 1)]
    """
    return _measured("maximum_position", input, labels, index, ("extremes",), of.last_places, of.group_last)


@documented
def extrema(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Smallest and largest value of each label, and where they stand, in one sweep.

    {shared}

    Returns
    -------
    minima, maxima, minimum positions, maximum positions
        As of `minimum`, `maximum`, `minimum_position` and `maximum_position`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> minima, maxima, *_ = fastmed.extrema(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    >>> minima, maxima
    (array([0, 3]), array([1, 5]))
    """
    return _measured("extrema", input, labels, index, ("extremes",), of.both_extremes, of.group_extrema)


@documented
def center_of_mass(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Centre of mass of each label: the mean index, weighted with the values.

    {shared}

    Returns
    -------
    tuple of float, or list of them
        An index per axis; NaN or infinite, and NumPy's warning, where the values add up to 0. Of Dask arrays a Dask
        array, the axes last.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> labels = np.array([[1, 1, 0], [0, 2, 2]])
    >>> [tuple(map(float, c)) for c in fastmed.center_of_mass(np.ones((2, 3)), labels, [1, 2])]
    [(0.0, 0.5), (1.0, 1.5)]
    """
    return _measured("center_of_mass", input, labels, index, ("sums", "moments"), of.centres, of.group_centre)


# --- from arrays to tables -----------------------------------------------------------------------------------


def _measured(name, input, labels, index, wanted, finish, single):
    """Numbers of one group straight from NumPy, of many labels from tables; of a Dask array from tables of chunks."""
    input, labels = unwrapped(input, labels)
    if is_dask(input) or is_dask(labels):
        from . import _statistics_chunks

        return _statistics_chunks.measured(name, input, labels, index, wanted, finish)
    values = as_image(input)
    if not kernel_dtype(values.dtype):
        return scipys(name, values, labels, index)
    if labels is None or index is None or np.isscalar(index):
        group, places = chosen(values, labels, index)
        return single(group, (places, values.shape))
    values, marks = paired(values, labels)
    slots = slots_of(marks, index)
    tables = sweep(values, slots, wanted)
    return of.as_scipy(name, finish(tables, slots, values))


def scipys(name: str, values: Any, labels: Any, index: Any) -> Any:
    """Complex and other dtypes that no kernel takes; from where SciPy's own stay when another takes their names."""
    from scipy.ndimage import _measurements

    return getattr(_measurements, name)(values, labels, index)


def block_count(size: int, slots: int) -> int:
    """How many rows the tables have: the same for any number of threads."""
    return max(1, min(BLOCKS, size // ELEMENTS_PER_BLOCK, size // (8 * slots + 1)))


def sweep(values: np.ndarray, slots: Slots, wanted: Sequence[str]) -> Tables:
    """The tables of an image; what is not wanted stays without elements."""
    ndim, count, labels = values.ndim, slots.size, slots.labels
    source = np.atleast_1d(native(values))
    rows = block_count(source.size, count)
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "counts": ((count,), np.int64),
        "sums": ((count,), np.float64),
        "squares": ((count,), np.float64),
        "moments": ((count, source.ndim), np.float64),
        "extremes": ((2, count), source.dtype),
        "places": ((2, count), np.int64),
        "boxes": ((count, 2, source.ndim), np.int64),
    }
    asked = {"counts", *wanted} | ({"places"} if "extremes" in wanted else set())
    tables = {
        name: np.zeros((rows, *shape) if name in asked else (0,) * (1 + len(shape)), dtype)
        for name, (shape, dtype) in shapes.items()
    }
    if source.size and count:
        budget = threads.budget(source.size, 4)
        kernel("label_sweep", __name__)(source, labels, slots.low, *tables.values(), budget)
    result = added({name: table for name, table in tables.items() if name in asked})
    if ndim == 0 and result.moments is not None:
        result.moments = result.moments[:, :0]
    return result


def highest(labels: np.ndarray) -> int:
    """The highest label, at least 0."""
    if labels.size == 0:
        return 0
    if labels.dtype == np.uint64:
        return int(labels.max())
    return int(kernel("label_highest", __name__)(flat_labels(labels), threads.budget(labels.size, 2)))


def ordered(slots: Slots) -> tuple[np.ndarray, np.ndarray]:
    """The flat places of each slot's elements in raster order, slot after slot, and where each begins."""
    labels = slots.labels
    rows = block_count(labels.size, slots.size)
    counts = np.zeros((rows, slots.size), np.int64)
    budget = threads.budget(labels.size, 4)
    if labels.size and slots.size:
        empty = [np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0), labels.dtype)]
        places = [np.empty((0, 0), np.int64)] * 2
        kernel("label_sweep", __name__)(labels, labels, slots.low, counts, *empty, *places, budget)
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=0))]).astype(np.int64)
    begins = starts[:-1] + np.cumsum(counts, axis=0) - counts
    order = np.empty(int(starts[-1]), np.int64)
    if order.size:
        kernel("label_order", __name__)(labels, slots.low, np.ascontiguousarray(begins), order, budget)
    return order, starts


def middles(grouped: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle one or two of each group of values; the groups are put in another order."""
    low, high = (np.zeros(len(starts) - 1, grouped.dtype) for _ in range(2))
    kernel("label_middles", __name__)(grouped, starts, low, high, threads.budget(grouped.size, 8))
    return low, high
