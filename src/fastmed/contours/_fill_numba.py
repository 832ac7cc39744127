"""The twin of csrc/contours/fill.cpp: every border flips the pixels behind its places, a sum along the rows ends it."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._trace_numba import DX, DY


def fill_contours(points, offsets, planes, values, pixels, output, threads):
    """Write the values of the contours into `output`, which is 0."""
    _flip(points, offsets, planes, values.astype(output.dtype), pixels, output)
    np.bitwise_xor.accumulate(output, axis=2, out=output)


@njit(nogil=True, cache=True)
def _flip(points, offsets, planes, values, pixels, output):
    for i in range(len(offsets) - 1):
        p = points[offsets[i] : offsets[i + 1]]
        if pixels:
            _flip_pixels(p, output[planes[i]], values[i])
        else:
            _flip_centres(p, output[planes[i]], values[i])


@njit(nogil=True, cache=True)
def _flip_one(plane, y, x, value):
    if x < plane.shape[1]:
        plane[y, x] ^= value


@njit(nogil=True, cache=True)
def _direction(dx, dy):
    for d in range(8):
        if DX[d] == np.sign(dx) and DY[d] == np.sign(dy):
            return d
    return 0


@njit(nogil=True, cache=True)
def _flip_pixels(p, plane, value):
    """Background is what a border turns past: on the left of a pixel a run begins, on its right one ends."""
    n = len(p)
    if n == 1:
        _flip_one(plane, int(p[0, 1]), int(p[0, 0]), value)
        _flip_one(plane, int(p[0, 1]), int(p[0, 0]) + 1, value)
        return
    before = _direction(p[0, 0] - p[n - 1, 0], p[0, 1] - p[n - 1, 1])
    for i in range(n):
        following = p[(i + 1) % n]
        dx, dy = following[0] - p[i, 0], following[1] - p[i, 1]
        if dx == 0 and dy == 0:
            continue
        to = _direction(dx, dy)
        for step in range(int(max(abs(dx), abs(dy)))):
            x, y = int(p[i, 0]) + step * DX[to], int(p[i, 1]) + step * DY[to]
            d = (before + 5) % 8
            while d != to and d != (before + 4) % 8:
                if d == 4:
                    _flip_one(plane, y, x, value)
                if d == 0:
                    _flip_one(plane, y, x + 1, value)
                d = (d + 1) % 8
            before = to


@njit(nogil=True, cache=True)
def _flip_centres(p, plane, value):
    for i in range(len(p)):
        a, b = p[i], p[(i + 1) % len(p)]
        if a[1] > b[1]:
            a, b = b, a
        for y in range(int(max(np.ceil(a[1]), 0.0)), int(min(np.ceil(b[1]), float(plane.shape[0])))):
            x = np.ceil(a[0] + (b[0] - a[0]) * ((y - a[1]) / (b[1] - a[1])))
            if x < plane.shape[1]:
                _flip_one(plane, y, int(max(x, 0.0)), value)
