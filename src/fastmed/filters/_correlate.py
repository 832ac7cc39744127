"""Correlation and convolution with given weights."""

from __future__ import annotations

from collections.abc import Callable
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
    check_origin,
    halo_of,
    per_axis,
    run,
)
from .._engine.operation import kernel, operation
from ._docs import documented
from ._masked import Linear, asked

#: Float sums of at most so many taps stay within 1e-6 of the input's range, if the weights' sum does.
FLOAT_TAPS = 64


def as_weights(weights: Any) -> np.ndarray:
    """Weights in double, or in complex double."""
    weights = np.asarray(weights)
    try:
        return weights.astype(np.complex128 if weights.dtype.kind == "c" else np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"weights must be numbers: {error}") from None


def needs_double(image: np.ndarray, weights: np.ndarray) -> bool:
    """Whether float32 sums with these weights could miss SciPy's by more than 1e-6 of the input's range."""
    if image.dtype.kind != "f" or image.dtype.itemsize > 4:  # never summed in float32 where that shows
        return True
    return not (weights.size <= FLOAT_TAPS and np.abs(weights).sum() <= 1 + 1e-6)


def check_cval(image: np.ndarray, weights: np.ndarray, cval: Any) -> None:
    """Complex weights alone do not make a complex outside."""
    if image.dtype.kind != "c" and weights.dtype.kind == "c" and np.iscomplexobj(cval):
        raise ValueError(f"Cannot provide a complex-valued cval when the input is real: found cval {cval!r}")


def by_parts(
    real: Callable[[np.ndarray, np.ndarray, np.ndarray, Any], None],
    image: np.ndarray, weights: np.ndarray, output: np.ndarray, cval: Any,
) -> np.ndarray:
    """``real(image, weights, output, cval)`` of each real and imaginary part, in SciPy's order, for complex weights."""
    if image.dtype.kind != "c":
        pairs = [(image, cval)]
    else:
        cval = as_number(cval, "cval", complex)
        pairs = [(image.real, cval.real), (image.imag, cval.imag)]
    result = np.empty(image.shape, output.dtype) if np.may_share_memory(image, output) else output
    first, outside = pairs[0]
    real(first, weights.real, result.real, outside)
    real(first, weights.imag, result.imag, outside)
    for second, outside in pairs[1:]:
        product = np.empty(second.shape, second.dtype.newbyteorder("="))
        real(second, weights.imag, product, outside)
        result.real -= product
        real(second, weights.real, product, outside)
        result.imag += product
    if result is not output:
        output[...] = result
    return output


def _mirrored(weights: Any, origin: Any) -> tuple[np.ndarray, Any]:
    """Weights and origin of the correlation that is this convolution."""
    if np.ndim(weights) == 0:
        raise IndexError(f"weights must have one axis, found the scalar {weights!r}")
    weights = as_weights(weights)[::-1]
    return weights, -as_integer(origin, "origin") - (len(weights) % 2 == 0)


def _correlate1d_halo(ndim, weights, axis=-1, origin=0, **_):
    return halo_of(ndim, [as_axis(axis, ndim)], [len(weights)], [origin])


def _convolve1d_halo(ndim, weights, axis=-1, origin=0, **_):
    weights, origin = _mirrored(weights, origin)
    return _correlate1d_halo(ndim, weights, axis, origin)


def _absolute(arguments):
    """Absolute weights whose sum is 1."""
    weights = np.abs(as_weights(arguments["weights"]))
    return weights / (weights.sum() or 1.0)


def _total(arguments):
    """The sum of weights of one sign."""
    weights = as_weights(arguments["weights"])
    one_sign = weights.dtype.kind != "c" and (np.all(weights >= 0) or np.all(weights <= 0))
    return float(weights.sum()) if one_sign else None


def _mean1d(image, arguments, cval, dtype, *, mirrored=False):
    weights, origin = _absolute(arguments), arguments["origin"]
    if mirrored:
        weights, origin = _mirrored(weights, origin)
    return _correlate1d(image, weights, arguments["axis"], dtype, arguments["mode"], cval, origin)


def _mirrored_mean1d(image, arguments, cval, dtype):
    return _mean1d(image, arguments, cval, dtype, mirrored=True)


def _mean(image, arguments, cval, dtype, *, mirrored=False):
    mode, origin, axes = (arguments[k] for k in ("mode", "origin", "axes"))
    return _correlate(image, _absolute(arguments), dtype, mode, cval, origin, axes, mirrored=mirrored)


def _mirrored_mean(image, arguments, cval, dtype):
    return _mean(image, arguments, cval, dtype, mirrored=True)


_CORRELATE1D = Linear("correlate1d", _correlate1d_halo, _mean1d, _total)
_CONVOLVE1D = Linear("convolve1d", _convolve1d_halo, _mirrored_mean1d, _total)


