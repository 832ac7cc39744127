"""intensity_histogram against scikit-image, on every build and over chunks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import skimage.exposure

import fastmed
from helpers import random_array as any_array


def random_array(rng, shape, dtype):
    """Integers that lie no further apart than can be counted one by one."""
    image = any_array(rng, shape, dtype)
    return image % image.dtype.type(5000) if image.dtype.itemsize > 2 and image.dtype.kind in "iu" else image


KINDS = ["bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


def same(found, wanted):
    return all(
        a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b) for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", [(5,), (40, 33), (11, 20, 33)])
@pytest.mark.filterwarnings("ignore:This might be a color image")
def test_agrees_with_scikit_image(dtype, shape, build):
    image = random_array(np.random.default_rng(0), shape, dtype)
    for part in (image, image[::2], image.T, image[..., ::-3]):
        for normalize in (False, True):
            wanted = skimage.exposure.histogram(part, 37, normalize=normalize)
            assert same(fastmed.intensity_histogram(part, 37, normalize=normalize), wanted)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_over_all_that_the_dtype_holds(dtype, build):
    image = random_array(np.random.default_rng(0), (20, 33), dtype)
    image = image / np.abs(image).max() if dtype == "float32" else image
    counts, centers = fastmed.intensity_histogram(image, 50, "dtype")
    assert counts.sum() == image.size and counts.size == {"uint8": 256, "int16": 65536, "float32": 50}[dtype]
    assert all(counts[centers == v] == np.count_nonzero(image == v) for v in np.unique(image)[:9] if dtype != "float32")


@pytest.mark.parametrize("dtype", KINDS)
def test_over_chunks(dtype):
    image = random_array(np.random.default_rng(0), (20, 30, 17), dtype)
    found = fastmed.intensity_histogram(da.from_array(image, chunks=(7, 13, 17)), 20)
    computed = [one.compute(scheduler="synchronous") for one in found]
    assert all(c.dtype == f.dtype for c, f in zip(computed, found, strict=True))
    assert same(computed, fastmed.intensity_histogram(image, 20))


def test_counts_do_not_depend_on_threads(build):
    image = random_array(np.random.default_rng(0), (150, 150, 150), "float32")
    with fastmed.num_threads(1):
        one = fastmed.intensity_histogram(image)
    with fastmed.num_threads(3):
        assert same(fastmed.intensity_histogram(image), one)


@pytest.mark.parametrize(
    "image, options, words",
    [(np.zeros((0, 2)), {}, "image is empty"), (np.array([1.0, np.nan]), {}, "image must be finite"),
     (np.arange(3), {"source_range": "all"}, "source_range must be"), (np.arange(3), {"nbins": 0}, "nbins must be"),
     (np.float32(1e7) + np.arange(4, dtype=np.float32), {"nbins": 64}, "nbins must not be 64"),
     (np.array([0, 1 << 40]), {}, "image holds integers from 0")],
)  # fmt: skip
def test_refusals(image, options, words):
    with pytest.raises(ValueError, match=words):
        fastmed.intensity_histogram(image, **options)
