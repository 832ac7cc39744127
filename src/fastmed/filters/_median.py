"""Median over a box or any footprint."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    UnsupportedDtypeError,
    as_array,
    as_axes,
    as_bytes,
    as_mode,
    as_number,
    as_output,
    as_size,
    cast_like_c,
    check_origin,
    per_axis,
    run,
)
from .._engine.operation import kernel, operation


def _window(ndim, size, footprint, origin, axes):
    """The footprint and the origins, one for every axis of the array."""
    axes = as_axes(axes, ndim)
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        footprint = np.ones([as_size(s) for s in per_axis(size, len(axes))], bool)
    else:
        footprint = np.asarray(footprint, bool)
    origins = per_axis(origin, len(axes))
    if footprint.ndim != len(axes):
        raise RuntimeError(f"footprint.ndim ({footprint.ndim}) must match len(axes) ({len(axes)})")
    if len(axes) < ndim:
        origins = [dict(zip(axes, origins, strict=True)).get(a, 0) for a in range(ndim)]
        footprint = np.expand_dims(footprint, tuple(a for a in range(ndim) if a not in axes))
    if footprint.size == 0:
        raise RuntimeError(f"footprint must have no axis of length 0, found shape {footprint.shape}")
    if not footprint.any():
        raise RuntimeError("rank not within filter footprint size: footprint has no True element")
    origins = [check_origin(o, n) for o, n in zip(origins, footprint.shape, strict=True)]
    return np.ascontiguousarray(footprint), origins


def _mode(mode, footprint, axes):
    """One mode for all axes: a rank over a footprint has no order of axes. A box of two looks along one axis only."""
    if isinstance(mode, str) or not isinstance(mode, Iterable):
        return as_mode(mode)
    modes = dict(zip(axes, (as_mode(m) for m in per_axis(mode, len(axes))), strict=True))
    if footprint.size > 2 or not footprint.all():
        raise RuntimeError("A sequence of modes is not supported by non-separable rank filters")
    long = [axis for axis in modes if footprint.shape[axis] > 1]
    return modes[long[0]] if long else as_mode("reflect")


def _halo(ndim, size=None, footprint=None, origin=0, axes=None, **_):
    footprint, origins = _window(ndim, size, footprint, origin, axes)
    before = [n // 2 + o for n, o in zip(footprint.shape, origins, strict=True)]
    return tuple((b, n - 1 - b) for b, n in zip(before, footprint.shape, strict=True))


@operation(halo=_halo)
def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> np.ndarray:
    """Replace every element by the median of the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.median_filter`. They are exact for every dtype
    (SciPy sorts in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64. It is not changed.
    size : int or sequence of int, optional
        Width of a box window in elements. Either this or `footprint` is needed.
    footprint : array_like of bool, optional
        Shape of the window, with one axis per filtered axis; it takes precedence over `size`.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int or sequence of int, optional
        Shift of the window; positive values move it toward index 0.
    axes : int or sequence of int, optional
        Filter only along these.

    Returns
    -------
    array
        Same shape as `input`. A window with an even number of elements gives the upper of its two middle values. A
        window that holds a NaN gives NaN (SciPy leaves this undefined). Empty input gives empty output.

    Raises
    ------
    RuntimeError
        Neither `size` nor `footprint`, a size of 0, a footprint without elements, unknown mode, a sequence of modes,
        wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number.
    ValueError
        A negative size, an origin that moves the window off its element, read-only `output`.

    Notes
    -----
    Windows of up to 2,048 elements go through a selection network over vectors of neighbouring windows; the sorted
    columns of a box are shared between the windows that hold them. Larger ones are selected one by one.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.median_filter(np.array([1, 1, 9, 1, 1]), 3)
    array([1, 1, 1, 1, 1])
    """
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=3)
    image = as_array(input)
    footprint, origins = _window(image.ndim, size, footprint, origin, axes)
    count = int(footprint.sum())
    code = _mode(mode, footprint, as_axes(axes, image.ndim))
    cval = as_number(cval, "cval")
    output = as_output(output, image)
    if output.dtype.kind == "c":
        raise UnsupportedDtypeError(f"output has the complex dtype {output.dtype}; a real one is wanted")
    if image.ndim == 0 or footprint.size == 1:
        output[...] = image
        return output

    def compute(source, target, cval):
        # SciPy casts cval to the dtype first, wrapping around, but not where a median of two is a plain maximum.
        plain = count > 2 or not footprint.all() or _holds(source.dtype, cval)
        work = source if plain else source.astype(np.float64)
        result = target if target.dtype == work.dtype else np.empty(work.shape, work.dtype)
        kernel("median_filter", __name__)(
            work, footprint, origins, count // 2, code, float(cval), result, threads.budget(work.size, 2 * count)
        )
        if result is not target:
            _cast(result, target)

    return run(compute, image, output, cval if code == as_mode("constant") else 0, in_place=False)


def _holds(dtype: np.dtype, cval: float) -> bool:
    """Whether `cval`, cut toward zero, sorts among values of `dtype` as it does itself."""
    if dtype.kind == "f":
        return True
    top = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    bottom = 0 if dtype.kind == "b" else np.iinfo(dtype).min
    return bool(bottom <= cval <= top) and (dtype.itemsize < 8 or abs(cval) < 2**53)


def _cast(result: np.ndarray, target: np.ndarray) -> None:
    """Through float64, SciPy's way from any dtype to any other; 64-bit integers stay exact."""
    result, target = as_bytes(result), as_bytes(target)
    wide = target.dtype.kind in "iu" and target.dtype.itemsize == 8 and result.dtype.kind in "iu"
    target[...] = result.astype(target.dtype) if wide else cast_like_c(result.astype(np.float64), target.dtype)
