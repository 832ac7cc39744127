"""Gaussian smoothing and derivatives of Gaussians."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    as_array,
    as_axes,
    as_axis,
    as_integer,
    as_mode,
    as_number,
    as_output,
    halo_of,
    per_axis,
    remembered,
    run,
)
from .._engine.operation import kernel, operation
from ._docs import documented
from ._masked import Linear, asked


def _radius(sigma: float, truncate: float, radius: Any) -> int:
    origin = ""
    reach = as_number(truncate, "truncate") * sigma + 0.5
    if not math.isfinite(reach):  # SciPy computes it before it looks at `radius`
        error = OverflowError if math.isinf(reach) else ValueError
        raise error(f"truncate * sigma must be finite, found {truncate!r} * {sigma!r}")
    if radius is None:
        radius, origin = int(reach), f" (truncate is {truncate!r})"
    if not isinstance(radius, numbers.Integral) or radius < 0:
        raise ValueError(f"Radius must be a nonnegative integer, found {radius!r}{origin}")
    return int(radius)


def _order(order: Any) -> int:
    if as_number(order, "order") < 0:
        raise ValueError(f"order must be non-negative, found {order}")
    return as_integer(order, "order") if order != 0 else 0


@remembered
def _parameters(ndim, sigma, order=0, mode="reflect", truncate=4.0, radius=None, axes=None, **_):
    """The axes that are smoothed, and for each sigma, order, mode and radius."""
    axes = as_axes(axes, ndim)
    count = len(axes)
    sigmas, orders = per_axis(sigma, count), per_axis(order, count)
    modes, radii = per_axis(mode, count), per_axis(radius, count)
    rows = []
    for axis, s, o, m, r in zip(axes, sigmas, orders, modes, radii, strict=True):
        code, s = as_mode(m), as_number(s, "sigma")
        if s > 1e-15:
            rows.append((axis, s, _order(o), code, _radius(s, truncate, r)))
    return rows


def _halo(ndim, **arguments):
    rows = _parameters(ndim, **arguments)
    return halo_of(ndim, [r[0] for r in rows], [2 * r[4] + 1 for r in rows], [0] * len(rows))


@remembered
def _weights(sigma: float, order: int, radius: int) -> np.ndarray:
    """Sampled derivative of a Gaussian, ready to be correlated with.

    The k-th derivative is a polynomial times the Gaussian; each derivation takes the polynomial q to
    q' - x q / sigma^2.
    """
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 / variance * x**2)
    bell = bell / bell.sum()
    if order == 0:
        return bell
    q = np.zeros(order + 1)
    q[0] = 1
    for _ in range(order):
        derived = np.zeros(order + 1)
        derived[:-1] += q[1:] * np.arange(1, order + 1)
        derived[1:] += q[:-1] * (1 / -variance)
        q = derived
    return ((x[:, None] ** np.arange(order + 1)) @ q * bell)[::-1]


@remembered
def _row(ndim, sigma, axis=-1, order=0, mode="reflect", truncate=4.0, radius=None, **_):
    """The one pass of gaussian_filter1d."""
    try:
        sigma = float(sigma)
    except (TypeError, ValueError) as error:
        raise type(error)(f"sigma must be a real number, found {sigma!r}") from None
    axis, code = as_axis(axis, ndim), as_mode(mode)
    reach = _radius(sigma, truncate, radius)
    if sigma * sigma == 0:
        raise ZeroDivisionError(f"sigma must not be 0, found {sigma!r}")
    return axis, sigma, _order(order), code, reach


def _halo1d(ndim, **arguments):
    axis, _, _, _, radius = _row(ndim, **arguments)
    return halo_of(ndim, [axis], [2 * radius + 1], [0])


def _rows(ndim, arguments):
    """The passes of gaussian_filter or gaussian_filter1d."""
    return [_row(ndim, **arguments)] if "axis" in arguments else _parameters(ndim, **arguments)


def _mean(image, arguments, cval, dtype):
    """The same windows with absolute weights whose sum is 1."""
    rows = _rows(image.ndim, arguments)
    weights = [np.abs(_weights(s, o, r)) for _, s, o, _, r in rows]
    return _run(image, rows, dtype, cval, dtype != np.float32, [w / w.sum() for w in weights])


def _total(arguments):
    return 1.0 if np.all(np.equal(arguments["order"], 0)) else None


def _single(ndim, arguments):
    return math.prod(float(_weights(s, 0, r).min()) for _, s, _, _, r in _rows(ndim, arguments)) > 1e-15


def _per_mm(ndim, arguments, spacing):
    return math.prod(spacing[axis] ** -order for axis, _, order, _, _ in _rows(ndim, arguments))


_GAUSSIAN_FILTER = Linear("gaussian_filter", _halo, _mean, _total, _per_mm, _single)
_GAUSSIAN_FILTER1D = Linear("gaussian_filter1d", _halo1d, _mean, _total, _per_mm, _single)


@operation(halo=_GAUSSIAN_FILTER.halo)
@documented
def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Smooth with a Gaussian, or take derivatives of one.

    Names, defaults and results are those of :func:`scipy.ndimage.gaussian_filter`.

    Parameters
    ----------
    {input}
    sigma : float or sequence of float
        Standard deviation in elements, one for all axes or one per axis. An axis with 0 or less is not filtered.
    order : int or sequence of int, optional
        0 smooths; 1, 2, 3... take that derivative of the Gaussian.
    {output}
    {modes}
    {cval}
    {truncate}
    radius : int or sequence of int, optional
        The window's radius in elements, instead of `truncate`.
    {axes}
    {linear_mask}
    {nan_policy}
    {gaussian_spacing}

    Returns
    -------
    array
        Same shape as `input`. Integers are cut toward zero after each axis, as in SciPy, and equal SciPy's bit for
        bit; float32 is summed in float32 (within 1e-6 of the input's range); float16 is computed in float32. A NaN
        or infinity spreads over every window that holds it. Empty input gives empty output.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    TypeError
        A sigma, truncate or cval that is not a real number, an order that is not whole.
    ValueError
        Negative order, a radius that is negative or not whole, an axis that is not there, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((3, 3)); image[1, 1] = 1
    >>> fastmed.gaussian_filter(image, 0.5).round(2)
    array([[0.01, 0.08, 0.01],
           [0.08, 0.62, 0.08],
           [0.01, 0.08, 0.01]])
    """
    if asked(mask, nan_policy, spacing):
        return _GAUSSIAN_FILTER(locals())
    return smooth(input, sigma, order, output, mode, cval, truncate, radius=radius, axes=axes)


