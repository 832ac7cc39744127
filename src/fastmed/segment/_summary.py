"""All that is measured of each label, as the columns of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._engine.arrays import as_array
from .._engine.keywords import as_spacing
from .._engine.operation import is_dask
from ._measures import centres_array, maxima, means, minima, places_of, present, sums, taken, variances
from ._slots import Slots, paired, slots_of, unwrapped
from ._statistics import highest, sweep
from ._tables import Tables

#: All tables that there are.
WANTED = ("sums", "squares", "moments", "extremes", "boxes")


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
    image, labels = unwrapped(image, labels)
    if is_dask(image) or is_dask(labels):
        from . import _statistics_chunks

        return _statistics_chunks.summary(image, labels, index, spacing)
    values, marks = paired(as_array(image, "image"), labels)
    mm = as_spacing(1.0 if spacing is None else spacing, values.ndim)
    asked = np.arange(1, highest(marks) + 1) if index is None else np.atleast_1d(index)
    slots = slots_of(marks, asked)
    return columns(sweep(values, slots, WANTED), slots, asked, values, mm, index is None)


def columns(
    tables: Tables, slots: Slots, index: np.ndarray, values: Any, mm: list[float], only_present: bool
) -> dict[str, Any]:
    """The columns of the labels `index`, which `slots.asked` says where to find; of `values` shape and dtype count."""
    if only_present:
        there = present(slots, tables.counts)
        slots, index = slots._replace(asked=slots.asked[there]), index[there]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _columns(tables, slots, index, values, mm)


def _columns(tables: Tables, slots: Slots, index: np.ndarray, values: Any, mm: list[float]) -> dict[str, Any]:
    ndim = values.ndim
    counts = taken(tables.counts, slots, tables.counts)
    spread = variances(tables, slots, values)
    boxes = taken(tables.boxes, slots, tables.counts)
    return {
        "label": index,
        "count": counts,
        "volume": counts * math.prod(mm),
        "sum": sums(tables, slots, values),
        "mean": means(tables, slots, values),
        "variance": spread,
        "standard_deviation": np.sqrt(spread),
        "minimum": minima(tables, slots, values),
        "maximum": maxima(tables, slots, values),
        "minimum_position": places_of(tables, slots, values.shape, 0),
        "maximum_position": places_of(tables, slots, values.shape, 1),
        "center_of_mass": centres_array(tables, slots).reshape(-1, ndim) * mm,
        "box_begin": boxes[:, 0],
        "box_end": boxes[:, 1] + (counts > 0)[:, None],
    }
