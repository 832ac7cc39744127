"""First-order statistics, as the Image Biomarker Standardisation Initiative (IBSI) defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 32

NAMES = (
    "mean", "variance", "skewness", "kurtosis", "median", "minimum", "p10", "p90", "maximum", "iqr", "range",
    "mean_absolute_deviation", "robust_mean_absolute_deviation", "median_absolute_deviation",
    "coefficient_of_variation", "quartile_dispersion", "energy", "rms", "entropy", "uniformity",
)

#: What :func:`percentiles` gives; the outer two are the range that edges refer to.
RANKS = (0.5, 10.0, 25.0, 50.0, 75.0, 90.0, 99.5)

#: Values that are taken to float64 at a time.
_BLOCK = 1 << 20


def percentiles(values: np.ndarray) -> np.ndarray:
    """Percentiles `RANKS` of 1-d `values`, linear between ranks; NaN without values. Reorders `values`."""
    if not values.size:
        return np.full(len(RANKS), np.nan)
    return np.percentile(values, RANKS, overwrite_input=True).astype(np.float64)


def firstorder(values: np.ndarray, quantiles: np.ndarray | None = None) -> dict[str, float]:
    """First-order statistics of 1-d finite `values`, whose :func:`percentiles` may be known.

    NaN everywhere when `values` is empty; skewness and kurtosis of a constant are 0 (IBSI). Two passes over
    the values, in float64 a block at a time, and one selection in the values' own dtype for the percentiles.
    """
    if not values.size:
        return dict.fromkeys(NAMES, float("nan"))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        quantiles = percentiles(values) if quantiles is None else quantiles
        result = _moments(values, quantiles)
        result |= _histogram(values, result["minimum"], result["maximum"])
    return {name: float(result[name]) for name in NAMES}


def blocks(values: np.ndarray) -> Any:
    for start in range(0, values.size, _BLOCK):
        yield values[start : start + _BLOCK].astype(np.float64)


def _moments(values: np.ndarray, quantiles: np.ndarray) -> dict[str, float]:
    n = values.size
    _, p10, p25, median, p75, p90, _ = quantiles
    low, high = float(values.min()), float(values.max())
    mean = sum(float(b.sum()) for b in blocks(values)) / n
    mean = min(max(mean, low), high)  # rounding must not give a constant a variance
    sums = np.zeros(6)
    middle_sum = middle_count = 0.0
    for block in blocks(values):
        deviation = block - mean
        square = deviation * deviation
        sums += [square.sum(), (square * deviation).sum(), (square * square).sum(), np.abs(deviation).sum(),
                 np.abs(block - median).sum(), (block * block).sum()]
        middle = block[(block >= p10) & (block <= p90)]
        middle_sum, middle_count = middle_sum + middle.sum(), middle_count + middle.size
    middle_mean = middle_sum / middle_count
    robust = sum(
        float(np.abs(b[(b >= p10) & (b <= p90)] - middle_mean).sum()) for b in blocks(values)
    ) / middle_count
    variance = sums[0] / n
    flat = variance == 0
    return {
        "mean": mean,
        "variance": variance,
        "skewness": 0.0 if flat else sums[1] / n / variance**1.5,
        "kurtosis": 0.0 if flat else sums[2] / n / variance**2 - 3.0,
        "median": median,
        "minimum": low,
        "p10": p10,
        "p90": p90,
        "maximum": high,
        "iqr": p75 - p25,
        "range": high - low,
        "mean_absolute_deviation": sums[3] / n,
        "robust_mean_absolute_deviation": robust,
        "median_absolute_deviation": sums[4] / n,
        "coefficient_of_variation": np.sqrt(variance) / mean if mean else float("nan"),
        "quartile_dispersion": (p75 - p25) / (p75 + p25) if p75 + p25 else float("nan"),
        "energy": sums[5],
        "rms": np.sqrt(sums[5] / n),
    }


def _histogram(values: np.ndarray, low: float, high: float) -> dict[str, float]:
    """Entropy (bits) and uniformity over `BINS` equal bins between the extremes; a constant fills one bin."""
    if high == low or not np.isfinite(high - low):
        return {"entropy": 0.0, "uniformity": 1.0} if high == low else dict.fromkeys(NAMES[-2:], float("nan"))
    counts = np.zeros(BINS)
    for block in blocks(values):
        bins = np.minimum((BINS * ((block - low) / (high - low))).astype(np.intp), BINS - 1)
        counts += np.bincount(bins, minlength=BINS)
    share = counts[counts > 0] / values.size
    return {"entropy": float(-(share * np.log2(share)).sum()), "uniformity": float((share * share).sum())}
