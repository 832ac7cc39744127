"""Filters in OpenCV's call shapes, where whole numbers are rounded as OpenCV rounds them.

Whole numbers stay exact: kernels that are not whole are taken with results in floating point only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import NotOfferedError
from ..filters import correlate, correlate1d, median_filter, uniform_filter
from . import constants as c
from .arguments import chosen, into, pair, whole

_BORDERS = {
    c.BORDER_CONSTANT: "constant",
    c.BORDER_REPLICATE: "nearest",
    c.BORDER_REFLECT: "reflect",
    c.BORDER_REFLECT_101: "mirror",
}
_DEPTHS = {c.CV_8U: np.uint8, c.CV_16U: np.uint16, c.CV_16S: np.int16, c.CV_32F: np.float32, c.CV_64F: np.float64}
_WHOLE = (np.uint8, np.uint16, np.int16)
_FLOATS = (np.float32, np.float64)

#: The kernels that OpenCV has for sigma 0, by size.
_FIXED_GAUSSIANS = {
    1: [1.0],
    3: [0.25, 0.5, 0.25],
    5: [0.0625, 0.25, 0.375, 0.25, 0.0625],
    7: [0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125],
    9: [v / 256 for v in (4, 13, 30, 51, 60, 51, 30, 13, 4)],
}


# --- what all of them take ------------------------------------------------------------------------------------------


def image_of(src: Any, dtypes: tuple[Any, ...], hint: str = "") -> np.ndarray:
    array = np.asarray(src)
    if array.dtype not in dtypes:
        names = ", ".join(np.dtype(t).name for t in dtypes)
        raise NotOfferedError(f"src must be of {names}, found dtype {array.dtype}{hint}")
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(f"src must have shape (row, column) or (row, column, channel), found {array.shape}")
    return array


def border_mode(value: Any) -> str:
    return str(chosen(whole(value, "borderType") & ~c.BORDER_ISOLATED, _BORDERS, "borderType"))


def _depth(ddepth: Any, image: np.ndarray) -> np.dtype:
    """The dtype of the result."""
    if whole(ddepth, "ddepth") == -1:
        return image.dtype
    depth = np.dtype(chosen(ddepth, _DEPTHS, "ddepth"))
    fits = depth.kind == "f" or depth == image.dtype or (depth == np.int16 and image.dtype == np.uint8)
    if not fits or (image.dtype.kind == "f" and depth != image.dtype):
        raise NotOfferedError(f"ddepth asks for {depth} of {image.dtype}: OpenCV or fastmed does not have it")
    return depth


def _size(value: Any, name: str = "ksize") -> tuple[int, int]:
    width, height = pair(value, name)
    if width < 1 or height < 1:
        raise ValueError(f"{name} must be two numbers of at least 1, found {value!r}")
    return width, height


def origins_of(anchor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """SciPy's origins of the rows and of the columns; -1 is the middle."""
    places = [n // 2 if a == -1 else a for a, n in zip(pair(anchor, "anchor"), size, strict=True)]
    if not all(0 <= a < n for a, n in zip(places, size, strict=True)):
        raise ValueError(f"anchor must lie in the kernel of size {size}, found {anchor!r}")
    x, y = (a - n // 2 for a, n in zip(places, size, strict=True))
    return y, x


def _number(value: Any, name: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, found {value!r}")
    return number


def _cast(sums: np.ndarray, delta: float, depth: np.dtype) -> np.ndarray:
    """Into `depth`; whole numbers beyond its range become its limits."""
    if delta:
        sums += delta
    if depth.kind in "iu":
        limits = np.iinfo(depth)
        np.clip(sums, limits.min, limits.max, out=sums)
    return sums.astype(depth, copy=False)


def _working_type(image: np.ndarray, depth: np.dtype, gain: float, *weights: np.ndarray) -> Any:
    """float32 where sums are exact in it, else float64. `gain`: the sum of all absolute weights."""
    exact = all((w == np.round(w)).all() for w in weights)
    if depth.kind in "iu" and not exact:
        raise NotOfferedError(f"kernel, scale and delta must be whole for results of {depth}; take ddepth=CV_32F")
    largest = np.iinfo(image.dtype).max + 1 if image.dtype.kind in "iu" else np.inf
    return np.float32 if exact and gain * largest < 2**24 else np.float64


def _separable(
    image: np.ndarray, depth: np.dtype, kx: np.ndarray, ky: np.ndarray, scale: float, delta: float, border: Any,
    anchor: Any = (-1, -1),
) -> np.ndarray:
    mode, (origin_y, origin_x) = border_mode(border), origins_of(anchor, (len(kx), len(ky)))
    kx, delta = kx * _number(scale, "scale"), _number(delta, "delta")
    gain = float(abs(kx).sum() * abs(ky).sum() + abs(delta))
    work = _working_type(image, depth, gain, kx, ky, np.array(delta))
    rows = correlate1d(image, kx, 1, work, mode, origin=origin_x)
    return _cast(correlate1d(rows, ky, 0, work, mode, origin=origin_y), delta, depth)


def _dense(
    image: np.ndarray, depth: np.dtype, kernel: np.ndarray, delta: float, border: Any, anchor: Any
) -> np.ndarray:
    mode, origins = border_mode(border), origins_of(anchor, kernel.shape[::-1])
    delta = _number(delta, "delta")
    work = _working_type(image, depth, float(abs(kernel).sum() + abs(delta)), kernel, np.array(delta))
    more = image.ndim - 2
    weights = kernel.reshape(kernel.shape + (1,) * more)
    return _cast(correlate(image, weights, work, mode, origin=origins + (0,) * more), delta, depth)


def _taps(kernel: Any, name: str, ndim: int) -> np.ndarray:
    array = np.asarray(kernel, np.float64)
    if ndim == 1 and array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != ndim or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers over {ndim} axes, found shape {array.shape}")
    return array


# --- smoothing ------------------------------------------------------------------------------------------------------


def medianBlur(src: Any, ksize: int, dst: Any = None) -> np.ndarray:
    """Median of a square of odd size: the same bits as OpenCV's.

    uint8 of any size; uint16, int16 and float32 of size 3 and 5. See :func:`fastmed.median_filter`.
    """
    size = whole(ksize, "ksize")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"ksize must be odd and at least 1, found {size}")
    image = image_of(src, (np.uint8, np.uint16, np.int16, np.float32) if size <= 5 else (np.uint8,))
    return into(dst, median_filter(image, (size, size, 1)[: image.ndim], mode="nearest"))


def blur(src: Any, ksize: Any, dst: Any = None, anchor: Any = (-1, -1), borderType: int = 4) -> np.ndarray:
    """Mean of a box: equal to OpenCV's as `boxFilter` is. See :func:`fastmed.uniform_filter`."""
    return boxFilter(src, -1, ksize, dst, anchor, True, borderType)


def boxFilter(
    src: Any, ddepth: int, ksize: Any, dst: Any = None, anchor: Any = (-1, -1), normalize: bool = True,
    borderType: int = 4,
) -> np.ndarray:
    """Mean or sum of a box, of float32 (within 1e-6 of the range, of sums times the size) and float64 (1e-12).

    Of uint8 OpenCV's bits, for boxes of at most 256 pixels that are no power of two: of those OpenCV 5.0 gives means of
    up to one too much, and those of larger ones depend on where in a row they stand.
    """
    image = image_of(src, (np.uint8, *_FLOATS), "; OpenCV rounds means of other integers otherwise")
    depth, size = _depth(ddepth, image), _size(ksize)
    arguments: dict[str, Any] = {"mode": border_mode(borderType), "origin": origins_of(anchor, size), "axes": (0, 1)}
    if image.dtype == np.uint8:
        return into(dst, _box_of_bytes(image, depth, size, normalize, arguments))
    result = uniform_filter(image, size[::-1], None, **arguments)
    return into(dst, (result if normalize else result * depth.type(size[0] * size[1])).astype(depth, copy=False))


def _box_of_bytes(
    image: np.ndarray, depth: np.dtype, size: tuple[int, int], normalize: bool, arguments: dict[str, Any]
) -> np.ndarray:
    """Sums are whole and below 65,536; means are rounded half up."""
    count = size[0] * size[1]
    if depth != np.uint8 or count > 256 or (count > 1 and count & (count - 1) == 0):
        raise NotOfferedError(f"of uint8, ksize must have at most 256 pixels, no power of two, and ddepth be CV_8U; "
                              f"found {size} and {depth}")  # fmt: skip
    means = uniform_filter(image, size[::-1], np.float64, **arguments)
    sums = np.rint(means * count).astype(np.int32)
    return (((2 * sums + count) // (2 * count)) if normalize else np.minimum(sums, 255)).astype(np.uint8)


def GaussianBlur(
    src: Any, ksize: Any, sigmaX: float, dst: Any = None, sigmaY: float = 0, borderType: int = 4
) -> np.ndarray:
    """Gaussian smoothing of float32 (within 1e-6 of the range) and float64 (1e-12).

    `ksize` (width, height), 0 for what `sigmaX` and `sigmaY` ask for; a sigma of 0 is made from the size.
    """
    image = image_of(src, _FLOATS, "; OpenCV rounds integers otherwise")
    sigma_x = max(_number(sigmaX, "sigmaX"), 0.0)
    sigma_y = _number(sigmaY, "sigmaY") if sigmaY > 0 else sigma_x
    kx, ky = (_gaussian(n, s) for n, s in zip(pair(ksize, "ksize"), (sigma_x, sigma_y), strict=True))
    return into(dst, _separable(image, image.dtype, kx, ky, 1, 0, borderType))


def _gaussian(size: int, sigma: float) -> np.ndarray:
    if size <= 0 and sigma > 0:
        size = round(sigma * 8 + 1) | 1
    if size <= 0 or size % 2 == 0:
        raise ValueError(f"ksize must be odd, or 0 where a sigma is given, found {size}")
    if sigma <= 0 and size in _FIXED_GAUSSIANS:
        return np.array(_FIXED_GAUSSIANS[size])
    sigma = sigma if sigma > 0 else ((size - 1) * 0.5 - 1) * 0.3 + 0.8
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return np.asarray(weights / weights.sum())


# --- derivatives ----------------------------------------------------------------------------------------------------


def _binomial(size: int, order: int) -> np.ndarray:
    """Sobel's kernel: so often summed in pairs, so often differences of neighbours."""
    taps = np.ones(1)
    for _ in range(size - order - 1):
        taps = np.convolve(taps, [1, 1])
    for _ in range(order):
        taps = np.convolve(taps, [-1, 1])
    return taps


def _sobel(size: int, order: int) -> np.ndarray:
    return _binomial(3 if size == 1 and order else size, order)


def Sobel(
    src: Any, ddepth: int, dx: int, dy: int, dst: Any = None, ksize: int = 3, scale: float = 1, delta: float = 0,
    borderType: int = 4,
) -> np.ndarray:
    """Derivatives of any order: OpenCV's bits for integers in CV_16S and with whole scales, else within law 2.

    uint8, uint16, int16 to their own dtype (uint8 also to CV_16S), CV_32F, CV_64F; float32 and float64 to their own.
    Of float32 results within 1e-6 of the range times the kernel's sum, of float64 within 1e-12. ``ksize`` 1, 3, 5, 7
    or -1 (Scharr's).
    """
    if ksize == -1:
        return Scharr(src, ddepth, dx, dy, dst, scale, delta, borderType)
    image = image_of(src, _WHOLE + _FLOATS)
    size, orders = _kernel_size(ksize), [whole(n, name) for n, name in ((dx, "dx"), (dy, "dy"))]
    if min(orders) < 0 or sum(orders) < 1 or max(orders) >= max(size, 3):
        raise ValueError(f"dx and dy must be at least 0, not both 0 and below the size {size}, found {dx} and {dy}")
    kx, ky = (_sobel(size, n) for n in orders)
    return into(dst, _separable(image, _depth(ddepth, image), kx, ky, scale, delta, borderType))


def _kernel_size(ksize: Any) -> int:
    return int(chosen(ksize, {n: n for n in (1, 3, 5, 7)}, "ksize"))


def Scharr(
    src: Any, ddepth: int, dx: int, dy: int, dst: Any = None, scale: float = 1, delta: float = 0, borderType: int = 4
) -> np.ndarray:
    """Scharr's first derivative along x (dx=1, dy=0) or y: equal to OpenCV's as `Sobel` is."""
    image = image_of(src, _WHOLE + _FLOATS)
    if (whole(dx, "dx"), whole(dy, "dy")) not in ((1, 0), (0, 1)):
        raise ValueError(f"dx and dy must be 1 and 0, or 0 and 1, found {dx} and {dy}")
    taps = np.array([-1.0, 0, 1]), np.array([3.0, 10, 3])
    kx, ky = taps if dx else taps[::-1]
    return into(dst, _separable(image, _depth(ddepth, image), kx, ky, scale, delta, borderType))


def Laplacian(
    src: Any, ddepth: int, dst: Any = None, ksize: int = 1, scale: float = 1, delta: float = 0, borderType: int = 4
) -> np.ndarray:
    """Sum of the second derivatives along x and y, ``ksize`` 1, 3, 5 or 7: equal to OpenCV's as `Sobel` is.

    Of integers to CV_64F within 1e-6: OpenCV sums them in float32.
    """
    image, size = image_of(src, _WHOLE + _FLOATS), _kernel_size(ksize)
    kernel = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    if size > 1:
        second, smooth = _binomial(size, 2), _binomial(size, 0)
        kernel = np.outer(smooth, second) + np.outer(second, smooth)
    kernel = kernel * _number(scale, "scale")
    return into(dst, _dense(image, _depth(ddepth, image), kernel, delta, borderType, (-1, -1)))


# --- the caller's kernels -------------------------------------------------------------------------------------------


def filter2D(
    src: Any, ddepth: int, kernel: Any, dst: Any = None, anchor: Any = (-1, -1), delta: float = 0, borderType: int = 4
) -> np.ndarray:
    """Correlation with a kernel: OpenCV's bits for whole kernels on integers, else floats as close as `Sobel`'s."""
    image = image_of(src, _WHOLE + _FLOATS)
    return into(dst, _dense(image, _depth(ddepth, image), _taps(kernel, "kernel", 2), delta, borderType, anchor))


def sepFilter2D(
    src: Any, ddepth: int, kernelX: Any, kernelY: Any, dst: Any = None, anchor: Any = (-1, -1), delta: float = 0,
    borderType: int = 4,
) -> np.ndarray:
    """Correlation along x, then along y: equal to OpenCV's as `filter2D` is."""
    image = image_of(src, _WHOLE + _FLOATS)
    kx, ky = _taps(kernelX, "kernelX", 1), _taps(kernelY, "kernelY", 1)
    return into(dst, _separable(image, _depth(ddepth, image), kx, ky, 1, delta, borderType, anchor))
