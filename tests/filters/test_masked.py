"""mask=, nan_policy= and spacing= of all filters, against their definition: window by window, in plain NumPy."""

from __future__ import annotations

import doctest
import math
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

import fastmed
from against_scipy import MODES, SEEDS, border_indices, examples, windows
from fastmed._engine import threads
from helpers import random_array

LONGEST = [1, 40, 14, 8]
NAN = float("nan")
RANKS = [("median_filter", {"size": 3}), ("maximum_filter", {"size": 3})]


# --- the definitions -------------------------------------------------------------------------------------------------
def windows_with_marks(image, valid, shape, origin, mode, cval):
    """All windows of the image, and of what counts; the outside of mode 'constant' does."""
    return windows(image, shape, origin, mode, cval), windows(valid, shape, origin, mode, True)


def weighted(image, valid, weights, origin, mode, cval):
    """Sums over windows in which elements that do not count have the mean of those that do; NaN without any."""
    wide = np.complex128 if image.dtype.kind == "c" else np.float64
    values, marks = windows_with_marks(np.where(valid, image, 0).astype(wide), valid, weights.shape, origin, mode, cval)
    places = tuple(range(-weights.ndim, 0))
    counted = (np.abs(weights) * marks).sum(places)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (np.abs(weights) * np.where(marks, values, 0)).sum(places) / counted
    filled = np.where(marks, values, mean[(..., *[None] * weights.ndim)])
    return np.where(counted > 0, (weights * filled).sum(places), NAN)


def ranked(image, valid, footprint, origin, mode, cval, rank_of):
    """The element of rank ``rank_of(how many count)`` among those that count, as a list of numbers or None."""
    values, marks = windows_with_marks(image, valid, footprint.shape, origin, mode, cval)
    found = np.empty(image.shape, object)
    for at in np.ndindex(image.shape):
        chosen = values[at][marks[at] & footprint]
        if chosen.size == 0:
            found[at] = None
        elif chosen.dtype.kind == "f" and np.isnan(chosen).any():
            found[at] = NAN
        else:
            found[at] = np.sort(chosen)[rank_of(chosen.size)]
    return found


def whole(valid, shape, origin, mode):
    """Where all of a window counts."""
    return windows(valid, shape, origin, mode, True).all(tuple(range(-len(shape), 0)))


def outer(*lines):
    """Weights over several axes from those along each."""
    found = np.ones(())
    for line in lines:
        found = np.multiply.outer(found, np.asarray(line, float))
    return found


