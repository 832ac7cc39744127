"""Mean over a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_output, columns_of, halo_of, run
from .._engine.operation import kernel, operation
from ._docs import documented
from ._masked import Linear, asked
from ._window import Row, box_rows, line_row


def _halo(ndim, **arguments):
    rows = box_rows(ndim, **arguments)
    return halo_of(ndim, [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])


def _halo1d(ndim, **arguments):
    axis, size, origin, _ = line_row(ndim, **arguments)
    return halo_of(ndim, [axis], [size], [origin])


def _mean(image, arguments, cval, dtype):
    rows = (line_row(image.ndim, **arguments),) if "axis" in arguments else box_rows(image.ndim, **arguments)
    return _run(image, rows, dtype, cval)


_UNIFORM_FILTER = Linear("uniform_filter", _halo, _mean, lambda _: 1.0, single=lambda ndim, arguments: True)
_UNIFORM_FILTER1D = Linear("uniform_filter1d", _halo1d, _mean, lambda _: 1.0, single=lambda ndim, arguments: True)


@operation(halo=_UNIFORM_FILTER.halo)
@documented
def uniform_filter(
    input: Any,
    size: Any = 3,
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
    """Replace every element by the mean of the box around it.

    Names, defaults and results are those of :func:`scipy.ndimage.uniform_filter`, but for NaN and infinity: SciPy
    carries them on to the end of each line, here they reach exactly the boxes that hold them.

    Parameters
    ----------
    {input}
    size : int or sequence of int, optional
        Width of the box in elements; fractions are cut off. An even box reaches one element further toward index 0.
        An axis with 1 or less is not filtered.
    {output}
    {modes}
    {cval}
    {origin}
    {axes}
    {linear_mask}
    {nan_policy}
    {size_spacing}

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
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.uniform_filter(np.array([0.0, 0, 3, 0, 0]), 3)
    array([0., 1., 1., 1., 0.])
    """
    if asked(mask, nan_policy, spacing):
        return _UNIFORM_FILTER(locals())
    image = as_array(input, complex_too=True)
    return _run(image, box_rows(image.ndim, size, mode, origin, axes), output, cval)


def _run(image: np.ndarray, rows: tuple[Row, ...], output: Any, cval: Any) -> np.ndarray:
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


@operation(halo=_UNIFORM_FILTER1D.halo)
@documented
def uniform_filter1d(
    input: Any,
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
    *,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Replace every element by the mean of its neighbours along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.uniform_filter1d`, but for NaN and infinity: SciPy
    carries them on to the end of each line, here they reach exactly the windows that hold them.

    Parameters
    ----------
    {input}
    size : int
        Length of the window in elements. An even window reaches one element further toward index 0.
    {axis}
    {output}
    {mode}
    {cval}
    {origin_on_line}
    {linear_mask}
    {nan_policy}
    {size_spacing}

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
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.uniform_filter1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    if asked(mask, nan_policy, spacing):
        return _UNIFORM_FILTER1D(locals())
    image = as_array(input, complex_too=True)
    return _run(image, (line_row(image.ndim, size, axis, mode, origin),), output, cval)
