"""Sobel's derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axis, as_modes, as_output, run
from .._engine.operation import kernel, operation
from ..filters._docs import documented
from ..filters._gaussian import _run as weighted
from ..filters._masked import Linear, asked


def halo(ndim, **_):
    """One element on each side along every axis."""
    return ((1, 1),) * ndim


def masked(name: str, smoothing: list[float]) -> Linear:
    """mask, nan_policy and spacing of a central difference along one axis, with `smoothing` along all others."""

    def mean(image, arguments, cval, dtype):
        axis, modes = as_axis(arguments["axis"], image.ndim), as_modes(arguments["mode"], image.ndim)
        weights = [np.array([0.5, 0.0, 0.5] if k == axis else smoothing) for k in range(image.ndim)]
        return weighted(image, [(k, 1.0, 0, code, 1) for k, code in enumerate(modes)], dtype, cval, True, weights)

    def per_mm(ndim, arguments, spacing):
        return 1 / spacing[as_axis(arguments["axis"], ndim)]

    return Linear(name, halo, mean, per_mm=per_mm)


_SOBEL = masked("sobel", [0.25, 0.5, 0.25])


@operation(halo=_SOBEL.halo)
@documented
def sobel(
    input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, mask: Any = None,
    nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Derivative along one axis, smoothed along the others (Sobel and Feldman 1968).

    Names, defaults and results are those of :func:`scipy.ndimage.sobel`: a difference [-1, 0, 1] along `axis`,
    then [1, 2, 1] along every other axis, without normalisation.

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
        Same shape as `input`, in units of `input` times 2 x 4^(ndim - 1) per element. Bit for bit SciPy's for every
        dtype. A NaN spreads over the windows that hold it.

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
    >>> fastmed.sobel(np.array([0.0, 0, 1, 1]))
    array([0., 1., 1., 0.])
    """
    if asked(mask, nan_policy, spacing):
        return _SOBEL(locals())
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
