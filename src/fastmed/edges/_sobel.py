"""Sobel's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axis, as_modes, as_output, run
from .._engine.operation import kernel, operation


def halo(ndim, **_):
    """One element on each side along every axis."""
    return ((1, 1),) * ndim


@operation(halo=halo)
def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> np.ndarray:
    """Derivative along one axis, smoothed along the others (Sobel and Feldman 1968).

    Names, defaults and results are those of :func:`scipy.ndimage.sobel`: a difference [-1, 0, 1] along `axis`,
    then [1, 2, 1] along every other axis, without normalisation.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    axis : int, optional
        Axis of the derivative.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype. With an unsigned `input` and no `output`, negative
        values wrap around, as in SciPy; ask for a signed or float dtype instead.
    mode : str or sequence of str, optional
        What stands outside, one for all axes or one per axis: 'reflect' (default), 'mirror', 'nearest', 'wrap',
        'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.

    Returns
    -------
    array
        Same shape as `input`, in units of `input` times 2 x 4^(ndim - 1) per element. Bit for bit SciPy's for every
        dtype. A NaN spreads over the windows that hold it.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, unsupported dtype.
    ValueError
        An axis that is not there, read-only `output`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.sobel(np.array([0.0, 0, 1, 1]))
    array([0., 1., 1., 0.])
    """
    return derivative("sobel", __name__, input, axis, output, mode, cval)


def derivative(name: str, module: str, input: Any, axis: int, output: Any, mode: Any, cval: Any) -> np.ndarray:
    """A kernel that takes (input, axis, modes, cval, output, threads), with SciPy's arguments of a derivative."""
    image = as_array(input, complex_too=True)
    axis = as_axis(axis, image.ndim)
    modes = as_modes(mode, image.ndim)
    output = as_output(output, image)
    if image.dtype.kind == "c" and output.dtype.kind != "c":
        raise RuntimeError(f"output must have complex dtype, found {output.dtype}")

    def compute(source, target, cval):
        budget = threads.budget(source.size, 3 * source.ndim)
        kernel(name, module)(source, axis, modes, float(cval), target, budget)

    return run(compute, image, output, cval)
