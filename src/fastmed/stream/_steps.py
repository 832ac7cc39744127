"""What is done with a block: an operation as a function of a block with its halo."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._engine import chunks
from .._engine.operation import OPERATIONS, Operation
from ..edges import _canny, _hysteresis
from ._box import scratch

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
    """

    name: str
    halo: tuple[tuple[int, int], ...]
    wrap: frozenset[int]
    dtype: np.dtype
    arguments: dict[str, Any] = field(repr=False)
    connectivity: int = 0

    def compute(self, block: np.ndarray) -> np.ndarray:
        """The result, or the marks, for a block with its halo; the thread's next block may overwrite it."""
        if self.name == "canny":
            return _canny.marks_of_block(block, **self.arguments)
        if self.name == "apply_hysteresis_threshold":
            return _hysteresis._marks(block, **self.arguments)
        arguments = self.arguments
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
    for stage in ("filters", "edges"):
        importlib.import_module(f"..{stage}", __package__)
    return {name: op for name, op in OPERATIONS.items() if op.halo is not None or name in _LINKED}


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


def step_of(op: Operation, shape: tuple[int, ...], dtype: np.dtype, options: dict[str, Any]) -> Step:
    """The operation with its options, checked as the operation itself checks them.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        What the operation raises for these options, and what cannot be done block by block.
    """
    probe = np.zeros((3,) * len(shape), dtype)
    try:
        arguments = op.arguments((probe,), options)
    except TypeError as error:
        raise TypeError(f"{op.name}: {error}; its options: {', '.join(list(op.signature.parameters)[1:])}") from None
    if arguments.get("mask") is not None:
        raise ValueError("mask must be None where a volume runs block by block")
    if isinstance(arguments.get("output"), np.ndarray):
        raise TypeError("output must be None or a dtype where a volume runs block by block, found an array")
    given = {k: v for k, v in arguments.items() if k != op.image}
    result = op.function(probe, **given)
    if op.name in _LINKED:
        return _LINKED[op.name](shape, dtype, arguments, given)
    if op.chunked is not None and "mode" in given and not isinstance(given["mode"], str):
        raise ValueError(f"mode must be one for all axes where {op.name} runs block by block, found {given['mode']!r}")
    assert op.halo is not None
    halo = tuple((max(h), max(h)) for h in op.halo(len(shape), **arguments))
    if result.shape != probe.shape:
        raise ValueError(f"{op.name} gives no volume of the input's shape")
    wrap = frozenset(a for a in chunks.wrapped_axes(len(shape), given) if max(halo[a]))
    return Step(op.name, halo, wrap, result.dtype, given)


def _canny_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    halo, rest = _canny.blockwise(shape, dtype, arguments)
    return Step("canny", tuple(halo), frozenset(), np.dtype(bool), rest, connectivity=len(shape))


def _hysteresis_step(shape: Any, dtype: Any, arguments: Any, given: Any) -> Step:
    if np.ndim(given["low"]) or np.ndim(given["high"]):
        raise ValueError("low and high must be numbers where a volume runs block by block")
    limits = {name: _hysteresis._as_threshold(given[name], name, shape) for name in ("low", "high")}
    return Step("apply_hysteresis_threshold", ((0, 0),) * len(shape), frozenset(), np.dtype(bool), limits, 1)


_LINKED: dict[str, Callable[..., Step]] = {"canny": _canny_step, "apply_hysteresis_threshold": _hysteresis_step}
