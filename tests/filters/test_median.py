"""median_filter against SciPy, and against a sort of every window.

SciPy 1.17 is no oracle everywhere: in 1-D an origin or a footprint with holes gives wrong values or breaks its memory;
64-bit integers go through float64; a negative cval for uint64 is undefined. There the sorted windows decide.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import assume, given
from hypothesis import strategies as st

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
from fastmed import median_filter
from helpers import random_array

IMAGE = np.arange(12.0).reshape(3, 4)
LONGEST = [1, 30, 8, 5, 4]


def footprint_from(sizes, seed):
    holes = np.asarray(np.random.default_rng(seed).random(sizes) < 0.6)
    holes.flat[0] = True
    return holes


def sorted_windows(image, footprint, origin=None, mode="reflect", cval=0):
    """The median by its definition: sort each window, take the upper middle; with a NaN it is NaN."""
    values = windows(image, footprint.shape, origin or [0] * image.ndim, mode, cval)[..., footprint]
    ordered = np.sort(values, axis=-1)
    found = ordered[..., ordered.shape[-1] // 2]
    if image.dtype.kind == "f":
        found = np.where(np.isnan(values).any(-1), np.nan, found)
    return found.astype(image.dtype)


@given(images(ndims=(2, 3, 4), small=True), st.data())
@examples(120)
def test_equals_scipy(build, image, data):
    axes = data.draw(some_axes(image.ndim))
    if axes is not None:  # SciPy gives sizes to axes in the array's order, but origins in the order of `axes`
        axes = tuple(sorted(axis % image.ndim for axis in axes))
    count = image.ndim if axes is None else len(axes)
    sizes = data.draw(st.lists(st.integers(1, LONGEST[image.ndim]), min_size=count, max_size=count))
    cval = data.draw(CVALS)
    assume(image.dtype != np.uint64 or cval >= 0)
    window = {"size": sizes}
    if data.draw(st.booleans()):
        window = {"footprint": footprint_from(sizes, data.draw(SEEDS))}
    mode, origin = data.draw(st.sampled_from(MODES)), data.draw(st.just(0) | origins(sizes))
    compare("median_filter", image, exact=True, mode=mode, cval=cval, axes=axes, origin=origin, **window)


@given(images(REAL, ndims=(1, 2, 3)), st.data())
@examples(150)
def test_equals_sorted_windows(build, image, data):
    sizes = data.draw(st.lists(st.integers(1, LONGEST[image.ndim]), min_size=image.ndim, max_size=image.ndim))
    footprint = footprint_from(sizes, data.draw(SEEDS)) if data.draw(st.booleans()) else np.ones(sizes, bool)
    mode, origin = data.draw(st.sampled_from(MODES)), data.draw(origins(sizes))
    cval = data.draw(st.sampled_from([0, 1, 90.7]) if image.dtype != bool else st.sampled_from([0, 1]))
    assume(image.size)
    wanted = sorted_windows(image, footprint, origin, mode, cval).astype(image.dtype.newbyteorder("="))
    compare(
        "median_filter", image, exact=True, wanted=wanted, footprint=footprint, origin=origin, mode=mode, cval=cval
    )


@given(images(ndims=(2, 3), small=True), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE))
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into):
    compare("median_filter", image, exact=True, size=3, output=dtype, into=into)


@pytest.mark.parametrize("dtype", "qQ")
@pytest.mark.parametrize("size", [3, 5, [1, 4], [9, 9], [50, 50]], ids=str)
def test_wide_integers_stay_exact(dtype, size, build):
    """Neighbouring integers above 2^53 are one float64."""
    info = np.iinfo(dtype)
    image = np.random.default_rng(0).integers(info.max - 500, info.max, (40, 41), dtype, endpoint=True)
    if dtype == "q":
        image[::2] = info.min + (info.max - image[::2])
    footprint = np.ones(np.broadcast_to(size, 2), bool)
    assert np.array_equal(median_filter(image, size), sorted_windows(image, footprint))
    wide = median_filter(image.view("q") if dtype == "Q" else image.view("Q"), size, output=dtype)
    assert wide.dtype == dtype


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", "Bhfd")
def test_windows_longer_than_the_image(mode, dtype, build):
    image = np.random.default_rng(3).integers(0, 200, (5, 3)).astype(dtype)
    for size in ([11, 12], [4, 20], [1, 9]):
        footprint = np.ones(size, bool)
        assert np.array_equal(median_filter(image, size, mode=mode), sorted_windows(image, footprint, mode=mode))


@pytest.mark.parametrize("dtype", "?BhIqfd")
@pytest.mark.parametrize("size", [3, 5])
def test_squares_of_planes(size, dtype, build):
    """A kernel of its own: images as narrow as a vector, odd numbers of rows, every origin, NaN at edges and inside."""
    rng = np.random.default_rng(size)
    window, half = np.ones((1, size, size), bool), size // 2
    for height, width in [(1, 90), (2, 68), (5, 67), (7, 133), (66, 71), (33, 20), (4, 7)]:
        image = rng.integers(0, 2 if dtype == "?" else 120, (2, height, width)).astype(dtype)
        if dtype in "fd":
            image[0, 0, rng.integers(0, 2) * -1] = image[1, height // 2, width // 3] = np.nan
        for mode in MODES:
            origin = [0, *(int(k) for k in rng.integers(-half, half + 1, 2))]
            wanted = sorted_windows(image, window, origin, mode, cval=1)
            found = median_filter(image, (1, size, size), mode=mode, cval=1, origin=origin)
            assert np.array_equal(found, wanted, equal_nan=dtype in "fd"), (height, width, mode, origin)


@pytest.mark.parametrize("dtype", "BHfd")
@pytest.mark.parametrize("size", [45, 46, 47, [3, 61], [64, 2], [3, 250], [256, 3]], ids=str)
def test_large_windows(dtype, size, build):
    """On both sides of 2,048 elements and of 240 along an axis, where the algorithm changes."""
    image = np.random.default_rng(4).integers(0, 250, (24, 31)).astype(dtype)
    wanted = sorted_windows(image, np.ones(np.broadcast_to(size, 2), bool))
    assert np.array_equal(median_filter(image, size), wanted)


LARGE = {1: (99, 400), 2: (14, 30), 3: (5, 10), 4: (3, 6)}  # sizes by the number of axes: from, to


@pytest.mark.parametrize("dtype", "?bBhHiIqQfd")
@pytest.mark.parametrize("kind", ["box", "holes"])
def test_large_windows_of_any_kind(dtype, kind, build):
    """Where nothing but sorting the window is simple: one to four axes, every mode, origins, few and many values."""
    rng = np.random.default_rng([ord(dtype), kind == "box"])
    for ndim, (low, high) in LARGE.items():
        for mode in MODES[:5]:
            shape = rng.integers(1, {1: 300, 2: 24, 3: 9, 4: 5}[ndim], ndim)
            image = random_array(rng, shape, dtype)
            if dtype in "fd" and rng.random() < 0.4:
                image.flat[rng.integers(image.size)] = np.nan
            sizes = rng.integers(low, high, ndim)
            footprint = np.ones(sizes, bool) if kind == "box" else footprint_from(sizes, rng.integers(99))
            origin = [int(rng.integers(-(n // 2), (n - 1) // 2 + 1)) for n in sizes]
            wanted = sorted_windows(image, footprint, origin, mode, cval=1)
            found = median_filter(image, footprint=footprint, origin=origin, mode=mode, cval=1)
            assert np.array_equal(found, wanted, equal_nan=dtype in "fd"), (shape, sizes, origin, mode)


@pytest.mark.parametrize("dtype", "Bhfd")
def test_many_tiles(dtype, build):
    """Images larger than what is sorted at a time; a shift of the image is a shift of the result."""
    if build[0] == "numba":
        pytest.skip("the twin knows no tiles, and takes a quarter of a minute")
    rng = np.random.default_rng(8)
    image = (1000 * rng.normal(size=(300, 420))).astype("l").astype(dtype)
    found = median_filter(image, 31)
    part = image[100:200, 150:290]
    assert np.array_equal(found[115:185, 165:275], sorted_windows(part, np.ones((31, 31), bool))[15:-15, 15:-15])
    disk = np.hypot(*np.mgrid[-12:13, -12:13]) <= 12
    found = median_filter(image, footprint=disk)
    assert np.array_equal(found[115:185, 165:275], sorted_windows(part, disk)[15:-15, 15:-15])
    volume = np.broadcast_to(image[:60, :70], (40, 60, 70)) + np.arange(40).astype(dtype)[:, None, None]
    wanted = sorted_windows(volume[10:30, 10:40, 10:50], np.ones((9, 9, 9), bool))[4:-4, 4:-4, 4:-4]
    assert np.array_equal(median_filter(volume, 9)[14:26, 14:36, 14:46], wanted)


@pytest.mark.parametrize("size", [[3, 3, 1], [5, 5, 1], [15, 15, 1], 3], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_along_the_last_axis(size, channels, build):
    image = np.random.default_rng(9).integers(0, 255, (40, 90, channels), np.uint8)
    wanted = sorted_windows(image, np.ones(np.broadcast_to(size, 3), bool))
    assert np.array_equal(median_filter(image, size), wanted)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 101, 102, 1203])
def test_lines(size, build):
    for dtype in "Bhfd":
        line = np.random.default_rng(5).integers(0, 250, 500).astype(dtype)
        assert np.array_equal(median_filter(line, size), sorted_windows(line, np.ones(size, bool)))


def test_an_even_window_takes_the_upper_middle(build):
    assert median_filter(np.array([5, 1, 3, 9]), 2).tolist() == [5, 5, 3, 9]
    assert median_filter(np.array([[1, 2], [3, 4]]), 2, mode="nearest").tolist() == [[1, 2], [3, 3]]


@pytest.mark.parametrize("dtype", "?bBhHiIqQfd")
def test_a_constant_stays_and_a_speck_goes(dtype, build):
    image = np.ones((9, 8, 7), dtype)
    image[4, 4, 3] = 0
    for size in (3, [1, 3, 3], 4):
        assert np.array_equal(median_filter(image, size), np.ones_like(image))


def test_it_commutes_with_increasing_maps_and_flips(build):
    image = np.random.default_rng(6).integers(0, 90, (20, 21))
    found = median_filter(image, 5)
    assert np.array_equal(median_filter(image**3, 5), found**3)
    assert np.array_equal(median_filter(image[::-1], 5)[::-1], found)
    assert np.isin(found, image).all()
    ramp = np.add.outer(np.arange(9), np.arange(8))
    assert np.array_equal(median_filter(ramp, 3, mode="nearest")[1:-1, 1:-1], ramp[1:-1, 1:-1])


@pytest.mark.parametrize("dtype", "efd")
@pytest.mark.parametrize("size", [[3, 4], [1, 5], [50, 50]], ids=str)
def test_a_window_with_a_nan_gives_nan(dtype, size, build):
    image = np.random.default_rng(7).normal(size=(16, 30)).astype(dtype)
    image[3, 5], image[9, 20], image[10, 21], image[15, 29] = np.nan, np.inf, -np.inf, -np.nan
    wanted = sorted_windows(image, np.ones(size, bool))
    assert np.array_equal(median_filter(image, size), wanted, equal_nan=True)
    footprint = footprint_from(size, 1)
    wanted = sorted_windows(image, footprint, mode="constant", cval=np.nan)
    found = median_filter(image, footprint=footprint, mode="constant", cval=np.nan)
    assert np.array_equal(found, wanted, equal_nan=True)


def test_a_single_number_stays():
    for size in (1, 3):
        assert median_filter(np.array(7, "h"), size) == 7


def test_a_box_of_two_takes_a_mode_per_axis():
    for size in ([1, 2], [2, 1], [1, 1]):
        compare("median_filter", IMAGE, exact=True, size=size, mode=["wrap", "mirror"])


def test_size_beside_a_footprint_is_ignored_with_a_warning():
    footprint = np.array([[0, 1], [1, 1]])
    with pytest.warns(UserWarning, match="footprint"):
        found = median_filter(IMAGE, 3, footprint)
    assert np.array_equal(found, sorted_windows(IMAGE, footprint.astype(bool)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": -1}, {"size": 0}, {"size": 2.0}, {"size": "x"}, {"size": None}, {"size": [3]}, {"size": [3, 3, 3]},
        {"size": []}, {"size": [3, -1]}, {"size": np.nan}, {"footprint": np.zeros((3, 3))},
        {"footprint": np.ones(3)}, {"footprint": np.ones((0, 3))}, {"footprint": "x"},
        {"origin": 5}, {"origin": -2}, {"origin": 1.0}, {"origin": "x"}, {"origin": [1]}, {"mode": "x"},
        {"mode": ["wrap"]}, {"mode": ["wrap", "wrap"]}, {"cval": "1"}, {"cval": None}, {"cval": 1j}, {"axes": 2},
        {"axes": (0, 5)}, {"axes": (0, 0)}, {"axes": 1.0}, {"output": "nope"}, {"output": 3}, {"output": object},
        {"output": np.zeros(3)}, {"output": complex},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:ignoring size")
def test_refusals_are_scipys_and_name_the_argument(arguments):
    message = refused_alike("median_filter", IMAGE, **{"size": 3, **arguments})
    name = next(iter(arguments))
    assert name in message.lower() or "sequence argument" in message or "axis" in message


@pytest.mark.parametrize("image", [["a"], [[1, 2], [3]], np.zeros((3, 3), "g"), np.zeros((3, 3), "F")], ids=repr)
def test_refused_inputs(image):
    refused_alike("median_filter", image, 3)


@pytest.mark.parametrize("output", [np.float64, ">f4", np.int16])
def test_a_median_of_two_shows_the_fraction_of_the_border(output, build):
    image = np.random.default_rng(6).integers(-32000, 32000, (5, 18)).astype(np.int16)
    for cval in (300.2, -7.9, 5):
        arguments = {"size": [1, 2], "mode": "constant", "cval": cval, "output": output}
        assert np.array_equal(median_filter(image, **arguments), scipy.ndimage.median_filter(image, **arguments))
