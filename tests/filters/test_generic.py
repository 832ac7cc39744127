"""generic_filter and generic_filter1d: SciPy's values from compiled functions, and no function compiled wrongly."""

from __future__ import annotations

import ctypes
import math
import pickle
import threading
import time
import warnings

import cloudpickle
import dask.array as da
import numba
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from numba import carray, cfunc, types
from scipy import LowLevelCallable

import fastmed
from against_scipy import (
    CVALS,
    MODES,
    WRITABLE,
    border_indices,
    compare,
    examples,
    images,
    origins,
    refused_alike,
    some_axes,
)
from fastmed._engine import threads
from fastmed.errors import NotCompiledWarning
from fastmed.filters import _generic, _pieces, _user_filter, _user_function, _window_order
from helpers import DTYPES, random_array, same


def spread(w):
    return w.max() - w.min()


def weighted(w, factor, shift=1.0):
    total = shift
    for k in range(w.size):
        total += factor * w[k] / (k + 1)
    return total


def deviation(w):
    return np.std(w)


def entropy(w):
    total = 0.0
    for v in w:
        p = abs(v) / 1000 + 0.01
        total -= p * np.log(p)
    return total


def running_mean(line, result):
    n = line.size - result.size + 1
    for i in range(result.size):
        result[i] = line[i : i + n].sum() / n


FUNCTIONS = [spread, weighted, deviation, entropy, np.median, np.max, np.mean, np.ptp]


#: The functions of these tests are compiled, but for those that a test expects not to be.
pytestmark = pytest.mark.filterwarnings("error::fastmed.errors.NotCompiledWarning")


# --- SciPy's values --------------------------------------------------------------------------------------------------
@st.composite
def windows_of(draw, ndim):
    """size or footprint, origin and axes."""
    axes = draw(some_axes(ndim))
    if axes is not None:  # SciPy gives sizes to axes in the array's order, but origins in the order of `axes`
        axes = tuple(sorted(axis % ndim for axis in axes))
    count = ndim if axes is None else len(axes)
    sizes = draw(st.lists(st.integers(1, 5 if ndim < 3 else 3), min_size=count, max_size=count))
    arguments = {"axes": axes, "origin": draw(origins(sizes))}
    if draw(st.booleans()):
        return {**arguments, "size": sizes}
    bits = draw(st.lists(st.booleans(), min_size=math.prod(sizes), max_size=math.prod(sizes)))
    bits[draw(st.integers(0, len(bits) - 1))] = True
    return {**arguments, "footprint": np.array(bits).reshape(sizes)}


@examples(60)
@given(st.data(), images(small=True, ndims=(0, 1, 2, 3)), st.sampled_from(FUNCTIONS), st.sampled_from(MODES), CVALS)
def test_windows_equal_scipys(data, image, function, mode, cval):
    arguments = {"function": function, "mode": mode, "cval": cval, **data.draw(windows_of(image.ndim))}
    if function is weighted:
        arguments |= data.draw(st.sampled_from([
            {"extra_arguments": (2.5,)}, {"extra_arguments": (1,), "extra_keywords": {"shift": -3}},
            {"extra_keywords": {"factor": 0.5}},
        ]))  # fmt: skip
    into = data.draw(st.sampled_from([None, *WRITABLE])) if image.ndim else None
    compare("generic_filter", image, into=into, **arguments)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS[2:], ids=lambda f: f.__name__)
def test_values_are_cast_as_scipy_casts(function, dtype):
    image = (100 * np.random.default_rng(3).normal(size=(9, 11))).astype("d")
    for source in (image, image.astype("h"), image > 0):
        wanted = scipy.ndimage.generic_filter(source, function, 3, output=np.dtype(dtype))
        found = fastmed.generic_filter(source, function, 3, output=np.dtype(dtype))
        assert same(found, wanted, 400.0)


