"""The twin of csrc/contours/trace.cpp: the algorithm of Suzuki and Abe's paper, on an image of numbers."""

from __future__ import annotations

import numpy as np
from numba import njit

EXTERNAL, LIST, CCOMP, TREE = range(4)

# Freeman's directions: 0 right, 1 up right, 2 up ... 7 down right (y points down).
DX = np.array([1, 1, 0, -1, -1, -1, 0, 1])
DY = np.array([0, -1, -1, -1, 0, 1, 1, 1])


def trace_contours(mask, mode, simple, threads):
    """Points, offsets and hierarchy of the borders, flat, in OpenCV's order; of a stack, the slice of each border."""
    if mask.ndim == 3:
        return joined([_traced(part, mode, simple) for part in mask], range(len(mask)))
    return *_traced(mask, mode, simple), np.zeros(0, np.int32)


def _traced(mask, mode, simple):
    image = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.int32)
    image[1:-1, 1:-1] = mask != 0
    points, offsets, parents = _scan(image, mode, simple)
    found, hierarchy = _order(parents)
    return _reordered(points, offsets, found), _new_offsets(offsets, found), hierarchy.ravel()


def joined(parts, groups):
    """The borders of many masks, one mask after the other."""
    points, links = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    offsets, at = [np.zeros(1, np.int64)], 0
    owners: list[int] = []
    for (own, ends, hierarchy), group in zip(parts, groups, strict=True):
        points.append(own)
        links.append(np.where(hierarchy < 0, -1, hierarchy + len(owners)).astype(np.int32))
        offsets.append(at + ends[1:])
        at += ends[-1]
        owners += [group] * (len(ends) - 1)
    return np.concatenate(points), np.concatenate(offsets), np.concatenate(links), np.array(owners, np.int32)


@njit(nogil=True, cache=True)
def _scan(image, mode, simple):
    """All borders in the order of a raster scan. In `image`, a frame of 0 around it:

    0 background, 1 foreground not yet on a border, n the n-th border (from 2), -n the same where the pixel to
    the right is background that was seen from here.
    """
    rows, columns = image.shape
    points = np.empty((64, 2), np.int32)
    offsets = np.zeros(16, np.int64)
    parents = np.empty(16, np.int32)
    holes = np.empty(16, np.bool_)
    count, length = 0, 0
    for y in range(1, rows - 1):
        last = 0  # number of the last border that this row met; 0: the frame
        for x in range(1, columns):
            here, before = image[y, x], image[y, x - 1]
            if before != 0 and before != 1:
                last = before
            hole = here == 0 and before >= 1
            if not hole and not (here == 1 and before == 0):
                continue
            if mode == EXTERNAL and (hole or last > 0):
                continue
            if count + 1 == len(offsets):
                offsets, parents, holes = _grown(offsets), _grown(parents), _grown(holes)
            parents[count] = _parent(mode, hole, abs(last) - 2, parents, holes)
            holes[count] = hole
            points, length = _follow(image, x - 1 if hole else x, y, hole, count + 2, simple, points, length)
            count += 1
            offsets[count] = length
            if hole:
                last = image[y, x - 1]
    return points[:length], offsets[: count + 1], parents[:count]


@njit(nogil=True, cache=True)
def _grown(array):
    longer = np.zeros(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer


@njit(nogil=True, cache=True)
def _parent(mode, hole, last, parents, holes):
    """The border around a new one (table 1 of the paper); -1: the frame."""
    if mode in (EXTERNAL, LIST) or last < 0 or (mode == CCOMP and not hole):
        return -1
    return last if holes[last] != hole else parents[last]


@njit(nogil=True, cache=True)
def _follow(image, x, y, hole, number, simple, points, length):
    """Follow one border from its first pixel round to it, marking its pixels; `points` grow by it."""
    first_x, first_y = x, y
    back = 0 if hole else 4
    for _ in range(8):  # clockwise from the background that began it, to the border's last pixel
        back = (back - 1) % 8
        if image[y + DY[back], x + DX[back]] != 0:
            break
    alone = image[y + DY[back], x + DX[back]] == 0
    first_back = back
    direction = (back + 4) % 8
    while True:
        before = direction
        right_seen = alone
        if not alone:
            direction = (back + 1) % 8  # counter-clockwise from the previous pixel, to the next one
            while image[y + DY[direction], x + DX[direction]] == 0:
                right_seen |= direction == 0
                direction = (direction + 1) % 8
        if right_seen:
            image[y, x] = -number
        elif image[y, x] == 1:
            image[y, x] = number
        if alone or not simple or direction != before:
            if length == len(points):
                longer = np.empty((2 * length, 2), np.int32)
                longer[:length] = points
                points = longer
            points[length, 0], points[length, 1] = x - 1, y - 1
            length += 1
        if alone:
            return points, length
        x, y, back = x + DX[direction], y + DY[direction], (direction + 4) % 8
        if x == first_x and y == first_y and back == first_back:
            return points, length


@njit(nogil=True, cache=True)
def _order(parents):
    """OpenCV's order (parents before children, the last found first), and the links by new position."""
    n = len(parents)
    first_child = np.full(n + 1, -1)  # [0] is the frame's
    following = np.full(n, -1)
    for i in range(n):
        following[i] = first_child[parents[i] + 1]
        first_child[parents[i] + 1] = i
    found = np.empty(n, np.int64)
    position = np.full(n + 1, -1, np.int32)  # [-1] stays -1
    i = first_child[0]
    for k in range(n):
        found[k], position[i] = i, k
        if first_child[i + 1] >= 0:
            i = first_child[i + 1]
            continue
        while i >= 0 and following[i] < 0:
            i = parents[i]
        i = following[i] if i >= 0 else -1
    hierarchy = np.full((n, 4), -1, np.int32)
    for k in range(n):
        i = found[k]
        hierarchy[k, 0] = position[following[i]]
        if following[i] >= 0:
            hierarchy[position[following[i]], 1] = k
        hierarchy[k, 2] = position[first_child[i + 1]]
        hierarchy[k, 3] = position[parents[i]]
    return found, hierarchy


@njit(nogil=True, cache=True)
def _reordered(points, offsets, found):
    result = np.empty_like(points)
    at = 0
    for i in found:
        for k in range(offsets[i], offsets[i + 1]):
            result[at] = points[k]
            at += 1
    return result.ravel()


def _new_offsets(offsets, found):
    return np.concatenate([[0], np.cumsum(np.diff(offsets)[found])]).astype(np.int64)
