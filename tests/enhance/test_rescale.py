"""rescale_intensity against scikit-image, on every build and over chunks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import skimage.exposure

import fastmed
from helpers import DTYPES, layouts, random_array

RANGES = ["image", "dtype", "uint8", "uint12", (0, 50), (-20.5, 30.25), (10, 10), np.uint16, "float"]


@pytest.mark.parametrize("dtype", [d for d in DTYPES if np.dtype(d).kind != "c"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_agrees_with_scikit_image(dtype, build):
    image = random_array(np.random.default_rng(0), (7, 11, 13), dtype)
    for in_range in [r for r in RANGES if r != np.uint16]:
        for out_range in RANGES:
            found = fastmed.rescale_intensity(image, in_range, out_range)
            wanted = skimage.exposure.rescale_intensity(image, in_range, out_range)
            told = in_range, out_range
            assert found.dtype == wanted.dtype.newbyteorder("=") and np.array_equal(found, wanted), told


def test_any_layout(build):
    image = random_array(np.random.default_rng(0), (9, 20, 31), "int16")
    for other in layouts(image).values():
        assert np.array_equal(fastmed.rescale_intensity(other), skimage.exposure.rescale_intensity(image))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "bool"])
@pytest.mark.parametrize("in_range", ["image", (3, 40)])
def test_over_chunks_the_range_is_that_of_all(dtype, in_range):
    image = random_array(np.random.default_rng(0), (20, 30, 17), dtype)
    found = fastmed.rescale_intensity(da.from_array(image, chunks=(7, 13, 17)), in_range)
    assert isinstance(found, da.Array) and found.chunks == ((7, 7, 6), (13, 13, 4), (17,))
    computed = found.compute(scheduler="synchronous")
    assert computed.dtype == found.dtype and np.array_equal(computed, fastmed.rescale_intensity(image, in_range))


def test_range_becomes_range(build):
    image = np.linspace(-3, 8, 100, dtype=np.float32).reshape(10, 10)
    found = fastmed.rescale_intensity(image, out_range=(2, 5))
    assert found.dtype == np.float32 and (found.min(), found.max()) == (2, 5) and (np.diff(found.ravel()) > 0).all()


def test_nan_spreads_and_is_said(build):
    image = np.array([1.0, np.nan, 3.0])
    with pytest.warns(UserWarning, match="is NaN"):
        assert np.isnan(fastmed.rescale_intensity(image)).all()
    assert np.array_equal(fastmed.rescale_intensity(image, (1, 3)), [0, np.nan, 1], equal_nan=True)


@pytest.mark.parametrize(
    "arguments, words",
    [({"in_range": "uint9"}, "in_range must be"), ({"out_range": "wide"}, "out_range must be"),
     ({"in_range": (1, 2, 3)}, "in_range must be .* pair")],
)  # fmt: skip
@pytest.mark.parametrize("chunks", [None, 2])
def test_what_is_no_range_is_refused(arguments, words, chunks):
    image = np.arange(6.0) if chunks is None else da.arange(6.0, chunks=chunks)
    with pytest.raises(ValueError, match=words):
        fastmed.rescale_intensity(image, **arguments)


def test_empty():
    assert fastmed.rescale_intensity(np.zeros((0, 3)), (0, 1)).shape == (0, 3)
    with pytest.raises(ValueError, match="image is empty"):
        fastmed.rescale_intensity(np.zeros((0, 3)))
