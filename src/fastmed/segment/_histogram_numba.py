"""Numba twin of csrc/segment/histogram.cpp."""

import numpy as np
from numba import njit


def value_counts(input, low, counts, threads):
    """Add up how often each integer from `low` on occurs."""
    if input.dtype == np.uint64:
        input, low = (input - np.uint64(low)).astype(np.int64), 0
    each(np.ravel(input, order="K"), low, counts)


@njit(nogil=True, cache=True)
def each(values, low, counts):
    for v in values:
        counts[v - low] += 1


def bin_counts(input, edges, counts, threads):
    """Add up how many values lie in each bin; the last one holds its end, too."""
    binned(np.ravel(input, order="K"), np.array(edges), counts)


@njit(nogil=True, cache=True)
def binned(values, edges, counts):
    for v in values:
        if edges[0] <= v <= edges[-1]:
            counts[min(np.searchsorted(edges, v, side="right") - 1, counts.size - 1)] += 1
