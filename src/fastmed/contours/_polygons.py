"""Polygons: measures, hulls, simplification and distances of many contours at once, over flat arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_number
from .._engine.operation import kernel
from ._isolines import Isolines
from ._trace import Contours

#: Contours are what `trace_contours` or `find_contours` gives, or a sequence of arrays of shape (n, 2).
ContoursLike = Any

_MOMENTS = ("m00", "m10", "m01", "m20", "m11", "m02", "m30", "m21", "m12", "m03")


def flat(contours: ContoursLike, name: str = "contours") -> tuple[np.ndarray, np.ndarray]:
    """Points of shape (n, 2) and offsets; points keep their dtype."""
    if isinstance(contours, Contours | Isolines):
        points, offsets = contours.points, contours.offsets
    else:
        parts = [np.asarray(part) for part in contours]
        for i, part in enumerate(parts):
            if part.ndim == 3 and part.shape[1:] == (1, 2):  # as OpenCV has them
                parts[i] = part = part[:, 0]
            if part.ndim != 2 or part.shape[1] != 2 or part.dtype.kind not in "iuf":
                raise ValueError(f"{name} must be numbers of shape (n, 2), found {part.dtype} of shape {part.shape}")
        points = np.concatenate(parts) if parts else np.zeros((0, 2))
        offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    if points.shape[1] != 2:
        raise ValueError(f"{name} must lie in a plane, found points with {points.shape[1]} coordinates")
    if (np.diff(offsets) < 1).any():
        raise ValueError(f"{name} must have at least one point each, found one without")
    return points, offsets


def _next(offsets: np.ndarray) -> np.ndarray:
    """Of each point, the number of the one that follows it around its contour."""
    following = np.arange(1, offsets[-1] + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    return following


def _sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The sum of each contour's values."""
    return np.add.reduceat(values, offsets[:-1]) if len(offsets) > 1 else np.zeros(0)


def areas(contours: ContoursLike, *, oriented: bool = False) -> np.ndarray:
    """Area that each contour encloses, like OpenCV's ``contourArea``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
    oriented : bool, optional
        With a sign: positive where the contour, x to the right and y down, runs clockwise.

    Returns
    -------
    ndarray of float64, shape (len(contours),)
        In squared units of the points.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.areas([[[0, 0], [4, 0], [4, 3]]]).tolist()
    [6.0]
    """
    points, offsets = flat(contours)
    x, y = points.T.astype(np.float64)
    following = _next(offsets)
    doubled = _sums(x * y[following] - x[following] * y, offsets)
    return doubled / 2 if oriented else abs(doubled) / 2


def arc_lengths(contours: ContoursLike, closed: bool = True) -> np.ndarray:
    """Length of each contour, like OpenCV's ``arcLength``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
    closed : bool, optional
        Whether the last point is joined to the first.

    Returns
    -------
    ndarray of float64, shape (len(contours),)

    Examples
    --------
    >>> import fastmed
    >>> fastmed.arc_lengths([[[0, 0], [4, 0], [4, 3]]]).tolist()
    [12.0]
    """
    points, offsets = flat(contours)
    steps = points[_next(offsets)].astype(np.float64) - points
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    if not closed:
        lengths[offsets[1:] - 1] = 0
    return _sums(lengths, offsets)


def bounding_rects(contours: ContoursLike) -> np.ndarray:
    """Upright rectangle around each contour, like OpenCV's ``boundingRect``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    ndarray, shape (len(contours), 4)
        x, y, width and height (of the first and second coordinate). Of integer points, which are pixels, the size
        counts them: one pixel has width 1; of others it is the difference.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.bounding_rects([[[2, 0], [4, 0], [4, 3]]]).tolist()
    [[2, 0, 3, 4]]
    """
    points, offsets = flat(contours)
    if len(offsets) == 1:
        return np.zeros((0, 4), points.dtype)
    low = np.minimum.reduceat(points, offsets[:-1])
    high = np.maximum.reduceat(points, offsets[:-1])
    return np.hstack([low, high - low + (1 if points.dtype.kind in "iu" else 0)]).astype(points.dtype)


