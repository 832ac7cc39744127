"""PNG by zlib: other decoders read it back."""

import io

import numpy as np
import pytest

from fastmed.report._png import data_uri, png, to_grey


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (64, 33)])
def test_other_decoders_read_the_same_pixels(shape):
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with image_module.open(io.BytesIO(png(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


@pytest.mark.parametrize("image", [np.zeros((2, 2)), np.zeros(3, np.uint8), np.zeros((0, 3), np.uint8)])
def test_what_is_no_grey_image_is_refused(image):
    with pytest.raises(ValueError, match="2-D uint8"):
        png(image)


def test_the_uri_is_one_word():
    assert set(data_uri(np.zeros((2, 2), np.uint8))).isdisjoint(' "<>\n')


def test_grey_levels_follow_the_window():
    np.testing.assert_array_equal(to_grey(np.array([[-5.0, 0, 5, 10, 99]]), (0, 10)), [[0, 0, 128, 255, 255]])


def test_what_is_not_finite_is_black_or_white():
    np.testing.assert_array_equal(
        to_grey(np.array([[np.nan, -np.inf, np.inf, 1.0]]), (0, 1)), [[0, 0, 255, 255]]
    )


@pytest.mark.parametrize("image", [np.full((2, 2), np.nan), np.full((2, 2), 7.0), np.zeros((2, 2), np.int16)])
def test_images_without_contrast_are_possible(image):
    assert to_grey(image).dtype == np.uint8


def test_masks_are_black_and_white():
    np.testing.assert_array_equal(to_grey(np.array([[True, False]])), [[255, 0]])
