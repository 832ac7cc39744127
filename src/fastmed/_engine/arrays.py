"""Arrays in and out: checks, casts, layouts, SciPy's ``output=``, border modes."""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from .memory import empty

#: Border modes by SciPy's names; the numbers are those of csrc/border.hpp.
MODES = {
    "nearest": 0,
    "wrap": 1,
    "reflect": 2,
    "mirror": 3,
    "constant": 4,
    "grid-wrap": 1,
    "grid-mirror": 2,
    "grid-constant": 4,
}

#: dtypes that kernels work in. float16 is computed in float32 and rounded once; other byte orders are copied.
KERNEL_DTYPES = frozenset(np.dtype(c) for c in "?bBhHiIlLqQfd")


F = TypeVar("F", bound=Callable[..., Any])

_SCALARS = frozenset([int, float, bool, str, type(None)])
_TEXT = (str, bytes)


def remembered(check: F) -> F:
    """``check(...)`` of plain arguments is computed once: checks are most of the time of a call on a small image.

    Plain are positional numbers, text and None of Python's own types, and tuples of int: equal keys then mean equal
    calls (1 and 1.0 differ, whose answers may). All others are checked afresh, and so is what raised. `check` gives
    something that nobody changes.
    """
    kept = functools.lru_cache(maxsize=1024, typed=True)(check)

    @functools.wraps(check)
    def ask(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and (_SCALARS.issuperset(map(type, args)) or all(map(_is_plain, args))):
            return kept(*args)
        return check(*args, **kwargs)

    return cast(F, ask)


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return kind in _SCALARS or (kind is tuple and all(type(v) is int for v in value))


class NotANumberError(TypeError, ValueError):
    """A number was wanted (SciPy raises ValueError for text among complex numbers, TypeError for all else)."""


class NotAnAxisError(np.exceptions.AxisError, TypeError):
    """An axis must be an integer (SciPy raises AxisError where a fraction is out of range, else TypeError)."""


class UnsupportedDtypeError(TypeError, RuntimeError):
    """The dtype is not one that filters take (SciPy raises RuntimeError here, other libraries TypeError)."""


def as_array(image: Any, name: str = "input", *, complex_too: bool = False) -> np.ndarray:
    """`image` as a NumPy array without copying where possible, its dtype checked."""
    if type(image) is np.ndarray and image.dtype in KERNEL_DTYPES:
        return image
    if not hasattr(image, "__array__") and hasattr(image, "__dlpack__"):
        image = np.from_dlpack(image)
    array = np.asarray(image)
    if array.dtype.kind == "c" and not complex_too:
        raise UnsupportedDtypeError(f"{name} has the complex dtype {array.dtype}; a real one is wanted")
    real = array.real.dtype if array.dtype.kind == "c" else array.dtype
    if not kernel_dtype(real):
        raise UnsupportedDtypeError(
            f"{name} has dtype {array.dtype}, which is not supported; wanted is bool, an integer of 8 to 64 bits, "
            f"float16, float32 or float64" + (", complex64 or complex128" if complex_too else "")
        )
    return array


def kernel_dtype(dtype: np.dtype) -> np.dtype | None:
    """The dtype in which kernels compute `dtype`, or None when they cannot."""
    if dtype in KERNEL_DTYPES:  # byte orders differ
        return dtype
    native = dtype.newbyteorder("=")
    if native == np.float16:
        return np.dtype(np.float32)
    return native if native in KERNEL_DTYPES else None


def native(array: np.ndarray) -> np.ndarray:
    """`array` in a kernel's dtype, byte order and alignment; itself where it is so already."""
    if _is_native(array):
        return array
    return np.require(array, dtype=kernel_dtype(array.dtype), requirements="A")


def _is_native(array: np.ndarray) -> bool:
    return array.dtype in KERNEL_DTYPES and array.flags.aligned


def as_output(output: Any, image: np.ndarray, *, complex_result: bool = False) -> np.ndarray:
    """SciPy's ``output=``: None, a dtype, or an array to write into."""
    if output is None:
        dtype = image.dtype.newbyteorder("=")
        return empty(image.shape, np.promote_types(dtype, np.complex64) if complex_result else dtype)
    if isinstance(output, np.ndarray):
        return _checked_output(output, image, complex_result)
    if not isinstance(output, str | type | np.dtype):
        raise RuntimeError(f"output must be a NumPy array or a dtype, found {type(output).__name__}")
    try:
        dtype = np.dtype(output)
    except TypeError:
        raise TypeError(f"output must be a NumPy array or a dtype, found {output!r}") from None
    if complex_result and dtype.kind != "c":
        if isinstance(output, str):  # SciPy promotes classes and dtypes, and refuses names
            raise RuntimeError(f"output must have complex dtype, found {output!r}")
        warnings.warn("promoting specified output dtype to complex", stacklevel=4)
        dtype = np.promote_types(dtype, np.complex64)
    _check_output_dtype(dtype, image, complex_result)
    return empty(image.shape, dtype)


def _checked_output(output: np.ndarray, image: np.ndarray, complex_result: bool) -> np.ndarray:
    if output.shape != image.shape:
        raise RuntimeError(f"output shape not correct: found {output.shape}, wanted {image.shape}")
    if complex_result and output.dtype.kind != "c":
        raise RuntimeError(f"output must have complex dtype, found {output.dtype}")
    _check_output_dtype(output.dtype, image, complex_result)
    if not output.flags.writeable:
        raise ValueError("output array is read-only; a writable one is wanted")
    return output


def _check_output_dtype(dtype: np.dtype, image: np.ndarray, complex_result: bool) -> None:
    if dtype.kind == "c" and image.dtype.kind != "c" and not complex_result:
        raise UnsupportedDtypeError(f"output has the complex dtype {dtype}; a real one is wanted for {image.dtype}")
    real = np.empty(0, dtype).real.dtype if dtype.kind == "c" else dtype
    if not kernel_dtype(real):
        raise UnsupportedDtypeError(f"output has dtype {dtype}, which is not supported")


def run(
    compute: Callable[[np.ndarray, np.ndarray, complex], None],
    image: np.ndarray,
    output: np.ndarray,
    cval: complex = 0.0,
    *,
    in_place: bool = True,
) -> np.ndarray:
    """Call ``compute(input, output, cval)`` on real arrays that kernels can take, and give back `output`.

    Complex arrays are computed part by part. Where the output is not a kernel's (float16, other byte order) or shares
    memory with the input in a way that the kernel cannot bear, a copy stands between.
    """
    if type(cval) is not float:
        cval = as_number(cval, "cval", complex if output.dtype.kind == "c" else float)
    if image.size == 0:
        return output
    if output.dtype.kind == "c":
        result = np.empty(image.shape, output.dtype) if np.may_share_memory(image, output) else output
        run(compute, image.real, result.real, cval.real)
        run(compute, image.imag if image.dtype.kind == "c" else np.zeros_like(image), result.imag, cval.imag)
        if result is not output:
            output[...] = result
        return output
    source = native(image)
    target = output if _is_native(output) else np.empty(image.shape, kernel_dtype(output.dtype))
    if np.may_share_memory(source, target):
        same = source.dtype == target.dtype and source.__array_interface__["data"] == target.__array_interface__["data"]
        if not (in_place and same and source.strides == target.strides):
            source = source.copy()
    compute(source, target, cval)
    if target is not output:
        output[...] = target
    return output


def as_bytes(array: np.ndarray) -> np.ndarray:
    """A bool array as its bytes (border values and sums can put others than 0 and 1 there, as in SciPy)."""
    return array.view(np.uint8) if array.dtype == bool else array


def cast_like_c(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float64 to `dtype` as SciPy's C code does it on x86: toward zero, then modulo 2^bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        if dtype.kind == "f":
            return values.astype(dtype)
        if dtype == np.uint64:
            high = values >= 2.0**63
            return np.where(high, values - 2.0**63, values).astype(np.int64).astype(dtype) + high * np.uint64(2**63)
        small = dtype.itemsize < 4 or dtype == np.int32
        return values.astype(np.int32 if small else np.int64).astype(dtype)


def as_number(value: Any, name: str, kind: Callable[[Any], Any] = float) -> Any:
    """`value` as a float (or complex). Text is refused, though Python would read it."""
    try:
        if isinstance(value, _TEXT):
            raise TypeError
        return kind(value)
    except TypeError:
        wanted = "real" if kind is float else "complex"
        raise NotANumberError(f"{name} must be a {wanted} number, found {value!r}") from None


def as_axes(axes: Any, ndim: int) -> tuple[int, ...]:
    """SciPy's ``axes=`` as a tuple of axis numbers from 0."""
    if axes is None:
        return tuple(range(ndim))
    if np.isscalar(axes):  # text too, which is then no integer
        return (as_axis(axes, ndim),)
    if isinstance(axes, Iterable):
        found = tuple(as_axis(a, ndim) for a in axes)
        if len(set(found)) != len(found):
            raise ValueError("axes must be unique")
        return found
    raise ValueError("axes must be an integer, iterable of integers, or None")


def as_axis(axis: Any, ndim: int, name: str = "axis") -> int:
    """One axis number, counted from 0."""
    try:
        value = as_integer(axis, name)
    except TypeError as error:
        raise NotAnAxisError(str(error)) from None
    if not -ndim <= value < ndim:
        # A ValueError and an IndexError: SciPy raises the one or the other.
        raise np.exceptions.AxisError(f"specified {name}: {value} is out of range for an array of {ndim} axes")
    return value % ndim


def per_axis(value: Any, count: int, name: str = "sequence argument") -> list[Any]:
    """One value for each of `count` axes, from a scalar or a sequence of that length."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise RuntimeError(f"{name} must have length equal to input rank: found {len(values)}, wanted {count}")
    return values


@functools.lru_cache(maxsize=256)
def columns_of(rows: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """All first members of `rows`, all second ones and so on, as kernels take them."""
    return tuple(zip(*rows, strict=True))


def as_mode(mode: Any) -> int:
    """The number of a border mode."""
    try:
        return MODES[mode]
    except (KeyError, TypeError):
        known = ", ".join(MODES)
        raise RuntimeError(f"boundary mode not supported: found {mode!r}, wanted one of {known}") from None


@remembered
def as_modes(mode: Any, count: int) -> tuple[int, ...]:
    """The numbers of the modes of `count` axes, from one mode or a sequence of that length."""
    return tuple(as_mode(m) for m in per_axis(mode, count))


def as_integer(value: Any, name: str) -> int:
    """`value` as an int, if it is one."""
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} must be an integer, found {value!r}: {error}") from None


def as_size(size: Any, name: str = "size") -> int:
    """One window length, at least 1."""
    value = as_integer(size, name)
    if value < 1:
        error = ValueError if value < 0 else RuntimeError
        raise error(f"incorrect filter size: {name} must be at least 1, found {value}")
    return value


def as_length(size: Any, name: str = "size") -> int:
    """The length of a window along one axis; too short ones are refused first, whole or not, as SciPy does it."""
    with contextlib.suppress(TypeError):
        if size < 1:
            raise RuntimeError(f"incorrect filter size: {name} must be at least 1, found {size}")
    return as_integer(size, name)


def check_origin(origin: int, size: int) -> int:
    """A window's shift; the window must still hold the element itself."""
    with contextlib.suppress(TypeError):  # text and the like; a fraction off the window is refused as SciPy does it
        if size // 2 + origin < 0 or size // 2 + origin >= size:
            raise ValueError(f"invalid origin: found {origin} for a window of {size}")
    return as_integer(origin, "origin")


def halo_of(
    ndim: int, axes: Sequence[int], sizes: Sequence[int], origins: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Halo of windows of `sizes`, shifted by `origins`, along `axes` of an array of `ndim` axes."""
    halo = [(0, 0)] * ndim
    for axis, size, origin in zip(axes, sizes, origins, strict=True):
        before = size // 2 + origin
        halo[axis] = (before, size - 1 - before)
    return tuple(halo)
