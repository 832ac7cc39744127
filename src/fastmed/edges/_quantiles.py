"""Quantiles of values that come chunk by chunk and are never held together.

A first trip counts values in bins of their leading bits, a second one takes those in the bins that hold the ranks
asked for: some per cent of all, and what is equal is taken once. The result is that of :func:`numpy.percentile`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Leading bits that make a bin: sign, exponent and, of float64, 6 bits of the fraction.
_BITS = 18

Bins = tuple[np.ndarray, np.ndarray]


def _keys(values: np.ndarray) -> np.ndarray:
    """Integers in the order of values that are not negative; NaN comes last."""
    bits = np.abs(values).view(np.uint32 if values.dtype == np.float32 else np.uint64)
    return (bits >> (8 * values.dtype.itemsize - _BITS)).astype(np.int64)


def count(values: np.ndarray) -> Bins:
    """The bins of a chunk that hold something, and how much."""
    counts = np.bincount(_keys(values.ravel()), minlength=1)
    bins = np.flatnonzero(counts)
    return bins, counts[bins]


class Wanted:
    """What the second trip takes: bins, and which places of the sorted values are asked for, and how mixed."""

    def __init__(self, chunks: list[Bins], quantiles: tuple[float, ...]) -> None:
        self.bins, where = np.unique(np.concatenate([b for b, _ in chunks]), return_inverse=True)
        counts = np.zeros(self.bins.size, np.int64)
        np.add.at(counts, where, np.concatenate([c for _, c in chunks]))
        total = int(counts.sum())
        at = (total - 1) * np.true_divide([100.0 * q for q in quantiles], 100)
        first = np.floor(at).astype(np.int64)
        self.shares = at - first
        # The last value too: NaN comes last, and one makes all quantiles NaN.
        self.ranks = np.append(np.stack([first, np.minimum(first + 1, total - 1)]), total - 1)
        ends = np.cumsum(counts)
        chosen = np.unique(np.searchsorted(ends, self.ranks, side="right"))
        self.bins, counts = self.bins[chosen], counts[chosen]
        self.before = ends[chosen] - counts  # values below each bin that is taken
        self.counts = counts

    def take(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The different values of a chunk in those bins, and how often each."""
        values = values.ravel()
        return np.unique(values[np.isin(_keys(values), self.bins)], return_counts=True)

    def quantiles(self, taken: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        values = np.concatenate([v for v, _ in taken])
        order = np.argsort(values, kind="stable")
        ends = np.cumsum(np.concatenate([c for _, c in taken])[order])
        # Places among what was taken, of places among all.
        skipped = self.before - np.append(0, np.cumsum(self.counts))[:-1]
        bin_of = np.searchsorted(self.before, self.ranks, side="right") - 1
        found = values[order][np.searchsorted(ends, self.ranks - skipped[bin_of], side="right")]
        if np.isnan(found[-1]):
            return np.full(self.shares.size, found[-1])
        pairs = found[:-1].reshape(2, -1).T
        return np.array([np.quantile(p, np.array([s]))[0] for p, s in zip(pairs, self.shares, strict=True)])


def made_after(arrays: list[Any], parent: Any) -> list[Any]:
    """The same Dask arrays, computed once more when `parent` is there, so that their chunks do not wait for it.

    Dask cannot rename layers with keys of several names, those of `rechunk`: such arrays stay, and wait.
    """
    from dask.graph_manipulation import bind

    for array in arrays:
        for layer, tasks in array.__dask_graph__().layers.items():
            if any((key[0] if isinstance(key, tuple) else key) != layer for key in tasks):
                return arrays
    return list(bind(arrays, parent, seed=arrays[0].name))


def chunked_quantiles(blocks: Any, quantiles: tuple[float, float]) -> Any:
    """Delayed quantiles of a Dask array of floats that are not negative. Its chunks are made twice, not held
    (see :func:`made_after`)."""
    import dask

    def each(function: Any, array: Any) -> list[Any]:
        return [dask.delayed(function)(b) for b in array.to_delayed().ravel()]

    wanted = dask.delayed(Wanted)(each(count, blocks), quantiles)
    (again,) = made_after([blocks], wanted)
    taken = [dask.delayed(Wanted.take)(wanted, b) for b in again.to_delayed().ravel()]
    return dask.delayed(Wanted.quantiles)(wanted, taken)
