"""Filters with the user's own function over windows, compiled on the fly."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from array import array as doubles
from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axes, as_bytes, as_mode, as_number, cast_like_c, halo_of
from .._engine.operation import explained, operation
from . import _pieces
from ._c_functions import CFunction, call_c, checked_function
from ._docs import documented
from ._known import known
from ._pieces import Box, boxes, share_boxes, with_halo
from ._tables import run_tables
from ._user_filter import compiled_loop, elements, on_dask, valid_for
from ._user_function import NotCompilableError, agrees, positional, warn_not_compiled
from ._window import as_real_output, as_window, warn_of_two_windows

#: Elements of a window that is sorted together with its neighbours: what eight of them take stays in the cache.
LARGEST_GROUPED = 2048

def runs_of(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the runs of at most eight neighbours, and how many elements stand before each."""
    if offsets.size == 0:
        return offsets, offsets
    breaks = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 2) != 1)
    lengths = np.diff(breaks, append=offsets.size)
    inside = np.arange(offsets.size) - np.repeat(breaks, lengths)
    places = np.flatnonzero(inside % 8 == 0)
    return offsets[places], places


class _Windows:
    """One call of generic_filter: where its windows are, and what becomes of their results."""

    def __init__(self, image, footprint, origins, mode, cval, output, valid, omit):
        flat = image.ndim == 0
        self.image, self.output = (image[None], output[None]) if flat else (image, output)
        self.footprint = footprint[None] if flat else footprint
        self.origins = [0] if flat else origins
        before = [n // 2 + o for n, o in zip(self.footprint.shape, self.origins, strict=True)]
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
            loop(values, starts, count, *runs_of(offsets), offsets, out, job.stop, arguments)
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
                    loop(values, one, 1, *runs_of(offsets), offsets, out, job.stop, arguments)
                else:
                    loop(values, valid, np.zeros((1, 1), bool), one, 1, offsets, out, job.stop, arguments)
        except Exception:
            continue  # the filter itself will tell
        if not agrees(out[0, 0], wanted, values[at]):
            raise NotCompilableError(f"gives {out[0, 0]!r} for a window when compiled, and {wanted!r} in Python")


def _loops(job: _Windows, count: int) -> tuple[str, ...]:
    """The loops that a function may be compiled into, the best one first; `count`: elements of a window."""
    if job.some:
        return ("valid_window_loop",)
    small = 0 < count <= LARGEST_GROUPED
    return ("unseen_window_loop", "grouped_window_loop", "window_loop") if small else ("window_loop",)


def _run_windows(job: _Windows, function: Any, c_function: CFunction | None, extra: Any, keywords: Any) -> None:
    count = int(job.footprint.sum())
    budget = threads.budget(job.image.size, 4 * max(count, 1))
    if explained("generic_filter", budget) or job.image.size == 0:
        return
    pieces = boxes(job.image.shape, _pieces.PIECE)
    if c_function is not None:
        return _run_c_windows(job, c_function, pieces, budget)

    def call(window):
        return function(window, *extra, **keywords)

    try:
        arguments = positional(function, extra, keywords, 1)
        if run_tables(job, function, arguments, call, budget):
            return
        i64, f64, flags = np.empty(0, np.intp), np.empty(0), np.empty(0, bool)
        head = (f64, flags, flags[None], i64, 1, i64) if job.some else (f64, i64, 1, i64, i64, i64)
        loop, new = compiled_loop(function, (*head, f64[None], job.stop, arguments), *_loops(job, count))
        if new:
            _check_windows(job, loop, arguments, call, pieces[0])
    except NotCompilableError as reason:
        warn_not_compiled("generic_filter", function, reason, 4)
        for box in boxes(job.image.shape, _pieces.PIECE, in_order=True):
            _python_windows(job, call, box)
        return
    work = functools.partial(_compiled_windows, job, loop, arguments, call)
    share_boxes(work, job, pieces, budget)


def _run_c_windows(job: _Windows, c_function: CFunction, pieces: list[Box], budget: int) -> None:
    from ._window_loops import c_windows

    def work(box: Box) -> None:
        values, starts, offsets, count = job.geometry(box)
        out = np.empty((starts.size, count))
        address, data = np.uintp(c_function.address), np.uintp(c_function.data)
        call_c(c_windows[c_function.nogil], values, starts, count, offsets, out, address, data)
        job.put(box, out)

    share_boxes(work, job, pieces, budget if c_function.nogil else 1)


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


@operation(halo=_halo, chunked=on_dask)
@documented
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
    {real_input}
    function : callable
        ``function(window, *extra_arguments, **extra_keywords)`` gives a number. `window` is a 1-D float64 array of the
        elements under the footprint, in C order. A Python function, a NumPy function such as `numpy.median`, one that
        `numba.njit` or `numba.cfunc` has compiled, or a `scipy.LowLevelCallable`.
    {size}
    {footprint}
    {output}
    {mode}
    {cval}
    {origin}
    {extra_arguments}
    {extra_keywords}
    {axes}
    mask : array_like of bool, optional
        Same shape as `input`. The function gets only the elements where it is True, as a shorter window; what mode
        'constant' puts outside counts as True, the other modes continue the mask as they do the input. A window
        without any gives NaN, or the input's own value where the output is not of floats. Not for C functions.
    nan_policy : {'propagate', 'omit', 'raise'}, optional
        'propagate' (default): the function gets the NaN as well. 'omit': it does not, as with `mask`. 'raise': a NaN
        (where `mask` is True) raises before any work (of a Dask array, when its chunk is computed).
    {size_spacing}

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

    Sums, means, variances, extrema, sorted values, medians and quantiles of a window, as NumPy's functions or the
    array's methods, have NumPy's very digits, and are found for several windows at once as long as the function does
    not write to its window; other code agrees with plain Python to float64's rounding. Whole numbers are of 64 bits
    and wrap around. A division by zero gives infinity or NaN, as for NumPy's numbers, without their warning, also where
    both numbers are Python's own.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.generic_filter(np.array([1, 5, 2, 2, 9]), lambda w: w.max() - w.min(), 3)
    array([4, 4, 3, 7, 7])
    """
    warn_of_two_windows(size, footprint)
    c_function = checked_function(function, extra_arguments, extra_keywords, "int (double *, {0}, double *, void *)")
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
