"""Median over a box or any footprint."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.arrays import as_array, as_axes, as_number
from .._engine.operation import kernel, operation
from ._docs import documented
from ._masked import asked
from ._rank import Ranked
from ._window import as_real_output, as_window, holds, one_mode, over_window, rank_cost, warn_of_two_windows

_MEDIAN_FILTER = Ranked("median_filter", lambda arguments, count, valid: valid // 2)


@operation(halo=_MEDIAN_FILTER.halo)
@documented
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
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by the median of the window around it.

    Names, defaults and results are those of :func:`scipy.ndimage.median_filter`. They are exact for every dtype
    (SciPy sorts in float64, which cannot tell large 64-bit integers apart).

    Parameters
    ----------
    {real_input}
    {size}
    {footprint}
    {output}
    {mode}
    {cval}
    {origin}
    {axes}
    {rank_mask}
    {real_nan_policy}
    {size_spacing}

    Returns
    -------
    array
        Same shape as `input`. A window with an even number of elements (that count) gives the upper of its two
        middle values. A window that holds a NaN gives NaN (SciPy leaves this undefined). Empty input gives empty
        output.

    Raises
    ------
    RuntimeError
        Neither `size` nor `footprint`, a size of 0, a footprint without elements, unknown mode, a sequence of modes,
        wrong shape of `output`.
    TypeError
        Complex or other unsupported dtype, a size or origin that is not whole, a cval that is not a real number.
    ValueError
        A negative size, an origin that moves the window off its element, read-only `output`.
        {keyword_errors}

    Notes
    -----
    Small windows go through a selection network over vectors of neighbouring windows, which share the sorted rows of a
    box. For large ones the elements of a tile are sorted once; the cost then hardly grows with a box in 2-D, with its
    width in 3-D, and with the edges of any other footprint.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.median_filter(np.array([1, 1, 9, 1, 1]), 3)
    array([1, 1, 1, 1, 1])
    """
    warn_of_two_windows(size, footprint)
    if asked(mask, nan_policy, spacing):
        return _MEDIAN_FILTER(locals())
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
    fraction = output.dtype.kind == "f" and not cval.is_integer()  # the output shows it

    def in_double(dtype):
        return two and (not holds(dtype, cval) or (fraction and dtype.kind != "f"))

    cost = rank_cost(image, count)
    return over_window(select, image, cost, code, cval, output, in_double)
