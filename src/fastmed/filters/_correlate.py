"""Correlation and convolution with given weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import (
    as_array,
    as_axis,
    as_integer,
    as_mode,
    as_number,
    as_output,
    check_origin,
    halo_of,
    run,
)
from .._engine.operation import kernel, operation

#: Float sums of at most so many taps stay within 1e-6 of the input's range, if the weights' sum does.
FLOAT_TAPS = 64


def as_weights(weights: Any) -> np.ndarray:
    """Weights in double, or in complex double."""
    weights = np.asarray(weights)
    try:
        return weights.astype(np.complex128 if weights.dtype.kind == "c" else np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"weights must be numbers: {error}") from None


def needs_double(weights: np.ndarray) -> bool:
    """Whether float32 sums with these weights could miss SciPy's by more than 1e-6 of the input's range."""
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


@operation(halo=_correlate1d_halo)
def correlate1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: int = 0,
) -> np.ndarray:
    """Correlate with weights along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.correlate1d`.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    weights : array_like
        One axis, at least one number, real or complex. Complex weights are conjugated.
    axis : int, optional
        The axis that is filtered.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype; complex where `input` or `weights` are.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int, optional
        Shift of the weights; positive values move them toward index 0.

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
    TypeError
        An origin that is not whole, a `cval` that is not a number.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.correlate1d(np.array([2, 8, 0, 4, 1, 9, 9, 0]), weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    return _correlate1d(input, as_weights(weights).conj(), axis, output, mode, cval, origin)


@operation(halo=_convolve1d_halo)
def convolve1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: Any = 0.0,
    origin: int = 0,
) -> np.ndarray:
    """Convolve with weights along one axis.

    Names, defaults and results are those of :func:`scipy.ndimage.convolve1d`: a correlation with the weights in
    reverse order, complex ones as they are.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers, float16/32/64 or complex. It is not changed.
    weights : array_like
        One axis, at least one number, real or complex.
    axis : int, optional
        The axis that is filtered.
    output : array or dtype, optional
        Where the result goes (may be `input`), or its dtype; complex where `input` or `weights` are.
    mode : str, optional
        What stands outside: 'reflect' (default), 'mirror', 'nearest', 'wrap', 'constant', or the grid- synonyms.
    cval : scalar, optional
        The outside value of mode 'constant'.
    origin : int, optional
        Shift of the weights; positive values move them toward the end of the axis.

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
        taps, exact = weights.tolist(), needs_double(weights)

        def compute(source, target, cval):
            budget = threads.budget(source.size, len(taps))
            kernel("correlate1d", __name__)(source, taps, axis, before, code, float(cval), exact, target, budget)

        return run(compute, image, output, cval)

    complex_weights = weights.dtype.kind == "c"
    output = as_output(output, image, complex_result=complex_weights or image.dtype.kind == "c")
    if complex_weights:
        return by_parts(real, image, weights, output, cval)
    return real(image, weights, output, cval)
