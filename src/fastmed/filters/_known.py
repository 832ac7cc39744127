"""NumPy's own functions over windows that kernels compute: the same values, at the speed of the named filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._engine.arrays import MODES
from ._minmax import maximum_filter, minimum_filter
from ._rank import rank_filter
from ._uniform import uniform_filter

_LARGEST = (np.max, np.amax)
_SMALLEST = (np.min, np.amin)
_NAMES = {code: name for name, code in reversed(MODES.items())}


def known(
    function: Any, image: np.ndarray, footprint: np.ndarray, origins: Sequence[int], mode: int, cval: float,
    in_double: bool = True,
) -> Callable[[Any], np.ndarray] | None:
    """``filter(output)`` with the values of `function` over every window; None where no kernel gives just these.

    Largest, smallest and middle values come in the input's dtype unless `output` is another; means in float64. A NaN in
    a window gives NaN, as in NumPy. `in_double`: the function gets float64, and its very digits are wanted. Otherwise
    windows have the input's dtype, as have differences and means of floats, and means are up to rounding.
    """
    try:
        hash(function)
    except TypeError:
        return None
    window = kernel_window(image, footprint, origins, mode, cval)
    if window is None:
        return None
    count = int(footprint.sum())
    if function in _LARGEST:
        return lambda output: maximum_filter(image, output=output, **window)
    if function in _SMALLEST:
        return lambda output: minimum_filter(image, output=output, **window)
    if function is np.median and count % 2:
        return lambda output: rank_filter(image, count // 2, output=output, **window)
    if function is np.mean and footprint.all() and _summable(image, in_double):
        wide = np.float64 if image.dtype.kind in "biu" else image.dtype.newbyteorder("=")
        return lambda output: uniform_filter(image, output=wide if output is None else output, **window)
    if function is np.ptp and not in_double and image.dtype.kind != "b":
        return lambda output: _extent(image, window)
    return None


def kernel_window(
    image: np.ndarray, footprint: np.ndarray, origins: Sequence[int], mode: int, cval: float
) -> dict[str, Any] | None:
    """The window as arguments of the filters of ranks and extrema; None where they would see other values."""
    if image.dtype.kind not in "biuf" or not footprint.any() or not _holds(image.dtype, mode, cval):
        return None
    window: dict[str, Any] = {"size": footprint.shape} if footprint.all() else {"footprint": footprint}
    return window | {"mode": _NAMES[mode], "cval": cval, "origin": list(origins)}


def _extent(image: np.ndarray, window: dict[str, Any]) -> np.ndarray:
    found = maximum_filter(image, **window)
    with np.errstate(invalid="ignore"):
        return np.subtract(found, minimum_filter(image, **window), out=found if found.dtype.isnative else None)


def _holds(dtype: np.dtype, mode: int, cval: float) -> bool:
    """Whether the outside value is one of the input's dtype, so that it does not matter when it is cast."""
    if mode != MODES["constant"]:
        return True
    if not math.isfinite(cval):
        return dtype.kind == "f"
    if dtype.kind == "f":
        return abs(cval) <= np.finfo(dtype).max and float(dtype.type(cval)) == cval
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return cval == int(cval) and low <= int(cval) <= high


def _summable(image: np.ndarray, exact: bool) -> bool:
    """Whether sums along the axes give what one sum gives: to the last digit, as nothing is rounded away, or nearly."""
    if image.dtype.kind in "biu":
        return image.dtype.itemsize <= 4
    return not exact and image.dtype.itemsize >= 4
