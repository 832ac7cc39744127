"""Canny's edge detector in whole numbers, as OpenCV has it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._engine import chunks, threads
from .._engine.arrays import as_array, as_number, native
from .._engine.operation import is_dask, kernel
from ._hysteresis import linked

_NO_IMAGE = np.empty((0, 0, 0), np.uint8)
_NO_GRADIENT = np.empty((0, 0, 0), np.int16)

#: How many steps away a derivative looks, by aperture.
_REACH = {3: 1, 5: 2, 7: 3}

# Operations per element of one channel, for the thread budget: 2048^2 take 5 ms on one thread, 512^2 0.3.
_COST = 3


def canny_integer(
    image: Any, threshold1: float, threshold2: float, *, aperture_size: int = 3, l2_gradient: bool = False
) -> Any:
    """Find edges in an image of bytes by Canny's method (IEEE PAMI 8:679-698, 1986) as OpenCV has it.

    Results are those of OpenCV's ``Canny``, bit for bit: derivatives are whole numbers, nothing is smoothed first,
    and the direction of a gradient is rounded to one of four. :func:`canny` has scikit-image's method.

    Parameters
    ----------
    image : array_like of uint8, shape (rows, columns) or (rows, columns, channels)
        It is not changed. Of several channels the one with the longest gradient counts at each pixel, the first of
        equal ones. A Dask array gives a Dask array with its chunks.
    threshold1, threshold2 : float
        In either order: the length of a gradient above which pixels can be edges, and above which they are.
    aperture_size : {3, 5, 7}, optional
        Size of Sobel's derivatives. Those of size 7, and the thresholds with them, are divided by 16.
    l2_gradient : bool, optional
        Whether the length is the Euclidean one; else the sum of the absolute derivatives.

    Returns
    -------
    array of uint8, shape (rows, columns)
        255 on edges, else 0. Outside the image its border pixels continue. Empty for an image without pixels.

    Raises
    ------
    TypeError
        `image` is not of uint8, or a threshold is no number.
    ValueError
        `image` has not 2 or 3 axes or no channels; an unknown `aperture_size`; a threshold that is NaN, or 2**31 or
        more.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((3, 6), np.uint8)
    >>> image[:, 3:] = 90
    >>> fastmed.canny_integer(image, 100, 200)
    array([[  0,   0, 255,   0,   0,   0],
           [  0,   0, 255,   0,   0,   0],
           [  0,   0, 255,   0,   0,   0]], dtype=uint8)
    """
    if aperture_size not in _REACH:
        raise ValueError(f"aperture_size must be 3, 5 or 7, found {aperture_size!r}")
    low, high = _thresholds(threshold1, threshold2, int(aperture_size), bool(l2_gradient))
    settings = (int(aperture_size), bool(l2_gradient), low, high)
    if is_dask(image):
        return _chunked(image, settings, _REACH[aperture_size] + 1)
    planes = _planes(image, "image", np.uint8)
    return _run(planes, _NO_GRADIENT, _NO_GRADIENT, settings, True)


def canny_of_gradients(
    dx: Any, dy: Any, threshold1: float, threshold2: float, *, l2_gradient: bool = False
) -> np.ndarray:
    """Find edges by the method of :func:`canny_integer` where the derivatives are known.

    Parameters
    ----------
    dx, dy : array_like of int16, shape (rows, columns) or (rows, columns, channels)
        Derivatives along columns (to the right) and rows (down), of the same shape. They are not changed. -32768 counts
        32768 here; what it counts in OpenCV depends on its build.
    threshold1, threshold2 : float
        In either order: the length of a gradient above which pixels can be edges, and above which they are.
    l2_gradient : bool, optional
        Whether the length is the Euclidean one; else the sum of the absolute derivatives.

    Returns
    -------
    ndarray of uint8, shape (rows, columns)
        255 on edges, else 0.

    Raises
    ------
    TypeError
        A derivative that is not of int16, or is a Dask array; a threshold that is no number.
    ValueError
        `dx` and `dy` differ in shape, or have not 2 or 3 axes; a threshold that is NaN or 2**31 and more.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> dx = np.array([[0, 10, 30, 10, 0]], np.int16)
    >>> fastmed.canny_of_gradients(dx, np.zeros_like(dx), 5, 20)
    array([[  0,   0, 255,   0,   0]], dtype=uint8)
    """
    low, high = _thresholds(threshold1, threshold2, 0, bool(l2_gradient))
    for value, name in ((dx, "dx"), (dy, "dy")):
        if is_dask(value):
            raise TypeError(f"{name} must be an array in memory, found a Dask array; canny_integer takes Dask images")
    dx, dy = _planes(dx, "dx", np.int16), _planes(dy, "dy", np.int16)
    if dx.shape != dy.shape:
        raise ValueError(f"dx and dy must have one shape, found {dx.shape} and {dy.shape}")
    return _run(_NO_IMAGE, dx, dy, (0, bool(l2_gradient), low, high), True)


def _thresholds(first: Any, second: Any, aperture: int, squared: bool) -> tuple[int, int]:
    """The lower and the upper one as whole numbers that magnitudes have to exceed."""
    found = []
    for value, name in ((first, "threshold1"), (second, "threshold2")):
        number = float(as_number(value, name)) / (16 if aperture == 7 else 1)
        if math.isnan(number) or (number >= 2**31 and not squared):
            raise ValueError(f"{name} must be a number below 2**31, found {value!r}")
        number = max(number, -1.0)  # a length is not negative: all of these are alike
        if squared:
            number = min(number, 32767.0)
            number *= number if number > 0 else 1
        found.append(math.floor(number))
    return min(found), max(found)


def _planes(array: Any, name: str, dtype: Any) -> np.ndarray:
    array = np.asarray(as_array(array, name))
    _check(array.dtype, array.shape, name, dtype)
    return native(array if array.ndim == 3 else array[..., None])


def _check(found: np.dtype, shape: tuple[int, ...], name: str, dtype: Any) -> None:
    if found.newbyteorder("=") != dtype:
        raise TypeError(f"{name} must be of {np.dtype(dtype)}, found dtype {found}")
    if len(shape) not in (2, 3):
        raise ValueError(f"{name} must have 2 axes (row, column), or 3 with channels, found shape {shape}")
    if len(shape) == 3 and shape[2] == 0:
        raise ValueError(f"{name} must have at least one channel, found shape {shape}")


def _run(
    image: np.ndarray, dx: np.ndarray, dy: np.ndarray, settings: tuple[int, bool, int, int], link: bool
) -> np.ndarray:
    source = image if settings[0] else dx
    output = np.empty(source.shape[:2], np.uint8)
    if output.size:
        kernel("canny_integer", __name__)(image, dx, dy, *settings, link, output, threads.budget(source.size, _COST))
    return output


# --- Dask arrays: marks chunk by chunk with a halo, joined over the borders between chunks --------------------------


def _chunked(image: Any, settings: tuple[int, bool, int, int], reach: int) -> Any:
    import dask.array as da

    chunks.check_known(image, "image")
    _check(image.dtype, image.shape, "image", np.uint8)
    if image.ndim == 3:
        image = image.rechunk({2: -1})
    halo = ((reach, reach),) * 2 + ((0, 0),) * (image.ndim - 2)
    marks = chunks.map_with_halo(
        _mark_block, image, halo, dtype=np.uint8, name="canny-integer", arguments={"settings": settings}
    )
    edges = linked(marks if marks.ndim == 2 else marks[..., 0], 2)
    return da.map_blocks(_as_bytes, edges, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))


def _mark_block(block: np.ndarray, *, settings: tuple[int, bool, int, int]) -> np.ndarray:
    """The marks of a block; of channels, the same for each."""
    marks = _run(block if block.ndim == 3 else block[..., None], _NO_GRADIENT, _NO_GRADIENT, settings, False)
    return marks if block.ndim == 2 else np.broadcast_to(marks[..., None], block.shape)


def _as_bytes(edges: np.ndarray) -> np.ndarray:
    return edges * np.uint8(255)
