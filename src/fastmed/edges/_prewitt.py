"""Prewitt's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.operation import operation
from ._sobel import derivative, halo


@operation(halo=halo)
def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> np.ndarray:
    """Derivative along one axis, summed over three elements along the others (Prewitt 1970).

    Names, defaults and results are those of :func:`scipy.ndimage.prewitt`: a difference [-1, 0, 1] along `axis`,
    then [1, 1, 1] along every other axis, without normalisation.

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
        Same shape as `input`, in units of `input` times 2 x 3^(ndim - 1) per element. Bit for bit SciPy's for every
        dtype. A NaN spreads over the windows that hold it. Empty input gives empty output.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, unsupported dtype.
    ValueError
        An axis that is not there, read-only `output`.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.prewitt(np.array([[0.0, 0, 1], [0, 0, 1]]))
    array([[0., 3., 3.],
           [0., 3., 3.]])
    """
    return derivative("prewitt", __name__, input, axis, output, mode, cval)
