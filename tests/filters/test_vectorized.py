"""vectorized_filter: SciPy's values and dtypes, in any batches."""

from __future__ import annotations

import math
import warnings

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import assume, given
from hypothesis import strategies as st

import fastmed
from against_scipy import examples, images, origins, refused_alike, some_axes
from fastmed._engine import threads
from fastmed.filters import _vectorized
from helpers import random_array, same

MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-wrap", "grid-mirror", "grid-constant", "valid"]


def spread(windows, axis):
    return windows.max(axis=axis).astype(float) - windows.min(axis=axis)


def quartiles(windows, axis):
    return np.quantile(windows, [0.25, 0.5, 0.75], axis=axis)


def compare(image, function, exact=False, **arguments):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = scipy.ndimage.vectorized_filter(image, function, **arguments)
        before = image.copy()
        found = fastmed.vectorized_filter(image, function, **arguments)
    assert np.array_equal(image, before, equal_nan=image.dtype.kind in "fc")
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    scale = max(float(np.abs(image[np.isfinite(image)]).max(initial=0)), 10.0) if image.ndim else 1e3
    assert same(found, wanted, scale, exact)


@examples(200)
@given(
    st.data(), images(dtypes="?bBhHiIqQefdFD", small=True, ndims=(1, 2, 3)), st.sampled_from(MODES),
    st.sampled_from([np.max, np.min, np.median, np.mean, np.sum, spread, np.ptp]),
)  # fmt: skip
def test_equals_scipys(data, image, mode, function):
    if image.dtype.kind == {spread: "c", np.ptp: "b"}.get(function):
        function = np.sum
    axes = data.draw(some_axes(image.ndim).filter(lambda a: a != ()))
    count = image.ndim if axes is None else len(axes)
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    along = range(image.ndim) if axes is None else axes
    assume(image.size or axes is None)  # SciPy gives empty arrays back with their axes moved
    if mode == "valid":
        sizes = [max(1, min(n, image.shape[a])) for n, a in zip(sizes, along, strict=True)]
    arguments = {"axes": axes, "mode": mode}
    if mode != "valid":
        arguments["origin"] = data.draw(origins(sizes))
    if "constant" in mode:
        arguments["cval"] = data.draw(st.sampled_from([0, 1, 3]))
    if data.draw(st.booleans()):
        arguments["size"] = tuple(sizes)
    else:
        bits = data.draw(st.lists(st.booleans(), min_size=math.prod(sizes), max_size=math.prod(sizes)))
        arguments["footprint"] = np.array([True, *bits[1:]]).reshape(sizes)
    compare(image, function, **arguments)


@pytest.mark.parametrize("function", [np.max, np.median, np.mean])
@pytest.mark.parametrize("mode", MODES)
def test_nan_and_infinity(function, mode):
    image = random_array(np.random.default_rng(0), (9, 12), "d")
    image[2, 3], image[7, 7], image[5, 1] = np.nan, np.inf, -np.inf
    compare(image, function, size=3, mode=mode)
    compare(image, function, footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]], mode=mode)


def test_several_numbers_for_a_window():
    image = random_array(np.random.default_rng(0), (9, 12), "d")
    compare(image, quartiles, size=3)
    compare(image, lambda w, axis: np.moveaxis(quartiles(w, axis), 0, -1), size=3)
    with pytest.raises(ValueError, match="function"):
        fastmed.vectorized_filter(image, quartiles, size=3, batch_memory=3000)
    with pytest.raises(ValueError, match="function"):
        fastmed.vectorized_filter(da.from_array(image, chunks=5), quartiles, size=3)


def test_batches_and_threads_do_not_show(monkeypatch):
    image = random_array(np.random.default_rng(0), (12, 9, 10), "f")
    wanted = scipy.ndimage.vectorized_filter(image, spread, size=(3, 2, 4))
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    for batch in (1, 1000, 10**6):
        monkeypatch.setattr(_vectorized, "BATCH", batch)
        for memory in (1 << 17, math.inf):
            found = fastmed.vectorized_filter(image, spread, size=(3, 2, 4), batch_memory=memory)
            assert np.array_equal(found, wanted)
    monkeypatch.setattr(_vectorized, "BATCH", 10**9)
    seen = []
    noting = lambda w, axis: (seen.append(w.nbytes), spread(w, axis))[1]  # noqa: E731
    fastmed.vectorized_filter(image, noting, size=3, batch_memory=1 << 16)
    assert max(seen) <= 1 << 16 and len(seen) > 1


