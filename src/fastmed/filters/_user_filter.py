"""What the filters with the caller's own function share: its compiled loop, their arguments, chunked arrays."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._engine.arrays import as_output, per_axis
from .._engine.keywords import as_spacing, check_policy, valid_elements
from ._masked import elements_of_size
from ._user_function import NotCompilableError, compiled


def compiled_loop(function: Any, arguments: tuple[Any, ...], *makes: str, plain: bool = True) -> tuple[Any, bool]:
    """A loop around the function, compiled for these arguments, and whether that is new.

    The first of the loops named `makes` that the function fits into is taken; the last one, where it is `plain`, also
    around Numba's own of NumPy's functions.
    """
    from numba import typeof

    from . import _window_loops

    signature = tuple(typeof(a) for a in arguments)
    reason = None
    # NumPy's functions may have more arguments than those that stand for them, so their own come last.
    for make, fast in [*((make, True) for make in makes), *([(makes[-1], False)] if plain else [])]:
        loop = compiled(function, getattr(_window_loops, make), fast)
        if signature in loop.overloads:
            return loop, False
        if getattr(loop, "refused", None) == signature:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loop.compile(signature)
            return loop, True
        except Exception as error:
            reason, loop.refused = error, signature
    raise NotCompilableError(f"cannot be compiled: {_shortly(reason)}") from None


def _shortly(error: Exception | None) -> str:
    """The line of Numba's report that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [n for n in lines if not n.startswith(("Failed in", "During:", "File", "-", "\x1b[1mDuring"))]
    return f"{type(error).__name__}: {(telling or lines or [''])[0]}"


def elements(size: Any, spacing: Any, ndim: int, axes: Sequence[int], name: str = "size") -> Any:
    """A size in mm as numbers of elements, for each of `axes`; as it is without `spacing`."""
    if spacing is None or size is None:
        return size
    steps = as_spacing(spacing, ndim)
    return [elements_of_size(s, steps[a]) for a, s in zip(axes, per_axis(size, len(axes), name), strict=True)]


def valid_for(image: np.ndarray, mask: Any, nan_policy: Any, omit: bool) -> np.ndarray | None:
    """The elements in the mask; None where all are. `omit`: whether that policy, too, is one of the caller's."""
    check_policy(nan_policy)
    if nan_policy == "omit" and not omit:
        raise ValueError("nan_policy must be 'propagate' or 'raise' here, found 'omit': function gets all elements")
    return valid_elements(image, mask, "raise" if nan_policy == "raise" else "propagate")


def on_dask(op, arguments):
    from .._engine import chunks

    image = arguments["input"]
    dtype = as_output(arguments["output"], np.empty(0, image.dtype)).dtype
    return masked_or_plain(op, arguments, dtype, chunks.wrapped_axes(image.ndim, arguments))


def masked_or_plain(op, arguments, dtype, wrap):
    """Chunk by chunk with a halo, which a mask has as well."""
    from .._engine import chunks

    image, mask = arguments["input"], arguments.get("mask")
    check_policy(arguments["nan_policy"])
    if arguments["nan_policy"] == "raise":
        valid = chunks.valid_chunks(image, mask, "raise")
        image = image.map_blocks(_after, valid, dtype=image.dtype)
        arguments = {**arguments, "nan_policy": "propagate"}
    rest = {k: v for k, v in arguments.items() if k not in ("input", "mask")}
    options = {
        "wrap": wrap, "dtype": dtype, "name": op.name,
        "arguments": {"module": op.function.__module__, "name": op.name, "rest": rest},
    }  # fmt: skip
    halo = op.halo(image.ndim, **arguments)
    if mask is None:
        return chunks.map_with_halo(chunks.call_operation, image, halo, **options)
    return chunks.map_with_halo(_masked_block, chunks.with_mask(image, mask), halo, **options)


def _after(block: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The block, once its valid elements are known to hold no NaN."""
    return block


def _masked_block(block: np.ndarray, **arguments: Any) -> np.ndarray:
    from .._engine import chunks

    rest = {**arguments.pop("rest"), "mask": block["mask"]}
    return chunks.call_operation(np.ascontiguousarray(block["image"]), rest=rest, **arguments)
