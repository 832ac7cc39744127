"""Laplace operators and gradient magnitudes: sums over the axes of derivatives that other filters make."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axes, as_mode, as_number, as_output, halo_of, kernel_dtype, per_axis, run
from .._engine.keywords import as_spacing, asked, valid_elements
from .._engine.operation import OPERATIONS, is_dask, kernel, operation
from ._correlate import correlate1d
from ._docs import documented
from ._gaussian import _parameters as gaussian_parameters
from ._gaussian import _weights as gaussian_weights
from ._gaussian import gaussian_filter
from ._masked import finish, in_tiles, reach_of_mask, taken_apart, wide

#: ``derivative(input, axis, output, mode, cval)``; `output` is an array to write into, or a dtype.
Derivative = Callable[..., Any]


def _checked(
    input: Any, output: Any, mode: Any, axes: Any
) -> tuple[np.ndarray, tuple[int, ...], list[Any], np.ndarray]:
    """The input, the axes, a mode for each, and the output as arrays."""
    image = as_array(input, complex_too=True)
    axes = as_axes(axes, image.ndim)
    modes = per_axis(mode, len(axes))
    for one in modes:
        as_mode(one)
    output = as_output(output, image)
    if image.dtype.kind == "c" and output.dtype.kind != "c":
        raise RuntimeError(f"output must have complex dtype, found {output.dtype}")
    return image, axes, modes, output


def _run(
    combine: Callable[..., None], derivative: Derivative, input: Any, output: Any, mode: Any, cval: Any, axes: Any
) -> np.ndarray:
    """Check, and ``combine(parts, target)``: `parts` makes one derivative after the other, the first in `target`."""
    image, axes, modes, output = _checked(input, output, mode, axes)
    if not axes:
        output[...] = image
        return output
    if np.may_share_memory(image, output):
        image = image.copy()  # the second derivative is of the input too
    # float16 is computed in float32 and rounded once.
    dtype = output.dtype if output.dtype.kind == "c" else kernel_dtype(output.dtype)
    target = output if dtype == output.dtype else np.empty(image.shape, dtype)

    def parts():
        derivative(image, axes[0], target, modes[0], cval)
        yield target
        for axis, one in zip(axes[1:], modes[1:], strict=True):
            yield derivative(image, axis, target.dtype, one, cval)

    combine(parts(), target)
    if target is not output:
        output[...] = target
    return output


def _sum(parts: Iterator[np.ndarray], target: np.ndarray) -> None:
    next(parts)
    for part in parts:
        _in_slabs(lambda total, part: np.add(total, part, total), target, part)
        del part  # before the next one is made


def _magnitude(parts: Iterator[np.ndarray], target: np.ndarray) -> None:
    _in_slabs(lambda total: np.multiply(total, total, total), next(parts))
    for part in parts:
        _in_slabs(_add_square, target, part)
        del part
    _in_slabs(_root, target)


def _add_square(total: np.ndarray, part: np.ndarray) -> None:
    np.multiply(part, part, part)
    total += part


def _root(squares: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # sums that have wrapped around
        return np.sqrt(squares, squares, casting="unsafe")


def _in_slabs(apply: Callable[..., Any], *arrays: np.ndarray) -> None:
    """``apply(*arrays)``, a function of elements, on slabs of the first axis, by as many threads as they are worth."""
    count = threads.budget(arrays[0].size, 4)
    rows = len(arrays[0]) if arrays[0].ndim else 1
    if count == 1 or rows == 1:
        apply(*arrays)
        return
    step = max(1, rows // (8 * count))
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(lambda i: apply(*(a[i : i + step] for a in arrays)), range(0, rows, step)))


# --- Dask ------------------------------------------------------------------------------------------------------------
def _lazily(derivative: Derivative, arguments: dict[str, Any], magnitude: bool) -> Any:
    """The same on a Dask array, whose derivatives are Dask arrays."""
    image, output = arguments["input"], arguments["output"]
    axes = as_axes(arguments["axes"], image.ndim)
    modes = per_axis(arguments["mode"], len(axes))
    dtype = as_output(output, np.empty(0, image.dtype)).dtype
    if not axes:
        return image.astype(dtype)
    _check_is_lazy(derivative, image, axes[0], dtype, modes[0], arguments["cval"])
    parts = [derivative(image, a, dtype, m, arguments["cval"]) for a, m in zip(axes, modes, strict=True)]
    squares = [p * p for p in parts] if magnitude else parts
    total = sum(squares[1:], squares[0])
    return total.map_blocks(_root_of_copy, dtype=dtype) if magnitude else total


def _check_is_lazy(derivative: Derivative, image: Any, axis: int, *arguments: Any) -> None:
    """Refuse a derivative that would gather a Dask array, before it does: it is tried on one of a single element."""
    import dask.array as da

    found = derivative(da.zeros((1,) * image.ndim, dtype=image.dtype), axis, *arguments)
    if not is_dask(found):
        raise TypeError(
            f"the derivative must give a Dask array for a Dask array, as fastmed's functions do; found "
            f"{type(found).__name__}"
        )


def _root_of_copy(squares: np.ndarray) -> np.ndarray:
    return _root(squares.copy())


def _plain(op, arguments):
    """All chunks with one halo. That holds as long as every derivative meets the same modes along the same axes."""
    from .._engine import chunks

    return chunks.apply(dataclasses.replace(op, chunked=None), arguments)


def _one_mode(arguments):
    return arguments["axes"] is None and (isinstance(arguments["mode"], str) or len(set(arguments["mode"])) == 1)


def _user_derivative(function, arguments):
    extra, keywords = arguments["extra_arguments"], arguments["extra_keywords"] or {}
    return lambda *args, **more: function(*args, *extra, **keywords, **more)


# --- mask, nan_policy, spacing ---------------------------------------------------------------------------------------
class _Composed:
    """mask, nan_policy and spacing of combined derivatives: each is masked and made per mm by itself, in double.

    Parameters
    ----------
    name : str
        Of the operation.
    halo : callable or None
        Its halo, in elements; None where nobody knows how far the caller's derivative looks.
    magnitude : bool
        The root of the sum of squares, not the sum.
    derivative : callable
        ``derivative(arguments, ndim)``: the :data:`Derivative`, which takes ``mask=`` and ``spacing=`` too.
    """

    def __init__(
        self, name: str, halo: Any, magnitude: bool, derivative: Callable[[dict[str, Any], int], Derivative]
    ) -> None:
        self.name, self.halo, self.magnitude, self.derivative = name, halo, magnitude, derivative

    def __call__(self, given: dict[str, Any]) -> np.ndarray:
        """The result for a NumPy array."""
        arguments, (mask, nan_policy, spacing) = taken_apart(given)
        image = as_array(arguments.pop("input"), complex_too=True)
        spacing = None if spacing is None else as_spacing(spacing, image.ndim)
        self._check_derivative(arguments, mask is not None or nan_policy == "omit", spacing)
        valid = valid_elements(image, mask, nan_policy)
        if valid is None and spacing is None:
            return OPERATIONS[self.name].function(image, **arguments)
        output = as_output(arguments["output"], image)
        if image.dtype.kind == "c" and output.dtype.kind != "c":
            raise RuntimeError(f"output must have complex dtype, found {output.dtype}")
        halo, modes = self._tiling(image.ndim, spacing, arguments)

        def compute(image, valid, result):
            self._compute(image, valid, spacing, arguments, result)

        return in_tiles(compute, image, valid, output, halo, modes)

    def _compute(self, image, valid, spacing, arguments, result):
        if valid is None and spacing is None:
            OPERATIONS[self.name].function(image, **{**arguments, "output": result})
            return
        total = self._total(image, valid, spacing, arguments)
        plain, whole = None, False
        if self.halo is not None and spacing is None:
            plain = OPERATIONS[self.name].function(_filled(image, valid), **{**arguments, "output": result.dtype})
            whole = self._whole(valid, arguments)
        result[...] = _finished(image, plain, total, whole, result.dtype)

    def _tiling(self, ndim, spacing, arguments):
        """The halo, and modes if pieces with a halo are possible: not where two derivatives go on differently."""
        modes = {mode for _, mode in self._axes_and_modes(ndim, arguments)}
        if self.halo is None or len(modes) != 1:
            return ((0, 0),) * ndim, None
        return self.halo(ndim, **arguments, spacing=spacing), [modes.pop()] * ndim

    def lazily(self, op: Any, given: dict[str, Any]) -> Any:
        """The result for a Dask array, by way of functions that take Dask arrays."""
        import dask.array as da

        arguments, (mask, nan_policy, spacing) = taken_apart(given)
        image = arguments["input"]
        spacing = None if spacing is None else as_spacing(spacing, image.ndim)
        derivative = self.derivative(arguments, image.ndim)
        if not asked(mask, nan_policy, spacing):
            return _lazily(derivative, arguments, self.magnitude)
        self._check_derivative(arguments, mask is not None or nan_policy == "omit", spacing)
        dtype = as_output(arguments["output"], np.empty((0,) * image.ndim, image.dtype)).dtype
        valid = None
        if mask is not None or nan_policy != "propagate":
            from .._engine import chunks

            valid = chunks.valid_chunks(image, mask, nan_policy)
        total = self._total(image, valid, spacing, arguments)
        if valid is None or spacing is not None:
            return da.map_blocks(_finished, image, None, total, False, dtype, dtype=dtype)
        plain = _lazily(derivative, {**arguments, "input": _filled(image, valid), "output": dtype}, self.magnitude)
        whole = valid.all() if self.halo is None else self._whole(valid, arguments)
        return da.map_blocks(_finished, image, plain, total, da.broadcast_to(whole, image.shape, image.chunks), dtype,
                             dtype=dtype)

    def _check_derivative(self, arguments, masked, spacing):
        function = arguments.get("derivative2", arguments.get("derivative"))
        if function is None:
            return
        for name in ("mask",) * masked + ("spacing",) * (spacing is not None):
            if not _takes(function, name):
                raise TypeError(f"the derivative must take the keyword {name}=, as fastmed's do; found {function!r}")

    def _axes_and_modes(self, ndim, arguments):
        axes = as_axes(arguments["axes"], ndim)
        return list(zip(axes, per_axis(arguments["mode"], len(axes)), strict=True))

    def _total(self, image, valid, spacing, arguments):
        """The combined derivatives in double, of a NumPy or a Dask array; NaN where one of them is unknown."""
        derivative, total = self.derivative(arguments, image.ndim), None
        more = {k: v for k, v in (("mask", valid), ("spacing", spacing)) if v is not None}
        for axis, mode in self._axes_and_modes(image.ndim, arguments):
            part = derivative(image, axis, wide(image.dtype), mode, arguments["cval"], **more)
            part = part * part if self.magnitude else part
            total = part if total is None else total + part
        if total is None:
            return image if valid is None else np.where(valid, image, np.nan)
        return np.sqrt(total) if self.magnitude else total

    def _whole(self, valid, arguments):
        """Where every derivative has a whole window, so that the result without the keywords holds."""
        halo, found = self.halo(valid.ndim, **arguments), valid
        for _, mode in self._axes_and_modes(valid.ndim, arguments):
            found = found & reach_of_mask("minimum_filter", valid, halo, [mode] * valid.ndim)
        return found


def _takes(function: Any, keyword: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # it does not tell
        return True
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _filled(image: Any, valid: Any) -> Any:
    return np.where(valid, image, image.dtype.type(0))


def _finished(image: np.ndarray, plain: Any, total: np.ndarray, whole: Any, dtype: Any) -> np.ndarray:
    """One array or block: `plain` where the window is whole, else `total`, where that is known."""
    result = np.empty(image.shape, dtype) if plain is None else np.array(plain, dtype)
    return finish(result, image, total, np.broadcast_to(whole, image.shape), ~np.isnan(total), sums=True)


# --- Laplace ---------------------------------------------------------------------------------------------------------
def _second_difference(input, axis, output, mode, cval, mask=None, spacing=None):
    found = correlate1d(input, [1, -2, 1], axis, output, mode, cval, mask=mask)
    return found if spacing is None else found / spacing[axis] ** 2


def _laplace_halo(ndim, axes=None, **_):
    axes = as_axes(axes, ndim)
    return halo_of(ndim, axes, [3] * len(axes), [0] * len(axes))


_LAPLACE = _Composed("laplace", _laplace_halo, False, lambda arguments, ndim: _second_difference)


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
    image, axes, modes, output = _checked(input, output, mode, axes)
    if not axes:
        output[...] = image
        return output

    def compute(source, target, cval):
        budget = threads.budget(source.size, 4 * len(axes))
        kernel("laplace", __name__)(source, axes, [as_mode(m) for m in modes], float(cval), target, budget)

    return run(compute, image, output, cval, in_place=False)


_GENERIC_LAPLACE = _Composed(
    "generic_laplace", None, False, lambda arguments, ndim: _user_derivative(arguments["derivative2"], arguments)
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
    derivative = _user_derivative(derivative2, {"extra_arguments": extra_arguments, "extra_keywords": extra_keywords})
    return _run(_sum, derivative, input, output, mode, cval, axes)


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
    image, numbers, modes, result = _checked(input, output, mode, axes)
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


_GAUSSIAN_LAPLACE = _Composed("gaussian_laplace", _gaussian_laplace_halo, False, _second_gaussian)
_GAUSSIAN_GRADIENT_MAGNITUDE = _Composed("gaussian_gradient_magnitude", _gaussian_halo, True, _first_gaussian)


def _gaussian_laplace_on_dask(op, arguments):
    return _plain(op, arguments) if _one_mode(arguments) else _GAUSSIAN_LAPLACE.lazily(op, arguments)


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
    return _run(_sum, derivative, input, output, mode, cval, axes)


# --- gradient magnitude ----------------------------------------------------------------------------------------------
def _gaussian_magnitude_on_dask(op, arguments):
    return _plain(op, arguments) if _one_mode(arguments) else _GAUSSIAN_GRADIENT_MAGNITUDE.lazily(op, arguments)


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
    return _run(_magnitude, derivative, input, output, mode, cval, axes)


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


_GENERIC_GRADIENT_MAGNITUDE = _Composed(
    "generic_gradient_magnitude", None, True,
    lambda arguments, ndim: _user_derivative(arguments["derivative"], arguments),
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
        image, numbers, modes, target = _checked(input, output, mode, axes)
        if numbers and _in_one_trip(image, target.dtype, modes, cval):
            return _three_taps_magnitude(centre, image, numbers, modes, cval, target)
        output = target
    own = _user_derivative(derivative, {"extra_arguments": extra_arguments, "extra_keywords": extra_keywords})
    return _run(_magnitude, own, input, output, mode, cval, axes)
