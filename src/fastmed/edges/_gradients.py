"""Gradients as scikit-image has them, and the gradient's length in one trip through memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.ndimage

from .._engine import chunks, threads
from .._engine.arrays import as_array, as_axis, as_modes, as_number, native
from .._engine.keywords import as_truth
from .._engine.operation import kernel, operation
from ..filters import convolve
from ..filters._gaussian import _radius, _weights
from ._canny import _as_spacing, _in_elements

#: Smoothing and derivative of the operators, to be correlated with. Farid and Simoncelli, IEEE TIP 13:496, 2004.
_STEP = (-1.0, 0.0, 1.0)
_FARID = (0.0376593171958126, 0.249153396177344, 0.426374573253687)
_FARID_STEP = (0.109603762960254, 0.276690988455557)
OPERATORS = {
    "sobel": ((0.25, 0.5, 0.25), _STEP),
    "prewitt": ((1 / 3, 1 / 3, 1 / 3), _STEP),
    "scharr": ((3 / 16, 10 / 16, 3 / 16), _STEP),
    "farid": ((*_FARID, *_FARID[1::-1]), (-_FARID_STEP[0], -_FARID_STEP[1], 0.0, _FARID_STEP[1], _FARID_STEP[0])),
}


def _mask_of(image: np.ndarray, mask: Any) -> np.ndarray | None:
    return None if mask is None else as_truth(mask, image.shape)


def _inside(mask: np.ndarray) -> np.ndarray:
    """Where all neighbours, over corners too, are in the mask."""
    return scipy.ndimage.binary_erosion(mask, np.ones((3,) * mask.ndim, bool), border_value=0)


def _run(
    image: np.ndarray, axes: tuple[int, ...], taps: list[Any], scales: list[float], root: bool, mode: Any, cval: Any,
    dtype: Any, scaled: bool,
) -> np.ndarray:
    """`taps`: smoothing and derivative per axis; `scales`: of the component, or of its square, per axis."""
    modes, cval = as_modes(mode, image.ndim), as_number(cval, "cval")
    output = np.empty(image.shape, dtype)
    if image.size == 0:
        return output
    if image.ndim > 3:
        return _by_components(image, axes, taps, scales, root, modes, cval, output, scaled)
    more = 3 - image.ndim
    source = native(image).reshape((1,) * more + image.shape)
    taps = [((1.0,), (0.0,))] * more + taps
    per_axis = [0.0] * 3
    for axis in axes:
        per_axis[axis + more] += scales[axis]
    kernel("gradients", __name__)(
        source, sorted({axis + more for axis in axes}), [len(s) // 2 for s, _ in taps], [w for s, _ in taps for w in s],
        [w for _, d in taps for w in d], per_axis, [0] * more + list(modes), cval, scaled, root,
        output.reshape(source.shape), threads.budget(output.size, 16 * len(axes)),
    )
    return output


def _by_components(image, axes, taps, scales, root, modes, cval, output, scaled):
    """More than three axes: slice after slice has no meaning, so the plain definition runs."""
    from ._gradients_numba import gradients

    smooth, derive = ([w for pair in taps for w in pair[k]] for k in (0, 1))
    radii = [len(s) // 2 for s, _ in taps]
    gradients(native(image), axes, radii, smooth, derive, scales, modes, cval, scaled, root, output, 1)
    return output


def _filter(name: str, image: Any, mask: Any, axis: Any, mode: Any, cval: Any) -> np.ndarray:
    """scikit-image's edge filter `name`."""
    image = as_array(image, "image")
    mask = _mask_of(image, mask)
    wanted = range(image.ndim) if axis is None else np.atleast_1d(axis).tolist()
    axes = tuple(as_axis(a, image.ndim) for a in wanted)
    root = len(axes) > 1
    dtype = np.float32 if image.dtype.kind == "f" and image.dtype.itemsize < 8 else np.float64
    scale = 1 / image.ndim if root else 1.0
    result = _run(image, axes, [OPERATORS[name]] * image.ndim, [scale] * image.ndim, root, mode, cval, dtype, True)
    if mask is not None:
        result *= _inside(mask)
    return result


