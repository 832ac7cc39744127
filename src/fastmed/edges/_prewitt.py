"""Prewitt's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.operation import operation
from ..filters._docs import documented
from ..filters._masked import asked
from ._sobel import derivative, masked

_PREWITT = masked("prewitt", [1 / 3, 1 / 3, 1 / 3])


@operation(halo=_PREWITT.halo)
@documented
def prewitt(
    input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, mask: Any = None,
    nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Derivative along one axis, summed over three elements along the others (Prewitt 1970).

    Names, defaults and results are those of :func:`scipy.ndimage.prewitt`: a difference [-1, 0, 1] along `axis`,
    then [1, 1, 1] along every other axis, without normalisation.

    Parameters
    ----------
    {input}
    {axis_of_derivative}
    {signed_output}
    {modes}
    {cval}
    {linear_mask}
    {nan_policy}
    {derivative_spacing}

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
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.prewitt(np.array([[0.0, 0, 1], [0, 0, 1]]))
    array([[0., 3., 3.],
           [0., 3., 3.]])
    """
    if asked(mask, nan_policy, spacing):
        return _PREWITT(locals())
    return derivative("prewitt", __name__, input, axis, output, mode, cval)
