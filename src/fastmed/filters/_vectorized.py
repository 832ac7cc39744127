"""A user's vectorised function over sliding windows, in batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_output, halo_of
from .._engine.operation import explained, operation
from ._known import known
from ._pieces import Box, boxes, share
from ._user_filter import elements, masked_or_plain, valid_for
from ._user_function import NotCompilableError, depends_on_nothing_else

#: Bytes of windows that a batch holds, where the function takes batches of any size: copies of them stay in the cache.
BATCH = 1 << 19
#: Windows by which it is seen whether their layout in memory changes results.
SAMPLE = 1000

#: NumPy's names of the border modes. SciPy takes 'grid-mirror' for 'mirror' here, unlike in its other filters.
_PADDING = {
    "nearest": "edge", "reflect": "symmetric", "mirror": "reflect", "constant": "constant", "wrap": "wrap",
    "grid-mirror": "reflect", "grid-constant": "constant", "grid-wrap": "wrap", "valid": "valid",
}  # fmt: skip
_CODES = {"edge": 0, "wrap": 1, "symmetric": 2, "reflect": 3, "constant": 4}


class OutputShapeError(ValueError, RuntimeError):
    """The output cannot hold the result (SciPy raises ValueError here, and RuntimeError in its other filters)."""


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    found: Any = tuple(range(ndim)) if axes is None else (axes,) if np.isscalar(axes) else tuple(axes)
    if len(found) > ndim:  # the beginnings of these messages are SciPy's: its users match them
        raise ValueError(f"The length of `axes` may not exceed the input's: found {len(found)}, wanted at most {ndim}")
    found = np.lib.array_utils.normalize_axis_tuple(found, ndim, "axes")
    return found


def _whole(values: Any, count: int, name: str, least: float) -> tuple[int, ...]:
    values = (values,) * count if np.isscalar(values) else tuple(values)
    for value in values:
        if np.asarray(value).dtype.kind not in "iu" or value < least:
            kind = "positive integers" if least == 1 else "integers"
            raise ValueError(f"All elements of `{name}` must be {kind}. Found {value!r}")
    return tuple(int(v) for v in values)


def _window(ndim, size, footprint, origin, axes, mode, spacing):
    """The filtered axes, the window's shape, the footprint if it is one, and the origins."""
    axes = _axes(axes, ndim)
    if size is None and footprint is None:
        raise ValueError("Either `size` or `footprint` must be provided. Found neither")
    if size is not None and footprint is not None:
        raise ValueError("Either `size` or `footprint` may be provided, not both.")
    if footprint is None:
        shape = _whole(elements(size, spacing, ndim, axes), len(axes), "size", 1)
    else:
        footprint = np.asarray(footprint, bool)
        shape = footprint.shape
    if len(shape) != len(axes):
        raise ValueError(
            "`axes` must be compatible with the dimensionality of `size` or `footprint`: "
            f"found {len(axes)} axes for {len(shape)}"
        )
    origins = _whole(0 if origin is None else origin, len(axes), "origin", -math.inf)
    if len(origins) != len(axes):
        raise ValueError(
            "`origin` must be an integer or tuple of integers with length equal to the number of axes: "
            f"found {len(origins)}, wanted {len(axes)}"
        )
    if mode not in frozenset(_PADDING):  # a set, as SciPy asks: it knows sets as members, other junk is a TypeError
        raise ValueError(f"`mode` must be one of {', '.join(_PADDING)}. Found {mode!r}")
    if mode == "valid" and any(origins):
        raise ValueError(f"`mode='valid'` is incompatible with use of `origin`. Found {origin!r}")
    for n, shift in zip(shape, origins, strict=True):
        if n // 2 + shift < 0 or (n - 1) // 2 - shift < 0:
            raise ValueError(f"index can't contain negative values: found origin {shift} for a window of {n}")
    return axes, shape, footprint, origins


