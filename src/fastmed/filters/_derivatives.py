"""Laplace operators and gradient magnitudes: sums over the axes of derivatives that other filters make."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axes, as_mode, as_number, halo_of, kernel_dtype, per_axis, run
from .._engine.keywords import asked
from .._engine.operation import OPERATIONS, kernel, operation
from ._composed import (
    Composed,
    Derivative,
    add_up,
    checked,
    combined,
    length_of,
    one_mode,
    plain_on_dask,
    user_derivative,
)
from ._correlate import correlate1d
from ._docs import documented
from ._gaussian import _parameters as gaussian_parameters
from ._gaussian import _weights as gaussian_weights
from ._gaussian import gaussian_filter


# --- Laplace ---------------------------------------------------------------------------------------------------------
def _second_difference(input, axis, output, mode, cval, mask=None, spacing=None):
    found = correlate1d(input, [1, -2, 1], axis, output, mode, cval, mask=mask)
    return found if spacing is None else found / spacing[axis] ** 2


def _laplace_halo(ndim, axes=None, **_):
    axes = as_axes(axes, ndim)
    return halo_of(ndim, axes, [3] * len(axes), [0] * len(axes))


_LAPLACE = Composed("laplace", _laplace_halo, False, lambda arguments, ndim: _second_difference)


@operation(halo=_laplace_halo)
@documented
def laplace(
    input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None, mask: Any = None,
    nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Sum of the second differences [1, -2, 1] along the axes.

    Names, defaults and results are those of :func:`scipy.ndimage.laplace`.

    Parameters
    ----------
    {input}
    {signed_output}
    {modes}
    {cval}
    {axes_of_sum}
    {sum_mask}
    {nan_policy}
    {derivative_spacing}

    Returns
    -------
    array
        Same shape as `input`, in its units per squared element. Bit for bit SciPy's: each difference is summed in
        double, cast to the output's dtype and added there.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    ValueError
        An axis that is not there, read-only `output`.
        {keyword_errors}
    TypeError
        A cval that is not a number.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.laplace(np.array([0.0, 1, 4, 9, 16]))
    array([ 1.,  2.,  2.,  2., -7.])
    """
    if asked(mask, nan_policy, spacing):
        return _LAPLACE(locals())
    image, axes, modes, output = checked(input, output, mode, axes)
    if not axes:
        output[...] = image
        return output

    def compute(source, target, cval):
        budget = threads.budget(source.size, 4 * len(axes))
        kernel("laplace", __name__)(source, axes, [as_mode(m) for m in modes], float(cval), target, budget)

    return run(compute, image, output, cval, in_place=False)


_GENERIC_LAPLACE = Composed(
    "generic_laplace", None, False, lambda arguments, ndim: user_derivative(arguments["derivative2"], arguments)
)


