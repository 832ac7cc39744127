"""Canny's edge detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.ndimage

from .._engine import chunks, threads
from .._engine.arrays import as_array, as_number, native
from .._engine.keywords import as_spacing, as_truth
from .._engine.operation import is_dask, kernel, operation
from ..filters._gaussian import _parameters, _weights
from ._hysteresis import linked
from ._quantiles import chunked_quantiles, made_after

# What the kernel gives; the numbers are those of csrc/edges/canny.cpp.
_SMOOTHED, _MAGNITUDE, _MARKS, _EDGES = range(4)
_NONE = np.empty(0, np.uint8)  # stands for "no mask" and "no table"


def _float_type(dtype: np.dtype, as_volume: bool) -> np.dtype:
    """The float in which an image of `dtype` is smoothed and differentiated."""
    small = dtype.kind == "f" and dtype.itemsize < 8 and not as_volume
    return np.dtype(np.float32 if small else np.float64)


def _as_spacing(spacing: Any, ndim: int) -> tuple[float, ...] | None:
    """Millimetres between neighbours along each axis."""
    return None if spacing is None else tuple(as_spacing(spacing, ndim))


def _in_elements(sigma: Any, spacing: tuple[float, ...] | None) -> Any:
    """Standard deviations in elements; with a spacing they are given in mm."""
    if spacing is None:
        return sigma
    sigmas = [sigma] * len(spacing) if np.ndim(sigma) == 0 else list(sigma)
    if len(sigmas) != len(spacing):
        raise RuntimeError(f"sigma must have one number per axis: found length {len(sigmas)}, wanted {len(spacing)}")
    return tuple(as_number(s, "sigma") / mm for s, mm in zip(sigmas, spacing, strict=True))


def _as_image(image: Any) -> np.ndarray:
    array = as_array(image, "image")
    _check_image(array.dtype, array.shape)
    return array


def _check_image(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind in "ui" and dtype.itemsize == 8:
        raise ValueError(f"64-bit integer images are not supported: found dtype {dtype}; convert it first")
    if 0 in shape:
        raise ValueError(f"image is empty: found shape {shape}, wanted at least one pixel")
    if len(shape) not in (2, 3):
        raise ValueError(f"image must have 2 or 3 axes, found {len(shape)} axes of shape {shape}")


def _mask_of(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    return _NONE if mask is None else as_truth(mask, shape, IndexError)  # the error that scikit-image has


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


def _comparable(low: Any, high: Any, float_type: np.dtype, as_volume: bool) -> tuple[float, float]:
    """Thresholds for the kernel, in two dimensions rounded as scikit-image rounds them on the way to its comparisons.

    The lower one is a C float there; 0 becomes 1e-14, and magnitudes of 0 are never edges. The upper one is
    compared under NumPy's promotion rules.
    """
    if as_volume:
        return float(low) if low > 0 else 1e-14 if low == 0 else 5e-324, float(high)
    with np.errstate(over="ignore", under="ignore"):
        low = np.float32(low)
        if low == 0:
            low = np.float32(1e-14)
        elif low < 0:
            low = np.nextafter(float_type.type(0), float_type.type(1))
        compared = np.result_type(np.empty(1, float_type), high)
        return float(low), float(compared.type(high))


class _Gradients:
    """An image ready for the kernel: its smoothing, its mask, and how much of each window lies inside.

    With a spacing, a plane is the middle one of three alike: the kernel for volumes knows spacings, and what is
    alike along an axis has no gradient there.
    """

    def __init__(
        self, image: np.ndarray, sigma: Any, mask: np.ndarray, mode: Any, cval: Any, spacing: tuple[float, ...] | None
    ) -> None:
        self.image, self.mask, self.cval = native(image), mask, float(cval)
        self.plane = image.ndim == 2 and spacing is not None
        self.as_volume = image.ndim == 3 or self.plane
        self.float_type = _float_type(image.dtype, self.as_volume)
        self.rows = _parameters(image.ndim, sigma, 0, mode)
        self.weights = [w for _, s, o, _, r in self.rows for w in _weights(s, o, r).tolist()]
        self.spacing = [1.0] * (3 - image.ndim) + list(spacing or [1.0] * image.ndim)
        self.bleed = _NONE
        if mask is _NONE and isinstance(mode, str) and mode == "constant":
            self.bleed = self._bleed(sigma)

    def _bleed(self, sigma: Any) -> np.ndarray:
        """The smoothed all-true mask. What is further than a radius from the border is alike."""
        reach = [0] * self.image.ndim
        for axis, _, _, _, radius in self.rows:
            reach[axis] = radius
        shape = [min(n, 2 * r + 1) for n, r in zip(self.image.shape, reach, strict=True)]
        inside = np.ones(shape, self.float_type)
        table = scipy.ndimage.gaussian_filter(inside, sigma, mode="constant", cval=self.cval)
        return table + np.finfo(self.float_type).eps

    def run(self, stage: int, dtype: Any, low: float = 0.0, high: float = 0.0) -> np.ndarray:
        arrays = [self.image, self.mask, self.bleed]
        if self.plane:
            arrays[:2] = [np.broadcast_to(a, (3, *a.shape)) if a.ndim == 2 else a for a in arrays[:2]]
            arrays[2] = self.bleed[None] if self.bleed.ndim == 2 else self.bleed
        image, mask, bleed = arrays
        output = np.empty(image.shape, dtype)
        kernel("canny", __name__)(
            image, mask, [r[0] + self.plane for r in self.rows], [r[4] for r in self.rows], self.weights,
            [r[3] for r in self.rows], self.cval, bleed, stage, low, high, self.spacing, output,
            threads.budget(output.size, 32),
        )
        return output[1].copy() if self.plane else output


def _check_sigma(sigma: Any) -> None:
    if np.any(np.asarray(sigma) < 0.0):
        raise ValueError(f"sigma must not be negative, found {sigma!r}")


# --- Dask arrays -------------------------------------------------------------------------------------------
# Each chunk is smoothed, differentiated and marked in one task, from a block with as wide a halo as all of that looks
# past itself: smoothed values of chunks that wait for their neighbours would be twice a float32 volume. Hysteresis then
# joins what meets at the borders between chunks.


def _chunked(op: Any, arguments: dict[str, Any]) -> Any:
    image, quantiles = arguments["image"], arguments["use_quantiles"]
    _check_image(as_array(np.empty(0, image.dtype), "image").dtype, image.shape)
    low, high = _thresholds(image.dtype, arguments["low_threshold"], arguments["high_threshold"], quantiles)
    _check_sigma(arguments["sigma"])
    spacing = _as_spacing(arguments["spacing"], image.ndim)
    how = {"sigma": _in_elements(arguments["sigma"], spacing), "mode": arguments["mode"],
           "cval": float(arguments["cval"]), "spacing": spacing}  # fmt: skip
    as_volume = image.ndim == 3 or spacing is not None
    dtype = _float_type(image.dtype, as_volume)
    source, eroded = _with_mask(image, arguments["mask"]), None
    if chunks.wrapped_axes(image.ndim, how):
        # Only the Gaussian looks past the ends. Whoever has smoothed values has to erode the mask, too.
        eroded = None if source is image else _of_chunks(_eroded_block, source, bool, {**_UNSMOOTHED, "spacing": None})
        source = _of_chunks(_smooth_block, source, dtype, how)
        how = {**_UNSMOOTHED, "spacing": spacing}
    if quantiles:
        marks = _chunked_quantile_marks(source, dtype, low, high, how)
    else:
        low, high = _comparable(low, high, dtype, as_volume)
        marks = _of_chunks(_mark_block, source, np.uint8, {**how, "low": low, "high": high})
    return linked(marks if eroded is None else marks * eroded, image.ndim)


#: What finds the edges of values that are smoothed.
_UNSMOOTHED = {"sigma": 0.0, "mode": "reflect", "cval": 0.0}


def _with_mask(image: Any, mask: Any) -> Any:
    """Image and mask in one array, so that both have the same halo."""
    if mask is None:
        return image
    import dask.array as da

    mask = as_truth(mask, image.shape, IndexError)
    mask = mask.rechunk(image.chunks) if is_dask(mask) else da.from_array(mask, chunks=image.chunks)
    pair = np.dtype([("image", image.dtype), ("mask", bool)])
    return da.map_blocks(_pair_block, image, mask, dtype=pair, meta=np.empty((0,) * image.ndim, pair))


def _reach(ndim: int, sigma: Any, mode: Any) -> list[int]:
    """How far marks look: at the magnitudes beside them, these at the smoothed values there, and these at a window."""
    reach = [2] * ndim
    for axis, _, _, _, radius in _parameters(ndim, sigma, 0, mode):
        reach[axis] += radius
    return reach


def _of_chunks(function: Any, source: Any, dtype: Any, arguments: dict[str, Any]) -> Any:
    mode = arguments["mode"]
    return chunks.map_with_halo(
        function, source, [(r, r) for r in _reach(source.ndim, arguments["sigma"], mode)],
        wrap=chunks.wrapped_axes(source.ndim, {"mode": mode}), dtype=dtype, name="canny", arguments=arguments,
    )


def _chunked_quantile_marks(source: Any, dtype: np.dtype, low: float, high: float, how: dict[str, Any]) -> Any:
    """Marks by thresholds that are quantiles of all magnitudes; chunks are made once more and do not wait for them."""
    import dask
    import dask.array as da

    as_volume = source.ndim == 3 or how["spacing"] is not None
    found = chunked_quantiles(_of_chunks(_magnitude_block, source, dtype, how), (low, high))
    limits = dask.delayed(_comparable_limits)(found, dtype, as_volume)
    (source,) = made_after([source], limits)
    return da.map_blocks(_threshold_block, _of_chunks(_thin_block, source, dtype, how), limits, dtype=np.uint8)


def _pair_block(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pair = np.empty(image.shape, [("image", image.dtype), ("mask", bool)])
    pair["image"], pair["mask"] = image, mask
    return pair


def _gradients(block: np.ndarray, sigma: Any, mode: Any, cval: float, spacing: Any) -> _Gradients:
    image, mask = (block["image"], block["mask"]) if block.dtype.names else (block, _NONE)
    return _Gradients(np.ascontiguousarray(image), sigma, np.ascontiguousarray(mask), mode, cval, spacing)


def _smooth_block(block: np.ndarray, **how: Any) -> np.ndarray:
    gradients = _gradients(block, **how)
    return gradients.run(_SMOOTHED, gradients.float_type)


def _eroded_block(block: np.ndarray, **how: Any) -> np.ndarray:
    return scipy.ndimage.binary_erosion(block["mask"], np.ones((3,) * block.ndim, bool), border_value=0)


def _mark_block(block: np.ndarray, *, low: float, high: float, **how: Any) -> np.ndarray:
    return _gradients(block, **how).run(_MARKS, np.uint8, low, high)


def _magnitude_block(block: np.ndarray, **how: Any) -> np.ndarray:
    gradients = _gradients(block, **how)
    return gradients.run(_MAGNITUDE, gradients.float_type)


def _thin_block(block: np.ndarray, **how: Any) -> np.ndarray:
    """The magnitude where it is highest across the edge, else 0: marks whose thresholds are not known yet."""
    gradients = _gradients(block, **how)
    low, high = _comparable(-1.0, np.inf, gradients.float_type, gradients.as_volume)
    marks = gradients.run(_MARKS, np.uint8, low, high)
    return gradients.run(_MAGNITUDE, gradients.float_type) * (marks > 0)


def _threshold_block(thin: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.where((thin > 0) & (thin >= low), 1 + (thin >= np.float64(high)), 0).astype(np.uint8)


def _comparable_limits(found: np.ndarray, dtype: np.dtype, as_volume: bool) -> tuple[float, float]:
    return _comparable(found[0], found[1], dtype, as_volume)


# --- volumes that come block by block -----------------------------------------------------------------------


def blockwise(
    shape: tuple[int, ...], dtype: np.dtype, arguments: dict[str, Any]
) -> tuple[Any, dict[str, Any], np.dtype, tuple[float, float] | None]:
    """The halo and the further arguments of :func:`marks_of_block`, the dtype of gradient magnitudes, and the quantiles
    that are the thresholds (None: these are known), for an image of this shape and dtype.

    Raises
    ------
    ValueError
        For an image that continues at its other end, which needs the whole volume at once.
    """
    _check_image(as_array(np.empty(0, dtype), "image").dtype, shape)
    if chunks.wrapped_axes(len(shape), arguments):
        raise ValueError("mode must not be 'wrap' where canny runs block by block")
    quantiles = bool(arguments["use_quantiles"])
    low, high = _thresholds(dtype, arguments["low_threshold"], arguments["high_threshold"], quantiles)
    _check_sigma(arguments["sigma"])
    spacing = _as_spacing(arguments["spacing"], len(shape))
    sigma, as_volume = _in_elements(arguments["sigma"], spacing), len(shape) == 3 or spacing is not None
    kind = _float_type(dtype, as_volume)
    reach = _reach(len(shape), sigma, arguments["mode"])
    rest = {"sigma": sigma, "mode": arguments["mode"], "cval": float(arguments["cval"]), "spacing": spacing}
    halo = [(r, r) for r in reach]
    if quantiles:
        return halo, rest, kind, (low, high)
    low, high = _comparable(low, high, kind, as_volume)
    return halo, {**rest, "low": low, "high": high}, kind, None


def marks_of_block(
    block: np.ndarray, *, sigma: Any, mode: Any, cval: float, spacing: Any, low: float, high: float, mask: Any = None
) -> np.ndarray:
    """Marks (0, 1 weak, 2 strong) of a block; right where they are further than the halo from where it was cut."""
    inside = _mask_of(mask, block.shape)
    return _Gradients(block, sigma, inside, mode, cval, spacing).run(_MARKS, np.uint8, low, high)


def magnitudes_of_block(
    block: np.ndarray, *, sigma: Any, mode: Any, cval: float, spacing: Any, mask: Any = None
) -> np.ndarray:
    """Gradient magnitudes of a block, as :func:`marks_of_block`."""
    gradients = _Gradients(block, sigma, _mask_of(mask, block.shape), mode, cval, spacing)
    return gradients.run(_MAGNITUDE, gradients.float_type)


@operation(chunked=_chunked, ndim=3)
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
    spacing: Any = None,
) -> np.ndarray:
    """Find edges by Canny's method (IEEE PAMI 8:679-698, 1986), in a plane or in a volume.

    Names, defaults and, in two dimensions, results are those of :func:`skimage.feature.canny`: the image is
    smoothed with a Gaussian, differentiated with Sobel's operator, thinned to where the gradient is highest
    across the edge, and thresholded with hysteresis. In three dimensions the gradient has three components, it is
    highest where no magnitude exceeds it along its own direction (interpolated where that direction leaves the 26
    neighbours: linearly between those of a face, an edge and a corner), and edges hang together over all 26.

    Parameters
    ----------
    image : array_like
        Shape (rows, columns) or (slices, rows, columns); bool, integers of up to 32 bits, float16/32/64. It is not
        changed. Integers are scaled to [-1, 1] or [0, 1] by the highest value of their dtype; planes of float16
        and float32 are computed in float32, all else in float64. A Dask array gives a Dask array with the same
        chunks.
    sigma : float or sequence of float, optional
        Standard deviation of the Gaussian in elements (with `spacing` in mm), for all axes or one each. 0 does not
        smooth.
    low_threshold, high_threshold : float, optional
        Gradient magnitudes in the units of `image` (with `spacing` per mm). Sobel's weights are not normalised: a
        step of 1 between two columns counts 4, in volumes too, and a slope of 1 per element (or mm) counts 8.
        Elements from `high_threshold` are edges, and so are those from `low_threshold` that hang on them over any
        of the 8, or 26, neighbours. None means 0.1 and 0.2 of the highest value of an
        integer dtype, or of 1 for floats.
    mask : array_like of bool, optional
        Shape of `image`. Only elements in it count, and only those with all neighbours in it can be edges.
    use_quantiles : bool, optional
        The thresholds are quantiles, from 0 to 1, of the gradient magnitudes of the whole image (None: 0.1
        and 0.2).
    mode : str or sequence of str, optional
        What stands outside for the Gaussian: 'constant' (default), 'reflect', 'mirror', 'nearest' or 'wrap'.
        With 'constant', and with a mask, smoothed values are divided by the weight that lies inside.
    cval : float, optional
        The outside value of mode 'constant', for the image after scaling.
    spacing : float, sequence of float or 'volume', optional
        Millimetres between neighbours along each axis; 'volume' takes those of a `fastmed.Volume`. `sigma` is
        then in mm, gradients are per mm, and the
        direction across an edge is that in space. A plane with a spacing is the middle one of a volume of equal
        planes.

    Returns
    -------
    array of bool
        Shape of `image`; without `spacing` every pixel of a plane is as in scikit-image 0.26. The outermost rows,
        columns and slices are never edges. A NaN or infinity spreads over the Gaussian's window; nothing there is
        an edge, nor anything beside it. In volumes swapped or reversed axes give swapped or reversed edges.
        With `use_quantiles`, one of them leaves no edges at all.

    Raises
    ------
    ValueError
        Not two or three axes, no pixels, 64-bit integers, `low_threshold` above `high_threshold`, quantiles
        outside 0 to 1, negative `sigma`, a `spacing` that is not one positive number or one per axis.
    IndexError
        `mask` has another shape than `image`.
    RuntimeError
        Unknown mode or dtype, a sequence of the wrong length.

    Notes
    -----
    Beside the result, memory holds some rows per thread, of volumes those of as many slices as the Gaussian
    spans; `use_quantiles` adds the magnitudes.

    On Dask arrays every chunk is computed once, from a block with the chunks around it; with `use_quantiles` three
    times, instead of keeping magnitudes (they are kept where the array was rechunked, which Dask cannot repeat). Memory
    then holds two layers of the image's chunks across its longest side, and of every other chunk, until edges are
    joined over the borders, a bit per element and labels on its faces, both compressed (some per cent of that).

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((5, 8)); image[:, 4:] = 1
    >>> fastmed.canny(image, sigma=0.5, mode="nearest").astype(int)
    array([[0, 0, 0, 0, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0]])
    """
    image = _as_image(image)
    low, high = _thresholds(image.dtype, low_threshold, high_threshold, use_quantiles)
    _check_sigma(sigma)
    spacing = _as_spacing(spacing, image.ndim)
    gradients = _Gradients(image, _in_elements(sigma, spacing), _mask_of(mask, image.shape), mode, cval, spacing)
    if use_quantiles:
        magnitude = gradients.run(_MAGNITUDE, gradients.float_type)
        low, high = np.percentile(magnitude, [100.0 * low, 100.0 * high])
    return gradients.run(_EDGES, bool, *_comparable(low, high, gradients.float_type, gradients.as_volume))