def _outside(cval: Any, mode: str) -> Any:
    if cval is None:
        return 0.0
    if _PADDING[mode] != "constant":
        raise ValueError(f"Use of `cval` is compatible only with `mode='constant'`. Found mode {mode!r}")
    if np.asarray(cval).dtype.kind not in "iufc":
        raise ValueError(f"`cval` must include only numbers. Found {cval!r}")
    return np.asarray(cval)[()]


def _memory(batch_memory: Any) -> float:
    found = np.asarray(batch_memory)
    if found.ndim != 0 or found.dtype.kind not in "iuf" or not found > 0:
        raise ValueError(f"`batch_memory` must be positive number. Found {batch_memory!r}")
    return batch_memory


def _masked(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` with NaN where the mask is False, in its own dtype or float64."""
    dtype = image.dtype if image.dtype.kind in "fc" else np.dtype(np.float64)
    return np.where(mask, image.astype(dtype, copy=False), dtype.type(np.nan))


def _alike(found: np.ndarray, wanted: np.ndarray, elements: np.ndarray) -> bool:
    """Equal, or for floats within a quarter of what law 2 of the design leaves to rounding."""
    floats = found.dtype.kind == "f"
    if np.array_equal(found, wanted, equal_nan=floats):
        return found.dtype == wanted.dtype
    if not floats or elements.dtype.kind != "f" or min(found.itemsize, elements.itemsize) < 4:
        return False
    share = 2.5e-13 if found.itemsize == 8 else 2.5e-7
    limit = share * float(np.ptp(elements))
    return math.isfinite(limit) and np.allclose(found, wanted, rtol=0, atol=limit, equal_nan=True)


class _Batches:
    """The windows of a call, the filtered axes last, and what becomes of the function's values."""

    def __init__(self, function, view, count, footprint, output, limit):
        self.function, self.view, self.count, self.footprint = function, view, count, footprint
        self.output, self.limit = output, limit
        self.shape = view.shape[: view.ndim - count]
        self.axes = tuple(range(-count, 0))

    def values(self, view: np.ndarray) -> np.ndarray:
        if self.footprint is None:
            return np.asarray(self.function(view, axis=self.axes))
        return np.asarray(self.function(view[..., self.footprint], axis=-1))

    def values_of_copy(self, view: np.ndarray) -> np.ndarray:
        """The same, of windows whose k-th elements lie side by side: NumPy reduces whole rows of windows at once."""
        elements = np.moveaxis(view, self.axes, range(self.count))
        if self.footprint is not None:
            return np.asarray(self.function(np.moveaxis(elements[self.footprint], 0, -1), axis=-1))
        windows = np.moveaxis(elements.copy(order="C"), range(self.count), self.axes)
        windows.flags.writeable = False  # as windows of the image itself are
        return np.asarray(self.function(windows, axis=self.axes))

    def slices(self) -> list[Box]:
        """SciPy's batches: as many slices of the first axis as the memory takes."""
        rest = self.view.shape[1:]
        count = min(self.view.shape[0], self.limit // (math.prod(rest) * self.view.itemsize or 1))
        if count < 1:
            raise ValueError("`batch_memory` is insufficient for minimum chunk size. One slice of windows has "
                             f"{math.prod(rest) * self.view.itemsize} bytes, found {self.limit}")  # fmt: skip
        return [(slice(i, i + int(count)),) for i in range(0, self.view.shape[0], int(count))]

    def _copies_give_the_same(self) -> bool:
        """Whether another order of sums changes nothing that counts, by a look at some windows of many."""
        if math.prod(self.shape) < 8 * SAMPLE:
            return False
        some = self.view[boxes(self.shape, SAMPLE)[0]]
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _alike(self.values_of_copy(some), self.values(some), some)
        except Exception:
            return False  # the function itself will tell

    def run(self, workers: int, pure: bool) -> np.ndarray:
        """In small batches by several threads where each window gives one number, else in SciPy's."""
        whole = self.slices()
        window = max(1, math.prod(self.view.shape[len(self.shape) :]) * self.view.itemsize)
        small = boxes(self.shape, max(1, min(BATCH, int(min(self.limit, 2.0**62))) // window))
        first = self.values(self.view[small[0]])
        one_number = first.shape == self.view[small[0]].shape[: len(self.shape)]
        if not one_number or (self.output is not None and self.output.shape != self.shape):
            return self._run_whole(whole)
        if self.output is None:
            self.output = np.empty(self.shape, first.dtype)
        self.output[small[0]] = first
        values = self.values_of_copy if pure and self._copies_give_the_same() else self.values

        def work(i: int) -> None:
            self.output[small[i + 1]] = values(self.view[small[i + 1]])

        share(work, len(small) - 1, workers)
        return self.output

    def _run_whole(self, parts: list[Box]) -> np.ndarray:
        if len(parts) == 1:
            found = self.values(self.view)
            if self.output is None:
                return found
            try:
                np.broadcast_to(found, self.output.shape)
            except ValueError:
                raise OutputShapeError(
                    f"output shape not correct: found {self.output.shape}, the result has {found.shape}"
                ) from None
            self.output[...] = found
            return self.output
        if self.output is not None and self.output.shape != self.shape:
            raise OutputShapeError(f"output shape not correct: found {self.output.shape}, wanted {self.shape}")
        for part in parts:
            found = self.values(self.view[part])
            if self.output is None:
                self.output = np.empty(self.shape, found.dtype)
            if found.shape != self.output[part].shape:
                raise OutputShapeError("function gives several numbers for a window, which needs one batch: found "
                                       f"batch_memory {self.limit}")  # fmt: skip
            self.output[part] = found
        return self.output


def _pure(function: Any) -> bool:
    """Whether several threads may call the function: it depends on nothing that it could change."""
    try:
        depends_on_nothing_else(function)
    except NotCompilableError:
        return False
    return True


def _as_known(function, image, axes, shape, footprint, origins, mode, cval):
    """``filter()`` -> the result of a NumPy function for which there is a kernel, in NumPy's dtype; or None."""
    code = _CODES["edge" if mode == "valid" else _PADDING[mode]]
    if np.ndim(cval) or np.iscomplexobj(cval) or image.dtype.kind not in "biuf" or not axes:
        return None
    if mode == "valid" and any(n > image.shape[a] for a, n in zip(axes, shape, strict=True)):
        return None
    order = np.argsort(axes)
    window = np.ones(shape, bool) if footprint is None else footprint
    window = np.transpose(window, order)
    window = np.expand_dims(window, tuple(a for a in range(image.ndim) if a not in axes))
    shifts = [dict(zip(axes, origins, strict=True)).get(a, 0) for a in range(image.ndim)]
    run = known(function, image, window, shifts, code, float(cval), in_double=False)
    if run is None:
        return None
    dtype = np.float64 if function in (np.median, np.mean) and image.dtype.kind in "biu" else None
    if mode != "valid":
        return lambda: run(dtype)
    keep = tuple(slice(n // 2, size - (n - 1) // 2) for n, size in zip(window.shape, image.shape, strict=True))
    return lambda: np.ascontiguousarray(run(dtype)[keep])


def _halo(ndim, size=None, footprint=None, origin=None, axes=None, mode="reflect", spacing=None, **_):
    axes, shape, _, origins = _window(ndim, size, footprint, origin, axes, mode, spacing)
    return halo_of(ndim, axes, shape, origins)


def _on_dask(op, arguments):
    """Chunk by chunk; 'valid' is what is left of another mode without its border."""
    image, mode = arguments["input"], arguments["mode"]
    names = ("size", "footprint", "origin", "axes", "mode", "spacing")
    axes, shape, _, _ = _window(image.ndim, *(arguments[k] for k in names))
    rest = {**arguments, "mode": "nearest"} if mode == "valid" else {**arguments}
    padding = _PADDING[rest["mode"]]
    one = np.zeros((1,) * image.ndim, image.dtype)
    given = {k: v for k, v in rest.items() if k not in ("input", "mask", "output")}
    sample = op.function(one if arguments["mask"] is None else _masked(one, one == 0), **given)
    if sample.shape != (1,) * image.ndim:
        raise ValueError(f"function must give one number for a window of a Dask array, found shape {sample.shape}")
    kind = image.dtype if 0 in image.shape else sample.dtype  # an empty array is copied, byte order and all
    dtype = kind if arguments["output"] is None else as_output(arguments["output"], np.empty(0)).dtype
    wrap = frozenset(axes) if padding == "wrap" else frozenset()
    result = masked_or_plain(op, rest, dtype, wrap)
    if mode == "valid":
        sizes = dict(zip(axes, shape, strict=True))
        if any(n > image.shape[a] for a, n in sizes.items()):
            raise ValueError(f"window shape {shape} cannot be larger than input array shape {image.shape}")
        cuts = [sizes.get(a, 1) for a in range(image.ndim)]
        result = result[tuple(slice(n // 2, m - (n - 1) // 2) for n, m in zip(cuts, image.shape, strict=True))]
    return result


@operation(halo=_halo, chunked=_on_dask)
def vectorized_filter(
    input: Any,
    function: Callable[..., Any],
    *,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = None,
    origin: Any = None,
    axes: Any = None,
    batch_memory: float = 2**30,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by what a vectorised function of yours gives for the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.vectorized_filter`.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    function : callable
        ``function(windows, axis=...)`` reduces many windows at once, each over the axis or axes in `axis`, for example
        `numpy.ptp`. `numpy.max`, `numpy.min`, `numpy.ptp`, `numpy.median` (of an odd number) and `numpy.mean` (but of
        float16 and 64-bit integers) are computed by the kernels of the filters of that name instead.
    size : int or sequence of int, optional
        Width of a box window in elements. Either this or `footprint` is needed, and not both.
    footprint : array_like of bool, optional
        Shape of the window, with one axis per filtered axis. The function gets its elements along one axis, the last.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype. The default is what the function gives.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms (of
        which 'grid-mirror' is 'mirror' here, as in SciPy). 'valid': only windows that lie inside; the result is
        smaller by the window's size less one.
    cval : scalar, optional
        The outside value of mode 'constant', 0 by default; not for other modes. Cast to the dtype of `input`.
    origin : int or sequence of int, optional
        Shift of the window; positive values move it toward index 0.
    axes : int or sequence of int, optional
        Filter only along these; sequence arguments have their order.
    batch_memory : float, optional
        The most bytes that the windows of one call of `function` take. Batches are smaller where each window gives one
        number.
    mask : array_like of bool, optional
        Same shape as `input`. Elements where it is False become NaN (integers become float64): give a function that
        leaves NaN out, such as `numpy.nanmedian`. A window without any valid element gives what the function gives
        then, NaN for those of NumPy.
    nan_policy : {'propagate', 'raise'}, optional
        'propagate' (default): the function gets the NaN as well, and says what they mean. 'raise': a NaN (where `mask`
        is True) raises before any work (of a Dask array, when its chunk is computed).
    spacing : float or sequence of float, optional
        Distance of elements in mm, one for all axes or one per axis of `input`; 'volume': that of a Volume. `size` is
        then in mm; the window is the nearest odd number of elements.

    Returns
    -------
    array
        Same shape as `input` (but see 'valid') and the dtype that the function gives. Where it gives several numbers
        for a window, their place is where the function puts it, and all windows must fit in one batch. Empty
        input gives empty output.

    Raises
    ------
    ValueError
        A function that cannot be called, neither or both of `size` and `footprint`, one that does not fit `axes`,
        unknown mode, a `cval` for another mode than 'constant', an `origin` with 'valid', too little `batch_memory`,
        wrong shape of `output`, a mask of another shape, `nan_policy` 'omit', a NaN under 'raise', read-only `output`.
    TypeError
        An unsupported dtype.
    Exception
        What the function raises.

    Notes
    -----
    Several threads call the function at once where it refers to nothing that it could change; others, such as methods
    of objects, are called by one.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.vectorized_filter(np.array([1, 5, 2, 2, 9]), np.ptp, size=3)
    array([4, 4, 3, 7, 7])
    """
    if not callable(function):
        raise ValueError(f"`function` must be a callable. Found {function!r}")
    image = as_array(input, complex_too=True)
    axes, shape, footprint, origins = _window(image.ndim, size, footprint, origin, axes, mode, spacing)
    cval, limit = _outside(cval, mode), _memory(batch_memory)
    valid = valid_for(image, mask, nan_policy, omit=False)
    output = _checked_output(output, image)
    if image.size == 0:
        return image.copy() if output is None else output
    if valid is not None:
        image = _masked(image, valid)
    if image.ndim == 0:
        found = function(image, axis=()) if footprint is None else function(image[footprint][..., footprint], axis=-1)
        return _into(np.asarray(found), output)
    budget = threads.budget(image.size, 4 * math.prod(shape))
    if output is None or (output.dtype.kind == "f" and output.shape == image.shape):
        fast = _as_known(function, image, axes, shape, footprint, origins, mode, cval)
        if fast is not None:
            return _into(fast(), output)
    if explained("vectorized_filter", budget):
        return image
    return _run(function, image, axes, shape, footprint, origins, mode, cval, limit, output, budget)


def _checked_output(output: Any, image: np.ndarray) -> Any:
    """An array that can be written, or a dtype, or None."""
    if output is None:
        return None
    if isinstance(output, str | type | np.dtype):
        return as_output(output, image)
    output = np.asarray(output)
    if not output.flags.writeable:
        raise ValueError("output array is read-only; a writable one is wanted")
    return output


def _into(found: np.ndarray, output: np.ndarray | None) -> np.ndarray:
    if output is None:
        return found
    if output.shape != found.shape:
        raise OutputShapeError(f"output shape not correct: found {output.shape}, wanted {found.shape}")
    with np.errstate(invalid="ignore"):
        output[...] = found
    return output


def _run(function, image, axes, shape, footprint, origins, mode, cval, limit, output, budget) -> np.ndarray:
    last = tuple(range(image.ndim - len(axes), image.ndim))
    source = np.moveaxis(image, axes, last)
    if mode != "valid":
        borders = [(n // 2 + o, (n - 1) // 2 - o) for n, o in zip(shape, origins, strict=True)]
        options = {"constant_values": cval} if _PADDING[mode] == "constant" else {}
        padding: Any = _PADDING[mode]
        source = np.pad(source, [(0, 0)] * (image.ndim - len(axes)) + borders, padding, **options)
    elif output is not None and np.may_share_memory(image, output):
        source = source.copy()
    view = np.lib.stride_tricks.sliding_window_view(source, shape, last)
    if not axes:
        found = function(view, axis=()) if footprint is None else function(view[..., footprint], axis=-1)
        return _into(np.asarray(found), output)
    if output is not None and output.ndim >= image.ndim:
        target: Any = np.moveaxis(output, axes, last)
    elif output is None:
        target = None
    else:
        raise OutputShapeError(f"output shape not correct: found {output.shape}, wanted {image.shape}")
    batches = _Batches(function, view, len(axes), footprint, target, limit)
    pure = _pure(function)
    found = batches.run(budget if pure else 1, pure)
    return output if output is not None else np.moveaxis(found, last, axes) if found.ndim >= image.ndim else found
