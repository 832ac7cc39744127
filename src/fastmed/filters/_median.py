"""Median over a box or any footprint."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.arrays import as_array, as_axes, as_number
from .._engine.operation import kernel, operation
from ._window import as_real_output, as_window, holds, one_mode, over_window, warn_of_two_windows, window_halo


@operation(halo=window_halo)
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
    warn_of_two_windows(size, footprint)
    image = as_array(input)
    footprint, origins = as_window(image.ndim, size, footprint, origin, axes)
    count = int(np.count_nonzero(footprint))
    code = one_mode(mode, footprint, as_axes(axes, image.ndim))
    cval = as_number(cval, "cval")
    output = as_real_output(output, image)
    if image.ndim == 0 or footprint.size == 1:
        output[...] = image
        return output

    def select(source, cval, result, budget):
        kernel("median_filter", __name__)(source, footprint, origins, count // 2, code, cval, result, budget)

    # SciPy casts cval to the dtype first, wrapping around, but not where a median of two is a plain maximum.
    two = count == 2 and bool(footprint.all())
    return over_window(select, image, count, code, cval, output, lambda dtype: two and not holds(dtype, cval))
