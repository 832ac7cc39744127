"""Contours in OpenCV's call shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..contours import _polygons as polygons
from ..contours import trace_contours
from ..errors import NotOfferedError
from . import constants as c
from .arguments import chosen, into, pair

_MODES = {c.RETR_EXTERNAL: "external", c.RETR_LIST: "list", c.RETR_CCOMP: "ccomp", c.RETR_TREE: "tree"}
_METHODS = {
    c.CHAIN_APPROX_NONE: "none",
    c.CHAIN_APPROX_SIMPLE: "simple",
    c.CHAIN_APPROX_TC89_L1: "tc89_l1",
    c.CHAIN_APPROX_TC89_KCOS: "tc89_kcos",
}


def points_of(contour: Any, name: str) -> np.ndarray:
    """Points of shape (n, 2), int32 or float32 as in OpenCV."""
    array = np.asarray(contour)
    if array.dtype not in (np.int32, np.float32):
        raise TypeError(f"{name} must be of int32 or float32, found dtype {array.dtype}")
    if array.ndim == 3 and array.shape[1:] == (1, 2):
        array = array[:, 0]
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ValueError(f"{name} must have shape (n, 1, 2) or (n, 2) with at least one point, found {array.shape}")
    return array


def findContours(
    image: Any, mode: int, method: int, contours: Any = None, hierarchy: Any = None, offset: Any = (0, 0)
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
    """Borders and hierarchy: the same as OpenCV's, point for point.

    uint8 (or bool) images; modes RETR_EXTERNAL, LIST, CCOMP, TREE; methods CHAIN_APPROX_NONE, SIMPLE, TC89_L1,
    TC89_KCOS. `contours` and `hierarchy` are not written to. See :func:`fastmed.trace_contours`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import cv2
    >>> contours, hierarchy = cv2.findContours(np.eye(2, dtype=np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    >>> contours[0].shape, contours[0][:, 0].tolist(), hierarchy.tolist()
    ((2, 1, 2), [[0, 0], [1, 1]], [[[-1, -1, -1, -1]]])
    """
    mask = np.asarray(image)
    if mask.dtype not in (np.uint8, np.bool_):
        raise NotOfferedError(f"image must be of uint8, found dtype {mask.dtype}; fastmed.trace_labels takes labels")
    if mask.ndim != 2:
        raise ValueError(f"image must have 2 axes (row, column), found shape {mask.shape}")
    retrieved = chosen(mode, _MODES, "mode")
    found = trace_contours(mask, retrieved, chosen(method, _METHODS, "method"))
    x, y = pair(offset, "offset")
    if x or y:
        found = replace(found, points=found.points + np.array([x, y], np.int32))
    return found.to_opencv()


def contourArea(contour: Any, oriented: bool = False) -> float:
    """Area of a contour: OpenCV's bits for int32 points, within 1e-12 for float32. See :func:`fastmed.areas`."""
    return float(polygons.areas([points_of(contour, "contour")], oriented=bool(oriented))[0])


def arcLength(curve: Any, closed: bool) -> float:
    """Length of a curve: within 1e-6 of OpenCV's, which takes roots in float32. See :func:`fastmed.arc_lengths`."""
    return float(polygons.arc_lengths([points_of(curve, "curve")], bool(closed))[0])


def boundingRect(array: Any) -> tuple[int, int, int, int]:
    """(x, y, width, height) of points, not of images: the same as OpenCV's. See :func:`fastmed.bounding_rects`."""
    pixels = np.floor(points_of(array, "array")).astype(np.int32)
    x, y, width, height = polygons.bounding_rects([pixels])[0].tolist()
    return x, y, width, height


def moments(array: Any, binaryImage: bool = False) -> dict[str, float]:
    """Moments of a contour, not of images: within 1e-12 of OpenCV's, scaled by the coordinates.

    See :func:`fastmed.polygon_moments`, whose central moments are more exact far from the origin.
    """
    raw = polygons.raw_moments([points_of(array, "array")])
    return {name: float(value[0]) for name, value in {**raw, **polygons.central_moments(raw)}.items()}


def HuMoments(m: dict[str, float], hu: Any = None) -> np.ndarray:
    """Hu's seven invariants, shape (7, 1), of what `moments` gives: within 1e-12 of OpenCV's."""
    try:
        central = {name: np.array([float(m[name])]) for name in polygons.NORMALIZED}
    except (KeyError, TypeError):
        raise TypeError(f"m must hold {', '.join(polygons.NORMALIZED)}, as moments gives them") from None
    return into(hu, polygons.hu_of(central).reshape(7, 1))


def convexHull(points: Any, hull: Any = None, clockwise: bool = False, returnPoints: bool = True) -> np.ndarray:
    """Corners of the convex hull, shape (k, 1, 2): OpenCV's, in its order and from the same one on.

    Where corners are given more than once OpenCV can begin with another one; numbers of points (``returnPoints=False``)
    are not offered for the same reason. See :func:`fastmed.convex_hulls`.
    """
    if not returnPoints:
        raise NotOfferedError("returnPoints must be True: which of equal points OpenCV numbers is not known")
    given = points_of(points, "points")
    order = polygons.hull_indices([given])[0]
    if clockwise:
        order = order[::-1]
    return into(hull, given[_as_opencv_begins(order, given, bool(clockwise))][:, None])


def _as_opencv_begins(order: np.ndarray, points: np.ndarray, clockwise: bool) -> np.ndarray:
    """The turn in which numbers only rise or only fall; where there is none, from the last (first) column on."""
    if len(order) > 2:
        steps = np.sign(np.roll(order, -1) - order)
        for way in (1, -1):
            if np.count_nonzero(steps == way) == len(order) - 1:
                return np.roll(order, -1 - int(np.flatnonzero(steps == -way)[0]))
    sorted_places = np.lexsort(points[order].T[::-1])
    return np.roll(order, -int(sorted_places[0 if clockwise else -1]))


def approxPolyDP(curve: Any, epsilon: float, closed: bool, approxCurve: Any = None) -> np.ndarray:
    """A curve of fewer points, shape (k, 1, 2): the same as OpenCV's. See :func:`fastmed.simplify_contours`."""
    found = polygons.simplify_contours([points_of(curve, "curve")], epsilon, bool(closed))[0]
    return into(approxCurve, found[:, None])


def pointPolygonTest(contour: Any, pt: Any, measureDist: bool) -> float:
    """1 inside, 0 on the contour, -1 outside, or the distance so signed: distances within 1e-6 of OpenCV's.

    See :func:`fastmed.contour_distances`.
    """
    point = np.asarray(pt, np.float32).reshape(-1)
    if point.shape != (2,):
        raise ValueError(f"pt must be (x, y), found {pt!r}")
    distance = float(polygons.contour_distances([points_of(contour, "contour")], point[None])[0, 0])
    return distance if measureDist else float(np.sign(distance))
