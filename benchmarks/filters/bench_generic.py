"""generic_filter against SciPy with the same Python function. SciPy gets part of the volume."""

import numpy as np

from data import tissue
from fastmed import generic_filter
from race import Workload, race


def spread(w):
    return w.max() - w.min()


def deviation(w):
    total = 0.0
    for v in w:
        total += v
    mean = total / w.size
    squares = 0.0
    for v in w:
        squares += (v - mean) ** 2
    return np.sqrt(squares / w.size)


def entropy(w):
    total = 0.0
    for v in w:
        p = abs(v) / 2000 + 1e-3
        total -= p * np.log(p)
    return total


def variation(w):
    return w.std() / (abs(w.mean()) + 1)


def trimmed(w):
    s = np.sort(w)
    return s[w.size // 10 : w.size - w.size // 10].mean()


def median(w):
    return np.median(w)


def quartiles(w):
    return np.percentile(w, 75) - np.percentile(w, 25)


def absolute_deviation(w):
    return np.median(np.abs(w - np.median(w)))


def mean(w):
    return w.mean()


def total(w):
    return np.sum(w)


def rank(w):
    return np.sort(w)[7]


def _scipy(image, **arguments):
    import scipy.ndimage

    return lambda: scipy.ndimage.generic_filter(image, **arguments)


FUNCTIONS = (spread, deviation, entropy, variation, mean, total, median, quartiles, absolute_deviation, trimmed, rank,
             np.median, np.mean, np.std, np.ptp)  # fmt: skip
WORKLOADS = [
    Workload(tissue, (32, 128, 128), "float64", part=4, function=f, size=5, headline=f is spread) for f in FUNCTIONS
]
WORKLOADS += [Workload(tissue, (32, 128, 128), "float64", part=4, function=f, size=3) for f in (spread, trimmed, rank)]
WORKLOADS += [Workload(tissue, (256, 256), "float64", function=f, size=7) for f in (spread, deviation, median, np.max)]

test_generic = race(generic_filter, {"scipy": _scipy}, WORKLOADS)
