"""The twins of csrc/contours/polygons.cpp."""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit


def convex_hulls(points, offsets, threads):
    """Numbers of the corners of each hull, and where each begins."""
    return _gathered(offsets, lambda own: _hull(own, np.lexsort((own[:, 1], own[:, 0]))), points)


def simplify_contours(points, offsets, tolerance, closed, threads):
    """Numbers of the points that stay, and where each contour begins."""
    return _gathered(offsets, lambda own: _simplified(own, tolerance**2, closed), points)


def _gathered(offsets, pick, points):
    picked, ends = [np.zeros(0, np.int64)], [0]
    for begin, end in itertools.pairwise(offsets):
        picked.append(begin + pick(points[begin:end]))
        ends.append(ends[-1] + len(picked[-1]))
    return np.concatenate(picked), np.array(ends, np.int64)


@njit(nogil=True, cache=True)
def _hull(p, order):
    """Andrew's monotone chain: the two sides, from the first point to the last and back."""
    kept = [order[0]]
    for i in order[1:]:
        if p[i, 0] != p[kept[-1], 0] or p[i, 1] != p[kept[-1], 1]:
            kept.append(i)
    if len(kept) < 3:
        return np.array(kept)
    corners = [kept[0]]
    corners.pop()
    for _ in range(2):
        least = len(corners) + 2
        for i in kept:
            while len(corners) >= least:
                a, b = p[corners[-2]], p[corners[-1]]
                if (b[0] - a[0]) * (p[i, 1] - a[1]) - (b[1] - a[1]) * (p[i, 0] - a[0]) > 0:
                    break
                corners.pop()
            corners.append(i)
        corners.pop()
        kept = kept[::-1]
    return np.array(corners)


@njit(nogil=True, cache=True)
def _squared_distance(t, a, b):
    """From a segment."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length, along = dx * dx + dy * dy, (t[0] - a[0]) * dx + (t[1] - a[1]) * dy
    side = (t[1] - a[1]) * dx - (t[0] - a[0]) * dy
    if along <= 0 or length == 0:
        return (t[0] - a[0]) * (t[0] - a[0]) + (t[1] - a[1]) * (t[1] - a[1])
    if along >= length:
        return (t[0] - b[0]) * (t[0] - b[0]) + (t[1] - b[1]) * (t[1] - b[1])
    return side * side / length


@njit(nogil=True, cache=True)
def _simplified(p, limit, closed):
    n = len(p)
    kept = [0]
    kept.pop()
    parts = [(0, 0)]
    parts.pop()
    begun_open = not closed and (p[0, 0] != p[n - 1, 0] or p[0, 1] != p[n - 1, 1])
    if not begun_open:
        a, b, reach = _far_apart(p, 3 if closed else 1)
        if reach <= limit:
            kept.append(a)
        else:
            parts.append((b, a))
            parts.append((a, b))
    else:
        parts.append((0, n - 1))
    while len(parts) > 0:
        a, b = parts.pop()
        farthest, middle = 0.0, -1
        i = (a + 1) % n
        while i != b:
            distance = _squared_distance(p[i], p[a], p[b])
            if distance > farthest:
                farthest, middle = distance, i
            i = (i + 1) % n
        if farthest <= limit:
            kept.append(a)
        else:
            parts.append((middle, b))
            parts.append((a, middle))
    if begun_open:
        kept.append(n - 1)
    return _cleaned(p, np.array(kept), limit, closed)


@njit(nogil=True, cache=True)
def _far_apart(p, times):
    """From the first point to the farthest from it, some times over; the squared distance of the last two."""
    n = len(p)
    a, far, farthest = 0, 0, 0.0
    for _ in range(times):
        a = (a + far) % n
        farthest = 0.0
        for j in range(1, n):
            i = (a + j) % n
            distance = (p[i, 0] - p[a, 0]) ** 2 + (p[i, 1] - p[a, 1]) ** 2
            if distance > farthest:
                farthest, far = distance, j
    return a, (a + far) % n, farthest


@njit(nogil=True, cache=True)
def _cleaned(p, kept, limit, closed):
    """Without points on nearly straight, neither upright nor level, lines between their neighbours."""
    count = len(kept)
    left, read = count, count - 1 if closed else 0
    start, write = kept[read], read
    read = (read + 1) % count
    write = (write + 1) % count
    here = kept[read]
    read = (read + 1) % count
    i, end_at = (0, count) if closed else (1, count - 1)
    while i < end_at and left > 2:
        end = kept[read]
        read = (read + 1) % count
        ax, ay, bx, by = p[start, 0], p[start, 1], p[here, 0], p[here, 1]
        dx, dy = p[end, 0] - ax, p[end, 1] - ay
        distance = abs((bx - ax) * dy - (by - ay) * dx)
        ahead = (bx - ax) * (p[end, 0] - bx) + (by - ay) * (p[end, 1] - by)
        if distance * distance <= 0.5 * limit * (dx * dx + dy * dy) and dx != 0 and dy != 0 and ahead >= 0:
            left -= 1
            kept[write] = start = end
            here = kept[read]
            read = (read + 1) % count
            i += 2
        else:
            kept[write] = start = here
            here = end
            i += 1
        write = (write + 1) % count
    if not closed:
        kept[write] = here
    return kept[:left]


@njit(nogil=True, cache=True)
def contour_distances(points, offsets, targets, measure, output, threads):
    """How far each target lies from each polygon: positive inside, 0 on it, negative outside."""
    for k in range(len(offsets) - 1):
        p = points[offsets[k] : offsets[k + 1]]
        for j in range(len(targets)):
            x, y = targets[j]
            nearest, inside = np.inf, False
            for i in range(len(p)):
                ax, ay, bx, by = p[i - 1, 0], p[i - 1, 1], p[i, 0], p[i, 1]
                dy, side = by - ay, (y - ay) * (bx - ax) - (x - ax) * (by - ay)
                nearest = min(nearest, _squared_distance(targets[j], p[i - 1], p[i]))
                if (ay <= y) != (by <= y) and (side < 0 if dy > 0 else side > 0):
                    inside = not inside
            size = (np.sqrt(nearest) if measure else 1.0) if nearest > 0 else 0.0
            output[k, j] = size if inside else -size
            if size == 0:
                output[k, j] = 0.0
