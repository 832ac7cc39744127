"""Tables of what is measured of each label: added up over blocks of an image and over the chunks of a Dask array."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass
class Tables:
    """One entry per slot; None where it was not asked for.

    Attributes
    ----------
    counts : array of int64
    sums : array of float64
    moments : array of float64, shape (slots, axes)
        Sums of value times index.
    squares : array of float64
        Sums of squared distances from the mean.
    extremes : array of the image's dtype, shape (2, slots)
    places : array of int64, shape (2, slots)
        Flat place of the first smallest and of the last largest.
    boxes : array of int64, shape (slots, 2, axes)
        First and last index.
    """

    counts: np.ndarray
    sums: np.ndarray | None = None
    moments: np.ndarray | None = None
    squares: np.ndarray | None = None
    extremes: np.ndarray | None = None
    places: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def moved(self, origin: Sequence[int], chunk: tuple[int, ...], shape: tuple[int, ...]) -> Tables:
        """The tables of a chunk at `origin`, in the places of the whole array."""
        there = dataclasses.replace(self)
        start = np.asarray(origin)
        if self.moments is not None and self.sums is not None:
            there.moments = self.moments + self.sums[:, None] * start
        if self.places is not None and self.places.size:
            at = np.unravel_index(self.places.ravel(), chunk)
            flat = np.ravel_multi_index([a + o for a, o in zip(at, start, strict=True)], shape)
            there.places = flat.reshape(self.places.shape)
        if self.boxes is not None:
            there.boxes = self.boxes + start
        return there


def widened(tables: Tables, width: int) -> Tables:
    """The same tables with more slots, of which nothing is there."""
    more = width - len(tables.counts)
    if not more:
        return tables

    def wide(table: np.ndarray | None, axis: int = 0) -> Any:
        return None if table is None else np.pad(table, [(0, more if d == axis else 0) for d in range(table.ndim)])

    return Tables(
        wide(tables.counts), wide(tables.sums), wide(tables.moments), wide(tables.squares), wide(tables.extremes, 1),
        wide(tables.places, 1), wide(tables.boxes),
    )  # fmt: skip


def added(rows: dict[str, np.ndarray]) -> Tables:
    """The tables of an image, of rows of tables for blocks of it in their order."""
    counts = rows["counts"]
    result = Tables(counts.sum(axis=0))
    for name in rows.keys() & {"sums", "moments"}:
        setattr(result, name, np.add.reduce(rows[name], axis=0))
    if "squares" in rows:
        result.squares = _around_the_mean(rows, result)
    if "boxes" in rows:
        there = (counts > 0)[:, :, None]
        lower = np.where(there, rows["boxes"][:, :, 0], np.iinfo(np.int64).max).min(axis=0)
        upper = np.where(there, rows["boxes"][:, :, 1], -1).max(axis=0)
        result.boxes = np.where((result.counts > 0)[:, None, None], np.stack([lower, upper], axis=1), 0)
    if "extremes" in rows:
        parts = [Tables(*part) for part in zip(counts, *[[None] * len(counts)] * 3, rows["extremes"], rows["places"],
                                               strict=True)]  # fmt: skip
        further = merged(parts)
        result.extremes, result.places = further.extremes, further.places
    return result


def _around_the_mean(rows: dict[str, np.ndarray], all_rows: Tables) -> np.ndarray:
    with np.errstate(all="ignore"):
        distances = rows["sums"] / rows["counts"] - all_rows.sums / all_rows.counts
        moved = np.where(rows["counts"] > 0, distances * distances * rows["counts"], 0.0)
    squares: np.ndarray = np.add.reduce(rows["squares"] + moved, axis=0)
    return squares


def merged(parts: Sequence[Tables]) -> Tables:
    """The tables of several parts of an image, added in their order."""
    return functools.reduce(_merge, parts)


def _merge(a: Tables, b: Tables) -> Tables:
    new = (a.counts == 0) & (b.counts > 0)
    both = (a.counts > 0) & (b.counts > 0)
    result = Tables(a.counts + b.counts, _sum(a.sums, b.sums), _sum(a.moments, b.moments))
    if a.squares is not None and a.sums is not None and b.sums is not None:
        result.squares = a.squares + b.squares + _between(a, b, both)
    if a.extremes is not None:
        result.extremes, result.places = _further(a, b, new, both)
    if a.boxes is not None and b.boxes is not None:
        lower = np.minimum(a.boxes[:, 0], b.boxes[:, 0])
        upper = np.maximum(a.boxes[:, 1], b.boxes[:, 1])
        joint = np.where(both[:, None, None], np.stack([lower, upper], axis=1), a.boxes)
        result.boxes = np.where(new[:, None, None], b.boxes, joint)
    return result


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return None if a is None or b is None else a + b


def _between(a: Tables, b: Tables, both: np.ndarray) -> np.ndarray:
    """What the distance of two means adds to the squares (Chan, Golub and LeVeque 1979)."""
    with np.errstate(all="ignore"):
        distance = b.sums / b.counts - a.sums / a.counts
        return np.where(both, distance * distance * (a.counts * (b.counts / (a.counts + b.counts))), 0.0)


def _further(a: Any, b: Any, new: np.ndarray, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smaller and the larger extremes; of equal ones the first smallest and the last largest. NaN is above all."""
    mine, theirs = a.extremes, b.extremes
    equal = (mine == theirs) | ((mine != mine) & (theirs != theirs))
    less = (theirs < mine) | ((mine != mine) & (theirs == theirs))
    smaller = less[0] | (equal[0] & (b.places[0] < a.places[0]))
    larger = (~less[1] & ~equal[1]) | (equal[1] & (b.places[1] > a.places[1]))
    take = new | (both & np.stack([smaller, larger]))
    return np.where(take, theirs, mine), np.where(take, b.places, a.places)
