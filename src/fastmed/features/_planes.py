"""What all families share: any volume as a stack of finite in-plane images, its foreground, its units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..filters import gaussian_filter

#: Standard deviation, in mm, of the Gaussian before edges and contours.
SMOOTHING_MM = 1.0

#: Below this a neighbour weighs less than 1e-7 of the centre, and the smoothing of that axis is left out.
_NO_SMOOTHING = 0.17
#: Weights below this are rounding: so far from all pixels with data a plane is its mean.
_NO_WEIGHT = 1e-4


@dataclass(frozen=True)
class Planes:
    """A volume as planes.

    Attributes
    ----------
    stack : array, shape (n, y, x)
        Grey values in the volume's own dtype.
    mask : array of bool, shape (n, y, x), or None
        The region that the caller gave.
    spacing : (float, float)
        mm per row and per column.
    padding : array of bool, shape (n, y, x), or None
        Pixels that stand for no data.
    """

    stack: np.ndarray
    mask: np.ndarray | None
    spacing: tuple[float, float]
    padding: np.ndarray | None = None

    def values(self) -> np.ndarray:
        """The values inside the mask that are finite and no padding, 1-d, a copy in the volume's own dtype."""
        chosen = self.mask
        if self.padding is not None:
            chosen = ~self.padding if chosen is None else chosen & ~self.padding
        inside = self.stack.reshape(-1) if chosen is None else self.stack[chosen]
        if inside.dtype.kind == "f":
            finite = np.isfinite(inside)
            if not finite.all():
                return inside[finite]
        return inside.copy() if chosen is None else inside

    def part(self, index: int, rows: slice, columns: slice) -> Planes:
        """A part of one plane, without the mask."""
        place = (slice(index, index + 1), rows, columns)
        return Planes(self.stack[place], None, self.spacing, None if self.padding is None else self.padding[place])

    def smoothed(self, index: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """Of one plane: ``(value - low) / (high - low)`` in float32, smoothed by `SMOOTHING_MM`; which pixels
        are finite and no padding.

        All others weigh nothing in the smoothing: a pixel at the border of the field of view is the mean of those
        inside, and no edge towards what stands for no data.
        """
        sigma = [SMOOTHING_MM / s if s < SMOOTHING_MM / _NO_SMOOTHING else 0.0 for s in self.spacing]
        scaled = (self.stack[index].astype(np.float64) - low) / (high - low)
        finite = np.isfinite(scaled)
        if self.padding is not None:
            finite &= ~self.padding[index]
        whole = bool(finite.all())
        mean = 0.0 if whole or not finite.any() else float(scaled[finite].mean())
        scaled[~finite] = mean
        # Far outliers must not reach infinity in float32, nor drown the plane in rounding.
        single = np.clip(scaled, -1e6, 1e6).astype(np.float32)
        if whole or not any(sigma):
            return gaussian_filter(single, sigma, mode="nearest", truncate=3.0), finite
        weights = gaussian_filter(finite.astype(np.float32), sigma, mode="nearest", truncate=3.0)
        sums = gaussian_filter((single - np.float32(mean)) * finite, sigma, mode="nearest", truncate=3.0)
        return np.float32(mean) + sums / np.maximum(weights, np.float32(_NO_WEIGHT)), finite


def planes(volume: Any, mask: Any = None, spacing: Any = None) -> Planes:
    """`volume` (a Volume or an array) as :class:`Planes`; raises before any work when it cannot be one."""
    array = np.asarray(getattr(volume, "array", volume))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"volume has dtype {array.dtype}; wanted is bool, an integer or a float dtype")
    step = _in_plane(volume, spacing)
    grey = _grey(array, getattr(volume, "meta", None))
    stack = grey.reshape(-1, *grey.shape[-2:]) if grey.size else grey.reshape(0, 1, 1)
    return Planes(stack, _region(mask, grey, stack.shape), step, _padding(volume, array, stack.shape))


def _grey(array: np.ndarray, meta: Any) -> np.ndarray:
    """Colour becomes the mean over its channels; 2 to 4 dimensions remain."""
    if _is_colour(array, meta):
        array = array[..., :3].mean(axis=-1, dtype=np.float32)
    if not 2 <= array.ndim <= 4:
        raise ValueError(
            f"volume has {array.ndim} dimension(s), shape {array.shape}; wanted is (y, x), (z, y, x), "
            "(t, z, y, x) or colour (t, y, x, c)"
        )
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize == 2 else np.float64)
    array = array.astype(dtype, copy=False)
    return array.view(np.uint8) if array.dtype == bool else array


def _is_colour(array: np.ndarray, meta: Any) -> bool:
    """Three or four unsigned channels last: the reader says so, or the axis is too short for a row."""
    axes = meta.get("axes") if isinstance(meta, dict) else None
    if axes and len(axes) == array.ndim:
        return axes.endswith("c")
    return array.dtype.kind == "u" and array.ndim >= 3 and array.shape[-1] in (3, 4) and array.shape[-2] > 4


def _in_plane(volume: Any, spacing: Any) -> tuple[float, float]:
    given = spacing if spacing is not None else getattr(volume, "spacing", None)
    if given is None:
        return 1.0, 1.0
    steps = np.asarray(given, dtype=np.float64).reshape(-1)
    if not 2 <= steps.size <= 4 or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"spacing is {given!r}; wanted are 2 to 4 positive mm, row and column last")
    return float(steps[-2]), float(steps[-1])


def _region(mask: Any, grey: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    if mask is None:
        return None
    region = np.asarray(getattr(mask, "array", mask))
    if region.shape != grey.shape:
        raise ValueError(f"mask has shape {region.shape}; wanted is the volume's, {grey.shape}")
    return (region != 0).reshape(shape)


def _padding(volume: Any, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Where the volume stands for no data; None where it does so nowhere."""
    padding = getattr(volume, "padding", None)
    if padding is None or not np.any(padding):
        return None
    padding = np.asarray(padding, bool)
    if _is_colour(array, getattr(volume, "meta", None)):
        padding = padding.any(axis=-1)
    return padding.reshape(shape)


def otsu_threshold(counts: np.ndarray, edges: np.ndarray) -> float:
    """Otsu's threshold of a histogram: the bin edge that leaves the largest variance between the two classes.

    Parameters
    ----------
    counts : array, shape (n,)
        How many values each bin holds.
    edges : array, shape (n + 1,)
        The edges of the bins.

    Returns
    -------
    float
        The edge between the classes; the upper class lies above it. Where a run of edges separates equally
        well (an empty gap), its middle. NaN where fewer than two bins hold anything.

    Notes
    -----
    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9 (1979) 62-66.

    Examples
    --------
    >>> import numpy as np
    >>> otsu_threshold(np.array([5, 0, 0, 5]), np.arange(5.0))
    2.0
    """
    counts, edges = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if np.count_nonzero(counts) < 2:
        return float("nan")
    centres = (edges[:-1] + edges[1:]) / 2
    below, weighted = np.cumsum(counts)[:-1], np.cumsum(counts * centres)
    above = counts.sum() - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = weighted[:-1] / below - (weighted[-1] - weighted[:-1]) / above
        between = np.nan_to_num(below * above * gap * gap)
    first = int(np.argmax(between))
    last = first
    while last + 1 < counts.size - 1 and not counts[last + 1]:
        last += 1
    return float((edges[first + 1] + edges[last + 1]) / 2)