def _halo(ndim, **_):
    return ((1, 1),) * ndim


def _wide_halo(ndim, **_):
    return ((2, 2),) * ndim


def _with_mask(op: Any, arguments: dict[str, Any]) -> Any:
    """On Dask arrays: the filter of every chunk with its halo, and the mask made smaller by its neighbours."""
    image, rest = arguments["image"], dict(arguments)
    mask = rest.pop("mask")
    rest.pop("image")
    mask = None if mask is None else as_truth(mask, image.shape)
    dtype = op.function(np.zeros((3,) * image.ndim, image.dtype), **rest).dtype
    wrap = chunks.wrapped_axes(image.ndim, {"mode": rest.get("mode", "reflect")})
    result = chunks.map_with_halo(
        chunks.call_operation, image, op.halo(image.ndim, **rest), wrap=wrap, dtype=dtype, name=op.name,
        arguments={"module": op.function.__module__, "name": op.name, "rest": rest},
    )
    if mask is None:
        return result
    import dask.array as da

    mask = da.asarray(mask).rechunk(image.chunks)
    inside = chunks.map_with_halo(_inside, mask, _halo(image.ndim), dtype=bool, name="inside", arguments={})
    return da.map_blocks(np.multiply, result, inside, dtype=dtype)


def _magnitude_halo(ndim, operator, sigma, spacing, **_):
    operators = _operator(ndim, operator, sigma, spacing)[0]
    return tuple((len(s) // 2,) * 2 for s, _ in operators)


_FILTER = """{title}

    Names, defaults and results are those of :func:`skimage.filters.{peer}`.

    Parameters
    ----------
    image : array_like
        Any shape; bool, integers or floats. It is not changed. Integers are scaled to [-1, 1] or [0, 1] by the
        highest value of their dtype. A Dask array gives a Dask array with the same chunks.
    mask : array_like of bool, optional
        Shape of `image`. Elements that are not in it, or that have a neighbour outside, become 0.
    axis : int or sequence of int, optional
        One axis gives the derivative along it, with its sign. None (all axes) or several give the root of the mean
        of the squares (of several axes: of their sum over the number of the image's axes). Negative axes count
        from the end (scikit-image 0.26 has other values for a single one).
    mode : str or sequence of str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap' or 'constant'.
    cval : float, optional
        The outside value of mode 'constant'.

    Returns
    -------
    array
        Shape of `image`; float32 for float16 and float32 (within 1e-6 of the range), float64 for all else (within
        1e-12). {gain} A NaN spreads over the windows that hold it.

    Raises
    ------
    ValueError
        `mask` of another shape, an axis that is not there.
    RuntimeError
        Unknown mode, unsupported dtype.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.{name}(np.array([[0.0, 0, 1, 1]] * 3), axis=1)[1].round(3)
    array({example})
    """


@operation(halo=_halo, chunked=_with_mask)
def scharr(image: Any, mask: Any = None, *, axis: Any = None, mode: Any = "reflect", cval: float = 0.0) -> np.ndarray:
    return _filter("scharr", image, mask, axis, mode, cval)


@operation(halo=_wide_halo, chunked=_with_mask)
def farid(image: Any, mask: Any = None, *, axis: Any = None, mode: Any = "reflect", cval: float = 0.0) -> np.ndarray:
    return _filter("farid", image, mask, axis, mode, cval)


@operation(halo=_halo, chunked=_with_mask)
def sobel_edges(
    image: Any, mask: Any = None, *, axis: Any = None, mode: Any = "reflect", cval: float = 0.0
) -> np.ndarray:
    return _filter("sobel", image, mask, axis, mode, cval)


@operation(halo=_halo, chunked=_with_mask)
def prewitt_edges(
    image: Any, mask: Any = None, *, axis: Any = None, mode: Any = "reflect", cval: float = 0.0
) -> np.ndarray:
    return _filter("prewitt", image, mask, axis, mode, cval)


for _name, _example, _title in (
    ("scharr", "[0., 1., 1., 0.]", "Edges by Scharr's operator, smoothing [3 10 3] / 16."),
    ("farid", "[0.11 , 0.386, 0.386, 0.11 ]", "Edges by the 5-element operator of Farid and Simoncelli."),
    ("sobel_edges", "[0., 1., 1., 0.]", "Edges by Sobel's operator, smoothing [1 2 1] / 4."),
    ("prewitt_edges", "[0., 1., 1., 0.]", "Edges by Prewitt's operator, smoothing [1 1 1] / 3."),
):
    globals()[_name].__doc__ = _FILTER.format(
        title=_title, peer=_name.removesuffix("_edges"), name=_name, example=_example,
        gain="A slope of 1 per element gives 0.992." if _name == "farid" else "A slope of 1 per element gives 2.",
    )


_DIAGONAL = """{title}

    Names and results are those of :func:`skimage.filters.{name}`.

    Parameters
    ----------
    image : array_like
        Shape (rows, columns); bool, integers or floats. It is not changed. Integers are scaled to [-1, 1] or [0, 1]
        by the highest value of their dtype. A Dask array gives a Dask array with the same chunks.
    mask : array_like of bool, optional
        Shape of `image`. Pixels that are not in it, or that have a neighbour outside, become 0.

    Returns
    -------
    array
        Shape of `image`; float32 for float16 and float32, float64 for all else. Beyond the border the image is
        reflected. A NaN spreads over the windows that hold it.

    Raises
    ------
    ValueError
        Not two axes, `mask` of another shape.
    RuntimeError
        Unsupported dtype.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.{name}(np.array([[0.0, 0, 0], [0, 1, 1], [0, 1, 1]])).round(3)
    array({example})
    """


@operation(halo=_halo, chunked=_with_mask, ndim=2)
def roberts(image: Any, mask: Any = None) -> np.ndarray:
    a, b = roberts_pos_diag(image, mask), roberts_neg_diag(image, mask)
    a *= a
    b *= b
    a += b
    np.sqrt(a, out=a)
    a /= math.sqrt(2)
    return a


@operation(halo=_halo, chunked=_with_mask, ndim=2)
def roberts_pos_diag(image: Any, mask: Any = None) -> np.ndarray:
    return _diagonal(image, mask, [[1.0, 0.0], [0.0, -1.0]])


@operation(halo=_halo, chunked=_with_mask, ndim=2)
def roberts_neg_diag(image: Any, mask: Any = None) -> np.ndarray:
    return _diagonal(image, mask, [[0.0, 1.0], [-1.0, 0.0]])


def _diagonal(image: Any, mask: Any, weights: Any) -> np.ndarray:
    image = as_array(image, "image")
    if image.ndim != 2:
        raise ValueError(f"image must have 2 axes, found {image.ndim} axes of shape {image.shape}")
    mask = _mask_of(image, mask)
    image = native(image)
    if image.dtype.kind in "iu":
        image = np.maximum(image * (1.0 / np.iinfo(image.dtype).max), -1.0)
    result = convolve(image.astype(np.float64 if image.dtype.kind == "b" else image.dtype, copy=False), weights)
    if mask is not None:
        result *= _inside(mask)
    return result


for _name, _title, _example in (
    ("roberts", "Length of Roberts' two diagonal differences, over the root of 2.",
     "[[0.707, 1.   , 1.   ],\n           [1.   , 0.   , 0.   ],\n           [1.   , 0.   , 0.   ]]"),
    ("roberts_pos_diag", "Roberts' difference along the main diagonal.",
     "[[1., 1., 1.],\n           [1., 0., 0.],\n           [1., 0., 0.]]"),
    ("roberts_neg_diag", "Roberts' difference along the other diagonal.",
     "[[ 0.,  1.,  1.],\n           [-1.,  0.,  0.],\n           [-1.,  0.,  0.]]"),
):
    globals()[_name].__doc__ = _DIAGONAL.format(title=_title, name=_name, example=_example)


def _operator(ndim: int, operator: Any, sigma: Any, spacing: Any) -> tuple[list[Any], list[float]]:
    """Smoothing and derivative per axis, and what the squares of the components count."""
    spacing = _as_spacing(spacing, ndim)
    mm = spacing or (1.0,) * ndim
    if operator == "gaussian":
        sigmas = _in_elements(sigma, spacing)
        sigmas = [sigmas] * ndim if np.ndim(sigmas) == 0 else list(sigmas)
        if len(sigmas) != ndim:
            raise RuntimeError(f"sigma must have one number per axis: found length {len(sigmas)}, wanted {ndim}")
        if not all(math.isfinite(as_number(s, "sigma")) and s > 0 for s in sigmas):
            raise ValueError(f"sigma must be positive, found {sigma!r}")
        radii = [max(_radius(s, 4.0, None), 1) for s in sigmas]
        taps = [tuple(tuple(_weights(s, o, r).tolist()) for o in (0, 1)) for s, r in zip(sigmas, radii, strict=True)]
        return taps, [1 / s**2 for s in mm]
    if not isinstance(operator, str) or operator not in OPERATORS:
        known = ", ".join([*OPERATORS, "gaussian"])
        raise ValueError(f"operator must be one of {known}, found {operator!r}")
    gain = 1.0 if operator == "farid" else 0.5
    return [OPERATORS[operator]] * ndim, [(gain / s) ** 2 for s in mm]


@operation(halo=_magnitude_halo, chunked=_with_mask)
def gradient_magnitude(
    image: Any,
    operator: str = "sobel",
    sigma: Any = 1.0,
    *,
    mask: Any = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    spacing: Any = None,
) -> np.ndarray:
    """Length of the gradient, per element or per mm, in one trip through memory.

    Parameters
    ----------
    image : array_like
        Any shape; bool, integers or floats, which are not scaled. It is not changed. A Dask array gives a Dask array
        with the same chunks.
    operator : {'sobel', 'prewitt', 'scharr', 'farid', 'gaussian'}, optional
        What derives and smooths; normalised, so that a slope of 1 gives 1 (farid: 0.992). 'gaussian' has SciPy's
        sampled derivatives of a Gaussian (:func:`gaussian_gradient_magnitude`).
    sigma : float or sequence of float, optional
        Standard deviation of the operator 'gaussian', in elements (with `spacing` in mm).
    mask : array_like of bool, optional
        Shape of `image`. It cuts the result only, as in scikit-image's edge filters (:func:`sobel_edges`): elements
        that are not in it, or that have a neighbour outside over a side or a corner, become 0, and all others are as
        without it. The `mask` of the filters (:func:`gaussian_filter`), which leaves elements out of the window, is
        another thing.
    mode : str or sequence of str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap' or 'constant'.
    cval : float, optional
        The outside value of mode 'constant'.
    spacing : float, sequence of float or 'volume', optional
        Millimetres between neighbours along each axis; the gradient is then per mm. 'volume' takes those of a
        `fastmed.Volume`.

    Returns
    -------
    array
        Shape of `image`; float64 for float64 and integers of 32 and 64 bits, else float32. A NaN spreads over the
        windows that hold it. Empty input gives empty output.

    Raises
    ------
    ValueError
        Unknown `operator`, `sigma` or `spacing` not positive, `mask` of another shape.
    RuntimeError
        Unknown mode, a sequence of the wrong length, unsupported dtype.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.gradient_magnitude(np.arange(12.0).reshape(3, 4), spacing=(4.0, 1.0))[1]
    array([1.11803399, 1.41421356, 1.41421356, 1.11803399])
    """
    image = as_array(image, "image")
    mask = _mask_of(image, mask)
    taps, scales = _operator(image.ndim, operator, sigma, spacing)
    dtype = np.float64 if image.dtype.itemsize > (4 if image.dtype.kind == "f" else 2) else np.float32
    result = _run(image, tuple(range(image.ndim)), taps, scales, True, mode, cval, dtype, False)
    if mask is not None:
        result *= _inside(mask)
    return result