@operation(chunked=_GENERIC_LAPLACE.lazily)
@documented
def generic_laplace(
    input: Any, derivative2: Derivative, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    extra_arguments: Any = (), extra_keywords: Any = None, *, axes: Any = None, mask: Any = None,
    nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Sum of second derivatives along the axes, with the caller's own derivative.

    Names, defaults and results are those of :func:`scipy.ndimage.generic_laplace`.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed. A Dask array goes to `derivative2` as
        it is, which must then give Dask arrays, as fastmed's functions do.
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``. `output` is the array to
        write into, or the dtype of the array to give back.
    {output}
    mode : str or sequence of str, optional
        What stands outside, one for all axes or one per axis; goes to `derivative2`.
    cval : scalar, optional
        The outside value of mode 'constant'; goes to `derivative2`.
    extra_arguments : sequence, optional
        Further arguments of `derivative2`.
    extra_keywords : dict, optional
        Further keyword arguments of `derivative2`.
    {axes_of_sum}
    {generic_mask}
    {nan_policy}
    {generic_spacing}

    Returns
    -------
    array
        Same shape as `input`; sums are in the output's dtype.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    ValueError
        An axis that is not there, read-only `output`.
        {keyword_errors}
    TypeError
        A `derivative2` that cannot be called so.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> def second(input, axis, output, mode, cval):
    ...     return fastmed.correlate1d(input, [1, -2, 1], axis, output, mode, cval)
    >>> fastmed.generic_laplace(np.array([0.0, 1, 4, 9, 16]), second)
    array([ 1.,  2.,  2.,  2., -7.])
    """
    if asked(mask, nan_policy, spacing):
        return _GENERIC_LAPLACE(locals())
    derivative = user_derivative(derivative2, {"extra_arguments": extra_arguments, "extra_keywords": extra_keywords})
    return combined(add_up, derivative, input, output, mode, cval, axes)


def _gaussian(order: int, ndim: int, sigma: Any, kwargs: dict[str, Any]) -> Derivative:
    """A Gaussian along all axes, with its derivative of `order` along one."""

    def derivative(input, axis, output, mode, cval, **more):
        orders = [0] * ndim
        orders[axis] = order
        return gaussian_filter(input, sigma, orders, output, mode, cval, **kwargs, **more)

    return derivative


def _together(
    order: int, sigma: Any, input: Any, output: Any, mode: Any, cval: Any, axes: Any, kwargs: dict[str, Any]
) -> np.ndarray | None:
    """The sum (order 2) or the length (order 1) of the derivatives in one trip; None where it takes one for each.

    That is so for floats that hold what comes in, up to three axes, and one mode for all.
    """
    image, numbers, modes, result = checked(input, output, mode, axes)
    real = kernel_dtype(result.dtype) if result.dtype.kind == "f" else None
    fits = real is not None and image.dtype.kind != "c" and np.can_cast(image.dtype, real)
    usual = kwargs.keys() <= {"truncate", "radius"}
    if not (usual and fits and numbers and image.ndim <= 3 and len(set(modes)) == 1):
        return None
    rows = {row[0]: row for row in gaussian_parameters(image.ndim, sigma, mode=modes[0], **kwargs)}
    if not all(axis in rows for axis in numbers):
        return None
    radii = [rows[axis][4] if axis in rows else 0 for axis in range(image.ndim)]
    both = [_smooth_and_derived(rows.get(axis), order) for axis in range(image.ndim)]
    smooth, derived = (np.concatenate(list(c)) for c in zip(*both, strict=True))

    def compute(source, target, cval):
        budget = threads.budget(source.size, 3 * sum(radii))
        first, code = order == 1, as_mode(modes[0])
        kernel("gaussian_derivatives", __name__)(
            source, numbers, radii, smooth, derived, first, code, float(cval), first, target, budget
        )

    return run(compute, image, result, cval, in_place=False)


def _smooth_and_derived(row, order: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights along an axis; those that change nothing where it is not smoothed."""
    if row is None:
        return np.ones(1), np.zeros(1)
    return gaussian_weights(row[1], 0, row[4]), gaussian_weights(row[1], order, row[4])


def _all_sigmas(sigma: Any, ndim: int, axes: Any) -> list[Any]:
    """One sigma per axis of the array; axes that are left out are not smoothed."""
    axes = as_axes(axes, ndim)
    sigmas = per_axis(sigma, len(axes))
    if len(axes) == ndim:  # SciPy takes them in the array's order then, whatever that of the axes
        return sigmas
    given = dict(zip(axes, sigmas, strict=True))
    return [given.get(axis, 0) for axis in range(ndim)]


def _gaussian_halo(ndim, sigma, truncate=4.0, radius=None, spacing=None, **_):
    halo = OPERATIONS["gaussian_filter"].halo
    assert halo is not None
    return halo(ndim, sigma=sigma, truncate=truncate, radius=radius, spacing=spacing)


def _gaussian_laplace_halo(ndim, sigma, axes=None, **arguments):
    return _gaussian_halo(ndim, _all_sigmas(sigma, ndim, axes), **arguments)


def _options(arguments):
    """What goes through to gaussian_filter."""
    return {k: v for k, v in arguments.items() if k not in ("input", "sigma", "output", "mode", "cval", "axes")}


def _second_gaussian(arguments, ndim):
    return _gaussian(2, ndim, _all_sigmas(arguments["sigma"], ndim, arguments["axes"]), _options(arguments))


def _first_gaussian(arguments, ndim):
    return _gaussian(1, ndim, arguments["sigma"], _options(arguments))


_GAUSSIAN_LAPLACE = Composed("gaussian_laplace", _gaussian_laplace_halo, False, _second_gaussian)
_GAUSSIAN_GRADIENT_MAGNITUDE = Composed("gaussian_gradient_magnitude", _gaussian_halo, True, _first_gaussian)


def _gaussian_laplace_on_dask(op, arguments):
    return plain_on_dask(op, arguments) if one_mode(arguments) else _GAUSSIAN_LAPLACE.lazily(op, arguments)


@operation(halo=_gaussian_laplace_halo, chunked=_gaussian_laplace_on_dask)
@documented
def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None,
    mask: Any = None, nan_policy: str = "propagate", spacing: Any = None, **kwargs: Any,
) -> np.ndarray:
    """Laplace operator of the smoothed input: the sum of the second derivatives of a Gaussian along the axes.

    Names, defaults and results are those of :func:`scipy.ndimage.gaussian_laplace`.

    Parameters
    ----------
    {input}
    sigma : float or sequence of float
        Standard deviation in elements, one for all axes or one per axis of `axes` (where these are all axes of
        `input`: in its order, as in SciPy).
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype. Integers cut each derivative toward zero, and unsigned
        ones wrap around, as in SciPy; ask for a float dtype instead.
    {mode_of_each_derivative}
    {cval}
    axes : int or sequence of int, optional
        Sum, and smooth, only over these.
    {gaussian_options}
    {sum_mask}
    {nan_policy}
    {gaussian_spacing}

    Returns
    -------
    array
        Same shape as `input`, in its units per squared element; within 1e-6 (float32) or 1e-12 (float64) of SciPy's,
        integers equal.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    TypeError
        A sigma, truncate or cval that is not a real number, a keyword that is not known.
    ValueError
        A radius that is negative or not whole, an axis that is not there, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((5, 5)); image[2, 2] = 1
    >>> fastmed.gaussian_laplace(image, 1)[2].round(3)
    array([ 0.055, -0.096, -0.318, -0.096,  0.055])
    """
    if asked(mask, nan_policy, spacing):
        return _GAUSSIAN_LAPLACE(locals())
    ndim = np.ndim(as_array(input, complex_too=True))
    sigmas = _all_sigmas(sigma, ndim, axes)
    result = _together(2, sigmas, input, output, mode, cval, axes, kwargs)
    if result is not None:
        return result
    derivative = _gaussian(2, ndim, sigmas, kwargs)
    return combined(add_up, derivative, input, output, mode, cval, axes)