def test_pieces_do_not_show(monkeypatch):
    image = random_array(np.random.default_rng(0), (7, 9, 20), "d")
    wanted = [fastmed.generic_filter(image, weighted, 3, mode="wrap", origin=(1, -1, 0), extra_arguments=(2,)),
              fastmed.generic_filter1d(image, running_mean, 5, 1)]  # fmt: skip
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    for limit in (1, 7, 50, 400):
        monkeypatch.setattr(_pieces, "PIECE", limit)
        found = [fastmed.generic_filter(image, weighted, 3, mode="wrap", origin=(1, -1, 0), extra_arguments=(2,)),
                 fastmed.generic_filter1d(image, running_mean, 5, 1)]  # fmt: skip
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("limit", [1, 5, 60, 10**6])
def test_boxes_tile_the_array(limit, in_order):
    count = np.zeros((5, 1, 9, 4), int)
    order = np.arange(count.size).reshape(count.shape)
    seen = []
    for box in _pieces.boxes(count.shape, limit, in_order):
        count[box] += 1
        seen += order[box].ravel().tolist()
        assert count[box].size <= limit
    assert (count == 1).all()
    assert not in_order or seen == sorted(seen)


@pytest.mark.parametrize("mode", MODES[:5])
def test_borders_are_the_plain_definition(mode):
    for n in range(1, 7):
        found = _pieces.border_indices(-15, 20, n, _generic.as_mode(mode))
        assert np.array_equal(found, border_indices(-15, 20, n, mode))


@examples(40)
@given(images(dtypes="dfh", small=True, ndims=(1, 2, 3)), st.sampled_from([np.median, np.max, np.min, np.mean]),
       st.sampled_from(MODES), st.sampled_from([0.0, -3.0, 2.5, np.nan, np.inf]))  # fmt: skip
def test_numpy_functions_are_those_of_numpy(image, function, mode, cval):
    image = image.copy()
    if image.dtype.kind == "f" and image.size > 4:
        image.ravel()[::7] = np.nan
    with np.errstate(invalid="ignore"):
        compare("generic_filter", image, function=function, size=3, mode=mode, cval=cval)


# --- what is compiled, and what is not -------------------------------------------------------------------------------
IMAGE = np.random.default_rng(1).normal(size=(12, 13)) * 50


def test_the_same_lambda_is_compiled_once():
    counts = []
    for _ in range(3):
        fastmed.generic_filter(IMAGE, lambda w: w[0] + 17.25, 3)
        counts.append(len(_user_function._cache))
    assert counts == [counts[0]] * 3


def test_changed_closures_globals_defaults_and_arrays_are_seen():
    table = np.array([1.0, 2.0])

    def make(shift, factor):
        def function(w, factor=factor):
            return w[0] * factor + shift + table[1] + LEVEL

        return function

    global LEVEL
    for level, shift, factor, second in [(1, 2, 3, 4.0), (5, 2, 3, 4.0), (5, 6, 3, 4.0), (5, 6, 7, 4.0), (5, 6, 7, 8)]:
        LEVEL, table[1] = level, second
        compare("generic_filter", IMAGE, function=make(shift, factor), size=3)


LEVEL = 0


def helper(w):
    return w.sum() * LEVEL


def with_helper(w):
    return helper(w) + 1


def test_functions_that_a_function_calls_are_compiled_too():
    global LEVEL
    for level in (2, 3):
        LEVEL = level
        compare("generic_filter", IMAGE, function=with_helper, size=3)


def test_jitted_functions_are_taken_as_they_are():
    jitted = numba.njit(spread)
    compare("generic_filter", IMAGE, function=jitted, size=3, wanted=scipy.ndimage.generic_filter(IMAGE, spread, 3))
    compare("generic_filter1d", IMAGE, function=numba.njit(running_mean), filter_size=3)


seen = []
state = {"n": 0}


def counting(w):
    global LEVEL
    LEVEL += 1
    return float(LEVEL)


class Object:
    def __init__(self):
        self.n = 0

    def __call__(self, w):
        self.n += 1
        return self.n


def closing():
    n = 0

    def function(w):
        nonlocal n
        n += 1
        return n

    return function


