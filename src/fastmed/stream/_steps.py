"""What is done with a block: an operation as a function of a block with its halo."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._engine import chunks
from .._engine.operation import OPERATIONS, Operation
from ..edges import _canny, _hysteresis
from ..enhance import _rescale
from ..segment import threshold_otsu
from ._box import scratch
from ._surveys import Surveys, of_quantiles, of_range, of_threshold

#: Bytes per element beside a block and its result: what the operation, and linking, take in between.
_SCRATCH = {"gaussian_laplace": 8, "gaussian_gradient_magnitude": 8, "laplace": 8, "roberts": 16}
_LINK_SCRATCH = 8


@dataclass(frozen=True)
class Step:
    """One operation on a volume of one shape and dtype.

    Attributes
    ----------
    name : str
    halo : tuple of (int, int)
        As far before as after a block.
    wrap : set of int
        Axes along which the volume goes on at its other end.
    dtype : dtype
        Of the result.
    arguments : dict
        Of :meth:`compute`'s function, for those that ask what was run.
    connectivity : int
        Above 0 the blocks give marks, which are joined over all of them by so many axes.
    surveys : Surveys or None
        What must be known of all blocks first; None: nothing, or no more.
    told : str
        What its results depend on beside its arguments: the mask that comes with the blocks, quantiles.
    mask_bytes : int
        Per element of it.
    """

    name: str
    halo: tuple[tuple[int, int], ...]
    wrap: frozenset[int]
    dtype: np.dtype
    arguments: dict[str, Any] = field(repr=False)
    connectivity: int = 0
    surveys: Surveys | None = None
    told: str = ""
    mask_bytes: int = 0

    def compute(self, block: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The result, or the marks, for a block with its halo; the thread's next block may overwrite it."""
        arguments = self.arguments if mask is None else {**self.arguments, "mask": mask}
        if self.name in _BLOCKS:
            return _BLOCKS[self.name](block, **arguments)
        if "output" in arguments:
            arguments = {**arguments, "output": scratch("result", block.shape, self.dtype)}
        return OPERATIONS[self.name].function(block, **arguments)

    @property
    def stored(self) -> np.dtype:
        """Of what :meth:`compute` gives."""
        return np.dtype(np.uint8) if self.connectivity else self.dtype

    @property
    def scratch(self) -> int:
        """Bytes per element beside a block and its result."""
        return _LINK_SCRATCH if self.connectivity else _SCRATCH.get(self.name, 0)


def operations() -> dict[str, Operation]:
    """Those that can run on a volume block by block."""
    for stage in ("filters", "edges", "enhance"):
        importlib.import_module(f"..{stage}", __package__)
    found = {name: op for name, op in OPERATIONS.items() if op.halo is not None or name in _GLOBAL}
    return {**found, _OTSU.name: _OTSU}


def named(name: str) -> Operation:
    """The operation of this name; ``_filter`` at its end can be left out.

    Raises
    ------
    ValueError
        There is none.
    """
    known = operations()
    for one in (name, f"{name}_filter"):
        if one in known:
            return known[one]
    raise ValueError(f"op must be one of {', '.join(sorted(known))}; found {name!r}")


def step_of(
    op: Operation, shape: tuple[int, ...], dtype: np.dtype, options: dict[str, Any], masked: bool = False
) -> Step:
    """The operation with its options, checked as the operation itself checks them; `masked`: its mask comes later.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        What the operation raises for these options, and what cannot be done block by block.
    """
    probe = np.zeros((3,) * len(shape), dtype)
    if masked and "mask" not in op.signature.parameters:
        raise ValueError(f"{op.name} takes no mask")
    if masked:
        options = {**options, "mask": np.ones(probe.shape, bool)}
    try:
        arguments = op.arguments((probe,), options)
    except TypeError as error:
        raise TypeError(f"{op.name}: {error}; its options: {', '.join(list(op.signature.parameters)[1:])}") from None
    if isinstance(arguments.get("output"), np.ndarray):
        raise TypeError("output must be None or a dtype where a volume runs block by block, found an array")
    given = {k: v for k, v in arguments.items() if k != op.image}
    if op.name == _OTSU.name:
        return _otsu_step(shape, dtype, arguments, given)
    result = op.function(probe, **given)
    if masked:
        del given["mask"]  # of the probe
    if op.name in _GLOBAL:
        return _GLOBAL[op.name](shape, dtype, arguments, given)
    if op.chunked is not None and "mode" in given and not isinstance(given["mode"], str):
        raise ValueError(f"mode must be one for all axes where {op.name} runs block by block, found {given['mode']!r}")
    assert op.halo is not None
    halo = tuple((max(h), max(h)) for h in op.halo(len(shape), **arguments))
    if result.shape != probe.shape:
        raise ValueError(f"{op.name} gives no volume of the input's shape")
    wrap = frozenset(a for a in chunks.wrapped_axes(len(shape), given) if max(halo[a]))
    return Step(op.name, halo, wrap, result.dtype, given)


