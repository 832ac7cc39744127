"""Numba twin of csrc/edges/canny.cpp: whole images, one step after the other."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..filters._gaussian_numba import gaussian_filter
from ._sobel_numba import sobel

SMOOTHED, MAGNITUDE, MARKS, EDGES = range(4)
NOTHING, WEAK, STRONG = range(3)
REFLECT = 2


def canny(image, mask, axes, radii, weights, modes, cval, bleed, stage, low, high, output, threads):
    """The image of `stage`: smoothed, gradient magnitude, marks (0, 1 weak, 2 strong), or edges."""
    masked = mask.ndim == 2
    smooth = _smooth(_scaled(image), mask if masked else None, axes, radii, weights, modes, cval)
    if bleed.ndim == 2:
        smooth /= _spread(bleed, image.shape, axes, radii)
    if stage == SMOOTHED:
        output[...] = smooth
        return
    gi, gj = np.empty_like(smooth), np.empty_like(smooth)
    sobel(smooth, 0, [REFLECT] * 2, 0.0, gi, threads)
    sobel(smooth, 1, [REFLECT] * 2, 0.0, gj, threads)
    magnitude = np.sqrt(gi * gi + gj * gj)
    if stage == MAGNITUDE:
        output[...] = magnitude
        return
    marks = np.zeros(image.shape, np.uint8)
    _mark(gi, gj, magnitude, low, high, marks)
    if masked:
        _keep_inside(mask, marks)
    if stage == EDGES:
        _follow(marks)
        marks = marks == STRONG
    output[...] = marks


def _scaled(image):
    if image.dtype.kind == "f":
        return image
    if image.dtype == bool:
        return image.astype(np.float64)
    return np.maximum(image * (1.0 / np.iinfo(image.dtype).max), -1.0)


def _smooth(image, mask, axes, radii, weights, modes, cval):
    def gaussian(a):
        out = np.array(a, order="C")
        gaussian_filter(a, axes, radii, weights, modes, cval, True, out, 1)
        return out

    if mask is None:
        return gaussian(image)
    share = gaussian(mask.astype(image.dtype)) + np.finfo(image.dtype).eps
    return gaussian(np.where(mask, image, image.dtype.type(0))) / share


def _spread(table, shape, axes, radii):
    """The whole image that a table of its differing rows and columns stands for."""
    reach = dict(zip(axes, radii, strict=True))
    places = []
    for axis, n in enumerate(shape):
        i, t, r = np.arange(n), table.shape[axis], reach.get(axis, 0)
        places.append(i if n == t else np.where(i < r, i, np.where(i >= n - r, t - (n - i), r)))
    return table[np.ix_(*places)]


@njit(nogil=True, cache=True)
def _mark(gi, gj, magnitude, low, high, marks):
    """Where the magnitude is at least `low` and no neighbour across the edge, interpolated, exceeds it."""
    for y in range(1, magnitude.shape[0] - 1):
        for x in range(1, magnitude.shape[1] - 1):
            m, i, j = magnitude[y, x], gi[y, x], gj[y, x]
            if not m >= low:
                continue
            same = (i >= 0 and j >= 0) or (i <= 0 and j <= 0)
            down = 1 if same else -1  # the row toward which the gradient points, going right
            a, b = abs(i), abs(j)
            if a > b or (down < 0 and a == b):
                w = b / a
                ahead, behind = magnitude[y + down, x], magnitude[y - down, x]
            else:
                w = a / b
                ahead, behind = magnitude[y, x + 1], magnitude[y, x - 1]
            far_ahead, far_behind = magnitude[y + down, x + 1], magnitude[y - down, x - 1]
            rest = 1.0 - np.float64(w)
            if far_ahead * w + ahead * rest <= m and far_behind * w + behind * rest <= m:
                marks[y, x] = STRONG if m >= high else WEAK


@njit(nogil=True, cache=True)
def _keep_inside(mask, marks):
    """Marks stay where all nine pixels around are in the mask."""
    for y in range(1, marks.shape[0] - 1):
        for x in range(1, marks.shape[1] - 1):
            if not mask[y - 1 : y + 2, x - 1 : x + 2].all():
                marks[y, x] = NOTHING


@njit(nogil=True, cache=True)
def _follow(marks):
    """Weak marks that hang on a strong one become strong."""
    ny, nx = marks.shape
    stack = [(y, x) for y in range(ny) for x in range(nx) if marks[y, x] == STRONG]
    while stack:
        y, x = stack.pop()
        for v in range(y - 1, y + 2):  # the outermost rows and columns hold no marks
            for u in range(x - 1, x + 2):
                if marks[v, u] == WEAK:
                    marks[v, u] = STRONG
                    stack.append((v, u))