# --- gradient magnitude ----------------------------------------------------------------------------------------------
def _gaussian_magnitude_on_dask(op, arguments):
    return plain_on_dask(op, arguments) if one_mode(arguments) else _GAUSSIAN_GRADIENT_MAGNITUDE.lazily(op, arguments)


@operation(halo=_gaussian_halo, chunked=_gaussian_magnitude_on_dask)
@documented
def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None,
    mask: Any = None, nan_policy: str = "propagate", spacing: Any = None, **kwargs: Any,
) -> np.ndarray:
    """Length of the gradient of the smoothed input.

    Names, defaults and results are those of :func:`scipy.ndimage.gaussian_gradient_magnitude`.

    Parameters
    ----------
    {input}
    sigma : float or sequence of float
        Standard deviation in elements, one for all axes or one per axis of `input`: all are smoothed, whatever `axes`.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype. Derivatives, their squares and the sum are in this
        dtype, as in SciPy: small integers wrap around; ask for a float dtype instead.
    {mode_of_each_derivative}
    {cval}
    {axes_of_gradient}
    {gaussian_options}
    {sum_mask}
    {nan_policy}
    {gaussian_spacing}

    Returns
    -------
    array
        Same shape as `input`, in its units per element; within 1e-6 (float32) or 1e-12 (float64) of SciPy's, integers
        equal.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    TypeError
        A sigma, truncate or cval that is not a real number, a keyword that is not known.
    ValueError
        A radius that is negative or not whole, an axis that is not there, read-only `output`.
        {keyword_errors}

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.gaussian_gradient_magnitude(np.array([0.0, 0, 0, 4, 4, 4]), 1).round(2)
    array([0.05, 0.49, 1.46, 1.46, 0.49, 0.05])
    """
    if asked(mask, nan_policy, spacing):
        return _GAUSSIAN_GRADIENT_MAGNITUDE(locals())
    result = _together(1, sigma, input, output, mode, cval, axes, kwargs)
    if result is not None:
        return result
    derivative = _gaussian(1, np.ndim(as_array(input, complex_too=True)), sigma, kwargs)
    return combined(length_of, derivative, input, output, mode, cval, axes)


