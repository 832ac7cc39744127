"""Edges in mm: a step's known slope, a border's known length."""

import math

import numpy as np
import pytest

from fastmed.features import extract_features


def step(spacing, axis, height=200.0, mm=40):
    shape = [round(mm / s) for s in spacing]
    image = np.zeros(shape)
    half = [slice(None)] * 2
    half[axis] = slice(shape[axis] // 2, None)
    image[tuple(half)] = height
    return image


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spacing", [(0.25, 0.25), (0.5, 0.25), (0.25, 0.5)])
def test_a_step_smoothed_by_1_mm_rises_as_a_gaussian_does(spacing, axis):
    features = extract_features(step(spacing, axis), spacing=spacing)
    assert features["edge_gradient_max"] == pytest.approx(200 / math.sqrt(2 * math.pi), rel=0.06)
    assert features["edge_gradient_relative"] * 200 == pytest.approx(features["edge_gradient_mean"])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_is_one_line_of_edge_pixels(axis):
    """One pixel for each row of the border; the foreground is half the image."""
    image = step((0.5, 0.5), axis)
    image.swapaxes(0, axis)[40] = 120  # the border lies in a pixel, not between two that are equally steep
    features = extract_features(image, spacing=(0.5, 0.5))
    assert features["contour_foreground_area_mean"] == pytest.approx(800, rel=0.05)
    assert 76 <= features["edge_density"] * features["contour_foreground_area_mean"] <= 80


def test_a_ramp_has_its_slope_everywhere():
    image = np.arange(100.0)[None, :] * 0.5 * 3 + np.zeros((60, 1))  # 3 per mm
    mask = np.zeros((60, 100), bool)
    mask[20:40, 20:80] = True
    features = extract_features(image, mask, spacing=(0.5, 0.5))
    assert features["edge_gradient_mean"] == pytest.approx(3, rel=1e-3)
    assert features["edge_gradient_std"] == pytest.approx(0, abs=1e-2)
    assert features["edge_density"] == 0


def test_scale_and_shift_of_the_intensities():
    image = np.random.default_rng(0).normal(size=(2, 64, 64)).cumsum(axis=1)
    plain, scaled = extract_features(image), extract_features(image * 7 - 1000)
    assert scaled["edge_density"] == plain["edge_density"] > 0
    assert scaled["edge_gradient_mean"] == pytest.approx(7 * plain["edge_gradient_mean"], rel=1e-4)
    assert scaled["edge_gradient_relative"] == pytest.approx(plain["edge_gradient_relative"], rel=1e-4)


def test_without_foreground_nothing_is_defined():
    features = extract_features(np.ones((20, 20)))
    assert all(math.isnan(v) for k, v in features.items() if k.startswith("edge_"))