PLAIN = {
    "appends": (lambda: lambda w: seen.append(w[0]) or w[0], "list"),
    "dict": (lambda: lambda w: state["n"], "dict"),
    "global": (lambda: counting, "LEVEL"),
    "object": (Object, "state"),
    "nonlocal": (closing, "'n'"),
    "random": (lambda: lambda w: np.random.random() * 0 + 1, "random"),  # noqa: NPY002
    "not Numba's": (lambda: lambda w: float(repr(w.tolist()).count("0")), "compiled"),
    "keyword only": (lambda: with_keyword, "keyword"),
    "large array": (lambda: lambda w: w[0] + BIG[0], "BIG"),
}
BIG = np.ones(200_000)


def with_keyword(w, *, factor=2):
    return w[0] * factor


@pytest.mark.parametrize("case", sorted(PLAIN))
def test_other_functions_are_called_as_they_are(case):
    make, reason = PLAIN[case]
    global LEVEL
    LEVEL = 0
    wanted = scipy.ndimage.generic_filter(IMAGE, make(), 3)
    LEVEL = 0
    with pytest.warns(NotCompiledWarning, match=reason) as caught:
        found = fastmed.generic_filter(IMAGE, make(), 3)
    assert np.array_equal(found, wanted), "the same calls in the same order"
    assert caught[0].filename == __file__


def test_a_function_that_means_something_else_compiled_is_called_plainly():
    def huge(w):
        n = len(w) + 2**40
        return (n * n * n) % 1000  # whole numbers of 64 bits wrap around

    with pytest.warns(NotCompiledWarning, match="compiled, and"):
        found = fastmed.generic_filter(IMAGE, huge, 3)
    assert np.array_equal(found, scipy.ndimage.generic_filter(IMAGE, huge, 3))


@pytest.mark.parametrize("given", [[1.0, 2.0], {"a": 1}])
def test_arguments_that_could_be_changed(given):
    with pytest.warns(NotCompiledWarning, match=type(given).__name__):
        fastmed.generic_filter(IMAGE, lambda w, k: w[0] + len(k), 3, extra_arguments=(given,))


def test_array_arguments():
    weights = np.arange(9.0)
    dot = {"function": lambda w, k: (w * k).sum(), "size": 3}
    compare("generic_filter", IMAGE, extra_arguments=(weights,), **dot)
    compare("generic_filter", IMAGE, extra_arguments=(weights[::-1],), **dot)


def test_windows_may_be_written_to():
    def function(w):
        w.sort()
        w[0] += 1
        return w[0] + w[4]

    compare("generic_filter", IMAGE, function=function, size=3)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "max", "min", "ptp"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 11, (19, 19), (3, 43)])
def test_reductions_have_numpys_digits(name, size):
    function = getattr(np, name)
    wanted = scipy.ndimage.generic_filter(IMAGE, function, size, mode="wrap")
    assert np.array_equal(fastmed.generic_filter(IMAGE, lambda w: function(w), size, mode="wrap"), wanted)
    if name != "ptp":
        method = eval(f"lambda w: w.{name}()")
        assert np.array_equal(fastmed.generic_filter(IMAGE, method, size, mode="wrap"), wanted)


def test_reductions_propagate_nan():
    image = IMAGE.copy()
    image[4, 4], image[8, 8], image[1, 9] = np.nan, np.inf, -np.inf
    for function in (lambda w: w.max(), lambda w: np.min(w), lambda w: np.max(w), lambda w: w.min()):
        compare("generic_filter", image, function=function, size=3)


