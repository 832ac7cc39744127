"""Filters with the user's own function, compiled on the fly: over windows, and over lines.

The array is worked through in boxes that fit the cache. Each is taken with its halo, as float64, the border filled in;
the compiled loop around the user's function then sees plain memory, whatever dtype, layout and mode the array has.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import itertools
import math
import threading
import warnings
from array import array as doubles
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    as_array,
    as_axes,
    as_axis,
    as_bytes,
    as_mode,
    as_number,
    as_output,
    as_size,
    cast_like_c,
    check_origin,
    halo_of,
    per_axis,
)
from .._engine.keywords import as_spacing, check_policy, valid_elements
from .._engine.operation import explained, operation
from ._known import known
from ._masked import elements_of_size
from ._user_function import NotCompilableError, agrees, compiled, positional, warn_not_compiled
from ._window import as_real_output, as_window, warn_of_two_windows

#: Windows of a piece: its values stay in the second-level cache, and a slow function still lets Ctrl-C through.
PIECE = 1 << 14

Box = tuple[slice, ...]


# --- pieces ----------------------------------------------------------------------------------------------------------
def boxes(shape: Sequence[int], limit: int, in_order: bool = False) -> list[Box]:
    """Boxes of at most `limit` elements that tile `shape`; `in_order`: one after the other as in memory."""
    sizes = list(shape)
    while math.prod(sizes) > limit:
        many = [a for a, n in enumerate(sizes[:-1]) if n > 1] or [len(sizes) - 1]
        longest = many[0] if in_order else max(many, key=lambda a: sizes[a])
        sizes[longest] = -(-sizes[longest] // 2)
    ranges = [[slice(i, min(i + k, n)) for i in range(0, n, k)] for n, k in zip(shape, sizes, strict=True)]
    return list(itertools.product(*ranges))


def border_indices(first: int, last: int, n: int, mode: int) -> np.ndarray:
    """Which of n elements stands at each of first..last-1; -1 where the constant does."""
    i = np.arange(first, last)
    if mode == 0:
        return np.clip(i, 0, n - 1)
    if mode == 1:
        return i % n
    if mode == 4:
        return np.where((i < 0) | (i >= n), -1, i)
    if n == 1:
        return i * 0
    period = 2 * n if mode == 2 else 2 * n - 2
    i %= period
    return np.minimum(i, (period - 1 if mode == 2 else period) - i)


def with_halo(image: np.ndarray, box: Box, halo: Sequence[tuple[int, int]], mode: int, cval: float) -> np.ndarray:
    """A box of the image with its halo, as float64 in C order, the border filled in."""
    source, outside = image, []
    for axis, (part, (before, after)) in enumerate(zip(box, halo, strict=True)):
        first, last, n = part.start - before, part.stop + after, image.shape[axis]
        at: Any = slice(first, last)
        if first < 0 or last > n:
            at = border_indices(first, last, n, mode)
            if mode == 4:
                outside.append((slice(None),) * axis + (at < 0,))
        source = source[(slice(None),) * axis + (at,)]
    room = np.zeros(source.size + 8)  # eight are copied where the last of a window may be one
    block = room[:-8].reshape(source.shape)
    block[...] = source
    for where in outside:
        block[where] = cval
    return block


def runs_of(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the runs of at most eight neighbours, and how many elements stand before each."""
    if offsets.size == 0:
        return offsets, offsets
    breaks = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 2) != 1)
    lengths = np.diff(breaks, append=offsets.size)
    inside = np.arange(offsets.size) - np.repeat(breaks, lengths)
    places = np.flatnonzero(inside % 8 == 0)
    return offsets[places], places


