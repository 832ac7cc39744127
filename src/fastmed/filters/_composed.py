"""Sums and lengths of derivatives that other functions make: in memory, on Dask arrays, and with masks."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_axes, as_mode, as_output, kernel_dtype, per_axis
from .._engine.keywords import as_spacing, asked, valid_elements
from .._engine.operation import OPERATIONS, is_dask
from ._masked import finish, in_tiles, reach_of_mask, taken_apart, wide

#: ``derivative(input, axis, output, mode, cval)``; `output` is an array to write into, or a dtype.
Derivative = Callable[..., Any]


def checked(
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


def combined(
    combine: Callable[..., None], derivative: Derivative, input: Any, output: Any, mode: Any, cval: Any, axes: Any
) -> np.ndarray:
    """Check, and ``combine(parts, target)``: `parts` makes one derivative after the other, the first in `target`."""
    image, axes, modes, output = checked(input, output, mode, axes)
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


def add_up(parts: Iterator[np.ndarray], target: np.ndarray) -> None:
    next(parts)
    for part in parts:
        _in_slabs(lambda total, part: np.add(total, part, total), target, part)
        del part  # before the next one is made


def length_of(parts: Iterator[np.ndarray], target: np.ndarray) -> None:
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


def plain_on_dask(op, arguments):
    """All chunks with one halo. That holds as long as every derivative meets the same modes along the same axes."""
    from .._engine import chunks

    return chunks.apply(dataclasses.replace(op, chunked=None), arguments)


def one_mode(arguments):
    return arguments["axes"] is None and (isinstance(arguments["mode"], str) or len(set(arguments["mode"])) == 1)


def user_derivative(function, arguments):
    extra, keywords = arguments["extra_arguments"], arguments["extra_keywords"] or {}
    return lambda *args, **more: function(*args, *extra, **keywords, **more)


# --- mask, nan_policy, spacing ---------------------------------------------------------------------------------------
class Composed:
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