@operation(halo=_CORRELATE1D.halo)
@documented
def correlate1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: int = 0, *, mask: Any = None, nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Correlate with weights along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.correlate1d`.

    Parameters
    ----------
    {input}
    weights : array_like
        One axis, at least one number, real or complex. Complex weights are conjugated.
    {axis}
    {weighted_output}
    {mode}
    {cval}
    {origin_on_line}
    {linear_mask}
    {nan_policy}
    {weights_spacing}

    Returns
    -------
    array
        Same shape as `input`. Sums are in double, in SciPy's order, bit for bit; but for float32 and weights whose
        absolute values add up to 1 or less, in float32 (within 1e-6 of the input's range). A NaN spreads over the
        windows that hold it.

    Raises
    ------
    RuntimeError
        Weights that are empty or have several axes, unknown mode, wrong shape of `output`, unsupported dtype.
    ValueError
        An origin that moves the weights off their element, an axis that is not there, read-only `output`, a complex
        `cval` for a real `input`.
        {keyword_errors}
    TypeError
        An origin that is not whole, a `cval` that is not a number.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.correlate1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    if asked(mask, nan_policy, spacing):
        return _CORRELATE1D(locals())
    return _correlate1d(input, as_weights(weights).conj(), axis, output, mode, cval, origin)


@operation(halo=_CONVOLVE1D.halo)
@documented
def convolve1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: int = 0, *, mask: Any = None, nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Convolve with weights along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.convolve1d`: a correlation with the weights in
    reverse order, complex ones as they are.

    Parameters
    ----------
    {input}
    weights : array_like
        One axis, at least one number, real or complex.
    {axis}
    {weighted_output}
    {mode}
    {cval}
    origin : int, optional
        Shift of the weights; positive values move them toward the end of the axis.
    {linear_mask}
    {nan_policy}
    {weights_spacing}

    Returns
    -------
    array
        Same shape as `input`; precision as in :func:`correlate1d`.

    Raises
    ------
    RuntimeError
        Weights that are empty or have several axes, unknown mode, wrong shape of `output`, unsupported dtype.
    ValueError
        An origin that moves the weights off their element, an axis that is not there, read-only `output`.
        {keyword_errors}
    TypeError
        An origin that is not whole, a `cval` that is not a number.
    IndexError
        Weights that are a scalar.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.convolve1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), weights=[1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    if asked(mask, nan_policy, spacing):
        return _CONVOLVE1D(locals())
    weights, origin = _mirrored(weights, origin)
    return _correlate1d(input, weights, axis, output, mode, cval, origin)


def _correlate1d(input, weights, axis, output, mode, cval, origin):
    image = as_array(input, complex_too=True)
    check_cval(image, weights, cval)
    if weights.ndim != 1 or weights.size < 1:
        raise RuntimeError(f"no filter weights given: weights must have one axis and an element, found {weights.shape}")
    axis, code = as_axis(axis, image.ndim), as_mode(mode)
    before = weights.size // 2 + check_origin(origin, weights.size)

    def real(image, weights, output, cval):
        taps, exact = weights.tolist(), needs_double(image, weights)

        def compute(source, target, cval):
            budget = threads.budget(source.size, len(taps))
            kernel("correlate1d", __name__)(source, taps, axis, before, code, float(cval), exact, target, budget)

        return run(compute, image, output, cval)

    complex_weights = weights.dtype.kind == "c"
    output = as_output(output, image, complex_result=complex_weights or image.dtype.kind == "c")
    if complex_weights:
        return by_parts(real, image, weights, output, cval)
    return real(image, weights, output, cval)


def _window(ndim, weights, origin=0, axes=None, *, mirrored=False):
    """Weights with as many axes as the array, and how far they reach before the element along each."""
    axes = as_axes(axes, ndim)
    weights = as_weights(weights)
    origins = [as_integer(o, "origin") for o in per_axis(origin, len(axes))]
    if weights.ndim != len(axes):
        raise RuntimeError(f"weights.ndim ({weights.ndim}) must match len(axes) ({len(axes)})")
    if weights.size == 0:
        raise RuntimeError(f"weights must hold an element, found the shape {weights.shape}")
    if len(axes) < ndim:
        weights = np.expand_dims(weights, tuple(a for a in range(ndim) if a not in axes))
        given = dict(zip(axes, origins, strict=True))
        origins = [given.get(a, 0) for a in range(ndim)]
    if mirrored:
        weights = np.flip(weights)
        origins = [-o - (n % 2 == 0) for o, n in zip(origins, weights.shape, strict=True)]
    befores = [n // 2 + check_origin(o, n) for o, n in zip(origins, weights.shape, strict=True)]
    return weights, befores


def _reach(window):
    weights, befores = window
    return tuple((b, n - 1 - b) for b, n in zip(befores, weights.shape, strict=True))


def _correlate_halo(ndim, weights, origin=0, axes=None, **_):
    return _reach(_window(ndim, weights, origin, axes))


def _convolve_halo(ndim, weights, origin=0, axes=None, **_):
    return _reach(_window(ndim, weights, origin, axes, mirrored=True))


_CORRELATE = Linear("correlate", _correlate_halo, _mean, _total)
_CONVOLVE = Linear("convolve", _convolve_halo, _mirrored_mean, _total)


@operation(halo=_CORRELATE.halo)
@documented
def correlate(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None, mask: Any = None, nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Correlate with weights over several axes.

    Names, defaults and results are those of :func:`scipy.ndimage.correlate`.

    Parameters
    ----------
    {input}
    weights : array_like
        As many axes as are filtered, real or complex. Complex ones are conjugated. Weights within 2.2e-16
        of 0 are left out.
    {weighted_output}
    {mode}
    {cval}
    {origin}
    {axes_of_weights}
    {linear_mask}
    {nan_policy}
    {weights_spacing}

    Returns
    -------
    array
        Same shape as `input`. Sums are in double, in SciPy's order, bit for bit; but for float32 and up to 64 weights
        whose absolute values add up to 1 or less, in float32 (within 1e-6 of the input's range). A NaN spreads over
        the windows that hold it.

    Raises
    ------
    RuntimeError
        Weights that are empty or have another number of axes, unknown mode, a sequence of modes, wrong shape of
        `output`, unsupported dtype.
    ValueError
        An origin that moves the weights off their element, an axis that is not there, read-only `output`, a complex
        `cval` for a real `input`.
        {keyword_errors}
    TypeError
        An origin that is not whole, a `cval` that is not a number.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((3, 4), int); image[1, 1] = 1
    >>> fastmed.correlate(image, [[1, 2], [3, 4]])
    array([[0, 0, 0, 0],
           [0, 4, 3, 0],
           [0, 2, 1, 0]])
    """
    if asked(mask, nan_policy, spacing):
        return _CORRELATE(locals())
    return _correlate(input, as_weights(weights).conj(), output, mode, cval, origin, axes, mirrored=False)


@operation(halo=_CONVOLVE.halo)
@documented
def convolve(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *,
    axes: Any = None, mask: Any = None, nan_policy: str = "propagate", spacing: Any = None,
) -> np.ndarray:
    """Convolve with weights over several axes.

    Names, defaults and results are those of :func:`scipy.ndimage.convolve`: a correlation
    with the weights in reverse order, complex ones as they are.

    Parameters
    ----------
    {input}
    weights : array_like
        As many axes as are filtered, real or complex. Weights within 2.2e-16 of 0 are left out.
    {weighted_output}
    {mode}
    {cval}
    origin : int or sequence of int, optional
        Shift of the weights, one for all axes or one per axis; positive values move them toward the ends of the axes.
    {axes_of_weights}
    {linear_mask}
    {nan_policy}
    {weights_spacing}

    Returns
    -------
    array
        Same shape as `input`. Sums are in double, in SciPy's order, bit for bit; but for float32 and up to 64 weights
        whose absolute values add up to 1 or less, in float32 (within 1e-6 of the input's range). A NaN spreads over
        the windows that hold it.

    Raises
    ------
    RuntimeError
        Weights that are empty or have another number of axes, unknown mode, a sequence of modes, wrong shape of
        `output`, unsupported dtype.
    ValueError
        An origin that moves the weights off their element, an axis that is not there, read-only `output`, a complex
        `cval` for a real `input`.
        {keyword_errors}
    TypeError
        An origin that is not whole, a `cval` that is not a number.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((3, 4), int); image[1, 1] = 1
    >>> fastmed.convolve(image, [[1, 2], [3, 4]])
    array([[1, 2, 0, 0],
           [3, 4, 0, 0],
           [0, 0, 0, 0]])
    """
    if asked(mask, nan_policy, spacing):
        return _CONVOLVE(locals())
    return _correlate(input, as_weights(weights), output, mode, cval, origin, axes, mirrored=True)


def _correlate(input, weights, output, mode, cval, origin, axes, *, mirrored):
    image = as_array(input, complex_too=True)
    check_cval(image, weights, cval)
    weights, befores = _window(image.ndim, weights, origin, axes, mirrored=mirrored)
    code = as_mode(mode)

    def real(image, weights, output, cval):
        weights, exact = np.ascontiguousarray(weights), needs_double(image, weights)

        def compute(source, target, cval):
            if source.ndim == 0:
                return compute(source[None], target[None], cval)
            taps = weights if weights.ndim else weights.reshape(1)
            budget = threads.budget(source.size, int(np.count_nonzero(taps)))
            lengths = befores or [0]
            kernel("correlate", __name__)(source, taps, lengths, code, float(cval), exact, target, budget)

        return run(compute, image, output, cval, in_place=False)

    complex_weights = weights.dtype.kind == "c"
    output = as_output(output, image, complex_result=complex_weights or image.dtype.kind == "c")
    if complex_weights:
        return by_parts(real, image, weights, output, cval)
    return real(image, weights, output, cval)