def polygon_moments(contours: ContoursLike) -> dict[str, np.ndarray]:
    """Moments up to order 3 of what each contour encloses, like OpenCV's ``moments``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    dict of str to ndarray of float64, shape (len(contours),)
        ``m00`` to ``m03`` about the origin, ``mu20`` to ``mu03`` about the centroid, ``nu20`` to ``nu03`` made
        independent of size. All 0 where the area is 0.

    Notes
    -----
    C. Steger, "On the calculation of arbitrary moments of polygons", TU Munich FGBV-96-05 (1996). Central moments are
    summed about the mean of the points, so that large coordinates do not cancel.

    Examples
    --------
    >>> import fastmed
    >>> moments = fastmed.polygon_moments([[[0, 0], [2, 0], [2, 1], [0, 1]]])
    >>> moments["m00"].tolist(), moments["mu02"].round(6).tolist()
    ([2.0], [0.166667])
    """
    points, offsets = flat(contours)
    points = points.astype(np.float64)
    if len(offsets) == 1:
        return {name: np.zeros(0) for name in (*_MOMENTS, *_central_names("mu"), *_central_names("nu"))}
    counts = np.diff(offsets)
    middle = np.add.reduceat(points, offsets[:-1]) / counts[:, None]
    near = _raw_moments(points - np.repeat(middle, counts, axis=0), offsets)
    solid = _solid(near)
    raw = {name: np.where(solid, value, 0.0) for name, value in _raw_moments(points, offsets).items()}
    return {**raw, **central_moments(near)}


def _solid(m: dict[str, np.ndarray]) -> np.ndarray:
    return abs(m["m00"]) > np.finfo(np.float32).eps


def raw_moments(contours: ContoursLike) -> dict[str, np.ndarray]:
    """The ``m`` of `polygon_moments`."""
    points, offsets = flat(contours)
    m = _raw_moments(points.astype(np.float64), offsets)
    return {name: np.where(_solid(m), value, 0.0) for name, value in m.items()}


def central_moments(m: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The ``mu`` and ``nu`` of moments about any point; 0 where the area is 0."""
    area, solid = m["m00"], _solid(m)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = m["m10"] / area, m["m01"] / area
        mu20, mu02, mu11 = m["m20"] - x * m["m10"], m["m02"] - y * m["m01"], m["m11"] - x * m["m01"]
        mu = {
            "mu20": mu20,
            "mu11": mu11,
            "mu02": mu02,
            "mu30": m["m30"] - x * (3 * mu20 + x * m["m10"]),
            "mu21": m["m21"] - x * (2 * mu11 + x * m["m01"]) - y * mu20,
            "mu12": m["m12"] - y * (2 * mu11 + y * m["m10"]) - x * mu02,
            "mu03": m["m03"] - y * (3 * mu02 + y * m["m01"]),
        }
        nu = {f"nu{k[2:]}": v / area ** (1 + (int(k[2]) + int(k[3])) / 2) for k, v in mu.items()}
    return {name: np.where(solid, value, 0.0) for name, value in {**mu, **nu}.items()}


def _central_names(prefix: str) -> list[str]:
    return [f"{prefix}{k}" for k in ("20", "11", "02", "30", "21", "12", "03")]


#: The moments of which Hu's invariants are made.
NORMALIZED = tuple(_central_names("nu"))


def _raw_moments(points: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
    x, y = points.T
    u, v = points[_next(offsets)].T
    cross = x * v - u * y
    terms = {
        "m00": (1.0, 2),
        "m10": (x + u, 6),
        "m01": (y + v, 6),
        "m20": (x * x + x * u + u * u, 12),
        "m11": (x * (2 * y + v) + u * (y + 2 * v), 24),
        "m02": (y * y + y * v + v * v, 12),
        "m30": ((x + u) * (x * x + u * u), 20),
        "m21": (x * x * (3 * y + v) + 2 * x * u * (y + v) + u * u * (y + 3 * v), 60),
        "m12": (y * y * (3 * x + u) + 2 * y * v * (x + u) + v * v * (x + 3 * u), 60),
        "m03": ((y + v) * (y * y + v * v), 20),
    }
    sums = {name: _sums(cross * term, offsets) / divisor for name, (term, divisor) in terms.items()}
    sign = np.where(sums["m00"] < 0, -1.0, 1.0)
    return {name: sign * value for name, value in sums.items()}


def hu_moments(contours: ContoursLike) -> np.ndarray:
    """Hu's seven invariants of each contour, like OpenCV's ``HuMoments``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    ndarray of float64, shape (len(contours), 7)
        The same after shift, rotation and scaling (M.-K. Hu, IRE Trans. Inf. Theory 8 (1962) 179-187); the seventh
        changes its sign in a mirror image.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.hu_moments([[[0, 0], [2, 0], [2, 2], [0, 2]]])[0, :2].round(6).tolist()
    [0.166667, 0.0]
    """
    return hu_of(polygon_moments(contours))


def hu_of(m: dict[str, np.ndarray]) -> np.ndarray:
    """Hu's invariants of normalized central moments, shape (n, 7)."""
    n20, n11, n02, n30, n21, n12, n03 = (m[name] for name in NORMALIZED)
    p, q, r, s = n30 + n12, n21 + n03, n30 - 3 * n12, 3 * n21 - n03
    return np.stack(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            r * r + s * s,
            p * p + q * q,
            r * p * (p * p - 3 * q * q) + s * q * (3 * p * p - q * q),
            (n20 - n02) * (p * p - q * q) + 4 * n11 * p * q,
            s * p * (p * p - 3 * q * q) - r * q * (3 * p * p - q * q),
        ],
        axis=1,
    )


