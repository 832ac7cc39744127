"""Edges: how long they are in the foreground, and how steep the image is, in mm."""

from __future__ import annotations

import math

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


class Edges:
    """Sums over planes; :meth:`features` gives the family."""

    def __init__(self, spacing: tuple[float, float]) -> None:
        self.spacing = spacing
        self.edge_pixels = self.pixels = 0
        self.total = self.squares = self.steepest = 0.0
        self.p90: list[float] = []

    def add(self, smoothed: np.ndarray, foreground: np.ndarray) -> None:
        """Take in one plane: float32 in shares of the range, and which pixels count."""
        count = int(np.count_nonzero(foreground))
        if not count:
            return
        steps = enumerate(self.spacing)
        rise = [sobel(smoothed, axis=a, mode="nearest") / np.float32(_SOBEL * step) for a, step in steps]
        slope = np.hypot(*rise)[foreground].astype(np.float64)
        self.pixels += count
        self.edge_pixels += int(np.count_nonzero(self._edges(smoothed) & _widened(foreground)))
        self.total += float(slope.sum())
        self.squares += float((slope * slope).sum())
        self.steepest = max(self.steepest, float(slope.max()))
        self.p90.append(float(np.percentile(slope, 90)))

    def _edges(self, smoothed: np.ndarray) -> np.ndarray:
        """Canny on the smoothed plane; for oblong pixels the thresholds are those of their mean side."""
        if min(smoothed.shape) < 3:
            return np.zeros(smoothed.shape, bool)
        per_mm = _SOBEL * math.sqrt(self.spacing[0] * self.spacing[1])
        low, high = LOW_PER_MM * per_mm, HIGH_PER_MM * per_mm
        return canny(smoothed, sigma=0, low_threshold=low, high_threshold=high, mode="nearest")

    def features(self, scale: float) -> dict[str, float]:
        """The family; `scale` is what a share of 1 is in intensity units. NaN without any foreground."""
        if not self.pixels:
            return dict.fromkeys(NAMES, float("nan"))
        mean = self.total / self.pixels
        spread = math.sqrt(max(self.squares / self.pixels - mean * mean, 0.0))
        area = self.pixels * self.spacing[0] * self.spacing[1]
        return {
            "density": self.edge_pixels / area,
            "gradient_mean": mean * scale,
            "gradient_std": spread * scale,
            "gradient_p90": float(np.mean(self.p90)) * scale,
            "gradient_max": self.steepest * scale,
            "gradient_relative": mean,
        }
