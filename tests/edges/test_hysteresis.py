"""apply_hysteresis_threshold equals scikit-image's."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters

import fastmed
from fastmed._engine import threads
from fastmed.edges import apply_hysteresis_threshold
from helpers import layouts

peer = skimage.filters.apply_hysteresis_threshold


def picture(rng, shape, dtype):
    image = scipy.ndimage.gaussian_filter(rng.random(shape), 1.0)
    image = (image - image.min()) / max(np.ptp(image), 1e-9) * 100
    return image > 60 if dtype == "?" else image.astype(dtype)


@pytest.mark.parametrize("dtype", "?bBhHiIqQefd")
@pytest.mark.parametrize("shape", [(50,), (23, 31), (9, 12, 14), (5, 4, 6, 7), (1, 1), (3, 1, 40)], ids=str)
def test_agrees(shape, dtype, build):
    rng = np.random.default_rng(1)
    image = picture(rng, shape, dtype)
    per_element = rng.uniform(30, 60, shape)
    for low, high in [(40, 60), (60, 40), (40.0, 55.5), (0, 1), (-1, 300), (per_element, 70), (50, per_element)]:
        found, wanted = apply_hysteresis_threshold(image, low, high), peer(image, low, high)
        assert found.dtype == bool and np.array_equal(found, wanted), (low, high)


def test_agrees_on_noise_with_several_threads(monkeypatch, build):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    rng = np.random.default_rng(2)
    with fastmed.num_threads(4):
        for number in range(200):
            image = rng.random(tuple(rng.integers(1, 30, rng.integers(1, 4))))
            low = rng.uniform(0.2, 0.8)
            high = rng.uniform(low, 1.0)
            assert np.array_equal(apply_hysteresis_threshold(image, low, high), peer(image, low, high)), number


def test_layout_does_not_matter():
    image = picture(np.random.default_rng(3), (20, 25), "d")
    for name, variant in layouts(image).items():
        assert np.array_equal(apply_hysteresis_threshold(variant, 40, 70), peer(image, 40, 70)), name


def test_nan_exceeds_nothing(build):
    image = np.array([1.0, 2, np.nan, 2, 3, np.inf, 1])
    assert apply_hysteresis_threshold(image, 1.5, 2.5).tolist() == [False, False, False, True, True, True, False]


def test_a_snake_is_followed_to_its_end(build):
    snake = np.zeros((201, 200), np.uint8)
    snake[::2] = 1
    snake[1::4, -1] = snake[3::4, 0] = 1
    snake[-1, -1] = 2
    assert apply_hysteresis_threshold(snake, 0, 1).sum() == np.count_nonzero(snake)


@pytest.mark.parametrize("chunks", [7, (1, 31), (23, 4), ((2, 1, 20), (30, 1))], ids=str)
def test_dask_equals_memory(chunks):
    rng = np.random.default_rng(4)
    image = picture(rng, (23, 31), "f")
    lazy = da.from_array(image, chunks=chunks)
    per_element = rng.uniform(30, 60, image.shape)
    for low, high in [(45, 70), (per_element, 65.0), (40, da.from_array(per_element, chunks=5))]:
        found = apply_hysteresis_threshold(lazy, low, high)
        assert found.chunks == lazy.chunks
        assert np.array_equal(found.compute(scheduler="sync"), peer(image, low, np.asarray(high)))
    cube = rng.random((12, 13, 14))
    found = apply_hysteresis_threshold(da.from_array(cube, chunks=(5, 4, 3)), 0.6, 0.97)
    assert np.array_equal(found.compute(scheduler="sync"), peer(cube, 0.6, 0.97))


@pytest.mark.parametrize("wrap", [np.asarray, lambda a: da.from_array(a, chunks=-1)], ids=["numpy", "dask"])
def test_errors_name_the_argument(wrap):
    with pytest.raises(ValueError, match=r"low.*\(3,\)"):
        apply_hysteresis_threshold(wrap(np.zeros((4, 4))), np.zeros(3), 1)
    with pytest.raises(TypeError, match="high"):
        apply_hysteresis_threshold(wrap(np.zeros((4, 4))), 0, "much")
