"""The smallest rectangle around points, and the corners of a rectangle, in OpenCV's call shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arguments import into
from .contours import convexHull, points_of

Rectangle = tuple[tuple[float, float], tuple[float, float], float]

#: A step of the rectangle's first side, seen from its bottom, right, top and left one: turned so, each lies along +x.
_QUARTERS = np.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], np.float32)


def minAreaRect(points: Any) -> Rectangle:
    """The smallest rectangle around points, ((x, y), (width, height), angle): within 1e-3 of OpenCV's.

    The angle, in degrees, is at least -90 and below 0. Of rectangles that are equally small OpenCV takes the last one
    that its sums in float32 do not find larger; they are made alike here. See :func:`fastmed.min_area_rects`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import cv2
    >>> cv2.minAreaRect(np.array([[0, 0], [4, 0], [4, 3], [0, 3]], np.int32))
    ((2.0, 1.5), (3.0, 4.0), -90.0)
    """
    hull = convexHull(points_of(points, "points").astype(np.float32))[:, 0]
    if len(hull) == 1:
        return (float(hull[0, 0]), float(hull[0, 1])), (0.0, 0.0), -90.0
    if len(hull) == 2:
        middle, along, across = hull.mean(axis=0), hull[1] - hull[0], np.zeros(2)
    else:
        middle, along, across = _smallest(hull)
    width, height = math.hypot(*along), math.hypot(*across)
    angle = math.degrees(math.atan2(along[1], along[0]))
    while not -90 <= angle < 0:
        angle += 90 if angle < -90 else -90
        width, height = height, width
    return (float(middle[0]), float(middle[1])), (width, height), angle


def _smallest(hull: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and sides of the smallest rectangle (H. Freeman and R. Shapira 1975) by four supports that go around.

    All in float32, so that what is equally small is decided as OpenCV decides it.
    """
    steps = np.roll(hull, -1, axis=0) - hull
    inverse = (1 / np.hypot(*steps.T.astype(np.float64))).astype(np.float32)
    units = steps * inverse[:, None]
    x, y = hull.T
    at = [int(np.argmin(y)), int(np.argmax(x)), int(np.argmax(y)), int(np.argmin(x))]
    base: Any = np.array([_orientation(steps), 0], np.float32)
    best, found = np.float32(np.inf), None
    for _ in range(len(hull)):
        side = int(np.argmax([_cosine(base, quarter, steps[k], inverse[k])
                              for quarter, k in zip(_QUARTERS, at, strict=True)]))  # fmt: skip
        base = _QUARTERS[side] @ units[at[side]]
        at[side] = (at[side] + 1) % len(hull)
        a, b = base
        bottom, right, top, left = hull[at]
        wide, high = right - left, top - bottom
        width, height = wide[0] * a + wide[1] * b, -high[0] * b + high[1] * a
        if width * height <= best:
            best, found = width * height, (base, width, height, left, bottom)
    assert found is not None
    base, width, height, left, bottom = found
    normal = np.array([-base[1], base[0]], np.float32)
    corner = base * (base @ left) + normal * (normal @ bottom)
    along, across = base * width, normal * height
    return corner + (along + across) * np.float32(0.5), along, across


def _orientation(steps: np.ndarray) -> float:
    before = np.roll(steps, 1, axis=0).astype(np.float64)
    turns = before[:, 0] * steps[:, 1] - before[:, 1] * steps[:, 0]
    return float(np.sign(turns[np.flatnonzero(turns)[0]])) if turns.any() else 1.0


def _cosine(base: np.ndarray, quarter: np.ndarray, step: np.ndarray, inverse: np.float32) -> np.float32:
    """Between the rectangle's side and the hull's next one there."""
    side = quarter.T @ base
    return (side[0] * step[0] + side[1] * step[1]) * inverse


def boxPoints(box: Rectangle, points: Any = None) -> np.ndarray:
    """The corners of a rectangle as `minAreaRect` gives it, float32 of shape (4, 2): within 1e-6 of OpenCV's, scaled.

    Examples
    --------
    >>> from fastmed import cv2
    >>> cv2.boxPoints(((2.0, 1.5), (3.0, 4.0), -90.0)).round().astype(int).tolist()
    [[4, 3], [0, 3], [0, 0], [4, 0]]
    """
    try:
        (x, y), (width, height), angle = box
    except (TypeError, ValueError):
        raise TypeError(f"box must be ((x, y), (width, height), angle), found {box!r}") from None
    radians = math.radians(angle)
    across = np.array([math.cos(radians), math.sin(radians)]) * (width / 2)
    down = np.array([-math.sin(radians), math.cos(radians)]) * (height / 2)
    corners = np.array([x, y]) + np.stack([down - across, -down - across, across - down, across + down])
    return into(points, corners.astype(np.float32))
