"""Dominant points: OpenCV's of Teh and Chin."""

import doctest

import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed._engine import isa
from fastmed.contours import _dominant

cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference of dominant points, is not installed")

METHODS = {"tc89_l1": cv2.CHAIN_APPROX_TC89_L1, "tc89_kcos": cv2.CHAIN_APPROX_TC89_KCOS}


def masks(seed, count):
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(0, 90 if i % 10 == 0 else 25, 2))
        noise = rng.random(shape)
        if i % 3 == 1:
            noise = noise.repeat(2, 0).repeat(3, 1)
        elif i % 3 == 2 and noise.size:
            noise = scipy.ndimage.gaussian_filter(noise, 1.5)
        yield noise < (np.median(noise) if noise.size else 0) * rng.choice([0.5, 1, 1.5])


@pytest.mark.parametrize("method", METHODS)
def test_equals_opencv(build, method):
    total = 0
    for mask in masks(1, 400):
        found = fastmed.trace_contours(mask, "tree", method)
        wanted, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, METHODS[method])
        assert len(found) == len(wanted)
        total += len(found)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs[:, 0])
    assert total > 6000


def test_three_dominant_points_around_the_first_stay_as_in_opencv(build):
    mask = np.zeros((7, 8), np.uint8)
    x, y = np.transpose(
        [[2, 2], [3, 1], [4, 1], [5, 1], [6, 2], [5, 3], [4, 3], [3, 4], [2, 4], [1, 5], [0, 4], [0, 3], [1, 2]]
    )
    mask[y, x] = 1
    mask[3, 1:5] = mask[2, 2:6] = mask[4, 1] = 1
    found = fastmed.trace_contours(mask, "external", "tc89_l1")
    wanted, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    np.testing.assert_array_equal(found[0], wanted[0][:, 0])


@pytest.mark.parametrize("method", METHODS)
def test_twin_equals_kernel(method):
    for mask in masks(2, 150):
        found = fastmed.trace_contours(mask, "list", method)
        with isa.using("numba"):
            twin = fastmed.trace_contours(mask, "list", method)
        np.testing.assert_array_equal(found.points, twin.points, strict=True)
        np.testing.assert_array_equal(found.offsets, twin.offsets, strict=True)


@pytest.mark.parametrize("method", METHODS)
def test_labels_have_them_too(method):
    labels = np.random.default_rng(3).integers(0, 3, (20, 25)).repeat(4, 0).repeat(4, 1)
    found = fastmed.trace_labels(labels, "list", method)
    wanted = np.concatenate([fastmed.trace_contours(labels == k, "list", method).points for k in (1, 2)])
    np.testing.assert_array_equal(found.points, wanted)


def test_points_must_be_neighbours():
    square = fastmed.trace_contours(np.ones((5, 5)), method="simple")
    with pytest.raises(ValueError, match="contours must have all points, in pixels"):
        fastmed.dominant_points(square)
    with pytest.raises(ValueError, match="method must be one of 'tc89_l1', 'tc89_kcos', found 'none'"):
        fastmed.dominant_points(square, "none")


def test_examples_run():
    outcome = doctest.testmod(_dominant)
    assert outcome.attempted > 0 and outcome.failed == 0
