"""Where labels are: the box around each, and the places of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.arrays import UnsupportedDtypeError, native
from .._engine.operation import is_dask
from ._slots import Slots, as_image, flat_labels, unwrapped
from ._statistics import highest, ordered, sweep
from ._tables import Tables


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
    input = unwrapped(input)
    if is_dask(input):
        from . import _statistics_chunks

        return _statistics_chunks.objects(input, max_label)
    labels = as_image(input)
    if labels.dtype.kind == "c":
        raise TypeError(f"Complex type not supported: input has dtype {labels.dtype}")
    if labels.dtype.kind not in "biu":
        raise UnsupportedDtypeError(f"input has dtype {labels.dtype}; labels are integers")
    if max_label < 1:
        max_label = highest(labels) if labels.size else int(labels.max())
    if max_label < 1:
        return []
    return as_slices(boxes_of(native(labels), max_label))


def boxes_of(labels: np.ndarray, count: int) -> Tables:
    if labels.ndim == 0 or labels.size == 0:
        there = np.isin(np.arange(1, count + 1), labels).astype(np.int64)
        return Tables(there, boxes=np.zeros((count, 2, labels.ndim), np.int64))
    marks = flat_labels(labels)
    return sweep(marks, Slots(marks, 1, count, np.empty(0)), ("boxes",))


def as_slices(tables: Tables) -> list[Any]:
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
        A Dask array gives a delayed result, put together from those of its chunks.
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
    arr = unwrapped(arr)
    if is_dask(arr):
        from . import _statistics_chunks

        return _statistics_chunks.indices(arr, ignore_value)
    array = as_image(arr)
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
    order, starts = ordered(slots)
    places = np.unravel_index(order, array.shape) if array.ndim else ()
    ignored = None if ignore_value is None else array.dtype.type(ignore_value)
    return {
        value: tuple(axis[begin:end] for axis in places)
        for value, begin, end in zip(values, starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        if end > begin and (ignored is None or value != ignored)
    }
