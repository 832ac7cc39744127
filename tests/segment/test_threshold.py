"""threshold_otsu against scikit-image, and over chunks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import skimage.filters

import fastmed
from helpers import random_array as any_array


def random_array(rng, shape, dtype):
    """Integers that lie no further apart than can be counted one by one."""
    image = any_array(rng, shape, dtype)
    return image % image.dtype.type(5000) if image.dtype.itemsize > 2 and image.dtype.kind in "iu" else image


KINDS = ["bool", "uint8", "int16", "int32", "uint64", "float32", "float64"]


@pytest.mark.parametrize("dtype", KINDS)
def test_agrees_with_scikit_image(dtype, build):
    for seed in range(5):
        image = random_array(np.random.default_rng(seed), (9, 20, 33), dtype)
        found, wanted = fastmed.threshold_otsu(image, 64), skimage.filters.threshold_otsu(image, 64)
        assert found == wanted and np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("dtype", KINDS)
def test_over_chunks(dtype):
    image = random_array(np.random.default_rng(0), (20, 30, 17), dtype)
    found = fastmed.threshold_otsu(da.from_array(image, chunks=(7, 13, 17)))
    assert isinstance(found, da.Array) and found.shape == ()
    computed = found.compute(scheduler="synchronous")
    assert computed == fastmed.threshold_otsu(image) and computed.dtype == found.dtype


@pytest.mark.parametrize("dtype", KINDS)
def test_one_value_is_its_own_threshold(dtype):
    image = np.full((5, 6), 1, dtype)
    for one in (image, da.from_array(image, chunks=2)):
        assert fastmed.threshold_otsu(one) == 1


def test_two_classes_are_parted(build):
    rng = np.random.default_rng(0)
    image = np.where(rng.random((40, 50)) < 0.4, 1000, 200) + rng.integers(-50, 50, (40, 50))
    above = image > fastmed.threshold_otsu(image)
    assert np.array_equal(above, image > 600)


def test_counts_instead_of_an_image():
    image = random_array(np.random.default_rng(0), (40, 33), "uint8")
    both = fastmed.intensity_histogram(image, source_range="dtype")
    assert fastmed.threshold_otsu(hist=both) == fastmed.threshold_otsu(image) == fastmed.threshold_otsu(hist=both[0])


@pytest.mark.parametrize("options, words", [({}, "image or hist"), ({"image": np.arange(3.0), "nbins": 1}, "nbins"),
                                            ({"hist": np.zeros(4)}, "hist must hold")])  # fmt: skip
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        fastmed.threshold_otsu(**options)