def _split(points: np.ndarray, offsets: np.ndarray) -> list[np.ndarray]:
    return [points[a:b] for a, b in itertools.pairwise(offsets.tolist())]


def _budget(work: int) -> int:
    return threads.budget(work, 8)


def convex_hulls(contours: ContoursLike) -> list[np.ndarray]:
    """Convex hull of each contour: the points that OpenCV's ``convexHull`` gives.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    list of ndarray, shape (k, 2)
        Corners in the dtype of the points, none on a straight line between others, from the one with the smallest
        first coordinate on; with x to the right and y down they run clockwise.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.convex_hulls([[[0, 0], [3, 1], [4, 0], [4, 3]]])[0].tolist()
    [[0, 0], [4, 0], [4, 3]]
    """
    points, offsets = flat(contours)
    picked, ends = _hulls(points, offsets)
    return _split(points[picked], ends)


def _hulls(points: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    xy = np.ascontiguousarray(points, np.float64)
    return kernel("convex_hulls", __name__)(xy, offsets, _budget(len(xy)))


def hull_indices(contours: ContoursLike) -> list[np.ndarray]:
    """Which of its points are the corners of each contour's hull, in the order of `convex_hulls`."""
    _, offsets = arrays = flat(contours)
    picked, ends = _hulls(*arrays)
    return [own - begin for own, begin in zip(_split(picked, ends), offsets[:-1], strict=True)]


def solidities(contours: ContoursLike) -> np.ndarray:
    """Area of each contour over the area of its convex hull; NaN where that is 0.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    ndarray of float64, shape (len(contours),)

    Examples
    --------
    >>> import fastmed
    >>> fastmed.solidities([[[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]]]).round(4).tolist()
    [0.8571]
    """
    full = areas(convex_hulls(contours))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(full > 0, areas(contours) / full, np.nan)


def min_area_rects(contours: ContoursLike) -> np.ndarray:
    """The smallest rectangle around each contour, in any direction.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)

    Returns
    -------
    ndarray of float64, shape (len(contours), 5)
        Centre x and y, width, height and the angle in degrees, from 0 to less than 90, from the x axis towards the y
        axis to the side called width. One side of the rectangle lies on one of the hull.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.min_area_rects([[[0, 0], [4, 0], [4, 3], [0, 3]]])[0].tolist()
    [2.0, 1.5, 4.0, 3.0, 0.0]
    """
    return np.array([_min_area_rect(hull.astype(np.float64)) for hull in convex_hulls(contours)]).reshape(-1, 5)


def _min_area_rect(hull: np.ndarray) -> tuple[float, ...]:
    sides = np.roll(hull, -1, axis=0) - hull
    along = sides / np.maximum(np.hypot(*sides.T), 1e-300)[:, None]
    angles = np.unique(np.round(np.degrees(np.arctan2(along[:, 1], along[:, 0])) % 90, 12) % 90)
    u = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    w = np.stack([-u[:, 1], u[:, 0]], axis=1)
    middle = hull.mean(axis=0)
    a, b = (hull - middle) @ u.T, (hull - middle) @ w.T
    width, height = np.ptp(a, axis=0), np.ptp(b, axis=0)
    i = int(np.argmin(width * height))
    centre = middle + u[i] * (a[:, i].min() + width[i] / 2) + w[i] * (b[:, i].min() + height[i] / 2)
    return (*centre.tolist(), float(width[i]), float(height[i]), float(angles[i]))


def simplify_contours(contours: ContoursLike, tolerance: float, closed: bool = True) -> list[np.ndarray]:
    """Leave out points of each contour so that it moves by no more than a tolerance: OpenCV's ``approxPolyDP``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
    tolerance : float
        At least 0, in units of the points. Points lie that near to the simplified contour (a last clean-up of nearly
        straight lines, which is OpenCV's, can add to it).
    closed : bool, optional
        Whether the last point is joined to the first.

    Returns
    -------
    list of ndarray, shape (k, 2)
        A selection of the points, in their order; OpenCV's choice and order.

    Raises
    ------
    ValueError
        If `tolerance` is negative or not finite.

    References
    ----------
    .. [1] D. H. Douglas and T. K. Peucker, "Algorithms for the reduction of the number of points required to represent
       a digitized line or its caricature", Cartographica 10 (1973) 112-122.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.simplify_contours([[[0, 0], [5, 1], [10, 0], [10, 10], [0, 10]]], 1.5)[0].tolist()
    [[0, 0], [10, 0], [10, 10], [0, 10]]
    """
    value = float(as_number(tolerance, "tolerance"))
    if not 0 <= value < np.inf:
        raise ValueError(f"tolerance must be a finite number of at least 0, found {value}")
    points, offsets = flat(contours)
    xy = np.ascontiguousarray(points, np.float64)
    arguments = (xy, offsets, value, bool(closed), _budget(len(xy)))
    picked, ends = kernel("simplify_contours", __name__)(*arguments)
    return _split(points[picked], ends)


def contour_distances(contours: ContoursLike, points: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Distance of points from each contour, like OpenCV's ``pointPolygonTest``.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
        Polygons; the last point is joined to the first.
    points : array_like of float, shape (m, 2)

    Returns
    -------
    ndarray of float64, shape (len(contours), m)
        Positive inside (by the even-odd rule), 0 on the contour, negative outside.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.contour_distances([[[0, 0], [4, 0], [4, 4], [0, 4]]], [[1, 2], [4, 2], [7, 8]]).tolist()
    [[1.0, 0.0, -5.0]]
    """
    return _distances(contours, points, True)


def contains_points(contours: ContoursLike, points: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Whether points lie in each contour.

    Parameters
    ----------
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
        Polygons; the last point is joined to the first.
    points : array_like of float, shape (m, 2)

    Returns
    -------
    ndarray of bool, shape (len(contours), m)
        True inside (by the even-odd rule) and on the contour.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.contains_points([[[0, 0], [4, 0], [4, 4], [0, 4]]], [[1, 2], [4, 2], [7, 8]]).tolist()
    [[True, True, False]]
    """
    return _distances(contours, points, False) >= 0


def _distances(contours: ContoursLike, points: Any, measure: bool) -> np.ndarray:
    targets = np.ascontiguousarray(points, np.float64)
    if targets.ndim != 2 or targets.shape[1] != 2:
        raise ValueError(f"points must have shape (m, 2), found {targets.shape}")
    xy, offsets = flat(contours)
    xy = np.ascontiguousarray(xy, np.float64)
    output = np.empty((len(offsets) - 1, len(targets)))
    budget = _budget(len(xy) * max(len(targets), 1))
    kernel("contour_distances", __name__)(xy, offsets, targets, measure, output, budget)
    return output
