"""Random calls of every filter that SciPy has too: the same values as law 2 says, the same refusals, no crash.

    python tests/peers/fuzz.py --cases 200000 --seed 1 [--operation median_filter ...]
    python tests/peers/fuzz.py --seed 1 --only 4711      one case again, in this process

A case is made of its seed and its number alone, so what fails can be named and run again. Cases run in batches, each in
a process of its own: one that crashes or hangs names its case and costs the rest of its batch, not the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import fastmed
from against_scipy import LAYOUTS, MODES, REAL, WRITABLE, largest
from fastmed._engine import threads
from fastmed._engine.operation import OPERATIONS
from helpers import layouts, random_array, same

BATCH = 1000
#: A batch that takes longer hangs.
BATCH_SECONDS = 600
LONGEST = [1, 80, 18, 9, 5]
#: What stands in an argument's place in calls that are wrong, or odd.
JUNK = [
    None, "reflect", "no such mode", "", b"reflect", 1.5, -1, 0, 7, -2.5, True, 1j, np.nan, np.inf, (), [1], [1, 1, 1],
    (0.5, 2), [1, 2, 3, 4, 5], [[1, 0], [0, 1]], np.int8(2), np.float32(2), np.zeros(3), np.array(2), {}, {1}, object,
    np.int16, "float32", "complex64", "O", slice(None), ["reflect", "wrap"], [None, None],
]  # fmt: skip


@dataclass
class Case:
    """One call, and what is known to be different about it."""

    name: str
    image: Any
    arguments: dict[str, Any]
    in_place: bool = False
    spoilt: str = ""
    threads: int = 1
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = {k: f"{v.dtype}{v.shape}" if isinstance(v, np.ndarray) and v.size > 30 else v
                 for k, v in self.arguments.items()}  # fmt: skip
        image = f"{self.image.dtype}{self.image.shape} strides {self.image.strides}"
        how = f"in_place={self.in_place}, spoilt={self.spoilt!r}, threads={self.threads}"
        return f"{self.name}({image}, {shown}, {how})"


# --- draws -----------------------------------------------------------------------------------------------------------
class Draw:
    """Random arguments from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def one(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def image(self, dtypes: str, ndims: tuple[int, ...], *, exact_in_double: bool) -> np.ndarray:
        """Any dtype, layout, shape; `exact_in_double`: 64-bit integers below 2^53."""
        ndim = self.one(ndims)
        shape = tuple(int(n) for n in self.rng.integers(1, LONGEST[ndim] + 1, ndim))
        if ndim and self.chance(0.1):
            at = int(self.rng.integers(ndim))
            shape = (*shape[:at], int(self.chance(0.7)), *shape[at + 1 :])
        dtype = np.dtype(self.one(dtypes))
        image = np.asarray(random_array(self.rng, shape, dtype))
        if exact_in_double and dtype.kind in "iu" and dtype.itemsize == 8:
            image = (image % 1000).astype(dtype)
        return layouts(image)[self.one(LAYOUTS)] if ndim else image

    def axes(self, ndim: int, *, in_order: bool = False) -> tuple[int, ...] | int | None:
        if self.chance(0.6):
            return None
        if ndim and self.chance(0.2):
            return int(self.rng.integers(ndim))  # SciPy refuses a footprint along -1, but takes one along (-1,)
        order = [int(a) for a in self.rng.permutation(ndim)[: self.rng.integers(0, ndim + 1)]]
        if in_order:
            return tuple(sorted(order))
        return tuple(a - ndim if self.chance(0.3) else a for a in order)

    def each(self, count: int, value: Callable[[], Any]) -> Any:
        """One value for all axes, or a list or a tuple of them."""
        if self.chance(0.5):
            return value()
        values = [value() for _ in range(count)]
        return tuple(values) if self.chance(0.5) else values

    def mode(self) -> str:
        return self.one(MODES)

    def cval(self) -> float:
        return self.one([0.0, 0, 1.0, 300.2, 2, -3.7])

    def origin(self, size: int) -> int:
        return int(self.rng.integers(-(size // 2), (size - 1) // 2 + 1))

    def sizes(self, ndim: int, count: int) -> list[int]:
        longest = [1, 40, 11, 6, 4][ndim]
        return [int(n) for n in self.rng.integers(1, longest + 1, count)]

    def window(self, image: np.ndarray, axes: Any, times: int = 2) -> list[int]:
        """The shape of a window that is at most so many times as long as the image: beyond, SciPy's results are wrong.

        Correlation of 4 elements with 35 in mode 'reflect' is not what its own correlate1d says.
        """
        along = range(image.ndim) if axes is None else np.atleast_1d(axes).astype(int)
        sizes = self.sizes(image.ndim, _count(axes, image.ndim))
        return [min(n, times * max(1, image.shape[axis])) for n, axis in zip(sizes, along, strict=True)]


def _count(axes: Any, ndim: int) -> int:
    return ndim if axes is None else 1 if isinstance(axes, int) else len(axes)


# --- one generator of arguments per family ---------------------------------------------------------------------------
def _separable(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    axes = draw.axes(image.ndim)
    return {"axes": axes, "mode": draw.each(_count(axes, image.ndim), draw.mode), "cval": draw.cval()}


def _line(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    axis = int(draw.rng.integers(-image.ndim, image.ndim)) if image.ndim else 0
    return {"axis": axis, "mode": draw.mode(), "cval": draw.cval()}


def _gaussian(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = _separable(draw, image)
    count = _count(found["axes"], image.ndim)
    found["sigma"] = draw.each(count, lambda: draw.one([0, 0.3, 0.5, 1, 2.5, 4.0]))
    found["order"] = draw.each(count, lambda: draw.one([0, 0, 1, 2, 3]))
    if draw.chance(0.3):
        found["truncate"] = draw.one([0.1, 1.5, 3, 6.0])
    elif draw.chance(0.3):
        found["radius"] = draw.each(count, lambda: draw.one([0, 1, 3, 10]))
    return found


def _gaussian_line(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = {**_line(draw, image), "sigma": draw.one([0.3, 1, 2.5, -1.0]), "order": draw.one([0, 0, 1, 2, 3])}
    return {**found, **draw.one([{}, {"truncate": 1.5}, {"radius": 3}])}


def _gaussian_sum(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_separable(draw, image), "sigma": draw.one([0.5, 1, 2.5]), **draw.one([{}, {"truncate": 1.5}])}


def _gaussian_magnitude(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return _gaussian_sum(draw, image)


def _derivative(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_line(draw, image), "mode": draw.each(image.ndim, draw.mode)}


def _second_difference(input, axis, output, mode, cval):
    return scipy.ndimage.correlate1d(input, [1, -2, 1], axis, output, mode, cval)


def _generic_sum(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_separable(draw, image), "derivative2": _second_difference}


def _generic_magnitude(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_separable(draw, image), "derivative": scipy.ndimage.sobel}


def _box(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = _separable(draw, image)
    sizes = draw.sizes(image.ndim, _count(found["axes"], image.ndim))
    if draw.chance(0.5) and sizes:
        return {**found, "size": sizes[0], "origin": draw.origin(sizes[0])}
    return {**found, "size": sizes, "origin": [draw.origin(n) for n in sizes]}


def _box_line(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    (size,) = draw.sizes(1, 1)
    return {**_line(draw, image), "size": size, "origin": draw.origin(size)}


def _window(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    """A box or a footprint. SciPy gives sizes to axes in the array's order, but origins in the order of `axes`."""
    axes = draw.axes(image.ndim, in_order=True)
    sizes = draw.window(image, axes)
    found = {"axes": axes, "mode": draw.mode(), "cval": draw.cval(), "size": sizes}
    if draw.chance(0.5):
        holes = np.asarray(draw.rng.random(sizes) < draw.one([0.3, 0.7, 1.1]))
        holes[(0,) * holes.ndim] |= not holes.any()
        found["footprint"] = holes
        del found["size"]
    if draw.chance(0.4):
        found["origin"] = [draw.origin(n) for n in sizes]
    return found


def _ordered_window(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    """As above, but for what breaks SciPy's own memory or results in 1-D: an origin, holes, more than the image."""
    found = _window(draw, image)
    if image.ndim == 1:
        found.pop("origin", None)
        size = np.shape(found.pop("footprint")) if "footprint" in found else found["size"]
        found["size"] = [min(n, max(1, image.size)) for n in size]
    return found


def _rank(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = _ordered_window(draw, image)
    count = int(np.sum(found["footprint"])) if "footprint" in found else int(np.prod(found["size"]))
    return {**found, "rank": int(draw.rng.integers(-count, count))}


def _percentile(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_ordered_window(draw, image), "percentile": draw.one([0, 10, 33.3, 50, 90, 100, -20, -0.0, 99.9])}


def _weights(draw: Draw, shape: tuple[int, ...]) -> Any:
    weights = draw.rng.normal(size=shape)
    kind = draw.one(["real", "whole", "symmetric", "antisymmetric", "mean", "with zeros", "complex", "list"])
    if kind == "whole":
        return draw.rng.integers(-3, 4, shape)
    if kind == "symmetric":
        return weights + np.flip(weights)
    if kind == "antisymmetric":
        return weights - np.flip(weights)
    if kind == "mean":
        return np.full(shape, 1 / max(1, np.prod(shape)))
    if kind == "with zeros":
        return np.where(draw.rng.random(shape) < 0.5, 0, weights)
    if kind == "complex":
        return weights + 1j * draw.rng.normal(size=shape)
    return weights.tolist() if kind == "list" else weights


def _correlation(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    axes = draw.axes(image.ndim)
    sizes = draw.window(image, axes)
    found = {"axes": axes, "weights": _weights(draw, tuple(sizes)), "mode": draw.mode(), "cval": draw.cval()}
    if draw.chance(0.4) and axes is None:
        found["origin"] = [draw.origin(n) for n in sizes]
    return found


def _correlation_line(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    (size,) = draw.sizes(1, 1)
    return {**_line(draw, image), "weights": _weights(draw, (size,)), "origin": draw.origin(size)}


def _spread(values):
    return values.max() - values.min()


def _slope(line, result):
    step = line.size - result.size
    for i in range(result.size):
        result[i] = line[i + step] - line[i]


def _largest(values, axis):
    return np.max(values, axis=axis)


def _user_window(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    return {**_window(draw, image), "function": _spread}


def _user_line(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = {**_box_line(draw, image), "function": _slope}
    found["filter_size"] = found.pop("size")
    return found


def _user_vectors(draw: Draw, image: np.ndarray) -> dict[str, Any]:
    found = {**_window(draw, image), "function": _largest}
    if found["mode"] != "constant":
        del found["cval"]  # SciPy refuses it
    if found["axes"] == () or not image.size:
        found = {**found, "axes": None, "size": 1, "footprint": None, "origin": 0}  # SciPy forgets output=
    return found


COMPLEX = REAL + "FD"
#: Name -> (arguments, dtypes, axes).
GENERATORS: dict[str, tuple[Callable[[Draw, np.ndarray], dict[str, Any]], str, tuple[int, ...]]] = {
    "gaussian_filter": (_gaussian, COMPLEX, (0, 1, 2, 2, 3, 3, 4)),
    "gaussian_filter1d": (_gaussian_line, COMPLEX, (0, 1, 2, 3, 4)),
    "gaussian_laplace": (_gaussian_sum, COMPLEX, (0, 1, 2, 3)),
    "gaussian_gradient_magnitude": (_gaussian_magnitude, COMPLEX, (0, 1, 2, 3)),
    "laplace": (_separable, COMPLEX, (0, 1, 2, 3, 4)),
    "generic_laplace": (_generic_sum, COMPLEX, (0, 1, 2, 3)),
    "generic_gradient_magnitude": (_generic_magnitude, COMPLEX, (0, 1, 2, 3)),
    "uniform_filter": (_box, COMPLEX, (0, 1, 2, 2, 3, 3, 4)),
    "uniform_filter1d": (_box_line, COMPLEX, (0, 1, 2, 3, 4)),
    "median_filter": (_ordered_window, REAL, (0, 1, 2, 2, 3, 3, 4)),
    "rank_filter": (_rank, REAL, (0, 1, 2, 2, 3, 3, 4)),
    "percentile_filter": (_percentile, REAL, (0, 1, 2, 2, 3, 3, 4)),
    "minimum_filter": (lambda d, a: d.one([_box, _window])(d, a), REAL, (0, 1, 2, 2, 3, 3, 4)),
    "maximum_filter": (lambda d, a: d.one([_box, _window])(d, a), REAL, (0, 1, 2, 2, 3, 3, 4)),
    "minimum_filter1d": (_box_line, REAL, (0, 1, 2, 3, 4)),
    "maximum_filter1d": (_box_line, REAL, (0, 1, 2, 3, 4)),
    "correlate": (_correlation, COMPLEX, (0, 1, 2, 2, 3, 3, 4)),
    "convolve": (_correlation, COMPLEX, (0, 1, 2, 2, 3, 3, 4)),
    "correlate1d": (_correlation_line, COMPLEX, (0, 1, 2, 3, 4)),
    "convolve1d": (_correlation_line, COMPLEX, (0, 1, 2, 3, 4)),
    "sobel": (_derivative, COMPLEX, (0, 1, 2, 3, 4)),
    "prewitt": (_derivative, COMPLEX, (0, 1, 2, 3, 4)),
    "generic_filter": (_user_window, REAL, (0, 1, 2, 3)),
    "generic_filter1d": (_user_line, REAL, (0, 1, 2, 3)),
    "vectorized_filter": (_user_vectors, REAL, (1, 2, 3)),
}
ORDERING = ("median_filter", "rank_filter", "percentile_filter", "minimum_filter", "maximum_filter",
            "minimum_filter1d", "maximum_filter1d")  # fmt: skip
RANKS = ORDERING[:3]
#: Of SciPy's messages, those that come from arithmetic with what it had not looked at.
ACCIDENTS = ("truth value of an array", "arange", "not supported between", "an integer is required", "Radius",
             "Maximum allowed size", "too many indices")  # fmt: skip
MEANS = ("uniform_filter", "uniform_filter1d")


def operations() -> list[str]:
    """Those that SciPy has under the same name and that are fuzzed here."""
    for stage in ("filters", "edges"):
        __import__(f"fastmed.{stage}")
    return [name for name in GENERATORS if name in OPERATIONS and hasattr(scipy.ndimage, name)]


def make(seed: int, number: int, names: list[str]) -> Case:
    """Case `number` of `seed`."""
    draw = Draw(np.random.default_rng([seed, number]))
    name = names[number % len(names)]
    generate, dtypes, ndims = GENERATORS[name]
    half = draw.chance(0.03) and not name.startswith("generic")  # SciPy's derivatives refuse float16
    image = draw.image("e" if half else dtypes, ndims, exact_in_double=name in ORDERING)
    case = Case(name, image, generate(draw, image), threads=2 if number // len(names) % 16 == 15 else 1)
    if draw.chance(0.1) and image.dtype.kind in "fc" and image.size:
        _put_nan(draw, case)
    elif draw.chance(0.5) and not half and (image.size or name != "vectorized_filter"):
        _put_output(draw, case)
    # An array of 0 axes, or an empty one, comes back before SciPy looks at all.
    if draw.chance(0.2) and not half and image.ndim and (image.size or name != "vectorized_filter"):
        _spoil(draw, case)
    _leave_out_what_is_undefined(case)
    return case


def _leave_out_what_is_undefined(case: Case) -> None:
    """A negative cval as uint64 is undefined in C; SciPy's ranks in 1-D do not cast cval as those in n-D do."""
    dtypes = [case.image.dtype, getattr(case.arguments.get("output"), "dtype", None), case.arguments.get("output")]
    unsigned = any(isinstance(d, np.dtype | type) and d in (np.uint64, np.dtype(">u8")) for d in dtypes)
    line = case.name in RANKS and case.image.ndim == 1
    if "cval" not in case.arguments:
        return
    if case.spoilt == "cval":
        value = case.arguments["cval"]
        if isinstance(value, float | int) and (not np.isfinite(value) or (unsigned and value < 0)):
            case.arguments["cval"] = None  # as an integer it is undefined in C
    elif (unsigned and case.arguments["cval"] == -3.7) or (line and case.arguments["cval"] not in (0, 1)):
        case.arguments["cval"] = 1.0


def _put_nan(draw: Draw, case: Case) -> None:
    """A few NaN and infinities, of which SciPy's result says something: see `reference`."""
    infinities = case.name not in MEANS and case.image.dtype.kind == "f"
    image = case.image.copy()
    for _ in range(int(draw.rng.integers(1, 4))):
        at = tuple(int(draw.rng.integers(n)) for n in image.shape)
        image[at] = draw.one([np.nan, np.inf, -np.inf]) if infinities else np.nan
    image.flags.writeable = bool(case.image.flags.writeable)
    case.image = image
    case.notes.append("nan")


def _put_output(draw: Draw, case: Case) -> None:
    """``output=`` as a dtype, an array, or the input."""
    image = case.image
    if case.name in ORDERING and (image.ndim == 1 or image.dtype.kind == "f"):
        dtypes = image.dtype.newbyteorder("=").char  # others: a cast that C leaves undefined; SciPy's 1-D code
    elif image.dtype.kind == "c" or np.iscomplexobj(case.arguments.get("weights", 0)):
        dtypes = "FD"
    elif image.dtype.kind == "f":
        dtypes = "fd"
    elif image.dtype.kind == "i" and case.name in ORDERING:
        dtypes = "bBhHiIqfd"  # SciPy takes negative values to uint64 and back through float64
    else:
        dtypes = REAL
    dtype = np.dtype(draw.one(dtypes))
    kind = "array" if case.name == "vectorized_filter" else draw.one(["dtype", "array", "in place"])
    if kind == "dtype":
        case.arguments["output"] = dtype if draw.chance(0.5) else dtype.type
    elif kind == "array" and image.ndim:
        case.arguments["output"] = layouts(np.ones(image.shape, dtype))[draw.one(WRITABLE)]
    elif image.flags.writeable and "weights" not in case.arguments:
        case.in_place = True


def _spoil(draw: Draw, case: Case) -> None:
    """Put junk in the place of one argument."""
    case.spoilt = draw.one(sorted({*case.arguments, "output"} - _never_spoilt(case)))
    case.arguments[case.spoilt] = draw.one(JUNK)
    case.in_place = False


def _never_spoilt(case: Case) -> set[str]:
    """Arguments whose junk breaks SciPy's memory, or whose refusal there is lost."""
    if case.name in RANKS and case.image.ndim == 1:
        return {"axes", "size", "footprint", "origin", "cval", "output"}
    if case.name == "vectorized_filter":
        return {"output", "axes", "function"}  # it moves the axes of whatever it is given
    kept = {"output", "axes", "size", "footprint"} if "nan" in case.notes else set()
    # SciPy's own derivatives lose their exception where the output is another's copy.
    return kept | ({"cval", "function"} if case.name.startswith("generic") else set())


# --- outcomes --------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _call(module: Any, name: str, image: Any, arguments: dict[str, Any]) -> Any:
    """The result, or the exception."""
    with _quiet():
        try:
            return getattr(module, name)(image, **arguments)
        except Exception as error:
            return error


def reference(case: Case) -> Any:
    """What SciPy says, where it says something: (result or exception, where it is not known)."""
    image, arguments = case.image, dict(case.arguments)
    output = arguments.get("output")
    if isinstance(output, np.ndarray) and case.spoilt != "output":
        arguments["output"] = np.zeros(output.shape, output.dtype.newbyteorder("=").str)
    if _is_half(image):
        image = image.astype(np.float32)  # SciPy refuses it
    if image.ndim == 1 and case.name in RANKS:
        image = image.astype(image.dtype.newbyteorder("=").str)  # SciPy refuses other byte orders, and long long
        if isinstance(output, type | np.dtype):
            arguments["output"] = np.dtype(np.dtype(output).str)
    if "nan" in case.notes and case.name in (*ORDERING, *MEANS):
        # SciPy leaves order with NaN undefined, and carries one through a mean to the end of the line. A window that
        # holds a NaN gives NaN here; all others do not know of it.
        found = _call(scipy.ndimage, case.name, np.where(np.isnan(image), 0, image).astype(image.dtype), arguments)
        return found if isinstance(found, Exception) else _with_nan(found, image, case)
    return _call(scipy.ndimage, case.name, image, arguments)


def _with_nan(found: np.ndarray, image: np.ndarray, case: Case) -> np.ndarray:
    window = {k: v for k, v in case.arguments.items() if k not in ("rank", "percentile", "output", "cval")}
    finder = scipy.ndimage.maximum_filter1d if "axis" in window else scipy.ndimage.maximum_filter
    parts = (image.real, image.imag) if image.dtype.kind == "c" else (image,)
    results = (found.real, found.imag) if image.dtype.kind == "c" else (found,)
    for part, result in zip(parts, results, strict=True):
        with _quiet():
            result[finder(np.isnan(part).astype(np.uint8), **window) > 0] = np.nan
    return found


def mismatch(case: Case) -> str:
    """What is wrong with fastmed's answer; empty when nothing is."""
    wanted = reference(case)
    arguments, image = dict(case.arguments), case.image
    if case.in_place:
        image = arguments["output"] = case.image.copy(order="K")
    output = arguments.get("output")
    before = output.copy() if isinstance(output, np.ndarray) else None
    untouched = case.image.copy()
    with fastmed.num_threads(case.threads):
        found = _call(fastmed, case.name, image, arguments)
    if not np.array_equal(case.image, untouched, equal_nan=case.image.dtype.kind in "fc"):
        return "the input has changed"
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        return _other_refusal(case, wanted, found, output, before)
    if isinstance(output, np.ndarray) and found is not output:
        return "the result is not the output array"
    return _other_values(found, wanted, case)


def _other_refusal(case: Case, wanted: Any, found: Any, output: Any, before: Any) -> str:
    if not isinstance(found, Exception):
        return "" if _understood(case, wanted) else f"SciPy refuses: {wanted!r}"
    if not isinstance(wanted, Exception):
        return "" if _unseen(case, found) else f"refused: {found!r}"
    if not isinstance(found, type(wanted)) and not _two_faults(case, wanted):
        return f"SciPy raises {wanted!r}, fastmed {found!r}"
    if before is not None and not np.array_equal(output, before, equal_nan=output.dtype.kind in "fc"):
        return f"half written before {found!r}"
    return ""


def _unseen(case: Case, refusal: Exception) -> bool:
    """Whether SciPy did not look at the argument that fastmed refuses: it would have taken anything there.

    fastmed looks at all arguments before any work.
    """
    if case.spoilt == "axes":  # no axes, then not at what the other arguments say of axes; in 1-D not at `axes` at all
        return not case.arguments["axes"] or isinstance(refusal, np.exceptions.AxisError)
    if case.spoilt == "output" and (
        "complex dtype" in str(refusal) or "has dtype object" in str(refusal) or not case.image.size
    ):
        return True  # SciPy takes complex numbers in order, and much else, where there is nothing to compute
    anything = {**case.arguments, case.spoilt: object()}
    return not isinstance(_call(scipy.ndimage, case.name, case.image, anything), Exception)


def _understood(case: Case, wanted: Exception) -> bool:
    """Whether fastmed takes what SciPy cannot: True, or a number of NumPy's, for Python's int; a footprint along -1."""
    value = case.arguments.get(case.spoilt)
    if case.spoilt == "axes":
        return bool(np.isscalar(value)) and "must match len(axes)" in str(wanted)
    return case.spoilt in ("order", "size", "origin") and isinstance(value, bool | np.integer | np.ndarray)


def _two_faults(case: Case, wanted: Exception) -> bool:
    """Whether the order of the checks decides, or SciPy's refusal is an accident of its arithmetic."""
    accident = any(text in str(wanted) for text in ACCIDENTS)
    fraction = case.spoilt in ("size", "filter_size", "origin")  # which is off its range, too
    return case.spoilt in ("axes", "footprint") or accident or (fraction and "origin" in str(wanted))


def _other_values(found: np.ndarray, wanted: np.ndarray, case: Case) -> str:
    native = found.dtype.newbyteorder("=")
    if _is_half(case.image) and wanted.dtype.kind == "f":
        with _quiet():
            wanted = wanted.astype(np.float16)
    if (native, found.shape) != (wanted.dtype.newbyteorder("="), wanted.shape):
        return f"{found.dtype}{found.shape}, wanted {wanted.dtype}{wanted.shape}"
    scale = largest(case.image.astype(np.complex128) if case.image.dtype.kind == "c" else case.image.astype(float),
                    case.arguments if case.spoilt != "cval" else {})  # fmt: skip
    weights = case.arguments.get("weights")
    if np.iscomplexobj(weights) and case.image.dtype.newbyteorder("=") == np.complex64:
        native = np.dtype(np.complex64)  # products of the parts are kept in float32
    if weights is not None and not case.spoilt:
        scale *= max(1.0, float(np.abs(weights).sum()))
    with _quiet():
        found, wanted = found.astype(native), wanted.astype(native)
        if same(found, wanted, scale * _gain(case), exact=case.name in ORDERING and native != np.float16):
            return ""
        both = np.abs(np.subtract(found, wanted, dtype=np.complex128 if native.kind == "c" else float))
    return f"values differ by up to {np.nanmax(both, initial=0):.3g} of {scale:.3g} in {np.mean(found != wanted):.1%}"


def _is_half(image: np.ndarray) -> bool:
    return image.dtype.newbyteorder("=") == np.float16


def _gain(case: Case) -> float:
    """By how much sums of squares and of absolute values go beyond the input's range."""
    derived = any(name in case.name for name in ("gradient_magnitude", "laplace"))
    return 1e3 if derived or np.any(case.arguments.get("order", 0)) else 16.0


# --- runs ------------------------------------------------------------------------------------------------------------
def run(seed: int, first: int, count: int, names: list[str], told: Callable[[int], None]) -> Iterator[tuple[int, str]]:
    """The mismatches among the cases; `told` hears the number of each before it runs."""
    threads.WORTH_A_THREAD = 16  # small images, too, get as many threads as they may
    for number in range(first, first + count):
        told(number)
        case = make(seed, number, names)
        wrong = mismatch(case)
        if wrong:
            yield number, " ".join(f"{case}: {wrong}".split())


def _child(seed: int, first: int, count: int, names: list[str], place: str) -> int:
    """A batch: its mismatches as lines of JSON; the case at hand stands in the file `place`."""
    with open(place, "r+b") as file, mmap.mmap(file.fileno(), 8) as at:
        for number, text in run(seed, first, count, names, lambda n: struct.pack_into("<q", at, 0, n)):
            print(json.dumps([number, text]), flush=True)
    return 0


def _batch(seed: int, first: int, count: int, names: list[str]) -> list[tuple[int, str]]:
    """The mismatches of one batch, run in a process of its own, and its crash."""
    with tempfile.NamedTemporaryFile() as place:
        place.write(struct.pack("<q", first))
        place.flush()
        options = [o for name in names for o in ("--operation", name)]
        command = [sys.executable, __file__, "--seed", str(seed), "--child", str(first), str(count), place.name]
        source = str(Path(fastmed.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
        ended = ""
        try:
            done = subprocess.run(
                [*command, *options], capture_output=True, text=True, timeout=BATCH_SECONDS, env=environment
            )
            output = done.stdout
            if done.returncode:
                ended = f"the process ended with {done.returncode}: {done.stderr[-500:].strip()}"
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode() if isinstance(late.stdout, bytes | None) else late.stdout
            ended = f"no end after {BATCH_SECONDS} s"
        found = [(int(n), str(t)) for n, t in map(json.loads, output.splitlines())]
        if ended:
            (at,) = struct.unpack("<q", Path(place.name).read_bytes()[:8])
            found.append((at, f"{make(seed, at, names)}: CRASH: {ended}"))
        return found


def _progress(done: int, total: int, wrong: int, started: float) -> str:
    rate = done / max(time.perf_counter() - started, 1e-9)
    return f"{done:,} of {total:,} cases, {wrong} wrong, {rate:,.0f} a second, {(total - done) / rate:,.0f} s left"


def main(arguments: list[str] | None = None) -> int:
    """Run the cases; 1 if any was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--operation", action="append", choices=operations(), help="only these; all by default")
    parser.add_argument("--only", type=int, help="run this one case here")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    names = options.operation or operations()
    if options.child:
        return _child(options.seed, int(options.child[0]), int(options.child[1]), names, options.child[2])
    if options.only is not None:
        found = list(run(options.seed, options.only, 1, names, lambda _: None))
        print(found[0][1] if found else f"{make(options.seed, options.only, names)}: as SciPy")
        return len(found)
    started, wrong = time.perf_counter(), Counter[str]()
    chosen = [o for name in options.operation or [] for o in ("--operation", name)]
    for done in range(0, options.cases, BATCH):
        count = min(BATCH, options.cases - done)
        for number, text in _batch(options.seed, options.first + done, count, names):
            wrong[text.partition("(")[0]] += 1
            print(f"--seed {options.seed} --only {number} {' '.join(chosen)}: {text}", flush=True)
        print(_progress(done + count, options.cases, wrong.total(), started), file=sys.stderr, flush=True)
    print(f"{options.cases:,} cases of {len(names)} functions, seed {options.seed}: {wrong.total()} wrong", dict(wrong))
    return min(1, wrong.total())


if __name__ == "__main__":
    sys.exit(main())