def _canny_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    halo, rest, kind, quantiles = _canny.blockwise(shape, dtype, arguments)
    step = Step("canny", tuple(halo), frozenset(), np.dtype(bool), rest, connectivity=len(shape))
    if quantiles is None:
        return step
    magnitudes = Step("canny magnitudes", tuple(halo), frozenset(), kind, rest)
    return replace(step, surveys=of_quantiles(magnitudes, *quantiles), told=f"quantiles {quantiles}")


def _hysteresis_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    if np.ndim(given["low"]) or np.ndim(given["high"]):
        raise ValueError("low and high must be numbers where a volume runs block by block")
    limits = {name: _hysteresis._as_threshold(given[name], name, shape) for name in ("low", "high")}
    return Step("apply_hysteresis_threshold", _none(shape), frozenset(), np.dtype(bool), limits, 1)


def _rescale_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    result = _rescale._result_dtype(given["out_range"], dtype)
    asked = any(_rescale._asks(given[name]) for name in ("in_range", "out_range"))
    surveys = of_range(_values(shape, dtype)) if asked else None
    return Step("rescale_intensity", _none(shape), frozenset(), result, {**given, "known": (0.0, 1.0)}, surveys=surveys)


def _otsu_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    if given["hist"] is not None:
        raise ValueError("hist must be None where a volume runs block by block")
    surveys = of_threshold(_values(shape, dtype), given["nbins"])
    told = {"nbins": given["nbins"]}
    return Step("threshold_otsu", _none(shape), frozenset(), np.dtype(bool), told, surveys=surveys)


def _none(shape: Any) -> tuple[tuple[int, int], ...]:
    return ((0, 0),) * len(shape)


def _values(shape: Any, dtype: Any) -> Step:
    """The block itself."""
    return Step("values", _none(shape), frozenset(), np.dtype(dtype), {})


def _rescaled(block: np.ndarray, *, in_range: Any, out_range: Any, known: Any) -> np.ndarray:
    limits = _rescale._limits(block.dtype, known, in_range, out_range)
    return _rescale._stretched(block, limits, _rescale._result_dtype(out_range, block.dtype))


def _above(block: np.ndarray, *, nbins: int, threshold: Any = 0) -> np.ndarray:
    return np.greater(block, threshold, out=scratch("result", block.shape, bool))


#: What runs on a block instead of the operation itself.
_BLOCKS: dict[str, Callable[..., np.ndarray]] = {
    "canny": _canny.marks_of_block, "canny magnitudes": _canny.magnitudes_of_block, "values": lambda block: block,
    "apply_hysteresis_threshold": _hysteresis._marks, "rescale_intensity": _rescaled, "threshold_otsu": _above,
}  # fmt: skip
#: Those that depend on all of a volume.
_GLOBAL: dict[str, Callable[..., Step]] = {
    "canny": _canny_step, "apply_hysteresis_threshold": _hysteresis_step, "rescale_intensity": _rescale_step,
    "threshold_otsu": _otsu_step,
}  # fmt: skip
#: Gives a number in memory; of a volume the mask of what is above it is wanted.
_OTSU = Operation("threshold_otsu", threshold_otsu, None, None)