def share(work: Callable[[int], None], count: int, workers: int) -> None:
    """``work(0) ... work(count - 1)`` by several threads, this one among them; raises what the first failure raised."""
    if workers <= 1 or count <= 1:
        for i in range(count):
            work(i)
        return
    pending, lock = iter(range(count)), threading.Lock()
    failures: dict[int, BaseException] = {}

    def run() -> None:
        while not failures:
            with lock:
                i = next(pending, None)
            if i is None:
                return
            try:
                work(i)
            except BaseException as error:
                failures[i] = error

    # Each thread in a copy of this one's context: np.errstate holds there, too.
    others = [
        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True, name="fastmed-filter")
        for _ in range(min(workers, count) - 1)
    ]
    for thread in others:
        thread.start()
    try:
        run()
        for thread in others:
            thread.join()
    except BaseException as error:  # Ctrl-C between two pieces, or while waiting
        failures[-1] = error
    if failures:
        stop = getattr(work, "stop", None)
        if stop is not None:
            stop[0] = 1
        for thread in others:
            thread.join()
        raise failures[min(failures)]


# --- how the function is called ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _CFunction:
    """A C function: its address and the pointer that it is given."""

    address: int
    data: int
    nogil: bool


def _c_function(function: Any, kinds: str) -> _CFunction | None:
    """`function` as a C function, if it is one; `kinds` is its signature with ``{0}`` for the type of lengths."""
    if isinstance(function, tuple) and type(function).__module__.startswith("scipy."):
        from scipy import LowLevelCallable

        if isinstance(function, LowLevelCallable):
            return _from_capsule(tuple.__getitem__(function, 0), function.signature, kinds)
    if type(function).__name__ == "PyCapsule":
        return _from_capsule(function, None, kinds)
    if type(function).__name__ == "CFunc" and type(function).__module__.startswith("numba."):
        found = str(function._sig)
        wanted = kinds.format("int64").replace("double *", "float64*").replace("void *", "void*")
        arguments = wanted.removeprefix("int (").removesuffix(")")
        if found != f"({arguments}) -> int32":
            raise ValueError(f"function must be a cfunc of {wanted!r}, found {found!r}")
        return _CFunction(function.address, 0, True)
    return None


def _from_capsule(capsule: Any, signature: str | None, kinds: str) -> _CFunction:
    word = ctypes.sizeof(ctypes.c_void_p)
    same = [n for n, c in (("int", ctypes.c_int), ("long", ctypes.c_long), ("long long", ctypes.c_longlong))
            if ctypes.sizeof(c) == word]  # fmt: skip
    wanted = [kinds.format(n) for n in ("intptr_t", "npy_intp", *same)]
    if signature is not None and signature not in wanted:
        raise ValueError(f"function has the signature {signature!r}, wanted is one of {wanted}")
    name = None if signature is None else signature.encode()
    for call in (ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetContext):
        call.restype = ctypes.c_void_p
    ctypes.pythonapi.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    ctypes.pythonapi.PyCapsule_GetContext.argtypes = [ctypes.py_object]
    found = [ctypes.pythonapi.PyCapsule_GetPointer(capsule, name), ctypes.pythonapi.PyCapsule_GetContext(capsule)]
    return _CFunction(found[0] or 0, found[1] or 0, False)


def _checked_function(function: Any, extra_arguments: Any, extra_keywords: Any, kinds: str) -> _CFunction | None:
    if not isinstance(extra_arguments, tuple):
        raise RuntimeError(f"extra_arguments must be a tuple, found {extra_arguments!r}")
    if not isinstance(extra_keywords, dict | None):
        raise RuntimeError(f"extra_keywords must be a dictionary, found {extra_keywords!r}")
    c_function = _c_function(function, kinds)
    if c_function is None and not callable(function):
        raise ValueError(f"invalid callable given: function must be callable, found {function!r}")
    return c_function


def _call_c(loop: Any, *arguments: Any) -> None:
    try:
        passed = loop(*arguments)
    except SystemError as error:  # the function has set a Python exception
        raise error.__cause__ or error from None
    if not passed:
        raise RuntimeError("unknown error in filter function: it gave status 0")


def _compile(function: Any, make: str, arguments: tuple[Any, ...]) -> tuple[Any, bool]:
    """The loop named `make` around the function, compiled for these arguments, and whether that is new."""
    from numba import typeof

    from . import _window_loops

    signature = tuple(typeof(a) for a in arguments)
    reason = None
    for fast in (True, False):  # NumPy's functions may have more arguments than those that stand for them
        loop = compiled(function, getattr(_window_loops, make), fast)
        if signature in loop.overloads:
            return loop, False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loop.compile(signature)
            return loop, True
        except Exception as error:
            reason = error
    raise NotCompilableError(f"cannot be compiled: {_shortly(reason)}") from None


