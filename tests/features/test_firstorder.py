"""First-order statistics against IBSI's references, SciPy and closed forms."""

import csv
import math

import numpy as np
import pytest
import scipy.stats

from fastmed.features import extract_features
from fastmed.features._firstorder import NAMES, firstorder

IBSI = {
    "stat_mean": "mean", "stat_var": "variance", "stat_skew": "skewness", "stat_kurt": "kurtosis",
    "stat_median": "median", "stat_min": "minimum", "stat_p10": "p10", "stat_p90": "p90",
    "stat_max": "maximum",
    "stat_iqr": "iqr", "stat_range": "range", "stat_mad": "mean_absolute_deviation",
    "stat_rmad": "robust_mean_absolute_deviation", "stat_medad": "median_absolute_deviation",
    "stat_cov": "coefficient_of_variation", "stat_qcod": "quartile_dispersion", "stat_energy": "energy",
    "stat_rms": "rms", "ih_entropy": "entropy", "ih_uniformity": "uniformity",
}


def test_ibsi_digital_phantom(shared_data):
    """All statistics; entropy and uniformity too, since its four grey levels fall into four bins."""
    stored = np.load(shared_data / "ibsi" / "ibsi1_digital_phantom.npz")
    features = extract_features(stored["image"], stored["mask"], spacing=stored["spacing_mm"])
    with open(shared_data / "ibsi" / "ibsi1_digital_phantom_reference.csv", newline="") as stream:
        rows = {row["tag"]: float(row["value"]) for row in csv.DictReader(stream) if row["tag"] in IBSI}
    assert set(rows) == set(IBSI)
    for tag, wanted in rows.items():
        assert float(f"{features['firstorder_' + IBSI[tag]]:.3g}") == wanted, tag


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_equals_scipy(dtype):
    values = (np.random.default_rng(0).gamma(2, 20, 5000)).clip(0, 255).astype(dtype)
    found = firstorder(values.copy())
    exact = values.astype(np.float64)
    assert found["mean"] == pytest.approx(exact.mean(), rel=1e-12)
    assert found["variance"] == pytest.approx(exact.var(), rel=1e-12)
    assert found["skewness"] == pytest.approx(scipy.stats.skew(exact), rel=1e-9)
    assert found["kurtosis"] == pytest.approx(scipy.stats.kurtosis(exact), rel=1e-9)
    assert found["iqr"] == pytest.approx(scipy.stats.iqr(exact), rel=1e-6)
    assert found["rms"] == pytest.approx(np.sqrt((exact**2).mean()), rel=1e-12)
    share = np.histogram(exact, 32)[0] / len(exact)
    assert found["entropy"] == pytest.approx(scipy.stats.entropy(share, base=2), rel=1e-9)
    assert found["uniformity"] == pytest.approx((share**2).sum(), rel=1e-9)


def test_blocks_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(1000, 1, 5000)
    whole = firstorder(values.copy())
    monkeypatch.setattr("fastmed.features._firstorder._BLOCK", 7)
    for name, value in firstorder(values.copy()).items():
        assert value == pytest.approx(whole[name], rel=1e-9), name


def test_a_constant():
    found = firstorder(np.full(10, 0.1))
    assert [found[k] for k in ("variance", "skewness", "kurtosis", "entropy")] == [0, 0, 0, 0]
    assert found["uniformity"] == 1
    assert found["mean"] == 0.1
    assert math.isnan(firstorder(np.zeros(4))["coefficient_of_variation"])


def test_uniform_grey_levels_have_five_bits():
    found = firstorder(np.arange(32.0).repeat(3))
    assert found["entropy"] == pytest.approx(5)
    assert found["uniformity"] == pytest.approx(1 / 32)


def test_nothing_is_nan():
    assert all(map(math.isnan, firstorder(np.empty(0)).values()))
    assert tuple(firstorder(np.empty(0))) == NAMES
