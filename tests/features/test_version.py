"""The values stay, or FEATURES_VERSION rises: finished units of old runs are taken up by it."""

import numpy as np
import pytest

from fastmed.features import FEATURES_VERSION, extract_features

#: Of :func:`image`, by versions 1 and 2 (which leaves padding out).
VALUES = {
    "firstorder_mean": 33.8379216,
    "firstorder_variance": 1797.10084,
    "firstorder_skewness": 1.25829808,
    "firstorder_kurtosis": -0.280477108,
    "firstorder_median": 15,
    "firstorder_minimum": 0,
    "firstorder_p10": 3,
    "firstorder_p90": 113,
    "firstorder_maximum": 122,
    "firstorder_iqr": 15,
    "firstorder_range": 122,
    "firstorder_mean_absolute_deviation": 35.0543445,
    "firstorder_robust_mean_absolute_deviation": 26.0367074,
    "firstorder_median_absolute_deviation": 26.687872,
    "firstorder_coefficient_of_variation": 1.2528023,
    "firstorder_quartile_dispersion": 0.517241379,
    "firstorder_energy": 23725141,
    "firstorder_rms": 54.2411816,
    "firstorder_entropy": 3.34662829,
    "firstorder_uniformity": 0.109717375,
    "edge_density": 0.332968436,
    "edge_gradient_mean": 10.3298378,
    "edge_gradient_std": 12.990666,
    "edge_gradient_p90": 34.5548435,
    "edge_gradient_max": 38.9287411,
    "edge_gradient_relative": 0.0846708014,
    "contour_foreground_area_mean": 292.32,
    "contour_borders_mean": 1,
    "contour_borders_max": 1,
    "contour_area_mean": 273.6,
    "contour_perimeter_mean": 61.6,
    "contour_circularity_mean": 0.906075803,
    "contour_hu1_mean": 7.22021381,
    "contour_hu2_mean": 5.33474564,
    "contour_hu3_mean": 0,
    "contour_hu4_mean": 0,
    "contour_hu5_mean": 0,
    "contour_hu6_mean": 0,
    "contour_hu7_mean": 0,
    "contour_area_largest": 273.6,
    "contour_perimeter_largest": 61.6,
    "contour_circularity_largest": 0.906075803,
    "contour_hu1_largest": 7.22021381,
    "contour_hu2_largest": 5.33474564,
    "contour_hu3_largest": 0,
    "contour_hu4_largest": 0,
    "contour_hu5_largest": -0,
    "contour_hu6_largest": 0,
    "contour_hu7_largest": 0,
}


def image():
    y, x = np.mgrid[:48, :56]
    disc = [100 * (np.hypot(y - 24, x - 28 - k) < 14) + (7 * x + 11 * y + k * x * y) % 23 for k in range(3)]
    return np.stack(disc).astype(np.int16)


def test_other_values_are_another_version():
    assert FEATURES_VERSION == 2
    found = extract_features(image(), spacing=(2, 0.8, 0.6))
    assert list(found) == list(VALUES)
    for name, value in found.items():
        assert value == pytest.approx(VALUES[name], rel=1e-5, abs=1e-5), name
