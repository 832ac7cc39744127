"""What is measured of each label: sums, means, extremes, centres, boxes, medians, histograms."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._engine import threads
from .._engine.arrays import UnsupportedDtypeError, as_array, kernel_dtype, native
from .._engine.keywords import as_spacing
from .._engine.operation import is_dask, kernel
from ._tables import Tables, merged

#: An image is cut into so many blocks at most, of at least so many elements, for tables of at most its own size.
BLOCKS, ELEMENTS_PER_BLOCK = 16, 1 << 19


class Slots(NamedTuple):
    """Labels as slots of tables.

    ``labels - low`` is an element's slot, if it is from 0 to `size` - 1; `asked` holds the slots of the index, -1
    where there is no such label.
    """

    labels: np.ndarray
    low: int
    size: int
    asked: np.ndarray


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
    return _measured("sum_labels", input, labels, index, ("sums",), _sums, _group_sum)


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
    return _measured("mean", input, labels, index, ("sums",), _means, _group_mean)


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
    return _measured("variance", input, labels, index, ("sums", "squares"), _variances, _group_variance)


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
    return _measured("minimum", input, labels, index, ("extremes",), _minima, lambda v, p: v.min())


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
    return _measured("maximum", input, labels, index, ("extremes",), _maxima, lambda v, p: v.max())


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
    return _measured("minimum_position", input, labels, index, ("extremes",), _first_places, _group_first)


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
    return _measured("maximum_position", input, labels, index, ("extremes",), _last_places, _group_last)


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
    return _measured("extrema", input, labels, index, ("extremes",), _extrema, _group_extrema)


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
    return _measured("center_of_mass", input, labels, index, ("sums", "moments"), _centres, _group_centre)


def median(input: Any, labels: Any = None, index: Any = None) -> Any:
    """Median of the values of each label.

    {shared}

    Returns
    -------
    float, or array of the shape of `index`
        Of integers float64, of floats their dtype. A NaN counts as larger than all. For a label that is not there
        SciPy's value: the smallest one of the lowest label. On Dask arrays the task holds the whole image.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.median(np.arange(6), np.array([1, 1, 0, 2, 2, 2]), [1, 2])
    array([0.5, 4. ])
    """
    if is_dask(input) or is_dask(labels):
        _aligned(input, labels)
        shape = () if index is None or np.isscalar(index) else np.shape(index)
        kind = input.dtype if input.dtype.kind == "f" else np.dtype(np.float64)
        return _whole("median", shape, kind, input, labels, index)
    values = _as_image(input)
    if labels is None or index is None or np.isscalar(index):
        return np.median(_chosen(values, labels, index)[0])
    if not kernel_dtype(values.dtype):
        return _scipys("median", values, labels, index)
    values, marks = _paired(values, labels)
    slots = _slots(marks, index)
    order, starts = _order(slots)
    grouped = np.ascontiguousarray(native(values.ravel()[order]))
    low, high = (np.zeros(slots.size, grouped.dtype) for _ in range(2))
    kernel("label_middles", __name__)(grouped, starts, low, high, threads.budget(grouped.size, 8))
    low, high = (part.astype(values.dtype if values.dtype.kind == "f" else np.float64) for part in (low, high))
    there = _there(slots, np.diff(starts))
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
        The values. A Dask array gives a delayed result, of the whole image.
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
        The values. A Dask array gives a delayed result, of the whole image.
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
    if is_dask(input) or is_dask(labels):
        import dask

        return dask.delayed(labeled_comprehension)(input, labels, index, func, out_dtype, default, pass_positions)
    values = np.asarray(input)
    if labels is None:
        if index is not None:
            raise ValueError(f"index without defined labels: found index={index!r} and labels=None")
        return func(values.ravel(), np.arange(values.size)) if pass_positions else func(values.ravel())
    values, marks = _paired(values, labels)
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
    slots = _slots(marks, asked)
    order, starts = _order(slots)
    grouped = values.ravel()[order]
    result = np.empty(asked.shape, out_dtype)
    result[...] = default
    there = _there(slots, np.diff(starts))
    for place, slot in np.ndenumerate(slots.asked):
        if there[place]:
            part = slice(starts[slot], starts[slot + 1])
            result[place] = func(grouped[part], order[part]) if pass_positions else func(grouped[part])
    return result[0] if np.isscalar(index) else result


def find_objects(input: Any, max_label: int = 0) -> Any:
    """The box around each label.

    Names, defaults and results are those of :func:`scipy.ndimage.find_objects`.

    Parameters
    ----------
    input : array_like of integers
        Labels; what is not above 0 counts as none. A Dask array gives a delayed list.
    max_label : int, optional
        The highest label to look for; by default the highest that is there.

    Returns
    -------
    list of tuples of slices
        A slice per axis for the labels 1, 2, 3...; None for one that is not there.

    Raises
    ------
    RuntimeError
        Labels that are no integers.
    TypeError
        Complex labels.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.find_objects(np.array([[1, 1, 0], [0, 3, 3]]))
    [(slice(0, 1, None), slice(0, 2, None)), None, (slice(1, 2, None), slice(1, 3, None))]
    """
    if is_dask(input):
        return _boxes_of_chunks(input, max_label)
    labels = np.asarray(input)
    if labels.dtype.kind == "c":
        raise TypeError(f"Complex type not supported: input has dtype {labels.dtype}")
    if labels.dtype.kind not in "biu":
        raise UnsupportedDtypeError(f"input has dtype {labels.dtype}; labels are integers")
    if max_label < 1:
        max_label = int(labels.max())
    if max_label < 1:
        return []
    return _as_slices(_boxes(native(labels), max_label))


def _boxes(labels: np.ndarray, count: int) -> Tables:
    if labels.ndim == 0 or labels.size == 0:
        there = np.isin(np.arange(1, count + 1), labels).astype(np.int64)
        return Tables(there, boxes=np.zeros((count, 2, labels.ndim), np.int64))
    marks = _flat_labels(labels)
    return _sweep(marks, Slots(marks, 1, count, np.empty(0)), ("boxes",))


def _as_slices(tables: Tables) -> list[Any]:
    boxes = tables.boxes
    assert boxes is not None
    axes = [list(map(slice, boxes[:, 0, d].tolist(), (boxes[:, 1, d] + 1).tolist())) for d in range(boxes.shape[2])]
    found: list[Any] = list(zip(*axes, strict=True)) if axes else [()] * len(boxes)
    for k in np.flatnonzero(tables.counts == 0):
        found[k] = None
    return found


def value_indices(arr: Any, *, ignore_value: Any = None) -> Any:
    """Where each value of an array of integers stands.

    Names, defaults and results are those of :func:`scipy.ndimage.value_indices`.

    Parameters
    ----------
    arr : array_like of integers
        A Dask array gives a delayed result, of the whole array.
    ignore_value : int, optional
        A value that is left out.

    Returns
    -------
    dict
        Value -> an array of indices for each axis, in raster order.

    Raises
    ------
    ValueError
        Values that are no integers.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> {int(v): places[0].tolist() for v, places in fastmed.value_indices(np.array([7, 3, 7])).items()}
    {3: [1], 7: [0, 2]}
    """
    if is_dask(arr):
        import dask

        return dask.delayed(value_indices)(arr, ignore_value=ignore_value)
    array = np.asarray(arr)
    if array.dtype.kind not in "iu":
        raise ValueError(f"Parameter 'arr' must be an integer array, found dtype {array.dtype}")
    if array.size == 0:
        return {}
    low, high = int(array.min()), int(array.max())
    if high - low < 2 * array.size + 1024 and high < 2**63:
        values = np.arange(low, high + 1).astype(array.dtype)
        slots = Slots(native(np.atleast_1d(array)), low, high - low + 1, np.empty(0))
    else:
        values, inverse = np.unique(array, return_inverse=True)
        slots = Slots(np.atleast_1d(inverse.reshape(array.shape)), 0, len(values), np.empty(0))
    order, starts = _order(slots)
    places = np.unravel_index(order, array.shape) if array.ndim else ()
    ignored = None if ignore_value is None else array.dtype.type(ignore_value)
    return {
        value: tuple(axis[begin:end] for axis in places)
        for value, begin, end in zip(values, starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        if end > begin and (ignored is None or value != ignored)
    }


def label_statistics(image: Any, labels: Any, index: Any = None, *, spacing: Any = None) -> dict[str, np.ndarray]:
    """All that is measured of each label, in one sweep, as the columns of a table.

    Parameters
    ----------
    image : array_like
        Values: bool, integers or real floats.
    labels : array_like of integers
        Of the same shape.
    index : sequence of int, optional
        The labels asked for; by default all above 0 that are there, ascending.
    spacing : float or sequence of float, optional
        Millimetres between neighbours, for each axis: `volume` and `center_of_mass` are then in mm^3 (of 3 axes) and
        in mm from the first element.

    Returns
    -------
    dict of arrays
        ``label, count, volume, sum, mean, variance, standard_deviation, minimum, maximum, minimum_position,
        maximum_position, center_of_mass, box_begin, box_end``: a row per label; places and boxes have a column per
        axis. ``pandas.DataFrame({k: list(v) for k, v in ...})`` makes a frame of it.

    Raises
    ------
    ValueError
        Shapes that differ, a spacing that is not positive.
    TypeError
        Unsupported dtype.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> table = fastmed.label_statistics(np.arange(6.0), np.array([1, 1, 0, 3, 3, 3]))
    >>> table["label"], table["mean"]
    (array([1, 3]), array([0.5, 4. ]))
    """
    if is_dask(image) or is_dask(labels):
        import dask

        return dask.delayed(label_statistics)(image, labels, index, spacing=spacing)
    values, marks = _paired(as_array(image, "image"), labels)
    mm = as_spacing(1.0 if spacing is None else spacing, values.ndim)
    everything = index is None
    if everything:
        index = np.arange(1, int(marks.max(initial=0)) + 1)
    slots = _slots(marks, np.atleast_1d(index))
    tables = _sweep(values, slots, ("sums", "squares", "moments", "extremes", "boxes"))
    rows = slots.asked
    if everything:
        there = _there(slots, tables.counts)
        rows, index = rows[there], index[there]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _columns(tables, slots._replace(asked=rows), np.atleast_1d(index), values, mm)


def _columns(tables: Tables, slots: Slots, index: np.ndarray, values: np.ndarray, mm: list[float]) -> dict[str, Any]:
    ndim = values.ndim
    counts = _taken(tables.counts, slots, tables.counts)
    spread = _variances(tables, slots, values)
    boxes = _taken(tables.boxes, slots, tables.counts)
    return {
        "label": index,
        "count": counts,
        "volume": counts * math.prod(mm),
        "sum": _sums(tables, slots, values),
        "mean": _means(tables, slots, values),
        "variance": spread,
        "standard_deviation": np.sqrt(spread),
        "minimum": _minima(tables, slots, values),
        "maximum": _maxima(tables, slots, values),
        "minimum_position": _places(tables, slots, values.shape, 0),
        "maximum_position": _places(tables, slots, values.shape, 1),
        "center_of_mass": _centres_array(tables, slots).reshape(-1, ndim) * mm,
        "box_begin": boxes[:, 0],
        "box_end": boxes[:, 1] + (counts > 0)[:, None],
    }


# --- from arrays to tables -----------------------------------------------------------------------------------


def _measured(name, input, labels, index, wanted, finish, single):
    """Numbers of one group straight from NumPy, of many labels from tables; of a Dask array from tables of chunks."""
    if hasattr(input, "with_array"):
        input = input.array
    if hasattr(labels, "with_array"):
        labels = labels.array
    if is_dask(input) or is_dask(labels):
        return _of_chunks(name, input, labels, index, wanted, finish)
    values = _as_image(input)
    if not kernel_dtype(values.dtype):
        return _scipys(name, values, labels, index)
    if labels is None or index is None or np.isscalar(index):
        chosen, places = _chosen(values, labels, index)
        return single(chosen, (places, values.shape))
    values, marks = _paired(values, labels)
    slots = _slots(marks, index)
    tables = _sweep(values, slots, wanted)
    return _as_scipy(name, finish(tables, slots, values))


def _as_image(input: Any) -> np.ndarray:
    if hasattr(input, "with_array"):
        input = input.array
    if not hasattr(input, "__array__") and hasattr(input, "__dlpack__"):
        return np.from_dlpack(input)
    return np.asarray(input)


def _scipys(name: str, values: Any, labels: Any, index: Any) -> Any:
    """Complex and other dtypes that no kernel takes; from where SciPy's own stay when another takes their names."""
    from scipy.ndimage import _measurements

    return getattr(_measurements, name)(values, labels, index)


