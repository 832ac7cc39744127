"""Medians per label of a Dask array, in two trips over its chunks.

A first trip counts values in bins of their leading bits, label by label; a second one takes those in the bins that hold
the middle ranks, what is equal once. Values of at most 16 bits are bins themselves and need no second trip.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .._engine.arrays import kernel_dtype, native
from ..edges._quantiles import made_after
from ._slots import Slots, slots_of
from ._statistics_chunks import aligned, named, reduced

#: Leading bits that make a bin.
_BITS = 18
_LAST = (1 << _BITS) - 1


class Counts(NamedTuple):
    """How many values of a chunk fall into each bin, ``slot << _BITS | bin``; and the least one of the lowest label."""

    bins: np.ndarray
    counts: np.ndarray
    lowest: tuple[Any, Any] | None


class Wanted(NamedTuple):
    """Per slot the number of values; the bins that hold a middle, and how many values are in each and before it.

    `topmost`: which slots have values in the highest bin of all, where no float is but NaN.
    """

    sizes: np.ndarray
    bins: np.ndarray
    counts: np.ndarray
    before: np.ndarray
    topmost: np.ndarray
    lowest: tuple[Any, Any] | None


def medians(input: Any, labels: Any, index: Any) -> Any:
    """`median` of a Dask array, lazily."""
    import dask
    import dask.array as da

    image, marks = aligned(input, labels)
    single = labels is None or index is None or np.isscalar(index)
    shape = () if single else np.shape(index)
    dtype = image.dtype if image.dtype.kind == "f" else np.dtype(np.float64)
    if not kernel_dtype(image.dtype):  # NumPy's own, of the whole image
        from ._groups import median

        return da.from_delayed(dask.delayed(median)(input, labels, index), shape, dtype)
    slots = functools.partial(_chunk_slots, index=index, single=single, whole=labels is None, size=image.size)
    key = named("median", image.name, marks.name, index, single)
    counts = reduced(image, marks, f"{key}-counts", functools.partial(_count, slots=slots), _merge_counts, _want)
    if image.dtype.itemsize <= 2:
        taken = dask.delayed(_bins_as_values, pure=True)(counts, image.dtype)
    else:
        image, marks = made_after([image, marks], counts)
        parts = [
            dask.delayed(_take, pure=True)(block, mark, counts, slots)
            for block, mark in zip(image.to_delayed().ravel(), marks.to_delayed().ravel(), strict=True)
        ]
        while len(parts) > 1:
            parts = [dask.delayed(_merge_taken, pure=True)(parts[k : k + 8]) for k in range(0, len(parts), 8)]
        taken = parts[0]
    asked = np.zeros((), np.int64) if single else slots_of(np.empty(0, marks.dtype), index, image.size).asked
    found = dask.delayed(_finish, pure=True)(counts, taken, asked, dtype, single)
    return da.from_delayed(found, shape, dtype)


def _chunk_slots(marks: np.ndarray, *, index: Any, single: bool, whole: bool, size: int) -> Slots:
    if not single:
        return slots_of(marks, index, size)
    there = np.ones(marks.shape, bool) if whole else marks > 0 if index is None else marks == index
    return Slots(there.view(np.uint8), 1, 1, np.zeros((), np.int64))


def keys(values: np.ndarray) -> np.ndarray:
    """Integers without sign in the order of the values; NaN is above all."""
    values = native(values)
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    bits = np.ascontiguousarray(values).view(unsigned)
    top = unsigned.type(1 << (8 * unsigned.itemsize - 1))
    if values.dtype.kind == "f":
        bits = np.where(bits & top, ~bits, bits | top)
        bits[np.isnan(values)] = np.iinfo(unsigned).max
    elif values.dtype.kind == "i":
        bits = bits ^ top
    return bits


def _of_slots(block: Any, marks: Any, slots: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slot, bin code and value of what is asked for."""
    block, marks = np.asarray(block), np.asarray(marks)
    found = slots(marks)
    labels = np.asarray(found.labels).ravel()
    slot = labels.astype(np.int64) - found.low
    there = (slot >= 0) & (slot < found.size) & (labels >= found.low)
    values, slot = np.ascontiguousarray(block).ravel()[there], slot[there]
    bits = keys(values)
    spare = max(8 * bits.dtype.itemsize - _BITS, 0)
    return slot, slot << _BITS | (bits >> bits.dtype.type(spare)).astype(np.int64), values


def _count(block: Any, marks: Any, origin: Any, *, slots: Any) -> Counts:
    _, codes, _ = _of_slots(block, marks, slots)
    block, marks = np.asarray(block), np.asarray(marks)
    lowest = None
    if marks.size:
        label = marks.min()
        lowest = label, np.sort(block[marks == label])[0]
    return Counts(*np.unique(codes, return_counts=True), lowest)


