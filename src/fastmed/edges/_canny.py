"""Canny's edge detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, native
from .._engine.operation import kernel, operation
from ..filters._gaussian import _parameters, _weights, smooth

# What the kernel gives; the numbers are those of csrc/edges/canny.cpp.
_SMOOTHED, _MAGNITUDE, _MARKS, _EDGES = range(4)
_NONE = np.empty(0, np.uint8)  # stands for "no mask" and "no table"


def _float_type(dtype: np.dtype) -> np.dtype:
    """The float in which an image of `dtype` is smoothed and differentiated."""
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize < 8 else np.float64)


def _as_image(image: Any) -> np.ndarray:
    array = as_array(image, "image")
    if array.dtype.kind in "ui" and array.dtype.itemsize == 8:
        raise ValueError(f"image has dtype {array.dtype}: 64-bit integer images are not supported; convert it first")
    if array.size == 0:
        raise ValueError(f"image is empty: found shape {array.shape}, wanted at least one pixel")
    if array.ndim != 2:
        raise ValueError(f"image must be 2-dimensional, found {array.ndim} axes of shape {array.shape}")
    return array


def _as_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    if mask is None:
        return _NONE
    array = np.asarray(mask).astype(bool, copy=False)
    if array.shape != shape:
        raise IndexError(f"mask must have the shape of image: found {array.shape}, wanted {shape}")
    return array


def _threshold(value: Any, default: float, name: str, use_quantiles: bool, top: Any) -> Any:
    """One threshold on the scale of the smoothed image, or as a quantile."""
    if value is None:
        return default
    if not use_quantiles:
        return value / top
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a quantile between 0 and 1, found {value!r}")
    return value


def _thresholds(dtype: np.dtype, low: Any, high: Any, use_quantiles: bool) -> tuple[Any, Any]:
    top = np.iinfo(dtype).max if dtype.kind in "ui" else 1
    low = _threshold(low, 0.1, "low_threshold", use_quantiles, top)
    high = _threshold(high, 0.2, "high_threshold", use_quantiles, top)
    if high < low:
        raise ValueError(f"low_threshold must not be above high_threshold: found {low!r} and {high!r}")
    return low, high


def _comparable(low: Any, high: Any, float_type: np.dtype) -> tuple[float, float]:
    """Thresholds for the kernel, rounded as scikit-image rounds them on the way to its comparisons.

    The lower one is a C float there; 0 becomes 1e-14, and magnitudes of 0 are never edges. The upper one is compared
    under NumPy's promotion rules.
    """
    with np.errstate(over="ignore", under="ignore"):
        low = np.float32(low)
        if low == 0:
            low = np.float32(1e-14)
        elif low < 0:
            low = np.nextafter(float_type.type(0), float_type.type(1))
        compared = np.result_type(np.empty(1, float_type), high)
        return float(low), float(compared.type(high))


class _Gradients:
    """An image ready for the kernel: its smoothing, its mask, and the share of the window that holds image."""

    def __init__(self, image: np.ndarray, sigma: Any, mask: np.ndarray, mode: Any, cval: Any) -> None:
        self.image, self.mask, self.cval = native(image), mask, float(cval)
        self.float_type = _float_type(image.dtype)
        self.rows = _parameters(2, sigma, 0, mode)
        self.weights = [w for _, s, o, _, r in self.rows for w in _weights(s, o, r).tolist()]
        self.bleed = _NONE
        if mask is _NONE and isinstance(mode, str) and mode == "constant":
            self.bleed = self._bleed(sigma)

    def _bleed(self, sigma: Any) -> np.ndarray:
        """The smoothed all-true mask. Rows further than a radius from the border are alike, and so are columns."""
        reach = [0, 0]
        for axis, _, _, _, radius in self.rows:
            reach[axis] = radius
        shape = [min(n, 2 * r + 1) for n, r in zip(self.image.shape, reach, strict=True)]
        table = smooth(np.ones(shape, self.float_type), sigma, mode="constant", cval=self.cval, exact=True)
        return table + np.finfo(self.float_type).eps

    def run(self, stage: int, dtype: Any, low: float = 0.0, high: float = 0.0) -> np.ndarray:
        output = np.empty(self.image.shape, dtype)
        kernel("canny", __name__)(
            self.image, self.mask, [r[0] for r in self.rows], [r[4] for r in self.rows], self.weights,
            [r[3] for r in self.rows], self.cval, self.bleed, stage, low, high, output, threads.budget(output.size),
        )
        return output


def _check_sigma(sigma: Any) -> None:
    if np.any(np.asarray(sigma) < 0.0):
        raise ValueError(f"sigma must not be negative, found {sigma!r}")


def _chunked(op: Any, arguments: dict[str, Any]) -> Any:
    raise NotImplementedError


@operation(chunked=_chunked, ndim=2)
def canny(
    image: Any,
    sigma: Any = 1.0,
    low_threshold: float | None = None,
    high_threshold: float | None = None,
    mask: Any = None,
    use_quantiles: bool = False,
    *,
    mode: Any = "constant",
    cval: float = 0.0,
) -> np.ndarray:
    """Edges.
    """
    image = _as_image(image)
    low, high = _thresholds(image.dtype, low_threshold, high_threshold, use_quantiles)
    _check_sigma(sigma)
    gradients = _Gradients(image, sigma, _as_mask(mask, image.shape), mode, cval)
    if use_quantiles:
        magnitude = gradients.run(_MAGNITUDE, gradients.float_type)
        low, high = np.percentile(magnitude, [100.0 * low, 100.0 * high])
    return gradients.run(_EDGES, bool, *_comparable(low, high, gradients.float_type))
