"""Features: volume (and mask) -> a row of numbers with stable names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._engine import threads
from . import _contour, _edge, _firstorder
from ._planes import Planes, otsu_threshold, planes

__all__ = ["FEATURES_VERSION", "extract_features", "feature_names", "features_of", "foreground", "otsu_threshold"]

#: Raised with every change of a value: rows that an older version computed are then computed anew.
FEATURES_VERSION = 2

_OTSU_BINS = 256


def feature_names() -> tuple[str, ...]:
    """The names that :func:`extract_features` gives, in its order.

    Examples
    --------
    >>> feature_names()[:2]
    ('firstorder_mean', 'firstorder_variance')
    """
    families = {"firstorder": _firstorder.NAMES, "edge": _edge.NAMES, "contour": _contour.NAMES}
    return tuple(f"{family}_{name}" for family, names in families.items() for name in names)


def extract_features(volume: Any, mask: Any = None, *, spacing: Any = None) -> dict[str, float]:
    """Features of one image: first-order statistics, edges, shape of the contours.

    Parameters
    ----------
    volume : Volume or array_like
        (y, x), (z, y, x), (t, z, y, x), or colour with unsigned channels last, whose mean is taken. Planes
        are (y, x); all other axes are stacked. Any bool, integer or float dtype. It is not changed.
    mask : array_like, optional
        Of `volume`'s shape (without channels); not 0 is the region. Without it, first-order statistics are
        over all of the image, and edges and contours over its foreground: what exceeds Otsu's threshold after
        smoothing.
    spacing : sequence of float, optional
        mm per pixel, the last two for rows and columns. By default the volume's own; an array without one
        counts as 1 mm.

    Returns
    -------
    dict of str to float
        Always the same names in the same order, see :func:`feature_names`. Values that are not finite,
        and voxels that `volume.padding` marks (the scanner's value for no data), are left out of everything
        but the shape of a given mask; what is not defined (no finite value, no foreground, a contour without area)
        is NaN.

        * ``firstorder_*``: IBSI's statistics in the intensity unit of the image (variance and energy:
          squared); kurtosis is excess kurtosis; ``entropy`` (bits) and ``uniformity`` are those of 32 bins of
          equal width between minimum and maximum.
        * ``edge_density``: Canny edge pixels on or beside the foreground per mm² of it, after smoothing by 1
          mm, with thresholds of 5 % and 10 % of the range (99.5th - 0.5th percentile) per mm.
          ``edge_gradient_*``: the gradient's magnitude in the foreground, in intensity per mm; ``p90`` is the
          mean over planes of the 90th percentile; ``relative`` is the mean in shares of the range per mm.
        * ``contour_*``: over the planes that have foreground. ``foreground_area_mean`` (mm², by pixels),
          ``borders_mean`` and ``_max`` (outer and hole borders per plane), and of each plane's largest
          contour the area (mm²), perimeter (mm), circularity (4 pi area / perimeter²) and Hu's invariants
          ``hu1`` to ``hu7`` as ``sign(h) log10(1 + |h| / 1e-8)``: ``_mean`` over planes, ``_largest`` of the
          plane where it is largest.

    Raises
    ------
    ValueError
        Wrong number of dimensions, a mask of another shape, a spacing that is not positive.
    TypeError
        Complex, object or text dtype.

    Notes
    -----
    A. Zwanenburg et al., "The Image Biomarker Standardization Initiative", Radiology 295 (2020) 328-338, for
    the first-order statistics.
    Memory: one copy of the values in their own dtype, else planes.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((40, 40)); image[10:30, 10:30] = 100
    >>> features = extract_features(image, spacing=(0.5, 0.5))
    >>> features["firstorder_mean"], features["contour_borders_max"]
    (25.0, 1.0)
    """
    return features_of(planes(volume, mask, spacing))


def features_of(image: Planes) -> dict[str, float]:
    """:func:`extract_features` of what :func:`planes` gave."""
    values = image.values()
    quantiles = _firstorder.percentiles(values)
    low, high = _range(values, quantiles)
    result = {f"firstorder_{k}": v for k, v in _firstorder.firstorder(values, quantiles).items()}
    planes_edges, planes_shapes = _measure(image, values, low, high)
    edges = _edge.features(planes_edges, image.spacing, high - low)
    result |= {f"edge_{k}": v for k, v in edges.items()}
    return result | {f"contour_{k}": v for k, v in _contour.features(planes_shapes, image.spacing).items()}


def _range(values: np.ndarray, quantiles: np.ndarray) -> tuple[float, float]:
    """The image's range: the extremes but for half a percent at each end, unless these are equal."""
    if not values.size:
        return 0.0, 0.0
    low, high = float(quantiles[0]), float(quantiles[-1])
    return (low, high) if low < high else (float(values.min()), float(values.max()))


def _threshold(values: np.ndarray, low: float, high: float) -> float:
    """Otsu's threshold in shares of the range; what lies outside the range counts into the end bins."""
    counts = np.zeros(_OTSU_BINS)
    for block in _firstorder.blocks(values):
        bins = np.clip((block - low) / (high - low) * _OTSU_BINS, 0, _OTSU_BINS - 1).astype(np.intp)
        counts += np.bincount(bins, minlength=_OTSU_BINS)
    return otsu_threshold(counts, np.linspace(0, 1, _OTSU_BINS + 1))


def _measure(
    image: Planes, values: np.ndarray, low: float, high: float
) -> tuple[list[_edge.PlaneEdges], list[_contour.PlaneShape]]:
    """Edges and shapes of the planes that have any.

    Planes run side by side, each on one thread. Threads that share one plane wait for each other: sobel of
    512 x 512 took 0.25 ms on one thread and 20 ms on two of a busy machine.
    """
    flat = not (low < high and np.isfinite(high - low))
    threshold = 0.0 if flat or image.mask is not None else _threshold(values, low, high)

    def one(index: int) -> tuple[_edge.PlaneEdges | None, _contour.PlaneShape | None]:
        region = None if image.mask is None else image.mask[index]
        if flat:
            return None, None if region is None else _contour.measure(region, image.spacing)
        smoothed, finite = image.smoothed(index, low, high)
        if region is None:
            region = (smoothed > threshold) & finite
        edges = _edge.measure(smoothed, region & finite, image.spacing)
        return edges, _contour.measure(region, image.spacing)

    workers = min(threads.get_num_threads(), len(image.stack))
    if workers > 1:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(one, range(len(image.stack))))
    else:
        with threads.num_threads(1):
            found = [one(index) for index in range(len(image.stack))]
    return [e for e, _ in found if e is not None], [s for _, s in found if s is not None]


def foreground(volume: Any, index: int, *, spacing: Any = None) -> np.ndarray:
    """The region of one plane that :func:`extract_features` measures when it is given no mask.

    Parameters
    ----------
    volume, spacing
        As in :func:`extract_features`.
    index : int
        Which plane.

    Returns
    -------
    array of bool, shape (y, x)
        What exceeds Otsu's threshold of the whole volume after smoothing; nothing where the volume is constant.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((40, 40)); image[10:30, 10:30] = 100
    >>> int(foreground(image, 0, spacing=(0.5, 0.5)).sum())
    388
    """
    image = planes(volume, None, spacing)
    values = image.values()
    low, high = _range(values, _firstorder.percentiles(values))
    if not (low < high and np.isfinite(high - low)):
        return np.zeros(image.stack.shape[1:], bool)
    smoothed, finite = image.smoothed(index, low, high)
    return (smoothed > _threshold(values, low, high)) & finite
