"""Windows of any shape: what the mean, the median, ranks and extrema share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    UnsupportedDtypeError,
    as_axes,
    as_axis,
    as_bytes,
    as_length,
    as_mode,
    as_number,
    as_output,
    as_size,
    cast_like_c,
    check_origin,
    per_axis,
    remembered,
    run,
)

Row = tuple[int, int, int, int]  # axis, size, origin and mode


@remembered
def box_rows(
    ndim: int, size: Any = 3, mode: Any = "reflect", origin: Any = 0, axes: Any = None, **_: Any
) -> tuple[Row, ...]:
    """The axes along which a box is longer than 1."""
    axes = as_axes(axes, ndim)
    sizes, origins = per_axis(size, len(axes)), per_axis(origin, len(axes))
    modes = [as_mode(m) for m in per_axis(mode, len(axes))]
    rows = []
    for axis, s, o, m in zip(axes, sizes, origins, modes, strict=True):
        if as_number(s, "size") > 1:
            s = int(s)
            rows.append((axis, s, check_origin(o, s), m))
    return tuple(rows)


@remembered
def line_row(ndim: int, size: Any, axis: Any = -1, mode: Any = "reflect", origin: Any = 0, **_: Any) -> Row:
    """The one axis of a filter along lines."""
    axis, size = as_axis(axis, ndim), as_length(size)
    return axis, size, check_origin(origin, size), as_mode(mode)


def first_or_last(dtype: np.dtype, *, first: bool) -> Any:
    """The value of `dtype` that stands before all others in their order, or after them."""
    dtype = dtype.newbyteorder("=")
    if dtype.kind == "b":
        return np.bool_(not first)
    if dtype.kind == "f":
        return dtype.type(-np.inf if first else np.inf)
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if first else limits.max)


@remembered
def as_window(ndim, size, footprint, origin, axes):
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
    footprint = np.array(footprint, order="C")  # ascontiguousarray gives no array of 0 axes
    footprint.flags.writeable = False
    return footprint, origins


def one_mode(mode, footprint, axes):
    """One mode for all axes: a rank over a footprint has no order of axes. A box of two looks along one axis only."""
    if isinstance(mode, str) or not isinstance(mode, Iterable):
        return as_mode(mode)
    modes = dict(zip(axes, (as_mode(m) for m in per_axis(mode, len(axes))), strict=True))
    if footprint.size > 2 or not footprint.all():
        raise RuntimeError("A sequence of modes is not supported by non-separable rank filters")
    long = [axis for axis in modes if footprint.shape[axis] > 1]
    return modes[long[0]] if long else as_mode("reflect")


def window_halo(ndim, size=None, footprint=None, origin=0, axes=None, **_):
    """How far the window reaches, per axis."""
    footprint, origins = as_window(ndim, size, footprint, origin, axes)
    before = [n // 2 + o for n, o in zip(footprint.shape, origins, strict=True)]
    return tuple((b, n - 1 - b) for b, n in zip(before, footprint.shape, strict=True))


def holds(dtype: np.dtype, cval: float) -> bool:
    """Whether `cval`, cut toward zero, sorts among values of `dtype` as it does itself."""
    if dtype.kind == "f":
        return True
    top = 1 if dtype.kind == "b" else np.iinfo(dtype).max
    bottom = 0 if dtype.kind == "b" else np.iinfo(dtype).min
    return bool(bottom <= cval <= top) and (dtype.itemsize < 8 or abs(cval) < 2**53)


def cast_through_double(result: np.ndarray, target: np.ndarray) -> None:
    """Through float64, SciPy's way from any dtype to any other; 64-bit integers stay exact."""
    result, target = as_bytes(result), as_bytes(target)
    wide = target.dtype.kind in "iu" and target.dtype.itemsize == 8 and result.dtype.kind in "iu"
    target[...] = result.astype(target.dtype) if wide else cast_like_c(result.astype(np.float64), target.dtype)


def warn_of_two_windows(size: Any, footprint: Any) -> None:
    """SciPy's warning; called by the public function, so that it points at the user's line."""
    if size is not None and footprint is not None:
        warnings.warn("ignoring size because footprint is set", UserWarning, stacklevel=4)


def as_real_output(output: Any, image: np.ndarray) -> np.ndarray:
    """``output=`` of an operation that puts values in order, which complex numbers have none of."""
    output = as_output(output, image)
    if output.dtype.kind == "c":
        raise UnsupportedDtypeError(f"output has the complex dtype {output.dtype}; a real one is wanted")
    return output


def rank_cost(image: np.ndarray, count: int) -> int:
    """About how many operations the ranks of windows of `count` elements take, as the thread budget counts them.

    They are done on whole vectors: by this, 3 x 3 bytes of 2048 x 2048 (0.5 ms) are not worth a second thread.
    """
    return int(image.nbytes * count * math.log2(count + 1) ** 2 / 300)


def over_window(
    select: Callable[[np.ndarray, float, np.ndarray, int], None],
    image: np.ndarray,
    cost: int,
    mode: int,
    cval: float,
    output: np.ndarray,
    in_double: Callable[[np.dtype], bool] = lambda _: False,
) -> np.ndarray:
    """Call ``select(source, cval, result, threads)`` with both arrays of the dtype in which values are compared.

    That is the input's own, or float64 where ``in_double(dtype)``. `cost`: operations, as for the thread budget.
    """

    def compute(source, target, cval):
        work = source.astype(np.float64) if in_double(source.dtype) else source
        result = target if target.dtype == work.dtype else np.empty(work.shape, work.dtype)
        select(work, float(cval), result, threads.budget(cost))
        if result is not target:
            cast_through_double(result, target)

    return run(compute, image, output, cval if mode == as_mode("constant") else 0, in_place=False)
