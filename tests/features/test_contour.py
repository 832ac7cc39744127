"""Contour shape against closed forms and OpenCV."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmed.features import extract_features
from fastmed.features._contour import central_moments, hu_moments, log_hu, shape_of


def circle(radius, n=2000, squeeze=1.0):
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([radius * np.cos(t), squeeze * radius * np.sin(t)], axis=1)


def test_a_disc():
    area, perimeter, circularity, hu1, hu2, *_ = shape_of(circle(7))
    assert area == pytest.approx(49 * math.pi, rel=1e-5)
    assert perimeter == pytest.approx(14 * math.pi, rel=1e-5)
    assert circularity == pytest.approx(1, rel=1e-5)
    assert hu1 == pytest.approx(log_hu(1 / (2 * math.pi)), rel=1e-5)
    assert hu2 == pytest.approx(0, abs=1e-5)


def test_a_square_and_a_rectangle():
    """Hu's first two invariants of an a x b rectangle: (a/b + b/a) / 12 and ((a/b - b/a) / 12)^2."""
    for a, b in [(3, 3), (2, 5)]:
        polygon = np.array([[0, 0], [a, 0], [a, b], [0, b]]) - np.array([-100, 40])
        hu = hu_moments(central_moments(polygon))
        assert hu[0] == pytest.approx((a / b + b / a) / 12)
        assert hu[1] == pytest.approx(((a / b - b / a) / 12) ** 2, abs=1e-12)
        assert shape_of(polygon)[:3] == pytest.approx([a * b, 2 * (a + b), math.pi * a * b / (a + b) ** 2])


def star(seed, spikes=11):
    rng = np.random.default_rng(seed)
    radius = rng.uniform(10, 40, spikes)
    t = np.sort(rng.uniform(0, 2 * np.pi, spikes))
    return np.stack([100 + radius * np.cos(t), 80 + radius * np.sin(t)], axis=1)


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_equals_opencv(seed):
    cv2 = pytest.importorskip("cv2")
    polygon = star(seed).astype(np.float32)
    moments, theirs = central_moments(polygon.astype(np.float64)), cv2.moments(polygon)
    for name, value in moments.items():
        order = sum(map(int, name[2:])) if name != "m00" else 0
        scale = theirs["m00"] ** (1 + order / 2)
        assert value / scale == pytest.approx(theirs[name] / scale, abs=1e-5), name
    np.testing.assert_allclose(hu_moments(moments), cv2.HuMoments(theirs)[:, 0], atol=1e-5)
    area, perimeter, *_ = shape_of(polygon.astype(np.float64))
    assert area == pytest.approx(cv2.contourArea(polygon), rel=1e-4)
    assert perimeter == pytest.approx(cv2.arcLength(polygon, True), rel=1e-4)


@given(st.integers(0, 10_000), st.floats(0.1, 6), st.floats(0.2, 50), st.floats(-1000, 1000))
@settings(max_examples=50, deadline=None)
def test_shift_size_and_rotation_change_no_invariant(seed, angle, size, shift):
    polygon = star(seed)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    wanted = hu_moments(central_moments(polygon))
    moved = hu_moments(central_moments(polygon @ turn * size + shift))
    np.testing.assert_allclose(moved, wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(hu_moments(central_moments(polygon[::-1])), wanted, atol=1e-12)


def test_a_mirror_turns_the_seventh_alone():
    hu = hu_moments(central_moments(star(3)))
    mirrored = hu_moments(central_moments(star(3) * [-1, 1]))
    np.testing.assert_allclose(mirrored[:6], hu[:6], rtol=1e-9)
    assert mirrored[6] == pytest.approx(-hu[6]) != 0


def test_the_largest_contour_of_each_plane_equals_opencvs():
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    masks = np.stack([cv2.GaussianBlur(rng.normal(size=(90, 100)), (0, 0), 4) > 0.02 for _ in range(4)])
    features = extract_features(rng.normal(size=masks.shape), masks)
    areas, lengths, borders = [], [], []
    for mask in masks:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        best = max(contours, key=cv2.contourArea)
        areas.append(cv2.contourArea(best))
        lengths.append(cv2.arcLength(best, True))
        borders.append(len(contours))
    assert features["contour_area_mean"] == pytest.approx(np.mean(areas))
    assert features["contour_perimeter_mean"] == pytest.approx(np.mean(lengths))
    assert features["contour_borders_mean"] == np.mean(borders)
    assert features["contour_borders_max"] == max(borders)
    assert features["contour_area_largest"] == max(areas)
    assert features["contour_perimeter_largest"] == pytest.approx(lengths[int(np.argmax(areas))])


def test_oblong_pixels():
    mask = np.zeros((30, 40), bool)
    mask[5:16, 10:31] = True  # corners 10 rows and 20 columns apart
    features = extract_features(np.zeros(mask.shape), mask, spacing=(2.0, 0.5))
    assert features["contour_area_mean"] == 10 * 2 * 20 * 0.5
    assert features["contour_perimeter_mean"] == 2 * (10 * 2 + 20 * 0.5)
    assert features["contour_foreground_area_mean"] == 11 * 21


def test_a_hole_is_a_border():
    mask = np.zeros((20, 20), bool)
    mask[3:17, 3:17] = True
    mask[8:12, 8:12] = False
    features = extract_features(np.zeros(mask.shape), mask)
    assert features["contour_borders_max"] == 2
    assert features["contour_area_mean"] == 13 * 13


@pytest.mark.parametrize("pixels", [[(5, 5)], [(5, 4), (5, 5), (5, 6)]])
def test_no_area_no_invariants(pixels):
    mask = np.zeros((10, 10), bool)
    mask[tuple(zip(*pixels, strict=True))] = True
    features = extract_features(np.zeros(mask.shape), mask)
    assert features["contour_area_mean"] == 0
    assert math.isnan(features["contour_circularity_mean"])
    assert math.isnan(features["contour_hu1_largest"])


def test_log_hu_is_continuous_and_odd():
    values = [-1.0, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 1.0]
    logs = [log_hu(v) for v in values]
    assert logs == sorted(logs)
    assert logs[3] == 0
    assert [-v for v in logs[::-1]] == logs
    assert log_hu(0.1) == pytest.approx(8 + math.log10(0.1), abs=1e-6)


def test_spikes_lower_the_circularity():
    y, x = np.mgrid[-50:50, -50:50] + 0.5
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    smooth = extract_features(np.where(radius < 30, 100.0, 0))
    spiky = extract_features(np.where(radius < 30 + 8 * np.cos(9 * angle), 100.0, 0))
    assert smooth["contour_circularity_mean"] > 0.8 > spiky["contour_circularity_mean"] + 0.15