def _merge_counts(parts: list[Counts]) -> Counts:
    bins, where = np.unique(np.concatenate([p.bins for p in parts]), return_inverse=True)
    counts = np.zeros(bins.size, np.int64)
    np.add.at(counts, where, np.concatenate([p.counts for p in parts]))
    there = [p.lowest for p in parts if p.lowest is not None]
    lowest = None
    if there:
        label = min(part[0] for part in there)
        lowest = label, np.sort(np.array([part[1] for part in there if part[0] == label]))[0]
    return Counts(bins, counts, lowest)


def _want(found: Counts) -> Wanted:
    """Which bins hold the two middles of each slot. Ranks count through all slots, one after the other."""
    slot = found.bins >> _BITS
    width = int(slot[-1]) + 1 if slot.size else 0
    sizes = np.bincount(slot, weights=found.counts, minlength=width).astype(np.int64)
    ends = np.cumsum(found.counts)
    ranks = _ranks(sizes)[:, sizes > 0]
    chosen = np.unique(np.searchsorted(ends, ranks, side="right"))
    topmost = np.zeros(width, bool)
    topmost[slot[found.bins & _LAST == _LAST]] = True
    counts = found.counts[chosen]
    return Wanted(sizes, found.bins[chosen], counts, ends[chosen] - counts, topmost, found.lowest)


def _ranks(sizes: np.ndarray) -> np.ndarray:
    """The places of each slot's two middles, among the values of all slots."""
    begins = np.cumsum(sizes) - sizes
    return np.stack([begins + (sizes - 1) // 2, begins + sizes // 2])


Taken = tuple[np.ndarray, np.ndarray, np.ndarray]


def _take(block: Any, marks: Any, wanted: Wanted, slots: Any) -> Taken:
    """Bin, value and count of what falls into the bins wanted, ascending."""
    _, codes, values = _of_slots(block, marks, slots)
    at = np.searchsorted(wanted.bins, codes)
    there = wanted.bins[np.minimum(at, max(wanted.bins.size - 1, 0))] == codes if wanted.bins.size else at < 0
    return _merge_taken([(codes[there], values[there], np.ones(int(there.sum()), np.int64))])


def _merge_taken(parts: list[Taken]) -> Taken:
    codes, values, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((values, codes))
    codes, values, counts = codes[order], values[order], counts[order]
    new = np.ones(codes.size, bool)
    new[1:] = (codes[1:] != codes[:-1]) | (values[1:] != values[:-1])
    begins = np.flatnonzero(new)
    return codes[begins], values[begins], np.add.reduceat(counts, begins) if begins.size else counts


def _bins_as_values(wanted: Wanted, dtype: np.dtype) -> Taken:
    """Values of at most 16 bits, from their bins."""
    bits = (wanted.bins & _LAST).astype(f"u{dtype.itemsize}")
    if dtype.kind == "i":
        bits ^= bits.dtype.type(1 << (8 * dtype.itemsize - 1))
    return wanted.bins, bits.view(dtype), wanted.counts


def _finish(wanted: Wanted, taken: Taken, asked: np.ndarray, dtype: np.dtype, single: bool) -> np.ndarray:
    values = _middles(wanted, taken)
    middles = np.zeros(len(wanted.sizes) + 1, dtype)
    if values.size:
        low, high = values.astype(dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            middles[:-1][wanted.sizes > 0] = (low + high) / dtype.type(2)
    slot = np.where((asked >= 0) & (asked < len(wanted.sizes)), asked, len(wanted.sizes))
    there = np.append(wanted.sizes, 0)[slot] > 0
    if single and there and values.dtype.kind == "f" and wanted.topmost[0]:  # as NumPy's median of one group
        return np.asarray(np.nan, dtype)
    missing = np.nan if single else 0 if wanted.lowest is None else wanted.lowest[1]
    return np.where(there, middles[slot], np.asarray(missing).astype(dtype)).astype(dtype)


def _middles(wanted: Wanted, taken: Taken) -> np.ndarray:
    """The values at the two middle ranks of each slot that has any."""
    codes, values, counts = taken
    if not values.size:
        return values
    ends = np.cumsum(counts)
    skipped = wanted.before - np.append(0, ends)[np.searchsorted(codes, wanted.bins)]  # not taken, before each bin
    ranks = _ranks(wanted.sizes)[:, wanted.sizes > 0]
    bin_of = np.searchsorted(wanted.before, ranks, side="right") - 1
    return np.asarray(values[np.searchsorted(ends, ranks - skipped[bin_of], side="right")])
