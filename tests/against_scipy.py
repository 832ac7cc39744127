"""What the tests of SciPy's filters share: random calls, and the comparison of fastmed's answer with SciPy's."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.ndimage
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import fastmed
from helpers import layouts, random_array, same

MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-wrap", "grid-mirror", "grid-constant"]
REAL = "?bBhHiIqQfd"
LAYOUTS = ["C", "Fortran", "strided", "negative strides", "read-only", "unaligned", "byte-swapped"]
WRITABLE = [name for name in LAYOUTS if name != "read-only"]
CVALS = st.sampled_from([0.0, 1.0, -3.7, 300.2])
SEEDS = st.integers(0, 2**32 - 1)


def examples(count):
    """The same `count` examples in every run; a failing one is printed with its seed."""
    return settings(
        deadline=None, max_examples=count, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


@st.composite
def images(draw, dtypes=REAL, ndims=(0, 1, 2, 3, 4), small=False):
    """A random array of any of `dtypes`, in any layout; rarely an empty one."""
    ndim = draw(st.sampled_from(ndims))
    longest = [1, 70, 24, 12, 7][ndim]
    shape = tuple(draw(st.lists(st.integers(1, longest), min_size=ndim, max_size=ndim)))
    if ndim and draw(st.integers(0, 30)) == 30:
        shape = (0, *shape[1:])
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    image = random_array(np.random.default_rng(draw(SEEDS)), shape, dtype)
    if small and dtype.kind in "iu":
        image = (image % 100).astype(dtype)
    return layouts(image)[draw(st.sampled_from(LAYOUTS))] if ndim else image


@st.composite
def some_axes(draw, ndim):
    """None, or some of the axes in any order, some counted from the end."""
    if draw(st.booleans()):
        return None
    order = draw(st.permutations(range(ndim)))[: draw(st.integers(0, ndim))]
    return tuple(axis - ndim if draw(st.booleans()) else axis for axis in order)


def one_or_each(values, count):
    """One value for all axes, or a list with one for each."""
    return values | st.lists(values, min_size=count, max_size=count)


def origins(sizes):
    """A shift for each window that keeps the element inside."""
    return st.tuples(*(st.integers(-(n // 2), (n - 1) // 2) for n in sizes)).map(list)


def compare(name, image, *, exact=False, into=None, wanted=None, **arguments):
    """fastmed's answer is SciPy's: dtype, shape and values; the input stays. `into`: layout of an ``output=`` array."""
    if wanted is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = getattr(scipy.ndimage, name)(image, **arguments)
    before = image.copy()
    if into is not None:
        arguments["output"] = layouts(np.ones(image.shape, wanted.dtype))[into]
    found = getattr(fastmed, name)(image, **arguments)
    if into is not None:
        assert found is arguments["output"]
        found = found.astype(wanted.dtype)
    assert np.array_equal(image, before, equal_nan=image.dtype.kind in "fc")
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert same(found, wanted, largest(image, arguments), exact), np.abs(found - wanted.astype(found.dtype)).max()


def largest(image, arguments):
    """The largest value that a window can hold."""
    finite = np.abs(image[np.isfinite(image)]) if image.ndim else np.abs(image)
    outside = abs(arguments.get("cval", 0)) if "constant" in str(arguments.get("mode")) else 0
    return max(float(finite.max()) if finite.size else 0.0, outside, 1e-30)


def refused_alike(name, *args, **kwargs):
    """Both refuse the call, with the same type of exception; nothing is written."""
    outcomes = []
    for module in (scipy.ndimage, fastmed):
        output = kwargs.get("output")
        before = output.copy() if isinstance(output, np.ndarray) else None
        try:
            getattr(module, name)(*args, **kwargs)
        except Exception as error:
            outcomes.append(error)
        else:
            raise AssertionError(f"{module.__name__} took the call")
        if module is fastmed and before is not None:
            assert np.array_equal(output, before)
    theirs, ours = outcomes
    assert isinstance(ours, type(theirs)), f"SciPy: {theirs!r}, fastmed: {ours!r}"
    return str(ours)


def border_indices(first, last, n, mode):
    """Which of n elements stands at each of first..last-1; -1 for the constant. Plain definition of the modes."""
    i = np.arange(first, last)
    mode = {"grid-wrap": "wrap", "grid-mirror": "reflect", "grid-constant": "constant"}.get(mode, mode)
    if mode == "nearest":
        return np.clip(i, 0, n - 1)
    if mode == "wrap":
        return i % n
    if mode == "constant":
        return np.where((i < 0) | (i >= n), -1, i)
    period = max(1, 2 * n if mode == "reflect" else 2 * n - 2)
    back = period - 1 if mode == "reflect" else period
    return np.minimum(i % period, back - i % period) if n > 1 else i * 0


def windows(image, shape, origin, mode="reflect", cval=0):
    """Every window of `shape` of the image, shifted by `origin`: a naive reference for any filter."""
    for axis, (n, shift) in enumerate(zip(shape, origin, strict=True)):
        before = n // 2 + shift
        at = border_indices(-before, image.shape[axis] + n - 1 - before, image.shape[axis], mode)
        taken = np.take(image, at, axis)
        outside = (at < 0).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        image = np.where(outside, np.asarray(cval).astype(image.dtype), taken)
    return np.lib.stride_tricks.sliding_window_view(image, shape)
