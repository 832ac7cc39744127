"""Border following of all labels of an image at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import UnsupportedDtypeError, as_array
from .._engine.operation import Operation, kernel, operation
from ._trace import DOMINANT, ELEMENTS_PER_COST, METHODS, MODES, Contours, _check_shape, _choice, thinned


def _in_memory(op: Operation, arguments: dict[str, Any]) -> Contours:
    """A Dask image of labels: computed first, because a border can run through all chunks."""
    labels = arguments["labels"]
    _check_shape(labels.shape, "labels", stacks=False)
    _check_dtype(labels.dtype)
    return op.function(**{**arguments, "labels": labels.compute()})


def _check_dtype(dtype: np.dtype) -> None:
    if dtype.kind not in "iub":
        raise UnsupportedDtypeError(f"labels has dtype {dtype}; integers or bool are wanted")


def _as_int32(labels: np.ndarray) -> np.ndarray:
    """Contiguous int32, a copy where `labels` is not that already."""
    if labels.dtype.itemsize >= 4 and labels.size and labels.dtype != np.int32:
        low, high = int(labels.min()), int(labels.max())
        if low < -(2**31) or high >= 2**31:
            raise ValueError(f"labels must fit into int32, found values from {low} to {high}")
    return np.ascontiguousarray(labels, np.int32)


@operation(chunked=_in_memory, ndim=2)
def trace_labels(labels: Any, mode: str = "external", method: str = "simple") -> Contours:
    """Trace the borders of every label of an image, in one pass.

    For each label the borders, points, order and hierarchy of ``trace_contours(labels == label, mode, method)``.

    Parameters
    ----------
    labels : array_like of integers, shape (rows, columns)
        0 is background; values that fit into int32. Pixels of one label are connected over edges and corners, whatever
        lies between them. It is not changed. A Dask array is computed first.
    mode : {'external', 'list', 'ccomp', 'tree'}, optional
        As for `trace_contours`.
    method : {'simple', 'none', 'tc89_l1', 'tc89_kcos'}, optional
        As for `trace_contours`.

    Returns
    -------
    Contours
        Label after label, ascending; `Contours.labels` has the label of each border. Links of the hierarchy count
        through all of them.

    Raises
    ------
    ValueError
        `labels` has not 2 axes, or values beyond int32; unknown `mode` or `method`.
    TypeError
        Labels that are not integers or bool.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> contours = fastmed.trace_labels(np.array([[1, 1, 0, 7], [1, 1, 7, 7]]))
    >>> contours.labels.tolist(), contours[1].tolist()
    ([1, 7], [[3, 0], [2, 1], [3, 1]])
    """
    retrieve, simple = _choice(mode, MODES, "mode"), _choice(method, {**METHODS, **DOMINANT}, "method")
    image = as_array(labels, "labels")
    _check_shape(image.shape, "labels", stacks=False)
    _check_dtype(image.dtype)
    image = _as_int32(image)
    budget = threads.budget(image.size // ELEMENTS_PER_COST)
    run = kernel("trace_labels", __name__)
    points, offsets, hierarchy, owners = run(image, retrieve, simple and method == "simple", budget)
    return thinned(Contours(points.reshape(-1, 2), offsets, hierarchy.reshape(-1, 4), labels=owners), method)