#: Derivatives of three taps: the weight of the centre in the sums along the other axes.
_CENTRES = {"sobel": 2, "prewitt": 1}


def _centre_of(derivative: Derivative) -> int | None:
    """Of one of fastmed's own derivatives of three taps, the weight of the centre; of anything else None."""
    op = OPERATIONS.get(getattr(derivative, "__name__", ""))
    own = op is not None and inspect.unwrap(derivative) is op.function
    return _CENTRES.get(op.name) if op is not None and own else None


def _in_one_trip(image: np.ndarray, dtype: np.dtype, modes: list[Any], cval: Any) -> bool:
    """Whether the kernel's magnitude has the bits of the general way: floats that hold what comes in."""
    real = kernel_dtype(dtype) if dtype.kind == "f" else None
    if real is None or image.dtype.kind == "c" or image.ndim > 3 or not np.can_cast(image.dtype, real):
        return False
    outside = as_number(cval, "cval")
    return as_mode("constant") not in map(as_mode, modes) or float(real.type(outside)) == outside


def _three_taps_magnitude(centre, image, axes, modes, cval, output) -> np.ndarray:
    def compute(source, target, cval):
        budget = threads.budget(source.size, 4 * len(axes))
        codes = [as_mode(m) for m in modes]
        kernel("generic_gradient_magnitude", __name__)(source, axes, codes, float(cval), centre, target, budget)

    return run(compute, image, output, cval, in_place=False)


_GENERIC_GRADIENT_MAGNITUDE = Composed(
    "generic_gradient_magnitude", None, True,
    lambda arguments, ndim: user_derivative(arguments["derivative"], arguments),
)


@operation(chunked=_GENERIC_GRADIENT_MAGNITUDE.lazily)
@documented
def generic_gradient_magnitude(
    input: Any, derivative: Derivative, output: Any = None, mode: Any = "reflect", cval: Any = 0.0,
    extra_arguments: Any = (), extra_keywords: Any = None, *, axes: Any = None, mask: Any = None,
    nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Length of the gradient, with the caller's own derivative.

    Names, defaults and results are those of :func:`scipy.ndimage.generic_gradient_magnitude`.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed. A Dask array goes to `derivative` as it
        is, which must then give Dask arrays, as fastmed's functions do.
    derivative : callable
        ``derivative(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, for example
        `fastmed.sobel`. `output` is the array to write into, or the dtype of the array to give back.
    {output}
    mode : str or sequence of str, optional
        What stands outside, one for all axes or one per axis; goes to `derivative`.
    cval : scalar, optional
        The outside value of mode 'constant'; goes to `derivative`.
    extra_arguments : sequence, optional
        Further arguments of `derivative`.
    extra_keywords : dict, optional
        Further keyword arguments of `derivative`.
    {axes_of_gradient}
    {generic_mask}
    {nan_policy}
    {generic_spacing}

    Returns
    -------
    array
        Same shape as `input`; squares, sum and root are in the output's dtype.

    Raises
    ------
    RuntimeError
        Unknown mode, wrong shape of `output`, a sequence of the wrong length, unsupported dtype.
    ValueError
        An axis that is not there, read-only `output`.
        {keyword_errors}
    TypeError
        A `derivative` that cannot be called so.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.generic_gradient_magnitude(np.array([[0.0, 0, 1, 1]] * 3), fastmed.sobel)[1]
    array([0., 4., 4., 0.])
    """
    if asked(mask, nan_policy, spacing):
        return _GENERIC_GRADIENT_MAGNITUDE(locals())
    centre = None if extra_arguments or extra_keywords else _centre_of(derivative)
    if centre is not None:
        image, numbers, modes, target = checked(input, output, mode, axes)
        if numbers and _in_one_trip(image, target.dtype, modes, cval):
            return _three_taps_magnitude(centre, image, numbers, modes, cval, target)
        output = target
    own = user_derivative(derivative, {"extra_arguments": extra_arguments, "extra_keywords": extra_keywords})
    return combined(length_of, own, input, output, mode, cval, axes)