def _shortly(error: Exception | None) -> str:
    """The line of Numba's report that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [n for n in lines if not n.startswith(("Failed in", "During:", "File", "-", "\x1b[1mDuring"))]
    return f"{type(error).__name__}: {(telling or lines or [''])[0]}"


# --- over windows ----------------------------------------------------------------------------------------------------
class _Windows:
    """One call of generic_filter: where its windows are, and what becomes of their results."""

    def __init__(self, image, footprint, origins, mode, cval, output, valid, omit):
        flat = image.ndim == 0
        self.image, self.output = (image[None], output[None]) if flat else (image, output)
        self.footprint = footprint[None] if flat else footprint
        before = [n // 2 + o for n, o in zip(self.footprint.shape, [0] if flat else origins, strict=True)]
        self.halo = [(b, n - 1 - b) for b, n in zip(before, self.footprint.shape, strict=True)]
        self.mode, self.cval = mode, cval
        self.valid = valid[None] if flat and valid is not None else valid
        self.omit = omit
        self.stop = np.zeros(1, np.uint8)

    @property
    def some(self) -> bool:
        """Whether windows may miss elements."""
        return self.omit or self.valid is not None

    def geometry(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """The box's values in one row, the first element of each row of windows, the offsets of a window's elements."""
        block = with_halo(self.image, box, self.halo, self.mode, self.cval)
        strides = np.array(block.strides, np.intp) // block.itemsize
        offsets = np.argwhere(self.footprint) @ strides
        sizes = [part.stop - part.start for part in box]
        starts: Any = sum((np.arange(n) * s).reshape([-1] + [1] * (len(sizes) - 2 - a))
                     for a, (n, s) in enumerate(zip(sizes[:-1], strides[:-1], strict=True)))  # fmt: skip
        values = block.base
        assert values is not None
        return values, np.atleast_1d(np.asarray(starts, np.intp)).ravel(), offsets.astype(np.intp), sizes[-1]

    def validity(self, box: Box, values: np.ndarray) -> np.ndarray:
        """Which of the box's values the function may see; what mode 'constant' puts outside is one of them."""
        found = np.ones(values.size, bool)
        if self.valid is not None:
            inside: Any = with_halo(self.valid, box, self.halo, self.mode, 1.0).base
            found = inside != 0
        return found & ~np.isnan(values) if self.omit else found

    def put(self, box: Box, values: np.ndarray, none: np.ndarray | None = None) -> None:
        """Results into the output; `none`: windows without a valid element keep the input's value if it is whole."""
        target = as_bytes(self.output)[box]
        values = cast_like_c(values.reshape(target.shape), target.dtype.newbyteorder("="))
        if none is not None and target.dtype.kind != "f":
            own = as_bytes(self.image)[box].astype(np.float64)
            values = np.where(none.reshape(target.shape), cast_like_c(own, values.dtype), values)
        target[...] = values


def _python_windows(job: _Windows, call: Callable[[np.ndarray], Any], box: Box) -> None:
    """The windows of a box, each a call of Python."""
    values, starts, offsets, count = job.geometry(box)
    valid = job.validity(box, values) if job.some else None
    results = doubles("d", bytes(8 * starts.size * count))
    none = np.zeros(len(results), bool)
    for i, first in enumerate(itertools.chain.from_iterable(range(s, s + count) for s in starts)):
        at = first + offsets
        if valid is not None:
            at = at[valid[at]]
            if at.size == 0:
                results[i], none[i] = math.nan, True
                continue
        results[i] = call(values[at])  # refuses what is not a real number as SciPy does
    job.put(box, np.frombuffer(results), none if job.some else None)