def smooth(input, sigma, order=0, output=None, mode="reflect", cval=0.0, truncate=4.0, *, radius=None, axes=None,
           exact=False):
    """gaussian_filter; `exact` sums float32 in double too, in SciPy's order (what edges need to equal theirs)."""
    image = as_array(input, complex_too=True)
    rows = _parameters(image.ndim, sigma, order, mode, truncate, radius, axes)
    # SciPy's other filters take a complex dtype instead, and warn.
    real = isinstance(output, type | np.dtype) and np.dtype(output).kind != "c"
    if rows and real and image.dtype.kind == "c":
        raise RuntimeError(f"output must have complex dtype, found {np.dtype(output)}")
    return _run(image, rows, output, cval, exact)


def _run(image, rows, output, cval, exact=False, weights=None):
    """One pass for each of `rows`: (axis, sigma, order, mode, radius); `weights`: others than the Gaussian's."""
    output = as_output(output, image, complex_result=image.dtype.kind == "c")
    if not rows:
        output[...] = image
        return output
    # Derivatives have weights far above 1: float32 sums would miss 1e-6 of the input's range.
    exact = exact or any(o > 0 for _, _, o, _, _ in rows)
    weights = np.concatenate(weights or [_weights(s, o, r) for _, s, o, _, r in rows])

    def compute(source, target, cval):
        kernel("gaussian_filter", __name__)(
            source, [r[0] for r in rows], [r[4] for r in rows], weights.tolist(), [r[3] for r in rows],
            float(cval), exact, target, threads.budget(source.size, weights.size),
        )

    return run(compute, image, output, cval)


@operation(halo=_GAUSSIAN_FILTER1D.halo)
@documented
def gaussian_filter1d(
    input: Any,
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
    mask: Any = None,
    nan_policy: str = "propagate",
    spacing: Any = None,
) -> np.ndarray:
    """Smooth with a Gaussian along one axis, or take a derivative of one.

    Names, defaults and results are those of :func:`scipy.ndimage.gaussian_filter1d`.

    Parameters
    ----------
    {input}
    sigma : float
        Standard deviation in elements; not 0.
    {axis}
    order : int, optional
        0 smooths; 1, 2, 3... take that derivative of the Gaussian.
    {output}
    {mode}
    {cval}
    {truncate}
    radius : int, optional
        The window's radius in elements, instead of `truncate`.
    {linear_mask}
    {nan_policy}
    {gaussian_spacing}

    Returns
    -------
    array
        Same shape as `input`; precision as in :func:`gaussian_filter`.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, unsupported dtype.
    TypeError
        A sigma, truncate or cval that is not a real number, an order that is not whole.
    ValueError
        Text as sigma, negative sigma or order, a radius that is negative or not whole, an axis that is not there,
        read-only `output`.
        {keyword_errors}
    ZeroDivisionError
        A sigma of 0.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.gaussian_filter1d(np.array([1.0, 2, 3, 4, 5]), 1).round(2)
    array([1.43, 2.07, 3.  , 3.93, 4.57])
    """
    if asked(mask, nan_policy, spacing):
        return _GAUSSIAN_FILTER1D(locals())
    image = as_array(input, complex_too=True)
    return _run(image, [_row(image.ndim, sigma, axis, order, mode, truncate, radius)], output, cval)
