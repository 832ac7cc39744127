"""From tables of labels to results, and the same of one group of values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._slots import Slots


def present(slots: Slots, counts: np.ndarray) -> np.ndarray:
    """Which of the labels asked for have elements."""
    inside = (slots.asked >= 0) & (slots.asked < slots.size)
    return inside & (counts[np.where(inside, slots.asked, 0)] > 0) if slots.size else inside


def taken(table: Any, slots: Slots, counts: np.ndarray) -> Any:
    """Rows of a table for the labels asked for; 0 for one that is not there."""
    there = present(slots, counts)
    if not slots.size:
        return np.zeros((*slots.asked.shape, *table.shape[1:]), table.dtype)
    found = table[np.where(there, slots.asked, 0)]
    if not there.all():
        found = np.where(there.reshape(there.shape + (1,) * (found.ndim - there.ndim)), found, 0).astype(table.dtype)
    return found


def sums(tables, slots, values):
    return taken(tables.sums, slots, tables.counts)


def means(tables, slots, values):
    return sums(tables, slots, values) / taken(tables.counts, slots, tables.counts).astype(np.float64)


def variances(tables, slots, values):
    return taken(tables.squares, slots, tables.counts) / taken(tables.counts, slots, tables.counts).astype(np.float64)


def minima(tables, slots, values):
    return taken(tables.extremes[0], slots, tables.counts).astype(values.dtype, copy=False)


def maxima(tables, slots, values):
    return taken(tables.extremes[1], slots, tables.counts).astype(values.dtype, copy=False)


def places_of(tables, slots, shape, which):
    """An index per axis, the axes last."""
    flat = taken(tables.places[which], slots, tables.counts)
    return np.stack(np.unravel_index(flat, shape), axis=-1) if shape else np.zeros((*flat.shape, 0), np.int64)


def first_places(tables, slots, values):
    return places_of(tables, slots, values.shape, 0)


def last_places(tables, slots, values):
    return places_of(tables, slots, values.shape, 1)


def both_extremes(tables, slots, values):
    return tuple(f(tables, slots, values) for f in (minima, maxima, first_places, last_places))


def centres_array(tables, slots):
    return taken(tables.moments, slots, tables.counts) / taken(tables.sums, slots, tables.counts)[..., None]


def centres(tables, slots, values):
    return centres_array(tables, slots)


def as_scipy(name: str, result: Any) -> Any:
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


def group_sum(values, _):
    return values.sum()


def group_mean(values, _):
    return values.sum() / np.float64(values.size)


def group_variance(values, _):
    centred = values - values.mean()
    return (centred * centred).sum() / np.float64(values.size)


def _place(values, value, which):
    places, shape = which
    at = np.flatnonzero(values == value)[0]
    flat = at if isinstance(places, slice) else np.flatnonzero(places)[at]
    return tuple(np.unravel_index(flat, shape))


def group_first(values, which):
    return _place(values.ravel(), values.min(), which)


def group_last(values, which):
    return _place(values.ravel(), values.max(), which)


def group_extrema(values, which):
    return values.min(), values.max(), group_first(values, which), group_last(values, which)


def group_centre(values, which):
    places, shape = which
    total = values.sum()
    grids = np.ogrid[tuple(slice(0, n) for n in shape)]
    found = []
    for grid in grids:
        along = np.broadcast_to(grid.astype(float), shape)
        along = along if isinstance(places, slice) else along[places]
        found.append((values * along).sum() / total)
    return tuple(found)
