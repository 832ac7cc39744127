"""Mean over a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    as_array,
    as_axes,
    as_axis,
    as_length,
    as_mode,
    as_number,
    as_output,
    check_origin,
    columns_of,
    halo_of,
    per_axis,
    remembered,
    run,
)
from .._engine.operation import kernel, operation


@remembered
def _parameters(ndim, size=3, mode="reflect", origin=0, axes=None, **_):
    """The axes that are averaged, and for each size, origin and mode."""
    axes = as_axes(axes, ndim)
    sizes, origins = per_axis(size, len(axes)), per_axis(origin, len(axes))
    modes = [as_mode(m) for m in per_axis(mode, len(axes))]
    rows = []
    for axis, s, o, m in zip(axes, sizes, origins, modes, strict=True):
        if as_number(s, "size") > 1:
            s = int(s)
            rows.append((axis, s, check_origin(o, s), m))
    return tuple(rows)


def _halo(ndim, **arguments):
    rows = _parameters(ndim, **arguments)
    return halo_of(ndim, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


@remembered
def _row(ndim, size, axis=-1, mode="reflect", origin=0, **_):
    """The one pass of uniform_filter1d."""
    axis, size = as_axis(axis, ndim), as_length(size)
    return axis, size, check_origin(origin, size), as_mode(mode)


def _halo1d(ndim, **arguments):
    axis, size, origin, _ = _row(ndim, **arguments)
    return halo_of(ndim, [axis], [size], [origin])


@operation(halo=_halo)
def uniform_filter(
    input: Any,
    size: Any = 3,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> np.ndarray:
    """Replace every element by the mean of the box around it.

    Names, defaults and results are those of :func:`scipy.ndimage.uniform_filter`, but for NaN and infinity: SciPy
    carries them on to the end of each line, here they reach exactly the boxes that hold them.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    size : int or sequence of int, optional
        Width of the box in elements; fractions are cut off. An even box reaches one element further toward index 0.
        An axis with 1 or less is not filtered.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype.
    mode : str or sequence of str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int or sequence of int, optional
        Shift of the box; positive values move it toward index 0.
    axes : int or sequence of int, optional
        Filter only along these.

    Returns
    -------
    array
        Same shape as `input`; integers are cut toward zero after each axis, as in SciPy, bit for bit.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    TypeError
        A size or cval that is not a real number, an origin that is not whole.
    ValueError
        An origin that moves the box off its element, an axis that is not there, read-only `output`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.uniform_filter(np.array([0.0, 0, 3, 0, 0]), 3)
    array([0., 1., 1., 1., 0.])
    """
    image = as_array(input, complex_too=True)
    return _run(image, _parameters(image.ndim, size, mode, origin, axes), output, cval)


def _run(image, rows, output, cval):
    """One pass for each of `rows`: (axis, size, origin, mode)."""
    output = as_output(output, image, complex_result=image.dtype.kind == "c")
    if not rows:
        output[...] = image
        return output
    columns = columns_of(rows)

    def compute(source, target, cval):
        budget = threads.budget(source.size, sum(columns[1]))
        kernel("uniform_filter", __name__)(source, *columns, float(cval), target, budget)

    return run(compute, image, output, cval)


@operation(halo=_halo1d)
def uniform_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> np.ndarray:
    """Replace every element by the mean of its neighbours along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.uniform_filter1d`, but for NaN and infinity: SciPy
    carries them on to the end of each line, here they reach exactly the windows that hold them.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    size : int
        Length of the window in elements. An even window reaches one element further toward index 0.
    axis : int, optional
        The axis that is filtered.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int, optional
        Shift of the window; positive values move it toward index 0.

    Returns
    -------
    array
        Same shape as `input`; integers are cut toward zero, as in SciPy, bit for bit.

    Raises
    ------
    RuntimeError
        A size below 1, unknown mode, wrong shape of `output`, unsupported dtype.
    TypeError
        A size or an origin that is not whole, a cval that is not a real number.
    ValueError
        An origin that moves the window off its element, an axis that is not there, read-only `output`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.uniform_filter1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    image = as_array(input, complex_too=True)
    return _run(image, (_row(image.ndim, size, axis, mode, origin),), output, cval)
