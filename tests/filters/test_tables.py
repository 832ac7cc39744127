"""generic_filter where the function asks for extrema and ranks only, which kernels find ahead."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed._engine import threads
from fastmed.filters import _generic, _pieces, _tables

pytestmark = pytest.mark.filterwarnings("error::fastmed.errors.NotCompiledWarning")


def spread(w):
    return w.max() - w.min()


def upper(w):
    s = np.sort(w)
    return s[-1] - s[len(s) // 2]


def middle(w, share):
    return np.median(w) + share * np.partition(w, 2)[2]


def found_by_value(w):
    s = np.sort(w)
    return s[int(abs(s[0])) % len(s)]  # another rank in every window


def nine_ranks(w):
    s = np.sort(w)
    return s[0] + s[1] + s[2] + s[3] + s[4] + s[5]


def beyond(w):
    return np.sort(w)[w.size]


@pytest.fixture
def by_tables(monkeypatch):
    """Whether each call was done by tables."""
    done = []

    def noted(*arguments):
        done.append(_tables.run_tables(*arguments))
        return done[-1]

    monkeypatch.setattr(_generic, "run_tables", noted)
    return done


def image_of(dtype, shape=(9, 8, 21)):
    return np.random.default_rng(4).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "constant"])
@pytest.mark.parametrize(("function", "arguments"), [(spread, ()), (upper, ()), (middle, (0.5,))])
def test_boxes_and_threads_do_not_show(function, arguments, mode, by_tables, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(_pieces, "PIECE", 8)
    footprint = np.ones((3, 5, 4), bool)
    footprint[[0, 1, 2], [4, 0, 3], [1, 2, 3]] = False
    for dtype, window in (("d", {"size": (5, 3, 3)}), ("h", {"footprint": footprint})):
        image = image_of(dtype)
        given = {**window, "origin": (1, -1, 0), "mode": mode, "cval": 7.0, "extra_arguments": arguments}
        wanted = scipy.ndimage.generic_filter(image, function, output=float, **given)
        for limit in (40, 300, 1 << 17):
            monkeypatch.setattr(_tables, "BOX", limit)
            assert np.array_equal(fastmed.generic_filter(image, function, output=float, **given), wanted)
    assert by_tables == [True] * 6


@pytest.mark.parametrize("shape", [(), (1,), (2, 1), (3, 2)])
def test_windows_larger_than_the_image(shape, by_tables):
    image = image_of("f", shape)
    for mode in ("reflect", "mirror", "wrap", "constant"):
        found = fastmed.generic_filter(image, upper, (7,) * image.ndim, mode=mode)
        assert np.array_equal(found, scipy.ndimage.generic_filter(image, upper, (7,) * image.ndim, mode=mode))
    assert all(by_tables)


def test_what_tables_cannot_tell_is_left_to_the_windows(by_tables, monkeypatch):
    image = image_of("d")
    holed = np.where(image > 190, np.nan, image)
    monkeypatch.setattr(_tables, "BOX", 200)
    with np.errstate(invalid="ignore"):
        for data, function, given in (
            (image, found_by_value, {}), (image, nine_ranks, {}), (holed, upper, {}), (image, spread, {"mode": "wrap"}),
            (image, spread, {"mode": "constant", "cval": np.nan}),
            (image.astype("B"), spread, {"mode": "constant", "cval": 0.5}),
        ):  # fmt: skip
            wanted = scipy.ndimage.generic_filter(data, function, 3, output=float, **given)
            found = fastmed.generic_filter(data, function, 3, output=float, **given)
            assert np.array_equal(found, wanted, equal_nan=True)
    assert not any(by_tables)


def test_whole_numbers_beyond_doubles(by_tables):
    image = 2**60 + image_of("q")
    found = fastmed.generic_filter(image, upper, 3, output=float)
    assert np.array_equal(found, scipy.ndimage.generic_filter(image, upper, 3, output=float))
    assert by_tables == [True]


def test_an_index_out_of_bounds_raises_as_in_python(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    with pytest.raises(IndexError):
        fastmed.generic_filter(image_of("d"), beyond, 3)


def test_a_window_that_is_written_to_has_its_elements(by_tables):
    def changed(w):
        w[0] = 1000.0
        return w.max()

    assert (fastmed.generic_filter(image_of("d"), changed, 3) == 1000).all()
    assert by_tables == [False]
