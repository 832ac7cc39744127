"""uniform_filter against SciPy and against the plain mean of every window."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from against_scipy import (
    CVALS,
    MODES,
    REAL,
    WRITABLE,
    compare,
    examples,
    images,
    one_or_each,
    origins,
    refused_alike,
    some_axes,
    windows,
)
from fastmed import uniform_filter, uniform_filter1d
from fastmed._engine import threads
from helpers import random_array, same

IMAGE = np.arange(12.0).reshape(3, 4)


@given(images(REAL + "FD"), st.data())
@examples(120)
def test_equals_scipy(build, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    compare(
        "uniform_filter", image,
        size=sizes,
        mode=data.draw(one_or_each(st.sampled_from(MODES), count)),
        cval=data.draw(CVALS),
        origin=data.draw(st.just(0) | origins(sizes)),
        axes=axes,
    )  # fmt: skip


@given(images(), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE), st.integers(2, 6))
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into, size):
    compare("uniform_filter", image, size=size, output=dtype, into=into if image.ndim else None)


@pytest.mark.parametrize("size", [0, -3, 1, 1.9, 2.5, 4.0, np.nan, True, np.int8(3), [0, 3], [2.7, 1]], ids=str)
def test_odd_sizes_mean_what_they_mean_to_scipy(size):
    compare("uniform_filter", IMAGE, size=size)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", "Bhfd")
def test_windows_longer_than_the_image(mode, dtype, build):
    image = np.random.default_rng(3).integers(0, 200, (5, 3)).astype(dtype)
    for size in (11, 12, [4, 40]):
        compare("uniform_filter", image, size=size, mode=mode, cval=2)
    compare("uniform_filter", image[:1], size=7, mode=mode)


@pytest.mark.parametrize("dtype", "Bifd")
def test_long_windows(dtype, build):
    image = np.random.default_rng(4).integers(0, 200, (3, 900)).astype(dtype)
    for size in (150, 401):
        compare("uniform_filter", image, size=size, axes=1)


@pytest.mark.parametrize("dtype", "?bBhHiIf")
def test_extreme_values_are_cut_as_in_scipy(dtype, build):
    dtype = np.dtype(dtype)
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (0, 1)
    for size in (2, 3, 4, 5, 6, 7, 8, 9, 10, 64, 85, 86, 129, 171, 255, 256, 300):
        rng = np.random.default_rng(size)
        values = np.array([low, low, high, high, high - 1, 0, 1, size % 128], np.float64)
        image = rng.choice(values, (9, 330)).astype(dtype)
        image[:4], image[4:7, 150:] = high, low
        compare("uniform_filter", image, size=[min(size, 9), size], mode="mirror")
        compare("uniform_filter", image, size=size, axes=1, mode="constant", cval=1)


@pytest.mark.parametrize("dtype", "BhHfd")
@pytest.mark.parametrize("size", [5, 9, 15, 40])
def test_images_of_several_tiles(dtype, size, build, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    for shape in [(70, 90, 33), (3, 150, 640), (1, 20000)]:
        image = random_array(np.random.default_rng(1), shape, dtype)
        for more in ({}, {"mode": "wrap", "origin": 2}, {"mode": "constant", "cval": 1, "axes": (-1, 0)}):
            compare("uniform_filter", image, size=size, **more)
            if np.dtype(dtype).kind == "u":
                compare("uniform_filter", image, size=size, output=np.float32, **more)


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("size", [4, 15, 201])
def test_in_place_is_the_same(dtype, size, build):
    image = np.random.default_rng(2).normal(size=(3, 20000)).astype(dtype)
    wanted = uniform_filter(image, [1, size])
    uniform_filter(image, [1, size], output=image)
    assert same(image, wanted, 4, exact=size > 9)


@pytest.mark.parametrize("dtype", "?Bhfd")
def test_one_element_along_one_axis_is_the_element(dtype, build):
    for shape in ((4, 3, 2), (3, 4, 2, 5), (24,)):
        image = np.random.default_rng(4).integers(0, 250, shape).astype(dtype)
        for axis in range(image.ndim):
            again = image.copy()
            assert np.array_equal(uniform_filter1d(image, 1, axis), image)
            assert np.array_equal(uniform_filter1d(again, 1, axis, output=again), image)


@pytest.mark.parametrize("dtype", "?bBhHiIqfd")
def test_a_constant_stays(dtype, build):
    image = np.ones((9, 8, 7), dtype) if dtype == "?" else np.full((9, 8, 7), 101, dtype)
    for size in (2, 3, 5, [7, 2, 1]):
        assert np.array_equal(uniform_filter(image, size), image)


def test_an_impulse_gives_the_box(build):
    image = np.zeros((9, 9))
    image[4, 4] = 12
    wanted = np.zeros((9, 9))
    wanted[3:6, 3:7] = 1
    assert same(uniform_filter(image, [3, 4]), wanted, 12)
    assert same(uniform_filter(image, [3, 4], origin=[1, -2]), np.roll(wanted, [1, -2], (0, 1)), 12)


def test_wrapping_keeps_the_mean(build):
    image = np.random.default_rng(0).normal(size=(12, 10, 7))
    assert np.isclose(uniform_filter(image, [3, 4, 20], mode="wrap").mean(), image.mean(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant"])
def test_nan_and_infinity_reach_exactly_the_boxes_that_hold_them(dtype, mode, build):
    image = np.random.default_rng(5).normal(size=(16, 33)).astype(dtype)
    image[3, 5], image[9, 20], image[10, 21], image[0, 32] = np.nan, np.inf, -np.inf, np.inf
    for size in ([3, 4], [1, 5], [6, 1], [10, 2], [1, 17], [12, 21]):
        with np.errstate(invalid="ignore"):
            wanted = windows(image, size, [0, 0], mode).mean((-1, -2), dtype="d").astype(dtype)
        assert same(uniform_filter(image, size, mode=mode), wanted, 4)


def test_float16_is_rounded_once():
    image = np.random.default_rng(2).normal(size=(9, 9)).astype("e")
    wanted = scipy.ndimage.uniform_filter(image.astype("d"), 3)
    found = uniform_filter(image, 3)
    assert found.dtype == np.float16
    assert np.all(np.abs(found - wanted) <= np.spacing(np.abs(found)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": "x"}, {"size": None}, {"size": 1j}, {"size": [3]}, {"size": [3, 3, 3]}, {"size": []},
        {"origin": 5}, {"origin": -2}, {"origin": 2}, {"origin": 1.0}, {"origin": "x"}, {"origin": [1]},
        {"origin": [1, 5]}, {"mode": "x"}, {"mode": None}, {"mode": ["wrap"]}, {"mode": ["wrap", "x"]},
        {"cval": "1"}, {"cval": None}, {"cval": 1j}, {"axes": 2}, {"axes": (0, 5)}, {"axes": (0, 0)},
        {"axes": 1.0}, {"axes": NotImplemented}, {"output": "nope"}, {"output": 3}, {"output": object},
        {"output": np.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_are_scipys_and_name_the_argument(arguments):
    message = refused_alike("uniform_filter", IMAGE, **{"size": 3, **arguments})
    name = next(iter(arguments))
    assert name in message.lower() or "sequence argument" in message or "axis" in message


@pytest.mark.parametrize("image", [["a"], [[1, 2], [3]], np.zeros(3, "g"), np.zeros(3, "M8[s]"), np.zeros(3, "O")])
def test_refused_inputs(image):
    refused_alike("uniform_filter", image, 3)


@given(images(REAL + "FD", ndims=(1, 2, 3, 4)), st.data())
@examples(60)
def test_one_axis_equals_scipy(build, image, data):
    size = data.draw(st.integers(1, 12))
    compare(
        "uniform_filter1d", image,
        size=size,
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)),
        mode=data.draw(st.sampled_from(MODES)),
        cval=data.draw(CVALS),
        origin=data.draw(origins([size]))[0],
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 0}, {"size": -1}, {"size": 2.5}, {"size": "x"}, {"size": None}, {"axis": 2}, {"origin": 2},
        {"origin": 0.5}, {"mode": "x"}, {"mode": ["wrap"]}, {"cval": "x"}, {"output": np.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_of_one_axis(arguments):
    refused_alike("uniform_filter1d", IMAGE, **{"size": 3, **arguments})


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [3, 12])
def test_the_constant_has_the_digits_of_the_result(axis, size, build):
    image = np.ones((20, 9), np.float32)
    arguments = {"size": size, "axis": axis, "output": np.float64, "mode": "constant", "cval": 300.2}
    wanted = scipy.ndimage.uniform_filter1d(image, **arguments)
    np.testing.assert_allclose(uniform_filter1d(image, **arguments), wanted, rtol=1e-12)
