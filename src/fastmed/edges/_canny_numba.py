"""Numba twin of csrc/edges/canny.cpp: whole images, one step after the other."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..filters._gaussian_numba import gaussian_filter
from ._hysteresis_numba import hysteresis
from ._sobel_numba import sobel

SMOOTHED, MAGNITUDE, MARKS, EDGES = range(4)
NOTHING, WEAK, STRONG = range(3)
REFLECT = 2


def canny(image, mask, axes, radii, weights, modes, cval, bleed, stage, low, high, spacing, output, threads):
    """The image of `stage`: smoothed, gradient magnitude, marks (0, 1 weak, 2 strong), or edges."""
    masked = mask.ndim == image.ndim
    if image.ndim == 3:
        image = image.astype(np.float64) if image.dtype.kind == "f" else image
    smooth = _smooth(_scaled(image), mask if masked else None, axes, radii, weights, modes, cval)
    if bleed.ndim == image.ndim:
        smooth /= _spread(bleed, image.shape, axes, radii)
    if stage == SMOOTHED:
        output[...] = smooth
        return
    if image.ndim == 3:
        _volume(smooth, mask if masked else None, stage, low, high, np.array(spacing), output)
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
        hysteresis(marks, 2, threads)
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


# --- volumes -----------------------------------------------------------------------------------------------
TIE = 1e-10  # rounding does not choose between equal magnitudes


def _volume(smooth, mask, stage, low, high, spacing, output):
    """What follows the smoothing of a volume."""
    gradient = np.stack([_derivative(smooth, axis) * (0.25 / spacing[axis]) for axis in range(3)])
    magnitude = np.sqrt(gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2)
    if stage == MAGNITUDE:
        output[...] = magnitude
        return
    marks = np.zeros(smooth.shape, np.uint8)
    _mark_volume(gradient, magnitude, 1 / spacing, low, high, marks)
    if mask is not None:
        _keep_inside_volume(mask, marks)
    if stage == EDGES:
        hysteresis(marks, 3, 1)
    output[...] = marks


def _derivative(a, axis):
    """A difference along one axis and [1 2 1] along the others, the last axis last."""
    if axis == 0:
        return _sum(_difference(_sum(a, 1), 0), 2)
    if axis == 1:
        return _sum(_sum(_difference(a, 1), 0), 2)
    return _difference(_sum(_sum(a, 1), 0), 2)


def _beside(a, axis):
    """The values before and after each along an axis; the border reflects."""
    n = a.shape[axis]
    before = np.take(a, np.maximum(np.arange(n) - 1, 0), axis)
    return before, np.take(a, np.minimum(np.arange(n) + 1, n - 1), axis)


def _sum(a, axis):
    before, after = _beside(a, axis)
    return (before + after) + 2 * a


def _difference(a, axis):
    before, after = _beside(a, axis)
    return after - before


@njit(nogil=True, cache=True)
def _mark_volume(gradient, magnitude, per_mm, low, high, marks):
    """Where the magnitude is at least `low` and none along the gradient, interpolated, exceeds it."""
    nz, ny, nx = magnitude.shape
    for z in range(1, nz - 1):
        for y in range(1, ny - 1):
            for x in range(1, nx - 1):
                m = magnitude[z, y, x]
                if m >= low and np.isfinite(m):
                    direction = gradient[:, z, y, x] * per_mm
                    if _is_highest(magnitude, z, y, x, direction):
                        marks[z, y, x] = STRONG if m >= high else WEAK


@njit(nogil=True, cache=True)
def _is_highest(magnitude, z, y, x, direction):
    """The line along the gradient leaves the 26 neighbours in a triangle: between its corners it is interpolated."""
    share = np.abs(direction)
    i, j, k = 0, 1, 2
    if share[i] < share[j]:
        i, j = j, i
    if share[j] < share[k]:
        j, k = k, j
    if share[i] < share[j]:
        i, j = j, i
    most = magnitude[z, y, x] * share[i] * (1 + TIE)
    for sign in (1, -1):
        at = np.array([z, y, x])
        total = 0.0
        for axis, weight in ((i, share[i] - share[j]), (j, share[j] - share[k]), (k, share[k])):
            at[axis] += 1 if (direction[axis] > 0) == (sign > 0) else -1
            total += weight * magnitude[at[0], at[1], at[2]]
        if not total <= most:
            return False
    return True


@njit(nogil=True, cache=True)
def _keep_inside_volume(mask, marks):
    """Marks stay where all 27 elements around are in the mask."""
    nz, ny, nx = marks.shape
    for z in range(1, nz - 1):
        for y in range(1, ny - 1):
            for x in range(1, nx - 1):
                if marks[z, y, x] and not mask[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].all():
                    marks[z, y, x] = NOTHING