def test_outputs():
    image = random_array(np.random.default_rng(0), (9, 12), "h")
    for axes in (None, (1,), (1, 0)):
        wanted, found = np.zeros(image.shape, "f"), np.zeros(image.shape, "f")
        scipy.ndimage.vectorized_filter(image, spread, size=3, axes=axes, output=wanted)
        assert fastmed.vectorized_filter(image, spread, size=3, axes=axes, output=found) is found
        assert np.array_equal(found, wanted)
    own = image.copy()
    fastmed.vectorized_filter(own[:7], spread, size=3, mode="valid", output=own[2:7, :10])
    assert np.array_equal(own[2:7, :10], spread_valid(image[:7]))


def spread_valid(image):
    return scipy.ndimage.vectorized_filter(image, spread, size=3, mode="valid").astype(image.dtype)


def test_refused_as_scipy_refuses():
    image = np.ones((5, 6))
    name = "vectorized_filter"
    for bad in (3, "text", None):
        refused_alike(name, image, bad, size=3)
    for bad in (
        {}, {"size": 3, "footprint": np.ones(3)}, {"size": 0}, {"size": 2.0}, {"size": (3,)}, {"size": (1, 2, 3)},
        {"footprint": np.ones(3)}, {"size": 3, "axes": (0, 1, 2)}, {"size": 3, "axes": (0, 0)}, {"size": 3, "axes": 5},
        {"size": 3, "origin": 1.5}, {"size": 3, "origin": (1, 2, 3)}, {"size": 3, "origin": 4},
        {"size": 3, "mode": "no"},
        {"size": 3, "mode": "valid", "origin": 1}, {"size": 9, "mode": "valid"}, {"size": 3, "cval": 1},
        {"size": 3, "mode": "constant", "cval": "a"}, {"size": 3, "batch_memory": 0}, {"size": 3, "batch_memory": "a"},
        {"size": 3, "batch_memory": 7}, {"size": 3, "output": np.zeros((2, 2))},
    ):  # fmt: skip
        refused_alike(name, image, spread, **bad)
        if "batch_memory" not in bad or bad["batch_memory"] != 7:
            refused_alike(name, image, np.max, **bad)


def test_masks_and_sizes_in_mm():
    rng = np.random.default_rng(3)
    image = (100 * rng.normal(size=(9, 11))).astype("h")
    mask = rng.random(image.shape) > 0.3
    hidden = np.where(mask, image, np.nan)
    found = fastmed.vectorized_filter(image, np.nanmedian, size=5.0, spacing=(1, 2), mask=mask)
    assert np.array_equal(found, scipy.ndimage.vectorized_filter(hidden, np.nanmedian, size=(5, 3)), equal_nan=True)
    lazy = fastmed.vectorized_filter(da.from_array(image, chunks=4), np.nanmedian, size=(5, 3), mask=mask)
    assert np.array_equal(lazy.compute(), found, equal_nan=True)
    with pytest.raises(ValueError, match="NaN"):
        fastmed.vectorized_filter(hidden, np.max, size=3, nan_policy="raise")
    with pytest.raises(ValueError, match="nan_policy"):
        fastmed.vectorized_filter(hidden, np.max, size=3, nan_policy="omit")


@pytest.mark.parametrize("mode", MODES)
def test_dask(mode):
    image = random_array(np.random.default_rng(0), (11, 13), "f")
    arguments = {"size": (3, 4), "mode": mode, "axes": (1, 0)}
    for function in (spread, np.median, np.max):
        wanted = scipy.ndimage.vectorized_filter(image, function, **arguments)
        lazy = fastmed.vectorized_filter(da.from_array(image, chunks=(4, 5)), function, **arguments)
        found = lazy.compute(scheduler="threads")
        assert (lazy.shape, lazy.dtype) == (wanted.shape, wanted.dtype)
        assert same(found, wanted, 100)


@pytest.mark.parametrize("dtype", "hfd")
@pytest.mark.parametrize("window", [{"size": 3}, {"footprint": np.eye(4, 3, dtype=bool)}], ids=str)
def test_the_layout_of_many_windows_does_not_show(dtype, window):
    """They are copied where that gives the same; sums of float32 are not the same."""
    image = random_array(np.random.default_rng(0), (90, 110), dtype)
    for function in (spread, np.std, np.sum, quartiles if dtype == "h" else spread):
        compare(image, function, exact=function is spread, **window)
