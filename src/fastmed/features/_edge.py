"""Edges: how long they are in the foreground, and how steep the image is, in mm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..edges import canny, sobel

NAMES = ("density", "gradient_mean", "gradient_std", "gradient_p90", "gradient_max", "gradient_relative")

#: Canny's thresholds, in shares of the image's range per mm. A step of the full range, smoothed by 1 mm,
#: rises at most 1 / sqrt(2 pi) = 0.4 per mm: an edge starts at steps of a quarter of the range and goes on to
#: an eighth.
LOW_PER_MM, HIGH_PER_MM = 0.05, 0.1

#: SciPy's sobel sums to 8 for a slope of 1 per pixel.
_SOBEL = 8.0


def _widened(mask: np.ndarray) -> np.ndarray:
    """The mask and the pixels beside it, corners too: where its outline is an edge, half of it lies there."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    rows = wide.copy()
    wide[:, 1:] |= rows[:, :-1]
    wide[:, :-1] |= rows[:, 1:]
    return wide


@dataclass(frozen=True)
class PlaneEdges:
    """Of one plane's foreground: counts of pixels, and sums over the slope in shares of the range per mm."""

    pixels: int
    edges: int
    total: float
    squares: float
    p90: float
    steepest: float


def measure(smoothed: np.ndarray, foreground: np.ndarray, spacing: tuple[float, float]) -> PlaneEdges | None:
    """One plane: float32 in shares of the range, and which pixels count; None where none does."""
    pixels = int(np.count_nonzero(foreground))
    if not pixels:
        return None
    steps = enumerate(spacing)
    rise = [sobel(smoothed, axis=a, mode="nearest") / np.float32(_SOBEL * step) for a, step in steps]
    slope = np.hypot(*rise)[foreground].astype(np.float64)
    edges = int(np.count_nonzero(_edges(smoothed, spacing) & _widened(foreground)))
    p90 = float(np.percentile(slope, 90))
    squares = float((slope * slope).sum())
    return PlaneEdges(pixels, edges, float(slope.sum()), squares, p90, float(slope.max()))


def _edges(smoothed: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Canny on the smoothed plane; for oblong pixels the thresholds are those of their mean side."""
    if min(smoothed.shape) < 3:
        return np.zeros(smoothed.shape, bool)
    per_mm = _SOBEL * math.sqrt(spacing[0] * spacing[1])
    low, high = LOW_PER_MM * per_mm, HIGH_PER_MM * per_mm
    return canny(smoothed, sigma=0, low_threshold=low, high_threshold=high, mode="nearest")


def features(planes: Sequence[PlaneEdges], spacing: tuple[float, float], scale: float) -> dict[str, float]:
    """The family; `scale` is what a share of 1 is in intensity units. NaN without any foreground."""
    if not planes:
        return dict.fromkeys(NAMES, float("nan"))
    pixels = sum(p.pixels for p in planes)
    mean = sum(p.total for p in planes) / pixels
    spread = math.sqrt(max(sum(p.squares for p in planes) / pixels - mean * mean, 0.0))
    return {
        "density": sum(p.edges for p in planes) / (pixels * spacing[0] * spacing[1]),
        "gradient_mean": mean * scale,
        "gradient_std": spread * scale,
        "gradient_p90": sum(p.p90 for p in planes) / len(planes) * scale,
        "gradient_max": max(p.steepest for p in planes) * scale,
        "gradient_relative": mean,
    }
