"""Shape of the foreground's contours, plane by plane, in mm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contours import trace_contours

SHAPE = ("area", "perimeter", "circularity", "hu1", "hu2", "hu3", "hu4", "hu5", "hu6", "hu7")
NAMES = (
    "foreground_area_mean",
    "borders_mean",
    "borders_max",
    *(f"{name}_mean" for name in SHAPE),
    *(f"{name}_largest" for name in SHAPE),
)

#: Where :func:`log_hu` goes over from linear to logarithmic.
HU_KNEE = 1e-8


@dataclass(frozen=True)
class PlaneShape:
    """Of one plane's mask: how many pixels and borders, and :data:`SHAPE` of its largest contour."""

    pixels: int
    borders: int
    shape: list[float]


def measure(foreground: np.ndarray, spacing: tuple[float, float]) -> PlaneShape | None:
    """One plane; None where its mask is empty."""
    pixels = int(np.count_nonzero(foreground))
    if not pixels:
        return None
    # 'simple' leaves out points inside straight runs: the same polygons.
    found = trace_contours(foreground.view(np.uint8), mode="ccomp", method="simple")
    return PlaneShape(pixels, len(found), shape_of(largest(found.points, found.offsets, spacing)))


def features(planes: Sequence[PlaneShape], spacing: tuple[float, float]) -> dict[str, float]:
    """The family. NaN where there was no foreground, or no contour that encloses an area."""
    if not planes:
        return dict.fromkeys(NAMES, float("nan"))
    table = np.array([p.shape for p in planes])
    known = np.isfinite(table)
    counts = known.sum(axis=0)
    means = np.where(counts, np.where(known, table, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
    borders = [p.borders for p in planes]
    values = [
        float(np.mean([p.pixels for p in planes])) * spacing[0] * spacing[1],
        float(np.mean(borders)),
        float(max(borders)),
        *means,
        *table[int(np.argmax(table[:, 0]))],
    ]
    return {name: float(value) for name, value in zip(NAMES, values, strict=True)}


def largest(points: np.ndarray, offsets: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """The closed contour with the largest area, in mm; `points` are pixel (x, y), border after border."""
    starts, ends = offsets[:-1], offsets[1:]
    xy = points.astype(np.float64)
    following = np.arange(1, len(xy) + 1)
    following[ends - 1] = starts
    x, y = xy[:, 0], xy[:, 1]
    areas = np.abs(np.add.reduceat(x * y[following] - x[following] * y, starts)) / 2
    which = int(np.argmax(areas))
    return xy[starts[which] : ends[which]] * (spacing[1], spacing[0])


def shape_of(polygon: np.ndarray) -> list[float]:
    """The values of :data:`SHAPE` of a closed polygon, array of shape (n, 2); NaN what a zero area does not
    define.

    Area and perimeter are those of the polygon through the centres of the border pixels, like OpenCV's
    ``contourArea`` and ``arcLength``: the outline of the pixels themselves lies half a pixel further out.
    """
    steps = np.roll(polygon, -1, axis=0) - polygon
    perimeter = float(np.hypot(steps[:, 0], steps[:, 1]).sum())
    moments = central_moments(polygon)
    area = moments["m00"]
    if area <= 1e-12 * max(perimeter * perimeter, 1e-300):
        return [0.0, perimeter, *([math.nan] * 8)]
    return [area, perimeter, 4 * math.pi * area / perimeter**2, *map(log_hu, hu_moments(moments))]


def central_moments(polygon: np.ndarray) -> dict[str, float]:
    """Area and central moments up to order 3 of the inside of a closed polygon, by Green's theorem.

    Parameters
    ----------
    polygon : array, shape (n, 2)
        Corners (x, y) in either sense of rotation.

    Returns
    -------
    dict
        ``m00`` (area) and ``mu20, mu11, mu02, mu30, mu21, mu12, mu03``, all 0 when the area is 0.

    Notes
    -----
    C. Steger, "On the calculation of arbitrary moments of polygons", TU Munich FGBV-96-05 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> moments = central_moments(np.array([[0, 0], [2, 0], [2, 1], [0, 1]]))
    >>> moments["m00"], round(moments["mu20"], 6)
    (2.0, 0.666667)
    """
    raw = _raw_moments(polygon - polygon.mean(axis=0))
    if raw["m00"] == 0:
        return dict.fromkeys(("m00", "mu20", "mu11", "mu02", "mu30", "mu21", "mu12", "mu03"), 0.0)
    # Around the corners' mean first, then exactly around the centroid: no large numbers cancel.
    x0, y0 = raw["m10"] / raw["m00"], raw["m01"] / raw["m00"]
    mu20, mu02 = raw["m20"] - x0 * raw["m10"], raw["m02"] - y0 * raw["m01"]
    mu11 = raw["m11"] - x0 * raw["m01"]
    return {
        "m00": raw["m00"],
        "mu20": mu20,
        "mu11": mu11,
        "mu02": mu02,
        "mu30": raw["m30"] - x0 * (3 * mu20 + x0 * raw["m10"]),
        "mu21": raw["m21"] - x0 * (2 * mu11 + x0 * raw["m01"]) - y0 * mu20,
        "mu12": raw["m12"] - y0 * (2 * mu11 + y0 * raw["m10"]) - x0 * mu02,
        "mu03": raw["m03"] - y0 * (3 * mu02 + y0 * raw["m01"]),
    }


def _raw_moments(polygon: np.ndarray) -> dict[str, float]:
    x, y = polygon[:, 0], polygon[:, 1]
    u, v = np.roll(x, -1), np.roll(y, -1)
    cross = x * v - u * y
    sign = -1.0 if cross.sum() < 0 else 1.0
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
    return {name: sign * float((cross * term).sum()) / divisor for name, (term, divisor) in terms.items()}


def hu_moments(moments: dict[str, float]) -> list[float]:
    """Hu's invariants of shift, size and rotation (M.-K. Hu, IRE Trans. Inf. Theory 8 (1962) 179-187)."""
    second, third = moments["m00"] ** 2, moments["m00"] ** 2.5
    n20, n11, n02 = (moments[k] / second for k in ("mu20", "mu11", "mu02"))
    n30, n21, n12, n03 = (moments[k] / third for k in ("mu30", "mu21", "mu12", "mu03"))
    p, q = n30 + n12, n21 + n03
    r, s = n30 - 3 * n12, 3 * n21 - n03
    return [
        n20 + n02,
        (n20 - n02) ** 2 + 4 * n11**2,
        r * r + s * s,
        p * p + q * q,
        r * p * (p * p - 3 * q * q) + s * q * (3 * p * p - q * q),
        (n20 - n02) * (p * p - q * q) + 4 * n11 * p * q,
        s * p * (p * p - 3 * q * q) - r * q * (3 * p * p - q * q),
    ]


def log_hu(value: float) -> float:
    """``sign(h) * log10(1 + |h| / 1e-8)``.

    The usual ``sign(h) * log10|h|`` jumps from -20 to +20 where an invariant of a nearly symmetric shape
    crosses zero; this one is continuous, 0 at 0, and for ``|h|`` above 1e-7 the same but for a shift by 8.
    """
    return math.copysign(math.log10(1 + abs(value) / HU_KNEE), value) if value else 0.0
