"""minimum_filter, maximum_filter and their 1-D forms against SciPy, and against the extremum of every window.

SciPy is no oracle for NaN, nor for 64-bit integers that float64 cannot tell apart; there the windows decide.
"""

from __future__ import annotations

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
    one_or_each,
    origins,
    refused_alike,
    some_axes,
    windows,
)

IMAGE = np.arange(12.0).reshape(3, 4)
LONGEST = [1, 90, 30, 15, 8]
WORDS = ["minimum", "maximum"]


def best_of_windows(word, image, footprint, origin=None, mode="reflect", cval=0):
    """The definition: the extremum of each window, NaN where it holds one."""
    values = windows(image, footprint.shape, origin or [0] * image.ndim, mode, cval)[..., footprint]
    return {"minimum": np.min, "maximum": np.max}[word](values, axis=-1)


@pytest.mark.parametrize("word", WORDS)
@given(images(small=True), st.data())
@examples(150)
def test_a_box_equals_scipys(build, word, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    sizes = data.draw(st.lists(st.integers(1, LONGEST[image.ndim]), min_size=count, max_size=count))
    arguments = {
        "size": sizes, "axes": axes, "cval": data.draw(CVALS), "origin": data.draw(st.just(0) | origins(sizes)),
        "mode": data.draw(one_or_each(st.sampled_from(MODES), count)),
    }  # fmt: skip
    assume(image.dtype != np.uint64 or arguments["cval"] >= 0)  # undefined in C
    into = data.draw(st.none() | st.sampled_from(WRITABLE)) if image.ndim else None
    if data.draw(st.booleans()):
        arguments["footprint"] = np.ones(arguments.pop("size"), int)
    compare(f"{word}_filter", image, exact=True, into=into, **arguments)


@pytest.mark.parametrize("word", WORDS)
@given(images(ndims=(1, 2, 3), small=True), st.sampled_from(REAL), st.data())
@examples(80)
def test_another_dtype_of_the_output(build, word, image, dtype, data):
    """The first axis is filtered in the input's dtype, the others in the output's."""
    assume(image.dtype.kind != "f" or np.dtype(dtype).kind == "f")  # a cast that C leaves undefined
    sizes = data.draw(st.lists(st.integers(2, 9), min_size=image.ndim, max_size=image.ndim))
    mode = data.draw(st.sampled_from(["nearest", "constant"]))
    cval = data.draw(st.sampled_from([0.0, 1.0, 90.7, 300.2]))
    compare(f"{word}_filter", image, exact=True, size=sizes, output=np.dtype(dtype), mode=mode, cval=cval)


@pytest.mark.parametrize("word", WORDS)
@given(images(ndims=(1, 2, 3, 4), small=True), st.data())
@examples(100)
def test_along_one_axis(build, word, image, data):
    size = data.draw(st.integers(1, 100))
    (origin,) = data.draw(origins([size]))
    axis, cval = data.draw(st.integers(-image.ndim, image.ndim - 1)), data.draw(CVALS)
    assume(image.dtype != np.uint64 or cval >= 0)
    mode = data.draw(st.sampled_from(MODES))
    into = data.draw(st.none() | st.sampled_from(WRITABLE))
    arguments = {"size": size, "axis": axis, "mode": mode, "cval": cval, "origin": origin}
    compare(f"{word}_filter1d", image, exact=True, into=into, **arguments)


@pytest.mark.parametrize("word", WORDS)
@given(images(ndims=(1, 2, 3, 4), small=True), st.data())
@examples(100)
def test_a_footprint_equals_scipys(build, word, image, data):
    axes = data.draw(some_axes(image.ndim))
    if axes is not None:  # SciPy gives sizes to axes in the array's order, but origins in the order of `axes`
        axes = tuple(sorted(axis % image.ndim for axis in axes))
    count = image.ndim if axes is None else len(axes)
    sizes = data.draw(st.lists(st.integers(1, [1, 40, 9, 5, 4][image.ndim]), min_size=count, max_size=count))
    share = data.draw(st.sampled_from([0.3, 0.8]))
    footprint = np.asarray(np.random.default_rng(data.draw(SEEDS)).random(sizes) < share)
    assume(footprint.any() and not footprint.all())
    mode, cval = data.draw(st.sampled_from(MODES)), data.draw(CVALS)
    assume(image.dtype != np.uint64 or cval >= 0)
    origin = data.draw(st.just(0) | origins(sizes))
    arguments = {"footprint": footprint, "mode": mode, "cval": cval, "axes": axes, "origin": origin}
    compare(f"{word}_filter", image, exact=True, **arguments)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("dtype", "qQ")
def test_large_integers_stay_exact(word, dtype, build):
    image = np.random.default_rng(0).integers(2**62, 2**62 + 100, (20, 21), dtype=dtype)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    for footprint in (np.ones((3, 5), bool), cross):
        found = getattr(fastmed, f"{word}_filter")(image, footprint=footprint)
        assert np.array_equal(found, best_of_windows(word, image, footprint))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("dtype", "efd")
def test_a_window_with_a_nan_gives_nan(word, dtype, build):
    image = np.random.default_rng(1).normal(size=(16, 30)).astype(dtype)
    image[3, 5], image[9, 20], image[10, 21], image[15, 29], image[5, 5] = np.nan, np.inf, -np.inf, -np.nan, -0.0
    ring = np.ones((3, 4), bool)
    ring[1, 1] = False
    for footprint in (np.ones((3, 4), bool), np.ones((1, 17), bool), np.ones((40, 1), bool), ring):
        found = getattr(fastmed, f"{word}_filter")(image, footprint=footprint)
        assert np.array_equal(found, best_of_windows(word, image, footprint), equal_nan=True)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("mode", MODES)
def test_windows_longer_than_the_image_in_place(word, mode, build):
    image = np.random.default_rng(2).integers(0, 200, (5, 4, 3)).astype("h")
    for size in ([11, 9, 12], [1, 30, 1], [14, 1, 2]):
        footprint = np.ones(size, bool)
        wanted = best_of_windows(word, image, footprint, mode=mode)
        own = image.copy()
        assert getattr(fastmed, f"{word}_filter")(own, size, mode=mode, output=own) is own
        assert np.array_equal(own, wanted)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("shape", [(3, 300_000), (300_000, 3), (70, 64, 65), (2, 3, 20_000)], ids=str)
def test_every_way_of_sharing_the_work(word, shape, build, monkeypatch):
    """Rows too long to be kept, columns cut in parts, tiles: all give what a single line at a time gives."""
    monkeypatch.setattr(fastmed._engine.threads, "WORTH_A_THREAD", 16)
    image = np.random.default_rng(3).integers(-30000, 30000, shape).astype("h")
    wanted = image
    for axis in range(image.ndim):
        lines = np.ascontiguousarray(np.moveaxis(wanted, axis, -1))
        one = getattr(fastmed, f"{word}_filter1d")(lines, 7, mode="mirror", origin=1)
        wanted = np.moveaxis(one, -1, axis)
    for layout in "CF":
        found = getattr(fastmed, f"{word}_filter")(np.array(image, order=layout), 7, mode="mirror", origin=1)
        assert np.array_equal(found, wanted)


def test_they_mirror_each_other_and_nest(build):
    image = np.random.default_rng(4).integers(0, 90, (20, 21))
    low, high = fastmed.minimum_filter(image, 5), fastmed.maximum_filter(image, 5)
    assert np.array_equal(fastmed.maximum_filter(-image, 5), -low)
    assert (low <= image).all() and (image <= high).all()
    assert np.array_equal(fastmed.maximum_filter(fastmed.maximum_filter(image, 3), 3), high)
    assert np.array_equal(fastmed.maximum_filter(image[::-1], 5)[::-1], high)


@pytest.mark.parametrize("word", WORDS)
def test_a_single_number_and_sizes_of_one_stay(word):
    image = np.array(7, "h")
    assert getattr(fastmed, f"{word}_filter")(image, 3) == 7
    compare(f"{word}_filter", IMAGE, exact=True, size=[1, 0])
    compare(f"{word}_filter", IMAGE, exact=True, size=[2.7, -3], mode=["wrap", "nearest"])
    compare(f"{word}_filter1d", IMAGE, exact=True, size=1, output=np.uint8)


def test_size_beside_a_footprint_is_ignored_with_a_warning():
    footprint = np.array([[0, 1], [1, 1]])
    with pytest.warns(UserWarning, match="footprint") as caught:
        found = fastmed.minimum_filter(IMAGE, 3, footprint)
    assert caught[0].filename == __file__
    assert np.array_equal(found, best_of_windows("minimum", IMAGE, footprint.astype(bool)))


BAD_FOR_BOTH = [
    {"size": "x"}, {"origin": 5}, {"origin": -2}, {"origin": "x"}, {"mode": "x"}, {"cval": "1"}, {"cval": None},
    {"cval": 1j}, {"output": "nope"}, {"output": 3}, {"output": object}, {"output": np.zeros(3)},
]  # fmt: skip
BAD_BOX = [
    {"size": None}, {"size": [3]}, {"size": [3, 3, 3]}, {"size": []}, {"footprint": np.zeros((3, 3))},
    {"footprint": np.ones(3)}, {"footprint": [0, 1]}, {"footprint": np.ones((0, 3))}, {"origin": [1]},
    {"mode": ["wrap"]}, {"axes": 2}, {"axes": (0, 5)}, {"axes": (0, 0)}, {"axes": 1.0},
    {"footprint": [[0, 1]], "mode": ["wrap", "wrap"]}, {"footprint": [[0, 1]], "origin": [0, 2]},
]  # fmt: skip
BAD_LINE = [
    {"size": -1}, {"size": 0}, {"size": 2.0}, {"axis": 2}, {"axis": -3}, {"axis": 0.0}, {"mode": ["wrap", "wrap"]},
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("arguments", BAD_FOR_BOTH + BAD_BOX, ids=str)
@pytest.mark.filterwarnings("ignore:ignoring size")
def test_refusals_of_a_box(word, arguments):
    message = refused_alike(f"{word}_filter", IMAGE, **{"size": 3, **arguments})
    names = [name for name in (*arguments, "sequence", "axis") if name in message.lower()]
    assert names, message


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("arguments", BAD_FOR_BOTH + BAD_LINE, ids=str)
def test_refusals_along_a_line(word, arguments):
    message = refused_alike(f"{word}_filter1d", IMAGE, **{"size": 3, **arguments})
    assert any(name in message.lower() for name in (*arguments, "axis")), message


@pytest.mark.parametrize("name", ["minimum_filter", "maximum_filter1d"])
@pytest.mark.parametrize("image", [["a"], [[1, 2], [3]], np.zeros((3, 3), "g"), np.zeros((3, 3), "F")], ids=repr)
def test_refused_inputs(name, image):
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        getattr(fastmed, name)(image, 3)
