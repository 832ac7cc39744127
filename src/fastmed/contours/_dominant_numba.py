"""The twin of csrc/contours/dominant.cpp."""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit


def dominant_points(points, offsets, cosine, threads):
    """Numbers of the points that stay, and where each curve begins."""
    picked, ends = [np.zeros(0, np.int64)], [0]
    for begin, end in itertools.pairwise(offsets.tolist()):
        own = points[begin:end].astype(np.int64)
        picked.append(begin + (_dominant(own, cosine) if len(own) > 1 else np.zeros(1, np.int64)))
        ends.append(ends[-1] + len(picked[-1]))
    return np.concatenate(picked), np.array(ends, np.int64)


@njit(nogil=True, cache=True)
def _dominant(p, cosine):
    n = len(p)
    turns = _turns(p)
    kept = np.flatnonzero(turns)
    curvature, support = turns.astype(np.float32), np.zeros(n, np.int64)
    for i in kept:
        support[i] = _support(p, i)
    if cosine:
        for i in kept:
            curvature[i] = _sharpest(p, i, support[i])
    for rule in range(2):
        for i in kept:  # a point that goes no longer outdoes those after it
            if _outdone(curvature, support[i], i) if rule == 0 else _single(curvature, support[i], i):
                curvature[i] = 0
        kept = kept[curvature[kept] != 0]
    return kept if cosine or len(kept) == 0 else _thinned(kept, curvature, support)


@njit(nogil=True, cache=True)
def _turns(p):
    """By how many eighths of a circle a curve turns at each point."""
    n = len(p)
    angles = np.empty(n, np.int64)
    for i in range(n):
        step = p[(i + 1) % n] - p[i]
        angles[i] = round(np.arctan2(-step[1], step[0]) / (np.pi / 4))
    turns = np.empty(n, np.int64)
    for i in range(n):
        turn = (angles[i] - angles[i - 1]) % 8
        turns[i] = min(turn, 8 - turn)
    return turns


@njit(nogil=True, cache=True)
def _support(p, i):
    """While the chord around a point grows, and the point's distance from it, too."""
    n = len(p)
    chord, distance, k = 0, 0, 1
    while True:
        a, b = p[(i - k) % n], p[(i + k) % n]
        d = b - a
        longer = d[0] * d[0] + d[1] * d[1]
        farther = (p[i, 0] - a[0]) * d[1] - (p[i, 1] - a[1]) * d[0]
        gain = float(distance) * longer - float(farther) * chord
        if k > 1 and (chord >= longer or (distance > 0 and gain <= 0) or (distance < 0 and gain >= 0)):
            return k - 1
        chord, distance, k = longer, farther, k + 1


@njit(nogil=True, cache=True)
def _sharpest(p, i, support):
    """The largest cosine (and 1.1) of the angle at a point, from the support inward while it grows."""
    n = len(p)
    best = np.float32(0)
    for k in range(support, 0, -1):
        a, b = p[(i - k) % n] - p[i], p[(i + k) % n] - p[i]
        if (a[0] == 0 and a[1] == 0) or (b[0] == 0 and b[1] == 0):
            break
        lengths = np.sqrt(float(a[0] * a[0] + a[1] * a[1]) * float(b[0] * b[0] + b[1] * b[1]))
        value = np.float32(np.float64(np.float32((a[0] * b[0] + a[1] * b[1]) / lengths)) + 1.1)
        if k < support and value <= best:
            break
        best = value
    return best


@njit(nogil=True, cache=True)
def _outdone(curvature, support, i):
    n = len(curvature)
    for k in range(1, support // 2 + 1):
        if curvature[(i - k) % n] > curvature[i] or curvature[(i + k) % n] > curvature[i]:
            return True
    return False


@njit(nogil=True, cache=True)
def _single(curvature, support, i):
    n = len(curvature)
    return support == 1 and (curvature[i] <= curvature[i - 1] or curvature[i] <= curvature[(i + 1) % n])


@njit(nogil=True, cache=True)
def _thinned(kept, curvature, support):
    """Of two neighbours the stronger stays, of more the first and the last; OpenCV's quirks at the first point."""
    n = len(curvature)
    over_first = curvature[0] != 0 and curvature[n - 1] != 0
    head = 0
    if over_first:
        head = 1
        while head < len(kept) and kept[head] == kept[head - 1] + 1:
            head += 1
        if head == n:
            return kept
        kept = np.concatenate((kept[head:], kept[:head] + n))
    pair_over_first = over_first and head == 1 and (len(kept) < 3 or kept[-3] != n - 2)
    found = [kept[0]]
    found.pop()
    first = 0
    while first < len(kept):
        end = first + 1
        while end < len(kept) and kept[end] == kept[end - 1] + 1:
            end += 1
        a, b = kept[first] % n, kept[end - 1] % n
        if end - first == 2:
            second_goes = curvature[a] > curvature[b] or (curvature[a] == curvature[b] and support[a] <= support[b])
            found.append(a if second_goes else b)
            if kept[end - 1] >= n:
                found.insert(0, b)  # the curve's first point stays in its place, too
        elif end - first > 2 and over_first and end == len(kept):
            found.append(a)
            for i in range(b, -1, -1):  # and what follows it in its group
                found.insert(0, i)
        else:
            found.append(a)
            if end - first > 2 and first == 0 and (pair_over_first or a == 0):
                found.append(a + 1)  # of the first group in the list the second, too
            if end - first > 2:
                found.append(b)
        first = end
    return np.array(found)
