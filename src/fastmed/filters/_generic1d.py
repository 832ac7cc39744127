"""A filter with the user's own function over lines, compiled on the fly."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    as_array,
    as_axis,
    as_bytes,
    as_mode,
    as_number,
    as_size,
    cast_like_c,
    check_origin,
    halo_of,
)
from .._engine.operation import explained, operation
from . import _pieces
from ._c_functions import CFunction, call_c, checked_function
from ._docs import documented
from ._pieces import Box, boxes, share_boxes, with_halo
from ._user_filter import compiled_loop, elements, on_dask, valid_for
from ._user_function import NotCompilableError, agrees, positional, warn_not_compiled
from ._window import as_real_output


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
        some = boxes((*self.image.shape[:-1], 1), max(1, _pieces.PIECE // n), in_order)
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


def _run_lines(job: _Lines, function: Any, c_function: CFunction | None, extra: Any, keywords: Any) -> None:
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
        loop, new = compiled_loop(function, (rows, rows, job.stop, arguments), "line_loop")
        if new:
            _check_line(job, loop, arguments, call, pieces[0])
    except NotCompilableError as reason:
        warn_not_compiled("generic_filter1d", function, reason, 4)
        for box in job.boxes(in_order=True):
            _python_lines(job, call, box)
        return
    share_boxes(functools.partial(_compiled_lines, job, loop, arguments, call), job, pieces, budget)


def _run_c_lines(job: _Lines, c_function: CFunction, pieces: list[Box], budget: int) -> None:
    from ._window_loops import c_lines

    def work(box: Box) -> None:
        lines, out = job.take(box)
        address, data = np.uintp(c_function.address), np.uintp(c_function.data)
        call_c(c_lines[c_function.nogil], lines, out, address, data)
        job.put(box, out)

    share_boxes(work, job, pieces, budget if c_function.nogil else 1)


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
    return on_dask(op, arguments).rechunk(chunks)


@operation(halo=_halo1d, chunked=_lines_on_dask)
@documented
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
    {real_input}
    function : callable
        ``function(input_line, output_line, *extra_arguments, **extra_keywords)`` writes into `output_line`, which is
        zero before. Both are 1-D float64 arrays; `input_line` is longer by ``filter_size - 1``: the line goes on at
        both ends as `mode` says. What it may be is said at :func:`generic_filter`.
    filter_size : int
        Length of the window in elements.
    axis : int, optional
        The axis of the lines.
    {output}
    {mode}
    {cval}
    {origin_on_line}
    {extra_arguments}
    {extra_keywords}
    mask : None, optional
        Refused: the function gets whole lines.
    nan_policy : {'propagate', 'raise'}, optional
        'propagate' (default): the function gets the NaN as well. 'raise': a NaN raises before any work (of a
        Dask array, when its chunk is computed).
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
    c_function = checked_function(function, extra_arguments, extra_keywords, kinds)
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