SORTING = {
    "sort": lambda w: np.sort(w)[w.size // 3],
    "sort at the end": lambda w: np.sort(w)[-1],
    "trimmed": lambda w: np.sort(w)[1:-1].max(),
    "median": lambda w: np.median(w),
    "nanmedian": lambda w: np.nanmedian(w),
    "partition": lambda w: np.partition(w, 2)[2],
    "percentile": lambda w: np.percentile(w, 30),
    "quantile": lambda w: np.quantile(w, 0.5),
    "percentiles": lambda w: np.percentile(w, [0, 37.5, 100])[1] - np.percentile(w, (10, 90))[0],
    "of a part": lambda w: np.median(w[1:]),
    "of a multiple": lambda w: np.sort(3 * w)[1],
    "deviation": lambda w: np.median(np.abs(w - np.median(w))),
    "with elements": lambda w: np.median(w) - w[2] + w.max(),
}


@pytest.mark.parametrize("name", sorted(SORTING))
def test_sorted_values_are_those_of_numpy(name):
    whole = np.random.default_rng(4).integers(-9, 9, (9, 21)).astype(float)
    missing = whole.copy()
    missing.flat[::19], missing.flat[7::31], missing.flat[11::37] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for image in (whole, missing):
            for size in ((1, 3), 3, (5, 7), (11, 13)):
                wanted = scipy.ndimage.generic_filter(image, SORTING[name], size)
                assert np.array_equal(fastmed.generic_filter(image, SORTING[name], size), wanted, equal_nan=True)


def test_arrays_of_any_length_are_sorted():
    rng = np.random.default_rng(6)
    for n in [*range(70), 127, 128, 129, 500, 1025]:
        values = rng.integers(-50, 50, n) / 8
        values[rng.random(n) < 0.1] = np.nan
        wanted, before = np.sort(values), values.copy()
        assert np.array_equal(_window_order.in_order(values), wanted, equal_nan=True)
        assert np.array_equal(values, before, equal_nan=True)
        _window_order.sort_in_place(values)
        assert np.array_equal(values, wanted, equal_nan=True)


def peak_after_writing(w):
    top = w.max()
    w[0] = top + 1
    return w.max() + np.median(w)


def test_a_window_that_is_written_to_is_its_own():
    compare("generic_filter", IMAGE, function=peak_after_writing, size=3)
    compare("generic_filter", IMAGE, function=lambda w: np.sort(w)[::-1][0] + len(w) + w.shape[0], size=3)


def test_windows_too_large_for_groups(monkeypatch):
    monkeypatch.setattr(_generic, "LARGEST_GROUPED", 8)
    for function in (SORTING["percentile"], lambda w: w.var() + w.max() - np.sort(w)[1]):
        compare("generic_filter", IMAGE, function=function, size=3)


def test_quantiles_out_of_range_are_refused():
    for bad in (101, -1):
        with pytest.raises(ValueError, match="range"):
            fastmed.generic_filter(IMAGE, lambda w, q: np.percentile(w, q), 3, extra_arguments=(bad,))


def test_squares_and_slices_of_a_window_have_numpys_digits():
    for function in (lambda w: ((w - w.mean()) ** 2).mean(), lambda w: (w * w).sum() - w[2:].sum()):
        for size in (3, 7):
            wanted = scipy.ndimage.generic_filter(IMAGE, function, size)
            assert np.array_equal(fastmed.generic_filter(IMAGE, function, size), wanted)


# --- failures --------------------------------------------------------------------------------------------------------
class TroubleError(Exception):
    pass


def raising(w):
    if w[4] > 100:
        raise ValueError("too much")
    return w[0]


def test_exceptions_are_the_functions_own(monkeypatch):
    monkeypatch.setattr(_pieces, "PIECE", 16)
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    image = np.zeros((40, 40))
    assert np.array_equal(fastmed.generic_filter(image, raising, 3), image)
    image[30, 30] = 101
    with pytest.raises(ValueError, match="too much") as caught:
        fastmed.generic_filter(image, raising, 3)
    assert caught.traceback[-1].name == "raising"
    with pytest.raises(IndexError):
        fastmed.generic_filter(image, lambda w: w[9], 3)
    with pytest.raises(IndexError):
        fastmed.generic_filter1d(image, lambda line, out: line[100], 3)


def test_division_by_zero_is_that_of_numpy():
    image = np.zeros((6, 6))
    with np.errstate(all="ignore"):
        compare("generic_filter", image, function=lambda w: w[0] / w[1], size=3)


def test_refused_as_scipy_refuses():
    image = np.arange(12.0).reshape(3, 4)
    for name, more in [("generic_filter", {"size": 3}), ("generic_filter1d", {"filter_size": 3})]:
        good = spread if name == "generic_filter" else running_mean
        for bad in (3, "text", None):
            refused_alike(name, image, bad, **more)
            refused_alike(name, image[:0], bad, **more)
        for bad in ([2], 2):
            refused_alike(name, image, good, extra_arguments=bad, **more)
            refused_alike(name, image, good, extra_keywords=[1], **more)
        refused_alike(name, image, good, extra_keywords={"unknown": 2}, **more)
        refused_alike(name, image, good, extra_arguments=(1, 2, 3), **more)
        for bad in ({"mode": "no"}, {"mode": ["wrap"]}, {"cval": "a"}, {"cval": 1j}, {"output": complex}):
            refused_alike(name, image, good, **more, **bad)
        refused_alike(name, image, good, origin=2, **more)
        refused_alike(name, image.astype(complex), good, **more)
        refused_alike(name, image, good, output=np.zeros((2, 2)), **more)
    for bad in ({}, {"size": 0}, {"size": -1}, {"size": 2.5}, {"size": (1, 2, 3)}, {"footprint": np.ones(3)}):
        refused_alike("generic_filter", image, spread, **bad)
    for bad in (0, -1, 2.0, "a"):
        refused_alike("generic_filter1d", image, running_mean, bad)
    refused_alike("generic_filter1d", image, running_mean, 3, axis=2)
    for value in ("3", None, 1j, [1.0], np.ones(2)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refused_alike("generic_filter", image, lambda w, value=value: value, 3)


def test_a_footprint_without_elements_gives_empty_windows():
    found = fastmed.generic_filter(IMAGE, lambda w: w.size + 5, footprint=np.zeros((3, 3)))
    assert (found == 5).all()


def test_both_windows_warn():
    with pytest.warns(UserWarning, match="ignoring size"):
        fastmed.generic_filter(IMAGE, spread, 3, np.ones((3, 3)))


# --- C functions -----------------------------------------------------------------------------------------------------
DOUBLES = types.CPointer(types.double)


@cfunc(types.intc(DOUBLES, types.intp, DOUBLES, types.voidptr))
def c_sum(window, size, result, data):
    values = carray(window, (size,))
    result[0] = values.sum()
    return 0 if values[0] > 1e6 else 1


@cfunc(types.intc(DOUBLES, types.intp, DOUBLES, types.voidptr))
def c_scaled(window, size, result, data):
    result[0] = window[0] * carray(data, (1,), np.float64)[0]
    return 1


@cfunc(types.intc(DOUBLES, types.intp, DOUBLES, types.intp, types.voidptr))
def c_line(line, length, out, size, data):
    values, result = carray(line, (length,)), carray(out, (size,))
    for i in range(size):
        result[i] = values[i] + values[i + length - size]
    return 1


def test_c_functions():
    low = LowLevelCallable(c_sum.ctypes)
    compare("generic_filter", IMAGE, function=low, size=3)
    compare("generic_filter", IMAGE, function=c_sum, size=3, wanted=scipy.ndimage.generic_filter(IMAGE, low, 3))
    factor = ctypes.c_double(2.5)
    pointer = ctypes.cast(ctypes.pointer(factor), ctypes.c_void_p)
    compare("generic_filter", IMAGE, function=LowLevelCallable(c_scaled.ctypes, pointer), size=3)
    line = LowLevelCallable(c_line.ctypes)
    compare("generic_filter1d", IMAGE, function=line, filter_size=4)
    wanted = scipy.ndimage.generic_filter1d(IMAGE, line, 4)
    compare("generic_filter1d", IMAGE, function=c_line, filter_size=4, wanted=wanted)


def test_c_functions_that_fail_or_do_not_fit():
    low, line = LowLevelCallable(c_sum.ctypes), LowLevelCallable(c_line.ctypes)
    image = IMAGE.copy()
    image[5, 5] = 2e6
    assert "status" in refused_alike("generic_filter", image, low, 3)
    assert "signature" in refused_alike("generic_filter", image, line, 3)
    assert "signature" in refused_alike("generic_filter1d", image, low, 3)
    refused_alike("generic_filter", image, LowLevelCallable(c_sum.ctypes, signature="double (int)"), 3)
    with pytest.raises(ValueError, match="cfunc"):
        fastmed.generic_filter(image, c_line, 3)
    with pytest.raises(ValueError, match="mask"):
        fastmed.generic_filter(image, low, 3, mask=image > 0)


# --- mask, NaN, spacing ----------------------------------------------------------------------------------------------
def reference(image, function, size, valid, mode, cval):
    """The plain definition: the valid elements of each window."""
    before = size // 2
    padded, ok = image.astype(float), valid
    for axis, n in enumerate(image.shape):
        at = border_indices(-before, n + size - 1 - before, n, mode)
        outside = (at < 0).reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        padded, ok = np.where(outside, cval, np.take(padded, at, axis)), np.where(outside, True, np.take(ok, at, axis))
    out = np.full(image.shape, np.nan)
    for index in np.ndindex(*image.shape):
        box = tuple(slice(i, i + size) for i in index)
        if ok[box].any():
            out[index] = function(padded[box][ok[box]])
    return out


@pytest.mark.parametrize("mode", MODES[:5])
@pytest.mark.parametrize("dtype", "dfh")
def test_only_valid_elements_count(mode, dtype):
    rng = np.random.default_rng(2)
    image = (100 * rng.normal(size=(9, 14))).astype(dtype)
    mask = rng.random(image.shape) > 0.6
    mask[:4, :6] = False
    wanted = reference(image, spread, 3, mask, mode, 7.0)
    found = fastmed.generic_filter(image, spread, 3, mode=mode, cval=7.0, mask=mask)
    if dtype == "h":
        wanted = np.where(np.isnan(wanted), image, wanted).astype("h")
    assert same(found, wanted.astype(dtype), 500)
    assert np.isnan(found[1, 1]) if dtype != "h" else found[1, 1] == image[1, 1]


@pytest.mark.parametrize("plain", [False, True])
def test_omitted_nan(plain):
    rng = np.random.default_rng(2)
    image = rng.normal(size=(8, 9))
    image[rng.random(image.shape) > 0.5] = np.nan
    image[:3, :3] = np.nan
    calls = []
    function = (lambda w: calls.append(1) or w.max() - w.min()) if plain else spread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if plain else "error", NotCompiledWarning)
        found = fastmed.generic_filter(image, function, 3, nan_policy="omit")
    assert same(found, reference(image, spread, 3, ~np.isnan(image), "reflect", 0.0))
    assert np.isnan(found[1, 1]) and (len(calls) == np.isfinite(found).sum()) == plain


def test_policies_masks_and_spacings_that_are_refused():
    image = IMAGE.copy()
    image[2, 2] = np.nan
    hidden = ~np.isnan(image)
    assert np.isnan(fastmed.generic_filter(image, np.max, 3)[2, 2])
    output = np.zeros_like(image)
    with pytest.raises(ValueError, match="NaN"):
        fastmed.generic_filter(image, spread, 3, output=output, nan_policy="raise")
    assert not output.any()
    fastmed.generic_filter(image, spread, 3, nan_policy="raise", mask=hidden)
    for bad in ({"nan_policy": "no"}, {"mask": np.ones(3)}, {"spacing": 0}, {"spacing": -1}, {"spacing": np.nan}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            fastmed.generic_filter(image, spread, 3, **bad)
    with pytest.raises(TypeError, match="mask"):
        fastmed.generic_filter(image, spread, 3, mask=image)
    with pytest.raises(ValueError, match="mask"):
        fastmed.generic_filter1d(image, running_mean, 3, mask=hidden)
    with pytest.raises(ValueError, match="nan_policy"):
        fastmed.generic_filter1d(image, running_mean, 3, nan_policy="omit")
    with pytest.raises(ValueError, match="NaN"):
        fastmed.generic_filter1d(image, running_mean, 3, nan_policy="raise")


def test_sizes_in_mm():
    found = fastmed.generic_filter(IMAGE, spread, 5.0, spacing=(1.0, 2.5))
    assert np.array_equal(found, fastmed.generic_filter(IMAGE, spread, (5, 3)))
    assert _user_filter.elements(10, (3, 5, 100), 3, range(3)) == [3, 3, 1]
    found = fastmed.generic_filter1d(IMAGE, running_mean, 7.5, axis=0, spacing=1.5)
    assert np.array_equal(found, fastmed.generic_filter1d(IMAGE, running_mean, 5, axis=0))


# --- Dask, pickles, threads ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant"])
def test_dask_with_mask_and_origin(mode):
    rng = np.random.default_rng(5)
    image = rng.normal(size=(11, 13)).astype("f")
    mask = rng.random(image.shape) > 0.4
    chunked = da.from_array(image, chunks=(4, 5))
    more = {"mode": mode, "origin": (1, -1), "footprint": np.ones((3, 4))}
    for extra, lazy in [({"mask": mask}, {"mask": da.from_array(mask, chunks=6)}), ({"nan_policy": "omit"},) * 2]:
        wanted = fastmed.generic_filter(image, spread, **more, **extra)
        found = fastmed.generic_filter(chunked, spread, **more, **lazy)
        assert found.chunks == chunked.chunks and found.dtype == image.dtype
        assert np.array_equal(found.compute(scheduler="threads"), wanted, equal_nan=True)
    wanted = fastmed.generic_filter1d(image, running_mean, 5, 0)
    assert np.array_equal(fastmed.generic_filter1d(chunked, running_mean, 5, 0).compute(), wanted)
    image[5, 5] = np.nan
    for call in (lambda lazy: fastmed.generic_filter1d(lazy, running_mean, 3, nan_policy="raise"),
                 lambda lazy: fastmed.vectorized_filter(lazy, np.max, size=3, nan_policy="raise")):  # fmt: skip
        with pytest.raises(ValueError, match=r"1 NaN.*nan_policy"):
            call(da.from_array(image, chunks=(4, 5))).compute(scheduler="synchronous")


def test_tasks_with_lambdas_travel():
    shift = 3.5
    lazy = fastmed.generic_filter(da.from_array(IMAGE, chunks=6), lambda w: w[0] + shift, 3)
    again = pickle.loads(cloudpickle.dumps(lazy))
    wanted = fastmed.generic_filter(IMAGE, lambda w: w[0] + 3.5, 3)
    assert np.array_equal(again.compute(scheduler="synchronous"), wanted)


def test_several_threads_may_call_at_once():
    wanted = fastmed.generic_filter(IMAGE, lambda w: w[1] * 0.125, 3)
    found, start = [], threading.Barrier(4)

    def work():
        start.wait()
        found.append(fastmed.generic_filter(IMAGE, lambda w: w[1] * 0.125, 3))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4 and all(np.array_equal(f, wanted) for f in found)


def test_the_first_failing_piece_is_told():
    def work(i):
        if i >= 3:
            time.sleep(0.01 if i == 3 else 0)
            raise TroubleError(i)

    for workers in (1, 2, 4):
        with pytest.raises(TroubleError) as caught:
            _pieces.share(work, 10, workers)
        assert caught.value.args == (3,)


def test_the_three_keywords_mean_what_they_mean_to_other_filters():
    volume = fastmed.Volume(random_array(np.random.default_rng(1), (4, 7, 8), "f"), np.diag([1.0, 2.0, 4.0, 1.0]))
    assert volume.spacing == pytest.approx((1, 2, 4)), "axes of the array"
    found = fastmed.generic_filter(volume, spread, 6.0, axes=(1, 2), spacing="volume").array
    assert np.array_equal(found, fastmed.generic_filter(volume.array, spread, (3, 1), axes=(1, 2)))
    found = fastmed.vectorized_filter(volume, np.median, size=6.0, axes=(1, 2), spacing="volume").array
    assert np.array_equal(found, fastmed.vectorized_filter(volume.array, np.median, size=(3, 1), axes=(1, 2)))
    found = fastmed.generic_filter1d(volume, running_mean, 6.0, axis=1, spacing="volume").array
    assert np.array_equal(found, fastmed.generic_filter1d(volume.array, running_mean, 3, axis=1))
    labels = np.arange(IMAGE.size).reshape(IMAGE.shape)
    for call in (lambda mask: fastmed.generic_filter(IMAGE, spread, 3, mask=mask),
                 lambda mask: fastmed.vectorized_filter(IMAGE, np.nanmax, size=3, mask=mask)):  # fmt: skip
        with pytest.raises(ValueError, match="mask == label"):
            call(labels)
