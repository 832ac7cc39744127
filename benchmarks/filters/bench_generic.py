"""generic_filter and generic_filter1d against SciPy with the same Python function. SciPy gets part of the volume."""

import numpy as np

from data import tissue
from fastmed import generic_filter, generic_filter1d
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


def running_mean(line, result):
    n = line.size - result.size + 1
    total = 0.0
    for i in range(n - 1):
        total += line[i]
    for i in range(result.size):
        total += line[i + n - 1]
        result[i] = total / n
        total -= line[i]


def _scipy(name):
    def build(image, **arguments):
        import scipy.ndimage

        return lambda: getattr(scipy.ndimage, name)(image, **arguments)

    return build


WORKLOADS = [
    Workload(tissue, (32, 128, 128), "float64", part=4, function=f, size=5, headline=f is spread)
    for f in (spread, deviation, entropy, variation, median, trimmed, np.median, np.std, np.ptp)
] + [Workload(tissue, (256, 256), "float64", function=f, size=7) for f in (spread, deviation, median, np.max)]

test_generic = race(generic_filter, {"scipy": _scipy("generic_filter")}, WORKLOADS)
test_generic1d = race(
    generic_filter1d, {"scipy": _scipy("generic_filter1d")},
    [Workload(tissue, (512, 512), "float64", function=running_mean, filter_size=9, axis=0)],
)  # fmt: skip
