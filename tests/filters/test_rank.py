"""rank_filter and percentile_filter against SciPy, and against a sort of every window (see test_median.py for why)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastmed
from against_scipy import (
    CVALS,
    MODES,
    REAL,
    SEEDS,
    WRITABLE,
    compare,
    examples,
    images,
    origins,
    refused_alike,
    some_axes,
    windows,
)
from fastmed import percentile_filter, rank_filter

IMAGE = np.arange(12.0).reshape(3, 4)
LONGEST = [1, 30, 8, 5, 4]


def ranked_windows(image, rank, footprint, origin=None, mode="reflect", cval=0):
    """The definition: sort each window; with a NaN it is NaN."""
    values = windows(image, footprint.shape, origin or [0] * image.ndim, mode, cval)[..., footprint]
    found = np.sort(values, axis=-1)[..., rank]
    return np.where(np.isnan(values).any(-1), np.nan, found).astype(image.dtype) if image.dtype.kind == "f" else found


@st.composite
def calls(draw, ndims):
    """An image, a window of it and how many elements that has."""
    image = draw(images(ndims=ndims, small=True))
    axes = draw(some_axes(image.ndim))
    if axes is not None:  # SciPy gives sizes to axes in the array's order, but origins in the order of `axes`
        axes = tuple(sorted(axis % image.ndim for axis in axes))
    count = image.ndim if axes is None else len(axes)
    sizes = draw(st.lists(st.integers(1, LONGEST[image.ndim]), min_size=count, max_size=count))
    footprint = np.ones(sizes, bool)
    if draw(st.booleans()):
        footprint = np.asarray(np.random.default_rng(draw(SEEDS)).random(sizes) < 0.6)
        assume(footprint.any())
    cval = draw(CVALS)
    assume(image.dtype != np.uint64 or cval >= 0)
    arguments = {"mode": draw(st.sampled_from(MODES)), "cval": cval, "axes": axes, "footprint": footprint}
    arguments["origin"] = draw(st.just(0) | origins(sizes))
    if footprint.all() and draw(st.booleans()):
        arguments["size"] = arguments.pop("footprint").shape
    return image, arguments, int(footprint.sum())


@given(calls((2, 3, 4)), st.data())
@examples(120)
def test_a_rank_equals_scipys(build, call, data):
    image, arguments, count = call
    into = data.draw(st.none() | st.sampled_from(WRITABLE))
    compare("rank_filter", image, exact=True, into=into, rank=data.draw(st.integers(-count, count - 1)), **arguments)


@given(calls((2, 3, 4)), st.floats(-100, 100) | st.sampled_from([0, 100, -100, 10, 50, -20, 90.0]))
@examples(120)
def test_a_percentile_equals_scipys(build, call, percentile):
    image, arguments, _ = call
    compare("percentile_filter", image, exact=True, percentile=percentile, **arguments)


@given(images(REAL, ndims=(1, 2)), st.data())
@examples(80)
def test_equals_sorted_windows(build, image, data):
    sizes = data.draw(st.lists(st.integers(1, LONGEST[image.ndim]), min_size=image.ndim, max_size=image.ndim))
    origin, mode = data.draw(origins(sizes)), data.draw(st.sampled_from(MODES))
    rank = data.draw(st.integers(0, int(np.prod(sizes)) - 1))
    assume(image.size)
    footprint = np.ones(sizes, bool)
    wanted = ranked_windows(image, rank, footprint, origin, mode).astype(image.dtype.newbyteorder("="))
    compare("rank_filter", image, exact=True, wanted=wanted, rank=rank, size=sizes, origin=origin, mode=mode)


@pytest.mark.parametrize("dtype", "qQhf")
@pytest.mark.parametrize("size", [(3, 5), (46, 46)], ids=str)
def test_every_seventh_rank(dtype, size, build):
    """Large 64-bit integers too; small windows and one above 2,048 elements."""
    top = 2**62 if dtype in "qQ" else 1000
    image = np.random.default_rng(0).integers(top, top + 100, (12, 13)).astype(dtype)
    footprint = np.ones(size, bool)
    for rank in range(0, footprint.size, footprint.size // 7):
        assert np.array_equal(rank_filter(image, rank, size), ranked_windows(image, rank, footprint))


@pytest.mark.parametrize("size", [(4, 5), (5, 5), (5, 3, 2), (5, 2, 3), (7, 1, 4)], ids=str)
def test_every_rank_of_boxes_of_four_rows_and_more(size, build):
    """Their rows are sorted only as far as they can hold the result."""
    image = np.random.default_rng(2).integers(0, 300, (4, 6, 70)[-len(size) :]).astype("h")
    for rank in range(1, math.prod(size) - 1):
        assert np.array_equal(rank_filter(image, rank, size), ranked_windows(image, rank, np.ones(size, bool)))


@pytest.mark.parametrize("dtype", "efd")
@pytest.mark.parametrize("rank", [0, 3, -1])
def test_a_window_with_a_nan_gives_nan(dtype, rank, build):
    image = np.random.default_rng(1).normal(size=(16, 30)).astype(dtype)
    image[3, 5], image[9, 20], image[15, 29] = np.nan, np.inf, -np.nan
    for footprint in (np.ones((3, 4), bool), np.eye(4, dtype=bool)):
        wanted = ranked_windows(image, rank, footprint)
        assert np.array_equal(rank_filter(image, rank, footprint=footprint), wanted, equal_nan=True)


def test_ranks_are_in_order_and_meet_their_names(build):
    image = np.random.default_rng(2).integers(0, 90, (20, 21))
    stack = np.array([rank_filter(image, rank, 3) for rank in range(9)])
    assert (np.diff(stack, axis=0) >= 0).all()
    assert np.array_equal(stack[4], fastmed.median_filter(image, 3))
    assert np.array_equal(stack[0], fastmed.minimum_filter(image, 3))
    assert np.array_equal(stack[8], percentile_filter(image, 100, 3))
    assert np.array_equal(rank_filter(image, -2, 3), stack[7])
    assert np.array_equal(rank_filter(-image, 2, 3), -stack[6])


def test_the_first_and_the_last_rank_take_a_mode_per_axis(build):
    for rank in (0, -1):
        compare("rank_filter", IMAGE, exact=True, rank=rank, size=[2, 3], mode=["wrap", "mirror"])
        compare("rank_filter", IMAGE, exact=True, rank=rank, size=3, mode=["wrap"], axes=1)
    refused_alike("rank_filter", IMAGE, rank=1, size=[2, 3], mode=["wrap", "mirror"])
    refused_alike("rank_filter", IMAGE, rank=0, footprint=np.eye(2), mode=["wrap", "mirror"])


def test_a_footprint_of_one_element_moves_the_image(build):
    footprint = [[0, 0, 1]]
    compare("rank_filter", IMAGE, exact=True, rank=0, footprint=footprint)
    compare("percentile_filter", IMAGE, exact=True, percentile=50, footprint=footprint)


def test_size_beside_a_footprint_is_ignored_with_a_warning():
    footprint = np.array([[0, 1], [1, 1]], bool)
    with pytest.warns(UserWarning, match="footprint") as caught:
        found = rank_filter(IMAGE, 1, 3, footprint)
    assert caught[0].filename == __file__
    assert np.array_equal(found, ranked_windows(IMAGE, 1, footprint))


BAD = [
    {"size": -1}, {"size": 0}, {"size": 2.0}, {"size": "x"}, {"size": None}, {"size": [3]}, {"size": [3, 3, 3]},
    {"footprint": np.zeros((3, 3))}, {"footprint": np.ones(3)}, {"origin": 5}, {"origin": 1.0}, {"origin": [1]},
    {"mode": "x"}, {"mode": ["wrap"]}, {"cval": "1"}, {"cval": 1j}, {"axes": 2}, {"axes": (0, 0)}, {"output": "nope"},
    {"output": object}, {"output": np.zeros(3)}, {"output": complex},
]  # fmt: skip
BAD_RANKS = [{"rank": 9}, {"rank": -10}, {"rank": 1.0}, {"rank": "1"}, {"rank": None}]
BAD_PERCENTILES = [{"percentile": p} for p in (101, -100.5, "1", None, np.nan, 1j)]


@pytest.mark.parametrize("arguments", BAD + BAD_RANKS + BAD_PERCENTILES, ids=str)
@pytest.mark.filterwarnings("ignore:ignoring size")
def test_refusals_are_scipys_and_name_the_argument(arguments):
    name = "percentile_filter" if "percentile" in arguments else "rank_filter"
    sample = {"percentile": 40} if "percentile" in arguments else {"rank": 3}
    message = refused_alike(name, IMAGE, **{"size": 3, **sample, **arguments})
    word = next(iter(arguments))
    assert word in message.lower() or "sequence argument" in message or "axis" in message