def _compiled_windows(job: _Windows, loop: Any, arguments: tuple[Any, ...], call: Any, box: Box) -> None:
    values, starts, offsets, count = job.geometry(box)
    out = np.empty((starts.size, count))
    none = np.zeros(out.shape, bool) if job.some else None
    try:
        if job.some:
            valid = job.validity(box, values)
            loop(values, valid, none, starts, count, offsets, out, job.stop, arguments)
        else:
            loop(values, starts, count, *runs_of(offsets), offsets.size, out, job.stop, arguments)
    except Exception:
        _python_windows(job, call, box)  # raises what Python raises, where Python does
        return
    job.put(box, out, none)


def _check_windows(job: _Windows, loop: Any, arguments: tuple[Any, ...], call: Any, box: Box) -> None:
    """Compare the compiled function with Python on the first, the middle and the last window of a box."""
    values, starts, offsets, count = job.geometry(box)
    valid = job.validity(box, values) if job.some else None
    for row, i in {(0, 0), (starts.size // 2, count // 2), (starts.size - 1, count - 1)}:
        at = starts[row] + i + offsets
        one, out = starts[row : row + 1] + i, np.empty((1, 1))
        if valid is not None:
            at = at[valid[at]]
            if at.size == 0:
                continue
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wanted = doubles("d", [call(values[at])])[0]
                if valid is None:
                    loop(values, one, 1, *runs_of(offsets), offsets.size, out, job.stop, arguments)
                else:
                    loop(values, valid, np.zeros((1, 1), bool), one, 1, offsets, out, job.stop, arguments)
        except Exception:
            continue  # the filter itself will tell
        if not agrees(out[0, 0], wanted, values[at]):
            raise NotCompilableError(f"gives {out[0, 0]!r} for a window when compiled, and {wanted!r} in Python")


def _run_windows(job: _Windows, function: Any, c_function: _CFunction | None, extra: Any, keywords: Any) -> None:
    count = int(job.footprint.sum())
    budget = threads.budget(job.image.size, 4 * max(count, 1))
    if explained("generic_filter", budget) or job.image.size == 0:
        return
    pieces = boxes(job.image.shape, PIECE)
    if c_function is not None:
        return _run_c_windows(job, c_function, pieces, budget)

    def call(window):
        return function(window, *extra, **keywords)

    try:
        arguments = positional(function, extra, keywords, 1)
        make = "valid_window_loop" if job.some else "window_loop"
        i64, f64, flags = np.empty(0, np.intp), np.empty(0), np.empty(0, bool)
        head = (f64, flags, flags[None], i64, 1, i64) if job.some else (f64, i64, 1, i64, i64, 1)
        sample = (*head, f64[None], job.stop, arguments)
        loop, new = _compile(function, make, sample)
        if new:
            _check_windows(job, loop, arguments, call, pieces[0])
    except NotCompilableError as reason:
        warn_not_compiled("generic_filter", function, reason, 4)
        for box in boxes(job.image.shape, PIECE, in_order=True):
            _python_windows(job, call, box)
        return
    work = functools.partial(_compiled_windows, job, loop, arguments, call)
    _share_boxes(work, job, pieces, budget)


def _share_boxes(work: Any, job: Any, pieces: list[Box], budget: int) -> None:
    def one(i: int) -> None:
        work(pieces[i])

    one.stop = job.stop  # type: ignore[attr-defined]
    share(one, len(pieces), budget)


def _run_c_windows(job: _Windows, c_function: _CFunction, pieces: list[Box], budget: int) -> None:
    from ._window_loops import c_windows

    def work(box: Box) -> None:
        values, starts, offsets, count = job.geometry(box)
        out = np.empty((starts.size, count))
        address, data = np.uintp(c_function.address), np.uintp(c_function.data)
        _call_c(c_windows[c_function.nogil], values, starts, count, offsets, out, address, data)
        job.put(box, out)

    _share_boxes(work, job, pieces, budget if c_function.nogil else 1)


# --- arguments -------------------------------------------------------------------------------------------------------
def elements(size: Any, spacing: Any, ndim: int, axes: Sequence[int], name: str = "size") -> Any:
    """A size in mm as numbers of elements, for each of `axes`; as it is without `spacing`."""
    if spacing is None or size is None:
        return size
    steps = as_spacing(spacing, ndim)
    return [elements_of_size(s, steps[a]) for a, s in zip(axes, per_axis(size, len(axes), name), strict=True)]


def _footprint(ndim, size, footprint, origin, axes, spacing):
    """The footprint and the origins for every axis. SciPy takes a footprint without elements here: no values."""
    if footprint is None:
        size = elements(size, spacing, ndim, as_axes(axes, ndim))
        return as_window(ndim, size, None, origin, axes)
    footprint = np.asarray(footprint, bool)
    box, origins = as_window(ndim, None, np.ones(footprint.shape, bool), origin, axes)
    if footprint.ndim == ndim:
        return footprint, origins
    return footprint.reshape(box.shape), origins


def _halo(ndim, size=None, footprint=None, origin=0, axes=None, spacing=None, **_):
    footprint, origins = _footprint(ndim, size, footprint, origin, axes, spacing)
    return halo_of(ndim, range(ndim), footprint.shape, origins)


def valid_for(image: np.ndarray, mask: Any, nan_policy: Any, omit: bool) -> np.ndarray | None:
    """The elements in the mask; None where all are. `omit`: whether that policy, too, is one of the caller's."""
    check_policy(nan_policy)
    if nan_policy == "omit" and not omit:
        raise ValueError("nan_policy must be 'propagate' or 'raise' here, found 'omit': function gets all elements")
    return valid_elements(image, mask, "raise" if nan_policy == "raise" else "propagate")


def _on_dask(op, arguments):
    from .._engine import chunks

    image = arguments["input"]
    dtype = as_output(arguments["output"], np.empty(0, image.dtype)).dtype
    return masked_or_plain(op, arguments, dtype, chunks.wrapped_axes(image.ndim, arguments))


def masked_or_plain(op, arguments, dtype, wrap):
    """Chunk by chunk with a halo, which a mask has as well."""
    from .._engine import chunks

    image, mask = arguments["input"], arguments.get("mask")
    if arguments["nan_policy"] == "raise":
        raise ValueError("nan_policy='raise' would have to look at all chunks first; check a Dask array yourself")
    rest = {k: v for k, v in arguments.items() if k not in ("input", "mask")}
    options = {
        "wrap": wrap, "dtype": dtype, "name": op.name,
        "arguments": {"module": op.function.__module__, "name": op.name, "rest": rest},
    }  # fmt: skip
    halo = op.halo(image.ndim, **arguments)
    if mask is None:
        return chunks.map_with_halo(chunks.call_operation, image, halo, **options)
    return chunks.map_with_halo(_masked_block, chunks.with_mask(image, mask), halo, **options)


def _masked_block(block: np.ndarray, **arguments: Any) -> np.ndarray:
    from .._engine import chunks

    rest = {**arguments.pop("rest"), "mask": block["mask"]}
    return chunks.call_operation(np.ascontiguousarray(block["image"]), rest=rest, **arguments)


@operation(halo=_halo, chunked=_on_dask)
def generic_filter(
    input: Any,
    function: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    axes: Any = None,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by what a function of yours gives for the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.generic_filter`. The function is compiled (by Numba)
    when it is first seen, which takes about a second, and runs on all cores.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64. It is not changed.
    function : callable
        ``function(window, *extra_arguments, **extra_keywords)`` gives a number. `window` is a 1-D float64 array of the
        elements under the footprint, in C order. A Python function, a NumPy function such as `numpy.median`, one that
        `numba.njit` or `numba.cfunc` has compiled, or a `scipy.LowLevelCallable`.
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
    extra_arguments : tuple, optional
        Further arguments of `function`.
    extra_keywords : dict, optional
        Further keyword arguments of `function`.
    axes : int or sequence of int, optional
        Filter only along these.
    mask : array_like of bool, optional
        Same shape as `input`. The function gets only the elements where it is True, as a shorter window; what mode
        'constant' puts outside counts as True, the other modes continue the mask as they do the input. A window
        without any gives NaN, or the input's own value where the output is not of floats. Not for C functions.
    nan_policy : {'propagate', 'omit', 'raise'}, optional
        'propagate' (default): the function gets the NaN as well. 'omit': it does not, as with `mask`. 'raise': a NaN
        (where `mask` is True) raises before any work; not for Dask arrays.
    spacing : float or sequence of float, optional
        Distance of elements in mm, one for all axes or one per axis of `input`; 'volume': that of a Volume. `size` is
        then in mm; the window is the nearest odd number of elements.

    Returns
    -------
    array
        Same shape as `input`. The function's values, cut toward zero for an output of integers. Empty input gives
        empty output.

    Warns
    -----
    fastmed.errors.NotCompiledWarning
        The function is called as plain Python, window by window in C order, on one thread; the text says why. That is
        so when Numba does not know what it uses, when the compiled function gives something else for a first few
        windows, or when the function reaches beyond itself: writes to globals or closed-over names, prints, draws
        random numbers, is an object with a state, or refers to lists, dicts or arrays above 1 MiB, which might change.

    Raises
    ------
    RuntimeError
        Neither `size` nor `footprint`, unknown mode, wrong shape of `output`, `extra_arguments` that is not a tuple, a
        C function that reports a failure.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number, a
        function that gives something else than a number.
    ValueError
        A function that cannot be called, or a C function of another signature; an origin that moves the window off
        its element, a mask of another shape, an unknown `nan_policy`, a NaN under 'raise', read-only `output`.
    Exception
        What the function raises.

    Notes
    -----
    The compiled function is kept as long as it stays the same: its code, its defaults, and the values that it refers
    to, all compared at each call, so that a lambda written inside a loop is compiled once. A changed closure value or
    global array compiles anew; give what differs from call to call in `extra_arguments`.

    Sums, means, variances and extrema of a window, as NumPy's functions or the array's methods, have NumPy's very
    digits; other code agrees with plain Python to float64's rounding. Whole numbers are of 64 bits and wrap
    around. A division by zero gives infinity or NaN, as for NumPy's numbers, without their warning, also
    where both numbers are Python's own.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.generic_filter(np.array([1, 5, 2, 2, 9]), lambda w: w.max() - w.min(), 3)
    array([4, 4, 3, 7, 7])
    """
    warn_of_two_windows(size, footprint)
    c_function = _checked_function(function, extra_arguments, extra_keywords, "int (double *, {0}, double *, void *)")
    image = as_array(input)
    footprint, origins = _footprint(image.ndim, size, footprint, origin, axes, spacing)
    code, cval = as_mode(mode), as_number(cval, "cval")
    output = as_real_output(output, image)
    valid = valid_for(image, mask, nan_policy, omit=True)
    omit = nan_policy == "omit" and image.dtype.kind == "f"
    if c_function is not None and (omit or mask is not None):
        raise ValueError("mask and nan_policy='omit' are not for C functions; function must be one of Python")
    fast = None
    if not omit and valid is None and not (image.dtype.kind in "iu" and image.dtype.itemsize == 8):
        fast = None if extra_arguments or extra_keywords else known(function, image, footprint, origins, code, cval)
        fast = None if function is np.mean and output.dtype.kind != "f" else fast  # a last digit decides when cut
    if fast is not None:
        return _finish(fast, image, output)
    source = image.copy() if np.may_share_memory(image, output) else image
    job = _Windows(source, footprint, origins, code, cval, output, valid, omit)
    _run_windows(job, function, c_function, extra_arguments, extra_keywords or {})
    return output


def _finish(fast: Callable[[Any], np.ndarray], image: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The values of a kernel, cast to the output as SciPy casts a function's."""
    if image.dtype == output.dtype and output.dtype.kind == "f":
        return fast(output)
    found = fast(None)
    as_bytes(output)[...] = cast_like_c(found.astype(np.float64), as_bytes(output).dtype.newbyteorder("="))
    return output


# --- over lines ------------------------------------------------------------------------------------------------------
class _Lines:
    """One call of generic_filter1d; the axis stands last."""

    def __init__(self, image, axis, size, origin, mode, cval, output):
        self.image, self.output = np.moveaxis(image, axis, -1), np.moveaxis(output, axis, -1)
        before = size // 2 + origin
        self.halo = [(0, 0)] * (image.ndim - 1) + [(before, size - 1 - before)]
        self.mode, self.cval, self.size = mode, cval, size
        self.stop = np.zeros(1, np.uint8)

    def boxes(self, in_order: bool = False) -> list[Box]:
        """Boxes of whole lines."""
        n = self.image.shape[-1]
        some = boxes((*self.image.shape[:-1], 1), max(1, PIECE // n), in_order)
        return [(*box[:-1], slice(0, n)) for box in some]

    def take(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """The lines of a box, continued at both ends, and where their results go."""
        lines = with_halo(self.image, box, self.halo, self.mode, self.cval)
        lines = lines.reshape(-1, lines.shape[-1])
        return lines, np.zeros((lines.shape[0], self.image.shape[-1]))

    def put(self, box: Box, values: np.ndarray) -> None:
        target = as_bytes(self.output)[box]
        target[...] = cast_like_c(values.reshape(target.shape), target.dtype.newbyteorder("="))


def _python_lines(job: _Lines, call: Callable[..., Any], box: Box) -> None:
    lines, out = job.take(box)
    for line, result in zip(lines, out, strict=True):
        call(line.copy(), result)
    job.put(box, out)


def _compiled_lines(job: _Lines, loop: Any, arguments: tuple[Any, ...], call: Any, box: Box) -> None:
    lines, out = job.take(box)
    try:
        loop(lines, out, job.stop, arguments)
    except Exception:
        _python_lines(job, call, box)  # raises what Python raises, where Python does
        return
    job.put(box, out)


def _check_line(job: _Lines, loop: Any, arguments: tuple[Any, ...], call: Any, box: Box) -> None:
    """Compare the compiled function with Python on the first line."""
    lines, out = job.take(box)
    wanted = np.zeros_like(out[0])
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(lines[0].copy(), wanted)
            line = lines[:1].copy()
            loop(line, out[:1], job.stop, arguments)
    except Exception:
        return  # the filter itself will tell
    for i in range(wanted.size):
        if not agrees(out[0, i], wanted[i], lines[0]):
            raise NotCompilableError(f"gives {out[0, i]!r} in a line when compiled, and {wanted[i]!r} in Python")


def _run_lines(job: _Lines, function: Any, c_function: _CFunction | None, extra: Any, keywords: Any) -> None:
    budget = threads.budget(job.image.size, 4 * job.size)
    if explained("generic_filter1d", budget) or job.image.size == 0:
        return
    pieces = job.boxes()
    if c_function is not None:
        return _run_c_lines(job, c_function, pieces, budget)

    def call(line, result):
        function(line, result, *extra, **keywords)

    try:
        arguments = positional(function, extra, keywords, 2)
        rows = np.empty((0, 1))
        loop, new = _compile(function, "line_loop", (rows, rows, job.stop, arguments))
        if new:
            _check_line(job, loop, arguments, call, pieces[0])
    except NotCompilableError as reason:
        warn_not_compiled("generic_filter1d", function, reason, 4)
        for box in job.boxes(in_order=True):
            _python_lines(job, call, box)
        return
    _share_boxes(functools.partial(_compiled_lines, job, loop, arguments, call), job, pieces, budget)


def _run_c_lines(job: _Lines, c_function: _CFunction, pieces: list[Box], budget: int) -> None:
    from ._window_loops import c_lines

    def work(box: Box) -> None:
        lines, out = job.take(box)
        address, data = np.uintp(c_function.address), np.uintp(c_function.data)
        _call_c(c_lines[c_function.nogil], lines, out, address, data)
        job.put(box, out)

    _share_boxes(work, job, pieces, budget if c_function.nogil else 1)


def _line_window(ndim, filter_size, axis, origin, spacing):
    """The axis, the length of the window on it, and its shift."""
    axis = as_axis(axis, ndim)
    size = filter_size if spacing is None else elements(filter_size, spacing, ndim, [axis], "filter_size")[0]
    if as_number(size, "filter_size") < 1:
        raise RuntimeError(f"invalid filter size: filter_size must be at least 1, found {size}")
    size = as_size(size, "filter_size")
    return axis, size, check_origin(origin, size)


def _halo1d(ndim, filter_size, axis=-1, origin=0, spacing=None, **_):
    """Along the axis the function sees whole lines."""
    axis, _, _ = _line_window(ndim, filter_size, axis, origin, spacing)
    return halo_of(ndim, [axis], [1], [0])


def _lines_on_dask(op, arguments):
    """Chunks with whole lines: what the function does along one cannot be cut."""
    image = arguments["input"]
    axis, _, _ = _line_window(image.ndim, *(arguments[k] for k in ("filter_size", "axis", "origin", "spacing")))
    if arguments["mask"] is not None:
        raise ValueError("mask is not for generic_filter1d: its function gets whole lines")
    chunks = image.chunks
    arguments = {**{k: v for k, v in arguments.items() if k != "mask"}, "input": image.rechunk({axis: -1})}
    return _on_dask(op, arguments).rechunk(chunks)


@operation(halo=_halo1d, chunked=_lines_on_dask)
def generic_filter1d(
    input: Any,
    function: Any,
    filter_size: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Let a function of yours filter every line of the array along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.generic_filter1d`. The function is compiled (by
    Numba) when it is first seen, which takes about a second, and runs on all cores.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64. It is not changed.
    function : callable
        ``function(input_line, output_line, *extra_arguments, **extra_keywords)`` writes into `output_line`, which is
        zero before. Both are 1-D float64 arrays; `input_line` is longer by ``filter_size - 1``: the line goes on at
        both ends as `mode` says. What it may be is said at :func:`generic_filter`.
    filter_size : int
        Length of the window in elements.
    axis : int, optional
        The axis of the lines.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int, optional
        Shift of the window; positive values move it toward index 0.
    extra_arguments : tuple, optional
        Further arguments of `function`.
    extra_keywords : dict, optional
        Further keyword arguments of `function`.
    mask : None, optional
        Refused: the function gets whole lines.
    nan_policy : {'propagate', 'raise'}, optional
        'propagate' (default): the function gets the NaN as well. 'raise': a NaN raises before any work; not for Dask
        arrays.
    spacing : float or sequence of float, optional
        Distance of elements in mm, one for all axes or one per axis of `input`; 'volume': that of a Volume.
        `filter_size` is then in mm; the window is the nearest odd number of elements.

    Returns
    -------
    array
        Same shape as `input`, cut toward zero for an output of integers. Empty input gives empty output.

    Warns
    -----
    fastmed.errors.NotCompiledWarning
        The function is called as plain Python, line by line; see :func:`generic_filter`.

    Raises
    ------
    RuntimeError
        A `filter_size` below 1, unknown mode, wrong shape of `output`, `extra_arguments` that is not a tuple, a C
        function that reports a failure.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number.
    ValueError
        A function that cannot be called, an origin that moves the window off its element, an axis that is not there, a
        mask, `nan_policy` 'omit', a NaN under 'raise', read-only `output`.
    Exception
        What the function raises.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> def difference(line, result):
    ...     result[:] = line[2:] - line[:-2]
    >>> fastmed.generic_filter1d(np.array([0.0, 1, 4, 9]), difference, 3)
    array([1., 4., 8., 5.])
    """
    kinds = "int (double *, {0}, double *, {0}, void *)"
    c_function = _checked_function(function, extra_arguments, extra_keywords, kinds)
    image = as_array(input)
    axis, size, origin = _line_window(image.ndim, filter_size, axis, origin, spacing)
    code, cval = as_mode(mode), as_number(cval, "cval")
    output = as_real_output(output, image)
    if mask is not None:
        raise ValueError("mask is not for generic_filter1d: its function gets whole lines")
    valid_for(image, None, nan_policy, omit=False)
    source = image.copy() if np.may_share_memory(image, output) else image
    job = _Lines(source, axis, size, origin, code, cval, output)
    _run_lines(job, function, c_function, extra_arguments, extra_keywords or {})
    return output