def gaussian_line(sigma, order=0):
    """Weights to correlate with, by SciPy's answer to an impulse."""
    radius = int(4 * sigma + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    return scipy.ndimage.gaussian_filter1d(impulse, sigma, order=order, mode="constant")[::-1]


# --- random calls ----------------------------------------------------------------------------------------------------
@st.composite
def masked_images(draw, dtypes):
    """An image and a mask. One seed decides all: drawn piece by piece, most masks would be all True or all False."""
    rng = np.random.default_rng(draw(SEEDS))
    ndim = int(rng.integers(1, 4))
    shape = tuple(rng.integers(1, LONGEST[ndim] + 1, ndim).tolist())
    image = random_array(rng, shape, rng.choice(list(dtypes)))
    if image.dtype.kind in "iu":
        image = (image % 1000 if image.itemsize > 1 else image % 100).astype(image.dtype)
    mask = rng.random(shape) < rng.choice([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    if rng.random() < 0.3:  # in one piece, as organs are
        mask = scipy.ndimage.uniform_filter(mask.astype(float), 3) > 0.5
    if image.dtype.kind == "f" and rng.random() < 0.5:  # what is there outside must not matter
        image[~mask] = rng.choice([NAN, np.inf, 1e30, -5], np.count_nonzero(~mask))
    return image, mask


@st.composite
def linear_calls(draw, ndim):
    """An operation, its arguments, its weights and origin."""
    rng = np.random.default_rng(draw(SEEDS))
    kind = rng.choice(["gaussian", "uniform", "correlate", "convolve", "correlate1d", "sobel", "prewitt"])
    axis = int(rng.integers(ndim))
    still = [0] * ndim
    if kind == "gaussian":
        sigmas = rng.choice([0.4, 0.8, 1.3], ndim).tolist()
        orders = rng.choice([0, 0, 1, 2], ndim).tolist()
        lines = [gaussian_line(s, o) for s, o in zip(sigmas, orders, strict=True)]
        return "gaussian_filter", {"sigma": sigmas, "order": orders}, outer(*lines), still
    if kind == "uniform":
        sizes = rng.integers(1, 5, ndim).tolist()
        return "uniform_filter", {"size": sizes}, outer(*(np.full(n, 1 / n) for n in sizes)), still
    if kind in ("sobel", "prewitt"):
        smooth = [1, 2, 1] if kind == "sobel" else [1, 1, 1]
        return str(kind), {"axis": axis}, outer(*([-1, 0, 1] if a == axis else smooth for a in range(ndim))), still
    positive = rng.random() < 0.5
    if kind == "correlate1d":
        weights = rng.random(int(rng.integers(1, 6))) - (0 if positive else 0.5)
        nd = weights.reshape([-1 if a == axis else 1 for a in range(ndim)])
        origin = int(rng.integers(-(weights.size // 2), (weights.size + 1) // 2))
        shifts = [origin if a == axis else 0 for a in range(ndim)]
        return "correlate1d", {"weights": weights, "axis": axis, "origin": origin}, nd, shifts
    weights = rng.random(rng.integers(1, 4, ndim)) - (0 if positive else 0.5)
    origin = [-((n + 1) % 2) for n in weights.shape] if kind == "convolve" else still
    return str(kind), {"weights": weights}, np.flip(weights) if kind == "convolve" else weights, origin


def as_integers(values, dtype):
    """Cut toward zero, whole numbers cleared of rounding errors."""
    near = np.rint(values)
    values = np.where(np.abs(values - near) <= 1e-9 * np.maximum(1, np.abs(near)), near, values)
    return np.trunc(values).astype(np.int64).astype(dtype)


@given(masked_images("fdhbBi"), st.data())
@examples(250)
def test_sums_are_the_definition(build, call, data):
    image, mask = call
    name, arguments, weights, origin = data.draw(linear_calls(image.ndim))
    mode = data.draw(st.sampled_from(MODES))
    # After its first pass SciPy takes the outside of a derivative for cval again.
    cval = data.draw(st.sampled_from([0.0, 7.0] if weights.min() >= 0 else [0.0]))
    found = getattr(fastmed, name)(image, mask=mask, mode=mode, cval=cval, **arguments)
    values = weighted(image, mask, weights, origin, mode, cval)
    assert found.dtype == image.dtype
    full = whole(mask, weights.shape, origin, mode)
    inside = np.where(mask, image, 0).astype(image.dtype)
    plain = getattr(scipy.ndimage, name)(inside, mode=mode, cval=cval, **arguments)
    if image.dtype.kind == "f":
        counted = np.abs(image[mask]).max(initial=1) + cval
        bound = {4: 3e-6, 8: 1e-11}[image.itemsize] * counted * max(1, np.abs(weights).sum())
        assert np.allclose(found, values, rtol=0, atol=bound, equal_nan=True)
        return
    known = ~np.isnan(values)
    assert np.array_equal(found[full], plain[full]), "whole windows"
    assert np.array_equal(found[known & ~full], as_integers(values[known & ~full], image.dtype))
    assert np.array_equal(found[~known & ~full], image[~known & ~full]), "windows with nothing"


@st.composite
def rank_calls(draw, ndim):
    """An operation, its arguments, and the rank among k elements of n."""
    rng = np.random.default_rng(draw(SEEDS))
    sizes = rng.integers(1, 5 if ndim > 1 else 10, ndim).tolist()
    footprint = np.ones(sizes, bool)
    if rng.random() < 0.5:
        footprint = rng.random(sizes) < 0.6
        footprint[(0,) * ndim] = True
    n = int(footprint.sum())
    origin = [int(rng.integers(-(k // 2), (k + 1) // 2)) for k in sizes]
    arguments = {"footprint": footprint, "origin": origin}
    kind = rng.choice(["median", "minimum", "maximum", "rank", "rank", "percentile"])
    if kind == "rank":
        rank = int(rng.integers(-n, n))
        from_top = rank < 0
        place = -1 - rank if from_top else rank

        def relative(k):
            inward = math.floor(place * (k - 1) / (n - 1) + 1e-9) if n > 1 else 0
            return k - 1 - inward if from_top else inward

        return "rank_filter", {"rank": rank, **arguments}, relative
    if kind == "percentile":
        p = float(rng.choice([0, 10, 33.3, 50, 90, 100, -20]))
        share = p + 100 if p < 0 else p
        return "percentile_filter", {"percentile": p, **arguments}, lambda k: min(k - 1, int(k * share / 100))
    ranks = {"median": lambda k: k // 2, "minimum": lambda k: 0, "maximum": lambda k: k - 1}
    return f"{kind}_filter", arguments, ranks[kind]


@given(masked_images("fdhbBiQ?"), st.data())
@examples(250)
def test_ranks_are_the_definition(build, call, data):
    image, mask = call
    name, arguments, rank_of = data.draw(rank_calls(image.ndim))
    mode = data.draw(st.sampled_from(MODES))
    cval = data.draw(st.sampled_from([0, 1]))
    found = getattr(fastmed, name)(image, mask=mask, mode=mode, cval=cval, **arguments)
    wanted = ranked(image, mask, arguments["footprint"], arguments["origin"], mode, cval, rank_of)
    instead = np.full(image.shape, NAN) if image.dtype.kind == "f" else image
    wanted = np.where(np.equal(wanted, None), instead, wanted).astype(image.dtype)
    assert np.array_equal(found, wanted, equal_nan=image.dtype.kind == "f")


@pytest.mark.parametrize("shape, size", [((4000,), (601,)), ((30, 31), (23, 25)), ((9, 8, 40), (3, 3, 3))], ids=str)
@pytest.mark.parametrize("dtype", "hf")
def test_large_windows_and_long_lines(shape, size, dtype):
    """Sorted by a network or one by one, in one piece or several; with a NaN that counts and without."""
    rng = np.random.default_rng(11)
    image, mask = rng.integers(0, 900, shape).astype(dtype), rng.random(shape) < 0.4
    for nan in (False, True)[: 1 + (dtype == "f")]:
        if nan:
            image[(2,) * len(shape)], mask[(2,) * len(shape)] = NAN, True
        found = fastmed.median_filter(image, size, mask=mask)
        wanted = ranked(image, mask, np.ones(size, bool), [0] * len(size), "reflect", 0, lambda k: k // 2)
        assert np.array_equal(found, wanted.astype(dtype), equal_nan=dtype == "f")


@pytest.mark.parametrize("mode", MODES)
def test_extrema_along_one_axis(mode, build):
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 99, (7, 9)), rng.random((7, 9)) < 0.3
    for name, rank_of in (("minimum_filter1d", lambda k: 0), ("maximum_filter1d", lambda k: k - 1)):
        found = getattr(fastmed, name)(image, 4, 0, mode=mode, cval=3, mask=mask, origin=1)
        wanted = ranked(image, mask, np.ones((4, 1), bool), [1, 0], mode, 3, rank_of)
        assert np.array_equal(found, np.where(np.equal(wanted, None), image, wanted))


# --- linear filters --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", "fd")
def test_a_gaussian_is_normalised_convolution(dtype, build):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(20, 21, 9)).astype(dtype)
    mask = rng.random(image.shape) < 0.4
    inside = scipy.ndimage.gaussian_filter(np.where(mask, image, 0).astype(float), 1.5)
    wanted = inside / scipy.ndimage.gaussian_filter(mask.astype(float), 1.5)
    bound = {"f": 1e-6, "d": 1e-12}[dtype]
    assert np.allclose(fastmed.gaussian_filter(image, 1.5, mask=mask), wanted, rtol=0, atol=bound)


CONSTANT = [
    ("gaussian_filter", {"sigma": 1}, 1), ("uniform_filter", {"size": 3}, 1), ("gaussian_filter1d", {"sigma": 2}, 1),
    ("uniform_filter1d", {"size": 5}, 1), ("correlate", {"weights": [[1, 2], [3, -1]]}, 5), ("sobel", {}, 0),
    ("convolve1d", {"weights": [-1, -2]}, -3), ("prewitt", {"axis": 0}, 0), ("laplace", {}, 0),
    ("gaussian_filter", {"sigma": 1, "order": (0, 1)}, 0), ("gaussian_gradient_magnitude", {"sigma": 1}, 0),
    ("gaussian_laplace", {"sigma": 3}, None), ("correlate1d", {"weights": [1, 0, -1]}, 0),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, total", CONSTANT, ids=str)
@pytest.mark.parametrize("dtype", "dfhi")
def test_a_constant_inside_stays_one_whatever_stands_outside(name, arguments, total, dtype):
    rng = np.random.default_rng(1)
    mask = rng.random((30, 31)) < 0.5
    image = np.where(mask, 7, rng.integers(-3000, 3000, mask.shape)).astype(dtype)
    found = getattr(fastmed, name)(image, mask=mask, **arguments)
    if total is None:  # sampled weights that do not add up to 0
        total = scipy.ndimage.gaussian_laplace(np.full((61, 61), 1.0), 3)[30, 30]
    known = ~np.isnan(found) if dtype in "df" else fastmed.maximum_filter(mask, 3)
    known[~mask] &= dtype in "df"
    assert known.mean() > 0.3
    if dtype in "hi":
        same_as_input = found == image  # nothing to go by: correlate1d on isolated elements
        assert np.all((found[known] == int(7 * total)) | same_as_input[known])
    else:
        assert np.allclose(found[known], 7 * total, atol=1e-5 if dtype == "f" else 1e-12)


def test_composed_filters_mask_each_derivative():
    rng = np.random.default_rng(2)
    image, mask = rng.normal(size=(9, 10)), rng.random((9, 10)) < 0.7
    second = np.array([1, -2, 1])
    parts = [weighted(image, mask, second.reshape(s), (0, 0), "reflect", 0) for s in ((3, 1), (1, 3))]
    assert np.allclose(fastmed.laplace(image, mask=mask), sum(parts), equal_nan=True)
    for order, name in ((2, "gaussian_laplace"), (1, "gaussian_gradient_magnitude")):
        lines = [gaussian_line(0.9), gaussian_line(0.9, order)]
        parts = [weighted(image, mask, outer(*p), (0, 0), "wrap", 0) for p in (lines[::-1], lines)]
        wanted = sum(parts) if order == 2 else np.sqrt(parts[0] ** 2 + parts[1] ** 2)
        assert np.allclose(getattr(fastmed, name)(image, 0.9, mask=mask, mode="wrap"), wanted, equal_nan=True)
    lines = [[1, 2, 1], [-1, 0, 1]]
    parts = [weighted(image, mask, outer(*p), (0, 0), "reflect", 0) for p in (lines[::-1], lines)]
    found = fastmed.generic_gradient_magnitude(image, fastmed.sobel, mask=mask)
    assert np.allclose(found, np.hypot(*parts), equal_nan=True)


def test_a_mode_for_each_axis():
    rng = np.random.default_rng(3)
    image, mask = rng.normal(size=(9, 10)), rng.random((9, 10)) < 0.3
    for function, arguments in ((fastmed.uniform_filter, {"size": 3}), (fastmed.minimum_filter, {"size": 3})):
        found = function(image, mask=mask, mode=["wrap", "nearest"], **arguments)
        pad = [border_indices(-1, n + 1, n, m) for n, m in zip(image.shape, ("wrap", "nearest"), strict=True)]
        larger, its_mask = image[np.ix_(*pad)], mask[np.ix_(*pad)]
        assert np.allclose(found, function(larger, mask=its_mask, **arguments)[1:-1, 1:-1], equal_nan=True)


@pytest.mark.parametrize("weights", [[1, 2j, -3], [1, 2, 4]])
def test_complex_images_and_weights(weights, build):
    rng = np.random.default_rng(4)
    image = random_array(rng, (30,), "D")
    mask = rng.random(30) < 0.6
    image[~mask] = complex(NAN, 3)
    found = fastmed.convolve1d(image, weights, mask=mask)
    wanted = weighted(image, mask, np.array(weights)[::-1], (0,), "reflect", 0)
    assert np.allclose(found, wanted, equal_nan=True)
    assert np.allclose(fastmed.convolve1d(image, weights, nan_policy="omit"), wanted, equal_nan=True)


def test_large_values_outside_cost_no_precision(build):
    image = np.full((40, 40), 0.1, "f")
    mask = np.zeros(image.shape, bool)
    mask[10:30, 10:30] = True
    image[~mask] = 3e38
    for function, arguments in ((fastmed.gaussian_filter, {"sigma": 2}), (fastmed.uniform_filter, {"size": 9})):
        found = function(image, mask=mask, **arguments)
        assert np.nanmax(np.abs(found - 0.1)) < 1e-7


# --- whole windows, nothing, outputs ---------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", "hBf")
def test_far_from_the_edge_of_the_mask_nothing_changes(dtype):
    """Bit for bit, though a masked integer is cut once and a plain one after every axis."""
    image = random_array(np.random.default_rng(5), (40, 41), dtype)
    mask = np.ones(image.shape, bool)
    mask[:10] = False
    for name, arguments in (("gaussian_filter", {"sigma": 1.3}), ("gaussian_laplace", {"sigma": 1.3}), *RANKS):
        function = getattr(fastmed, name)
        assert np.array_equal(function(image, mask=mask, **arguments)[16:], function(image, **arguments)[16:])


@pytest.mark.parametrize("output", [None, np.float64, np.float32, np.int16, np.uint8, ">i4"], ids=str)
@pytest.mark.parametrize("name, arguments", [("uniform_filter", {"size": 3}), ("laplace", {}), *RANKS])
def test_what_stands_where_nothing_counts(name, arguments, output):
    image = np.arange(64, dtype="h").reshape(8, 8)
    mask = np.zeros(image.shape, bool)
    mask[0, 0] = True
    found = getattr(fastmed, name)(image, output=output, mask=mask, **arguments)
    far = found[4:, 4:]
    assert np.isnan(far).all() if far.dtype.kind in "fc" else np.array_equal(far, image[4:, 4:])
    own = image.copy()
    assert getattr(fastmed, name)(own, output=own, mask=mask, **arguments) is own
    assert np.array_equal(own, getattr(fastmed, name)(image, mask=mask, **arguments)), "in place"


def test_nothing_counts_at_all():
    for dtype in "fh":
        image = np.ones((5, 6), dtype) * 3
        for name, arguments in (("gaussian_filter", {"sigma": 1}), ("median_filter", {"size": 3}), ("sobel", {})):
            found = getattr(fastmed, name)(image, mask=np.zeros(image.shape, bool), **arguments)
            assert np.isnan(found).all() if dtype == "f" else np.array_equal(found, image)


def test_single_numbers_and_empty_images():
    for name, arguments in (("gaussian_filter", {"sigma": 1}), *RANKS):
        function = getattr(fastmed, name)
        assert np.isnan(function(np.float64(3), mask=np.False_, **arguments))
        assert function(np.zeros((0, 4)), mask=np.ones((0, 4), bool), **arguments).shape == (0, 4)


@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant", "nearest"])
@pytest.mark.parametrize("dtype", "fh")
def test_tiles_make_no_difference(mode, dtype, monkeypatch):
    """Large images are corrected piece by piece."""
    rng = np.random.default_rng(9)
    image, mask = random_array(rng, (41, 50, 17), dtype), rng.random((41, 50, 17)) < 0.7
    mask[:25, :30] = False
    calls = [
        ("gaussian_filter", {"sigma": 0.8}), ("gaussian_filter", {"sigma": 1, "order": 1, "spacing": 1.5}),
        ("correlate", {"weights": rng.normal(size=(1, 4, 2))}), ("sobel", {"axis": 1}), ("laplace", {}),
        ("median_filter", {"size": (3, 2, 3), "origin": (1, -1, 0)}), ("minimum_filter1d", {"size": 5, "axis": 0}),
        ("gaussian_gradient_magnitude", {"sigma": 0.7}), ("gaussian_laplace", {"sigma": 0.7, "spacing": 0.9}),
    ]  # fmt: skip
    whole = [getattr(fastmed, name)(image, mask=mask, mode=mode, **more) for name, more in calls]
    monkeypatch.setattr("fastmed.filters._masked.TILE", 64)
    for (name, more), wanted in zip(calls, whole, strict=True):
        own = image.copy()
        found = getattr(fastmed, name)(own, output=own, mask=mask, mode=mode, **more)
        assert np.allclose(found, wanted, rtol=0, atol=1e-4 if dtype == "f" else 0, equal_nan=dtype == "f"), name


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("fastmed.filters._masked.TILE", 1 << 15)
    image = np.ones((130, 140, 150), "f")
    mask = np.random.default_rng(10).random(image.shape) < 0.5
    for name, more in (("gaussian_filter", {"sigma": 0.6}), ("laplace", {}), *RANKS):
        tracemalloc.start()
        getattr(fastmed, name)(image, mask=mask, **more)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.5 * image.nbytes, f"{name}: the result and what stands between"


def test_threads_make_no_difference(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    rng = np.random.default_rng(6)
    image, mask = rng.normal(size=(20, 30, 5000)).astype("f"), None
    mask = rng.random(image.shape) < 0.5
    results = []
    for count in (1, 3):
        with fastmed.num_threads(count):
            results.append(fastmed.median_filter(image, (1, 3, 3), mask=mask))
    assert np.array_equal(*results, equal_nan=True)


# --- nan_policy ------------------------------------------------------------------------------------------------------
def test_omit_leaves_nan_out_and_propagate_does_not():
    image = np.array([1.0, NAN, 3, 4, 5])
    found = fastmed.uniform_filter1d(image, 3, nan_policy="omit")
    assert np.allclose(found, [1, 2, 3.5, 4, 14 / 3], rtol=0, atol=1e-15)
    assert np.array_equal(fastmed.median_filter(image, 3, nan_policy="omit"), [1, 3, 4, 4, 5])
    assert np.isnan(fastmed.median_filter(image, 3)).sum() == 3
    assert np.isnan(fastmed.median_filter(image, 3, mask=np.ones(5, bool))).sum() == 3
    mask = np.array([1, 1, 1, 1, 0], bool)
    assert np.array_equal(fastmed.median_filter(image, 3, mask=mask, nan_policy="omit"), [1, 3, 4, 4, 4])
    assert np.isnan(fastmed.median_filter(image, 3, mask=mask)).sum() == 3, "a NaN in the mask goes its way"


def test_raise_looks_only_inside_the_mask():
    image = np.array([1.0, NAN, 3])
    with pytest.raises(ValueError, match="1 NaN"):
        fastmed.sobel(image, nan_policy="raise")
    outside = fastmed.sobel(image, nan_policy="raise", mask=[True, False, True])
    assert np.array_equal(outside, fastmed.sobel(image, mask=[1, 0, 1]), equal_nan=True)
    output = np.zeros(3)
    with pytest.raises(ValueError, match="NaN"):
        fastmed.median_filter(image, 3, output=output, nan_policy="raise")
    assert not output.any()


# --- spacing ---------------------------------------------------------------------------------------------------------
IMAGE = np.random.default_rng(7).normal(size=(9, 12, 15))
MM = (2.5, 1.0, 0.5)


def test_sigmas_and_radii_are_in_mm():
    wanted = scipy.ndimage.gaussian_filter(IMAGE, [2 / s for s in MM])
    assert np.allclose(fastmed.gaussian_filter(IMAGE, 2, spacing=MM), wanted)
    wanted = scipy.ndimage.gaussian_filter(IMAGE, [1 / 0.5, 2 / 2.5], radius=[6, 1], axes=(2, 0))
    assert np.allclose(fastmed.gaussian_filter(IMAGE, [1, 2], radius=3, axes=(2, 0), spacing=MM), wanted)
    wanted = scipy.ndimage.gaussian_filter1d(IMAGE, 0.8, 0)
    assert np.allclose(fastmed.gaussian_filter1d(IMAGE, 2, 0, spacing=MM), wanted)
    assert np.allclose(fastmed.gaussian_filter(IMAGE, 2, spacing=2), scipy.ndimage.gaussian_filter(IMAGE, 1))


@pytest.mark.parametrize("mm, elements", [(0, 1), (0.9, 1), (2, 3), (2.1, 3), (3, 3), (3.9, 3), (4, 5), (7, 7)])
def test_sizes_become_the_nearest_odd_count(mm, elements):
    line = IMAGE[0, 0]
    for name in ("uniform_filter", "minimum_filter", "median_filter", "uniform_filter1d", "maximum_filter1d"):
        found = getattr(fastmed, name)(line, size=mm, spacing=1.0)
        assert np.array_equal(found, getattr(fastmed, name)(line, size=elements)), name
        assert np.array_equal(getattr(fastmed, name)(line, size=mm * 0.7, spacing=0.7), found), name


def test_sizes_go_to_their_axes():
    names = ("uniform_filter", "median_filter", "rank_filter", "maximum_filter")
    for name, more in zip(names, ({}, {}, {"rank": 2}, {}), strict=True):
        function = getattr(fastmed, name)
        assert np.array_equal(function(IMAGE, size=2.5, spacing=MM, **more), function(IMAGE, size=[1, 3, 5], **more))
        found = function(IMAGE, size=[2.5, 3], axes=(0, 2), spacing=MM, **more)
        assert np.array_equal(found, function(IMAGE, size=[1, 7], axes=(0, 2), **more))
        if name != "uniform_filter":
            more["footprint"] = np.ones((1, 2, 3), bool)
            assert np.array_equal(function(IMAGE, spacing=MM, **more), function(IMAGE, **more))


def test_derivatives_are_per_mm():
    """A slope of 3 per mm along each axis in turn."""
    for axis, mm in enumerate(MM):
        ramp = 3 * mm * np.arange(-12.0, 13).reshape([-1 if a == axis else 1 for a in range(3)]) * np.ones((25, 25, 25))
        inner = (slice(11, -11),) * 3
        assert np.allclose(fastmed.sobel(ramp, axis, spacing=MM)[inner], 3 * 2 * 16)
        assert np.allclose(fastmed.prewitt(ramp, axis, spacing=MM)[inner], 3 * 2 * 9)
        sigmas = [1.5 * s for s in MM]  # 1.5 elements: samples of a narrower one make another slope
        found = fastmed.gaussian_gradient_magnitude(ramp, sigmas, spacing=MM)[inner]
        assert np.allclose(found, 3, atol=0.01)
        order = [int(a == axis) for a in range(3)]
        assert np.allclose(fastmed.gaussian_filter(ramp, sigmas, order, spacing=MM)[inner], 3, atol=0.01)
        assert np.allclose(fastmed.gaussian_filter1d(ramp, sigmas[axis], axis, 1, spacing=MM)[inner], 3, atol=0.01)
        bowl = ramp**2 / 2
        assert np.allclose(fastmed.laplace(bowl, spacing=MM)[inner], 9)
        assert np.allclose(fastmed.gaussian_laplace(bowl, sigmas, spacing=MM)[inner], 9, atol=0.1)
        gradient = fastmed.generic_gradient_magnitude(ramp, fastmed.prewitt, spacing=MM)[inner]
        assert np.allclose(gradient, 3 * 2 * 9)


def test_integers_are_cut_once_after_the_spacing():
    ramp = np.arange(0, 400, 3, dtype="h")
    assert np.array_equal(fastmed.sobel(ramp, spacing=4)[1:-1], np.full(ramp.size - 2, 6 // 4))
    assert np.array_equal(fastmed.sobel(ramp, spacing=0.25)[1:-1], np.full(ramp.size - 2, 24))
    bowl = np.arange(130, dtype="i2") ** 2
    assert np.array_equal(fastmed.laplace(bowl, spacing=0.5)[1:-1], np.full(128, 8))
    assert np.array_equal(fastmed.laplace(bowl, spacing=0.8)[1:-1], np.full(128, 3)), "2 / 0.64 is 3.125"


def test_weights_stay_in_elements():
    for name, weights in (("correlate1d", [1, 2]), ("convolve", np.ones((2, 1, 3)))):
        function = getattr(fastmed, name)
        assert np.array_equal(function(IMAGE, weights, spacing=MM), function(IMAGE, weights))


def test_mask_and_spacing_together():
    mask = np.random.default_rng(8).random(IMAGE.shape) < 0.6
    found = fastmed.gaussian_filter(IMAGE, 2, (0, 1, 0), spacing=(2, 1, 4), mask=mask)
    assert np.allclose(found, fastmed.gaussian_filter(IMAGE, (1, 2, 0.5), (0, 1, 0), mask=mask), equal_nan=True)
    found = fastmed.sobel(IMAGE, 0, spacing=4, mask=mask)
    assert np.allclose(found, fastmed.sobel(IMAGE, 0, mask=mask) / 4, equal_nan=True)
    found = fastmed.laplace(IMAGE, spacing=2, mask=mask)
    assert np.allclose(found, fastmed.laplace(IMAGE, mask=mask) / 4, equal_nan=True)


@pytest.mark.parametrize("spacing", [0, -1, NAN, math.inf, [1, 2], [1, 0, 1], "volume", "mm", [], None])
def test_spacings_that_are_refused(spacing):
    if spacing is None:
        with pytest.raises(TypeError, match="spacing"):
            fastmed.gaussian_filter(IMAGE, 1, spacing=[1, None, 1])
        return
    for name, arguments in (("gaussian_filter", {"sigma": 1}), ("median_filter", {"size": 3}), ("laplace", {})):
        with pytest.raises(ValueError, match="spacing"):
            getattr(fastmed, name)(IMAGE, spacing=spacing, **arguments)


def test_lengths_that_are_refused():
    for size in (-1, NAN, math.inf):
        with pytest.raises(ValueError, match="size"):
            fastmed.median_filter(IMAGE, size, spacing=1)
    with pytest.raises(ValueError, match="radius"):
        fastmed.gaussian_filter(IMAGE, 1, radius=-2, spacing=1)


# --- Dask, volumes ---------------------------------------------------------------------------------------------------
@given(st.data())
@examples(60)
def test_chunks_equal_the_whole(data):
    rng = np.random.default_rng(data.draw(SEEDS))
    image = random_array(rng, (11, 13), data.draw(st.sampled_from("fhB")))
    mask = rng.random(image.shape) < data.draw(st.sampled_from([0.2, 0.9, 1]))
    if image.dtype == "f":
        image[rng.random(image.shape) < 0.1] = NAN
    mode = data.draw(st.sampled_from(MODES) | st.tuples(st.sampled_from(MODES), st.sampled_from(MODES)).map(list))
    name, arguments = data.draw(st.sampled_from([
        ("gaussian_filter", {"sigma": 1}), ("uniform_filter", {"size": [4, 3]}), ("sobel", {"axis": 0}),
        ("gaussian_laplace", {"sigma": 1}), ("gaussian_gradient_magnitude", {"sigma": 0.8}), ("laplace", {}),
        ("maximum_filter", {"size": 3}), ("median_filter", {"size": 3}),
        ("generic_gradient_magnitude", {"derivative": fastmed.sobel}),
    ]))  # fmt: skip
    if name == "median_filter" and not isinstance(mode, str):
        mode = mode[0]
    arguments = {"mode": mode, "nan_policy": data.draw(st.sampled_from(["omit", "propagate"])), **arguments}
    if data.draw(st.booleans()):
        arguments["spacing"] = [0.6, 2]
    function = getattr(fastmed, name)
    lazy_mask = mask if data.draw(st.booleans()) else da.from_array(mask, chunks=(5, 4))
    chunked = function(da.from_array(image, chunks=(4, 6)), mask=lazy_mask, **arguments)
    wanted = function(image, mask=mask, **arguments)
    assert chunked.dtype == wanted.dtype
    found = chunked.compute(scheduler="synchronous")
    if image.dtype.kind == "f":
        assert np.allclose(found, wanted, rtol=0, atol=1e-3 if name.startswith("generic") else 3e-4, equal_nan=True)
    else:
        assert np.array_equal(found, wanted)


def test_a_lazy_mask_is_not_looked_at_before_it_is_needed():
    def block():
        raise AssertionError("computed")

    mask = da.map_blocks(block, chunks=((4, 4),), dtype=bool, meta=np.empty(0, bool))
    image = da.ones(8, chunks=4)
    result = fastmed.median_filter(image, 3, mask=mask)
    with pytest.raises(AssertionError, match="computed"):
        result.compute(scheduler="synchronous")
    labels = da.from_array(np.arange(8), chunks=4)
    with pytest.raises(ValueError, match="mask == label"):
        fastmed.median_filter(image, 3, mask=labels).compute(scheduler="synchronous")


AFFINE = np.array([[0, 0, 0.5, -10], [0, 1, 0, -20], [2.5, 0, 0, 30], [0, 0, 0, 1.0]])


def test_volumes_bring_their_spacing_and_their_place():
    mask = IMAGE > 0
    volume = fastmed.Volume(IMAGE, AFFINE)
    found = fastmed.gaussian_filter(volume, 2, spacing="volume", mask=fastmed.Volume(mask, AFFINE))
    assert isinstance(found, fastmed.Volume)
    assert np.array_equal(found.array, fastmed.gaussian_filter(IMAGE, 2, spacing=MM, mask=mask))
    lazy = fastmed.Volume(da.from_array(IMAGE, chunks=5), AFFINE)
    lazy_mask = fastmed.Volume(da.from_array(mask, chunks=4), AFFINE)
    found = fastmed.median_filter(lazy, 2, spacing="volume", mask=lazy_mask).array.compute()
    assert np.array_equal(found, fastmed.median_filter(IMAGE, 2, spacing=MM, mask=mask), equal_nan=True)
    assert fastmed.explain(fastmed.median_filter, volume, 2, spacing="volume").halo == ((0, 0), (1, 1), (2, 2))


def test_a_mask_from_elsewhere_is_refused():
    volume = fastmed.Volume(IMAGE, AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] += 0.1
    with pytest.raises(ValueError, match=r"mask must lie.* 0\.1 mm"):
        fastmed.sobel(volume, mask=fastmed.Volume(IMAGE > 0, moved))
    moved[0, 3] = AFFINE[0, 3] + 1e-4
    assert fastmed.sobel(volume, mask=fastmed.Volume(IMAGE > 0, moved)).shape == IMAGE.shape
    with pytest.raises(ValueError, match=r"\(9, 12, 15\)"):
        fastmed.sobel(volume, mask=fastmed.Volume(IMAGE[1:] > 0, AFFINE))
    sequence = fastmed.Volume(IMAGE, AFFINE, meta={"axes": "tyx"})
    with pytest.raises(ValueError, match="tyx"):
        fastmed.sobel(sequence, spacing="volume")


# --- the caller's derivative, warnings, documentation ----------------------------------------------------------------
def test_a_derivative_that_cannot_be_masked_is_refused():
    def plain(input, axis, output, mode, cval):
        raise AssertionError("called")

    for more in ({"mask": IMAGE > 0}, {"spacing": 2}, {"nan_policy": "omit"}):
        with pytest.raises(TypeError, match=r"keyword (mask|spacing)="):
            fastmed.generic_laplace(IMAGE, plain, **more)
        with pytest.raises(TypeError, match=r"keyword (mask|spacing)="):
            fastmed.generic_gradient_magnitude(da.from_array(IMAGE), plain, **more)


def test_size_beside_a_footprint_warns_once():
    with pytest.warns(UserWarning, match="footprint") as caught:
        fastmed.median_filter(IMAGE, 3, np.ones((1, 1, 3)), mask=IMAGE > 0)
    assert len(caught) == 1 and caught[0].filename == __file__


def test_the_examples_of_the_guide_run():
    guide = Path(__file__).resolve().parents[2] / "docs" / "flow.md"
    outcome = doctest.testfile(str(guide), module_relative=False)
    assert outcome.attempted > 4 and outcome.failed == 0


def test_documentation_is_whole_and_is_left_out_under_OO():
    from fastmed.filters._docs import PARAGRAPHS

    for name in ("gaussian_filter", "sobel", "rank_filter", "generic_laplace"):
        text = getattr(fastmed, name).__doc__
        assert "nan_policy : {'propagate', 'omit', 'raise'}, optional\n" in text
        assert not any(f"{{{name}}}" in text for name in PARAGRAPHS)
        assert max(map(len, text.splitlines())) <= 120
    code = textwrap.dedent("""
        import fastmed
        import sys
        sys.exit(0 if fastmed.sobel.__doc__ is None and list(fastmed.sobel([0, 0, 3.])) == [0, 3, 3] else 1)
    """)
    assert subprocess.run([sys.executable, "-OO", "-c", code], timeout=60).returncode == 0
