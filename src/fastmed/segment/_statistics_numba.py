"""Numba twin of csrc/segment/statistics.cpp. Its blocks are those of the kernel."""

import numpy as np
from numba import njit


def label_sweep(values, labels, low, counts, sums, squares, moments, extremes, places, boxes, threads):
    """Fill each block's row of the tables that have elements."""
    for b, (begin, end) in enumerate(blocks(labels, len(counts))):
        v, slots = values.reshape(-1)[begin:end], slots_of(labels, begin, end, low, counts.shape[1])
        at = np.stack(np.unravel_index(np.arange(begin, end), labels.shape), axis=1)
        count(slots, counts[b])
        if sums.size:
            add(v, slots, sums[b])
        if squares.size:
            add_squares(v, slots, squares[b])
        if moments.size:
            for d in range(labels.ndim):
                add(v * at[:, d].astype(np.float64), slots, moments[b, :, d])
        if extremes.size:
            smallest(v, slots, begin, extremes[b, 0], places[b, 0])
            largest(v, slots, begin, extremes[b, 1], places[b, 1])
        if boxes.size:
            enclose(at, slots, boxes[b])


def label_highest(labels, threads):
    """The highest label, at least 0."""
    return max(0, int(labels.max(initial=0)))


def label_order(labels, low, starts, order, threads):
    """The places of each slot's elements."""
    for b, (begin, end) in enumerate(blocks(labels, len(starts))):
        put(slots_of(labels, begin, end, low, starts.shape[1]), begin, starts[b], order)


def label_middles(values, starts, lower, upper, threads):
    """The middle one or two of each group."""
    for s in range(len(starts) - 1):
        group = np.sort(values[starts[s] : starts[s + 1]])
        if group.size:
            lower[s], upper[s] = group[(group.size - 1) // 2], group[group.size // 2]


def blocks(labels, count):
    """Flat ranges of whole lines."""
    length = labels.shape[-1]
    lines = labels.size // max(length, 1)
    return [(lines * b // count * length, lines * (b + 1) // count * length) for b in range(count)]


def slots_of(labels, begin, end, low, count):
    """label - low, -1 where there is no such slot."""
    part = labels.reshape(-1)[begin:end]
    inside = (part >= low) & (part < low + count) if low >= 0 or part.dtype.kind != "u" else part < low + count
    return np.where(inside, part.astype(np.int64) - low, -1)


@njit(nogil=True, cache=True)
def count(slots, counts):
    for s in slots:
        if s >= 0:
            counts[s] += 1


@njit(nogil=True, cache=True)
def add(values, slots, sums):
    for i in range(slots.size):
        if slots[i] >= 0:
            sums[slots[i]] += values[i]


@njit(nogil=True, cache=True)
def add_squares(values, slots, squares):
    """Squared distances from the first value of each slot, moved to the mean."""
    counts, shifts, distances = np.zeros(squares.size, np.int64), np.zeros(squares.size), np.zeros(squares.size)
    for i in range(slots.size):
        s, v = slots[i], np.float64(values[i])
        if s >= 0:
            if counts[s] == 0:
                shifts[s] = v
            counts[s] += 1
            distances[s] += v - shifts[s]
            squares[s] += (v - shifts[s]) ** 2
    for s in range(squares.size):
        if counts[s] > 0 and not (np.isinf(squares[s]) and np.isfinite(distances[s])):
            squares[s] = squares[s] - distances[s] * (distances[s] / counts[s])
        if squares[s] < 0:
            squares[s] = 0


@njit(nogil=True, cache=True)
def smallest(values, slots, begin, least, places):
    """The first smallest; a NaN is above all."""
    seen = np.zeros(least.size, np.bool_)
    for i in range(slots.size):
        s, v = slots[i], values[i]
        if s >= 0 and (not seen[s] or v < least[s] or (least[s] != least[s] and v == v)):
            seen[s], least[s], places[s] = True, v, begin + i


@njit(nogil=True, cache=True)
def largest(values, slots, begin, most, places):
    """The last largest; a NaN is above all."""
    seen = np.zeros(most.size, np.bool_)
    for i in range(slots.size):
        s, v = slots[i], values[i]
        if s >= 0 and (not seen[s] or v >= most[s] or v != v):
            seen[s], most[s], places[s] = True, v, begin + i


@njit(nogil=True, cache=True)
def enclose(at, slots, boxes):
    """First and last index along every axis."""
    seen = np.zeros(len(boxes), np.bool_)
    for i in range(slots.size):
        s = slots[i]
        if s >= 0:
            for d in range(at.shape[1]):
                boxes[s, 0, d] = min(boxes[s, 0, d], at[i, d]) if seen[s] else at[i, d]
                boxes[s, 1, d] = max(boxes[s, 1, d], at[i, d]) if seen[s] else at[i, d]
            seen[s] = True


@njit(nogil=True, cache=True)
def put(slots, begin, starts, order):
    for i in range(slots.size):
        if slots[i] >= 0:
            order[starts[slots[i]]] = begin + i
            starts[slots[i]] += 1
