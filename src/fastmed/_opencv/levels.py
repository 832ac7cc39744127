"""Thresholds, erosion and dilation in OpenCV's call shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NotOfferedError
from ..filters import maximum_filter, minimum_filter
from . import constants as c
from .arguments import chosen, into, whole
from .filters import border_mode, image_of, origins_of

_DTYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)
_KINDS = {
    c.THRESH_BINARY: lambda image, above, level, top: np.where(above, top, image.dtype.type(0)),
    c.THRESH_BINARY_INV: lambda image, above, level, top: np.where(above, image.dtype.type(0), top),
    c.THRESH_TRUNC: lambda image, above, level, top: np.where(above, level, image),
    c.THRESH_TOZERO: lambda image, above, level, top: np.where(above, image, image.dtype.type(0)),
    c.THRESH_TOZERO_INV: lambda image, above, level, top: np.where(above, image.dtype.type(0), image),
}


def threshold(src: Any, thresh: float, maxval: float, type: int, dst: Any = None) -> tuple[float, np.ndarray]:
    """The threshold and what it makes of an image: the same as OpenCV's.

    THRESH_BINARY, BINARY_INV, TRUNC, TOZERO and TOZERO_INV of uint8, uint16, int16, float32 and float64 without NaN;
    of whole numbers the threshold is rounded down and `maxval` to the nearest. THRESH_OTSU and THRESH_TRIANGLE are not
    offered.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import cv2
    >>> cv2.threshold(np.array([[1, 2, 3]], np.uint8), 1.5, 255, cv2.THRESH_BINARY)[1].tolist()
    [[0, 255, 255]]
    """
    make = chosen(type, _KINDS, "type")
    image = image_of(src, _DTYPES)
    level, top = float(thresh), float(maxval)
    if not (math.isfinite(level) and math.isfinite(top)):
        raise ValueError(f"thresh and maxval must be finite, found {thresh!r} and {maxval!r}")
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        level, top = float(np.floor(level)), float(np.clip(np.rint(top), limits.min, limits.max))
        cut: Any = image.dtype.type(min(level, limits.max) if level >= limits.min else 0)  # 0, also of int16
    else:
        cut = image.dtype.type(level)
    above = image > (level if image.dtype.kind in "iu" else cut)
    return level, into(dst, make(image, above, cut, image.dtype.type(top)))


def erode(
    src: Any, kernel: Any, dst: Any = None, anchor: Any = (-1, -1), iterations: int = 1, borderType: int = 0,
    borderValue: Any = None,
) -> np.ndarray:
    """Minimum over the kernel's elements that are not 0: the same as OpenCV's.

    uint8, uint16, int16, float32 and float64. With BORDER_CONSTANT what lies outside does not count (another
    `borderValue` is not offered); several iterations are offered with it only. See :func:`fastmed.minimum_filter`.
    """
    return into(dst, _extremum(minimum_filter, False, src, kernel, anchor, iterations, borderType, borderValue))


def dilate(
    src: Any, kernel: Any, dst: Any = None, anchor: Any = (-1, -1), iterations: int = 1, borderType: int = 0,
    borderValue: Any = None,
) -> np.ndarray:
    """Maximum over the kernel's elements that are not 0: the same as OpenCV's, as `erode` is."""
    return into(dst, _extremum(maximum_filter, True, src, kernel, anchor, iterations, borderType, borderValue))


def _extremum(
    run: Callable[..., Any], largest: bool, src: Any, kernel: Any, anchor: Any, iterations: Any, border: Any,
    value: Any,
) -> np.ndarray:
    image, mode, count = image_of(src, _DTYPES), border_mode(border), whole(iterations, "iterations")
    if value is not None:
        raise NotOfferedError(f"borderValue must be left out, found {value!r}")
    if count < 0 or (count > 1 and mode != "constant"):
        raise NotOfferedError(f"iterations must be at least 0, and at most 1 but for BORDER_CONSTANT, found {count}")
    window = np.ones((3, 3), bool) if kernel is None else np.asarray(kernel) != 0
    if window.ndim != 2 or not window.any():
        raise ValueError(f"kernel must have 2 axes and an element that is not 0, found shape {window.shape}")
    origins = origins_of(anchor, window.shape[::-1])
    more = image.ndim - 2
    limits = np.finfo(image.dtype) if image.dtype.kind == "f" else np.iinfo(image.dtype)
    for _ in range(count):
        image = run(
            image, footprint=window.reshape(window.shape + (1,) * more), mode=mode,
            cval=float(limits.min if largest else limits.max), origin=origins + (0,) * more,
        )
    return image if count else image.copy()