def _paired(values: np.ndarray, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    labels = _as_image(labels)
    if values.shape == labels.shape:
        return values, labels
    try:
        values, labels = np.broadcast_arrays(values, labels)
    except ValueError:
        raise ValueError(
            "input and labels must have the same shape (excepting dimensions with width 1): found "
            f"{values.shape} and {labels.shape}"
        ) from None
    return values, labels


def _chosen(values: np.ndarray, labels: Any, index: Any) -> tuple[np.ndarray, Any]:
    """The values of one group, and which elements of the image they are."""
    if labels is None:
        return values, slice(None)
    values, marks = _paired(values, labels)
    there = marks > 0 if index is None else marks == index
    return values[there], there


def _slots(labels: np.ndarray, index: Any, size: int | None = None) -> Slots:
    """How labels become slots: they are shifted, or looked up where they are floats or lie too far apart.

    `size`: of the whole image, so that all chunks of one decide alike.
    """
    asked = np.asarray(index)
    if asked.size == 0:
        return Slots(_flat_labels(labels), 0, 0, asked.astype(np.int64))
    plain = labels.dtype.kind in "biu" and labels.dtype != np.uint64
    if plain:
        asked = asked.astype(np.int64)
        low, high = int(asked.min()), int(asked.max())
        if high - low < 2 * (labels.size if size is None else size) + 1024:
            return Slots(_flat_labels(labels), low, high - low + 1, asked - low)
    names = np.unique(asked)
    found = np.searchsorted(names, labels).astype(np.int32)
    found[found == len(names)] = 0
    found[names[found] != labels] = -1
    return Slots(_flat_labels(found), 0, len(names), np.searchsorted(names, asked))


def _flat_labels(labels: np.ndarray) -> np.ndarray:
    labels = native(labels)
    return np.atleast_1d(labels.view(np.uint8) if labels.dtype == bool else labels)


def _blocks(size: int, slots: int) -> int:
    """How many rows the tables have: the same for any number of threads."""
    return max(1, min(BLOCKS, size // ELEMENTS_PER_BLOCK, size // (8 * slots + 1)))


def _sweep(values: np.ndarray, slots: Slots, wanted: Sequence[str]) -> Tables:
    """The tables of an image; what is not wanted stays without elements."""
    ndim, count, labels = values.ndim, slots.size, slots.labels
    source = np.atleast_1d(native(values))
    rows = _blocks(source.size, count)
    tables = {
        "counts": np.zeros((rows, count), np.int64),
        "sums": np.zeros((rows, count)),
        "moments": np.zeros((rows, count, source.ndim)),
        "extremes": np.zeros((rows, 2, count), source.dtype),
        "places": np.zeros((rows, 2, count), np.int64),
        "boxes": np.zeros((rows, count, 2, source.ndim), np.int64),
    }
    asked = {"counts", *wanted} | ({"places"} if "extremes" in wanted else set())
    given = [table if name in asked else table[:0, :0] for name, table in tables.items()]
    budget = threads.budget(source.size, 4)
    if source.size and count:
        kernel("label_sweep", __name__)(source, labels, slots.low, *given, budget)
    parts = [Tables(**{name: tables[name][row] for name in tables if name in asked}) for row in range(rows)]
    result = merged(parts)
    if "squares" in wanted:
        result.squares = _squares(source, slots, result, rows, budget)
    if ndim == 0 and result.moments is not None:
        result.moments = result.moments[:, :0]
    return result


def _squares(source: np.ndarray, slots: Slots, tables: Tables, rows: int, budget: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        means = tables.sums / tables.counts
    squares = np.zeros((rows, slots.size))
    if source.size and slots.size:
        kernel("label_squares", __name__)(source, slots.labels, slots.low, means, squares, budget)
    return functools.reduce(np.add, squares)


def _order(slots: Slots) -> tuple[np.ndarray, np.ndarray]:
    """The flat places of each slot's elements in raster order, slot after slot, and where each begins."""
    labels = slots.labels
    rows = _blocks(labels.size, slots.size)
    counts = np.zeros((rows, slots.size), np.int64)
    empty = [np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0), labels.dtype), *[np.empty((0, 0), np.int64)] * 2]
    budget = threads.budget(labels.size, 4)
    if labels.size and slots.size:
        kernel("label_sweep", __name__)(labels, labels, slots.low, counts, *empty, budget)
    ends = np.cumsum(counts.sum(axis=0))
    starts = np.concatenate([[0], ends]).astype(np.int64)
    begins = starts[:-1] + np.cumsum(counts, axis=0) - counts
    order = np.empty(int(starts[-1]), np.int64)
    if order.size:
        kernel("label_order", __name__)(labels, slots.low, np.ascontiguousarray(begins), order, budget)
    return order, starts


# --- from tables to results ----------------------------------------------------------------------------------


def _there(slots: Slots, counts: np.ndarray) -> np.ndarray:
    """Which of the labels asked for have elements."""
    inside = (slots.asked >= 0) & (slots.asked < slots.size)
    return inside & (counts[np.where(inside, slots.asked, 0)] > 0) if slots.size else inside


def _taken(table: Any, slots: Slots, counts: np.ndarray) -> Any:
    """Rows of a table for the labels asked for; 0 for one that is not there."""
    there = _there(slots, counts)
    if not slots.size:
        return np.zeros((*slots.asked.shape, *table.shape[1:]), table.dtype)
    found = table[np.where(there, slots.asked, 0)]
    if not there.all():
        found = np.where(there.reshape(there.shape + (1,) * (found.ndim - there.ndim)), found, 0).astype(table.dtype)
    return found


def _sums(tables, slots, values):
    return _taken(tables.sums, slots, tables.counts)


def _means(tables, slots, values):
    return _sums(tables, slots, values) / _taken(tables.counts, slots, tables.counts).astype(np.float64)


def _variances(tables, slots, values):
    return _taken(tables.squares, slots, tables.counts) / _taken(tables.counts, slots, tables.counts).astype(np.float64)


def _minima(tables, slots, values):
    return _taken(tables.extremes[0], slots, tables.counts).astype(values.dtype, copy=False)


def _maxima(tables, slots, values):
    return _taken(tables.extremes[1], slots, tables.counts).astype(values.dtype, copy=False)


def _places(tables, slots, shape, which):
    """An index per axis, the axes last."""
    flat = _taken(tables.places[which], slots, tables.counts)
    return np.stack(np.unravel_index(flat, shape), axis=-1) if shape else np.zeros((*flat.shape, 0), np.int64)


def _first_places(tables, slots, values):
    return _places(tables, slots, values.shape, 0)


def _last_places(tables, slots, values):
    return _places(tables, slots, values.shape, 1)


def _extrema(tables, slots, values):
    return tuple(f(tables, slots, values) for f in (_minima, _maxima, _first_places, _last_places))


def _centres_array(tables, slots):
    return _taken(tables.moments, slots, tables.counts) / _taken(tables.sums, slots, tables.counts)[..., None]


def _centres(tables, slots, values):
    return _centres_array(tables, slots)


def _as_scipy(name: str, result: Any) -> Any:
    """Places and centres as lists of tuples."""
    if name == "extrema":
        return (*result[:2], *(_tuples(part) for part in result[2:]))
    if name == "center_of_mass" and result.ndim > 2:  # SciPy turns the axes of such an index about
        return [tuple(part) for part in np.moveaxis(result.T, 0, -1)]
    return _tuples(result) if name in ("minimum_position", "maximum_position", "center_of_mass") else result


def _tuples(places: np.ndarray) -> Any:
    """A tuple per label; of an index without axes one tuple."""
    if places.ndim == 1:
        return tuple(places)
    rows = places.reshape(-1, places.shape[-1])
    return list(zip(*rows.T, strict=True)) if places.shape[-1] else [()] * len(rows)


# --- one group: NumPy's own results, as SciPy's ---------------------------------------------------------------


def _group_sum(values, _):
    return values.sum()


def _group_mean(values, _):
    return values.sum() / np.float64(values.size)


def _group_variance(values, _):
    centred = values - values.mean()
    return (centred * centred).sum() / np.float64(values.size)


def _place(values, value, which):
    places, shape = which
    at = np.flatnonzero(values == value)[0]
    flat = at if isinstance(places, slice) else np.flatnonzero(places)[at]
    return tuple(np.unravel_index(flat, shape))


def _group_first(values, which):
    return _place(values.ravel(), values.min(), which)


def _group_last(values, which):
    return _place(values.ravel(), values.max(), which)


def _group_extrema(values, which):
    return values.min(), values.max(), _group_first(values, which), _group_last(values, which)


def _group_centre(values, which):
    places, shape = which
    total = values.sum()
    grids = np.ogrid[tuple(slice(0, n) for n in shape)]
    found = []
    for grid in grids:
        along = np.broadcast_to(grid.astype(float), shape)
        along = along if isinstance(places, slice) else along[places]
        found.append((values * along).sum() / total)
    return tuple(found)


# --- chunks of a Dask array ----------------------------------------------------------------------------------


def _aligned(input: Any, labels: Any) -> tuple[Any, Any]:
    """Both as Dask arrays of one shape in the same chunks."""
    import dask.array as da

    image = da.asarray(input)
    marks = da.ones_like(image, dtype=np.uint8) if labels is None else da.asarray(labels)
    try:
        shape = np.broadcast_shapes(image.shape, marks.shape)
    except ValueError:
        raise ValueError(
            f"input and labels must have the same shape (excepting dimensions with width 1): found {image.shape} and "
            f"{marks.shape}"
        ) from None
    image, marks = da.broadcast_to(image, shape), da.broadcast_to(marks, shape)
    return (image, marks.rechunk(image.chunks)) if is_dask(input) else (image.rechunk(marks.chunks), marks)


def _chunk_graph(image: Any, marks: Any, name: str, part: Callable[..., Any], last: Callable[[Any], Any]) -> Any:
    """``last(merged tables of all chunks)`` as a delayed value: merged pairwise in raster order, few at a time."""
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    origins = [np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int).tolist() for sizes in image.chunks]
    graph: dict[Any, Any] = {}
    level = []
    for i in np.ndindex(*image.numblocks):
        origin = tuple(o[k] for o, k in zip(origins, i, strict=True))
        graph[f"{name}-part", *i] = (part, (image.name, *i), (marks.name, *i), origin)
        level.append((f"{name}-part", *i))
    for depth in itertools.count():
        if len(level) == 1:
            break
        groups = [level[k : k + 8] for k in range(0, len(level), 8)]
        level = [(f"{name}-merged-{depth}", k) for k in range(len(groups))]
        graph.update((key, (_merge_parts, group)) for key, group in zip(level, groups, strict=True))
    graph[name] = (last, level[0])
    return Delayed(name, HighLevelGraph.from_collections(name, graph, dependencies=[image, marks]))


def _merge_parts(parts: list[Tables]) -> Tables:
    width = max(len(part.counts) for part in parts)
    return merged([_widened(part, width) for part in parts])


def _widened(tables: Tables, width: int) -> Tables:
    """Tables of boxes with more slots: chunks do not know the highest label of all."""
    more = width - len(tables.counts)
    if not more:
        return tables
    assert tables.boxes is not None
    return Tables(np.pad(tables.counts, (0, more)), boxes=np.pad(tables.boxes, [(0, more), (0, 0), (0, 0)]))


def _of_chunks(name: str, input: Any, labels: Any, index: Any, wanted: Sequence[str], finish: Any) -> Any:
    import dask.array as da
    from dask.base import tokenize

    image, marks = _aligned(input, labels)
    if not kernel_dtype(image.dtype):
        raise UnsupportedDtypeError(f"input has dtype {image.dtype}, which is not supported on Dask arrays")
    single = labels is None or index is None or np.isscalar(index)
    key = f"{name}-{tokenize(image.name, marks.name, index, single)}"
    part = functools.partial(_chunk_tables, index=index, single=single, wanted=tuple(wanted), shape=image.shape)
    shape = () if single else np.shape(index)
    sample = finish(*_sample(image, shape, wanted))
    kind = _sum_dtype(image.dtype) if single and name == "sum_labels" else None
    last = functools.partial(_finished, index=index, single=single, finish=finish, kind=kind, dtype=image.dtype,
                             shape=image.shape, marks=marks.dtype)  # fmt: skip
    whole = _chunk_graph(image, marks, key, part, last)
    if isinstance(sample, tuple):
        return tuple(da.from_delayed(whole[k], s.shape, s.dtype) for k, s in enumerate(sample))
    return da.from_delayed(whole, sample.shape, kind or sample.dtype)


def _sum_dtype(dtype: np.dtype) -> np.dtype:
    """What NumPy sums one group in."""
    return np.zeros(0, dtype).sum().dtype


class _Like(NamedTuple):
    """What finishing asks of the image."""

    dtype: np.dtype
    shape: tuple[int, ...]
    ndim: int


def _sample(image: Any, shape: tuple[int, ...], wanted: Sequence[str]) -> Any:
    """Tables of one label, to see what comes out of them."""
    tables = _sweep(np.ones((1,) * image.ndim, image.dtype), Slots(np.ones((1,) * max(image.ndim, 1), np.int32), 1, 1,
                    np.empty(0)), wanted)  # fmt: skip
    return tables, Slots(np.empty(0), 0, 1, np.zeros(shape, np.int64)), _Like(image.dtype, image.shape, image.ndim)


def _chunk_slots(marks: np.ndarray, index: Any, single: bool, shape: tuple[int, ...]) -> Slots:
    if not single:
        return _slots(marks, index, math.prod(shape))
    there = marks > 0 if index is None else marks == index
    return Slots(_flat_labels(there), 1, 1, np.zeros((), np.int64))


def _chunk_tables(block: Any, marks: Any, origin: Any, *, index: Any, single: bool, wanted: Any, shape: Any) -> Tables:
    block, marks = np.asarray(block), np.asarray(marks)
    tables = _sweep(block, _chunk_slots(marks, index, single, shape), wanted)
    return tables.moved(origin, block.shape, shape) if block.size else tables


def _finished(tables, *, index, single, finish, kind, dtype, shape, marks):
    if single:
        slots = Slots(np.empty(0), 1, 1, np.zeros((), np.int64))
    else:
        slots = _slots(np.empty(0, marks), index, math.prod(shape))
    result = finish(tables, slots, _Like(dtype, shape, len(shape)))
    return result if kind is None else np.asarray(result).astype(kind)


def _boxes_of_chunks(labels: Any, max_label: int) -> Any:
    from dask.base import tokenize

    if labels.dtype.kind not in "biu":
        raise UnsupportedDtypeError(f"input has dtype {labels.dtype}; labels are integers")
    key = f"find_objects-{tokenize(labels.name, max_label)}"
    return _chunk_graph(labels, labels, key, functools.partial(_chunk_boxes, max_label=max_label), _as_slices)


def _chunk_boxes(block: Any, marks: Any, origin: Any, *, max_label: int) -> Tables:
    block = np.asarray(block)
    count = max_label if max_label > 0 else max(0, int(block.max(initial=0)))
    return _boxes(native(block), count).moved(origin, block.shape, block.shape)


def _whole(name: str, shape: tuple[int, ...], dtype: np.dtype, *arguments: Any) -> Any:
    import dask
    import dask.array as da

    return da.from_delayed(dask.delayed(globals()[name])(*arguments), shape, dtype)


_SHARED = """Names, defaults and results are those of :func:`scipy.ndimage.NAME`.

    Parameters
    ----------
    input : array_like
        The values: bool, integers or floats.
    labels : array_like, optional
        Of the same shape, or one that broadcasts to it. None: all values are one group.
    index : int or sequence of int, optional
        The labels asked for. None: all above 0 together.

    Raises
    ------
    ValueError
        Shapes that do not fit; no value for an extreme.

    Notes
    -----
    Sums are added in float64: those of integers are exact below 2**53, those of floats within n 2**-53 of the sum of
    the absolute values, and the same for any number of threads. Dask arrays give Dask arrays; partial tables of chunks
    are merged, which moves sums of floats within that bound and nothing else."""

for _function in (sum_labels, sum, mean, variance, standard_deviation, minimum, maximum, minimum_position,
                  maximum_position, extrema, center_of_mass, median):  # fmt: skip
    if _function.__doc__:  # not under python -OO
        _function.__doc__ = _function.__doc__.replace("{shared}", _SHARED.replace("NAME", _function.__name__))
