"""generic_filter1d against SciPy with the same Python function."""

from data import tissue
from fastmed import generic_filter1d
from race import Workload, race


def running_mean(line, result):
    n = line.size - result.size + 1
    total = 0.0
    for i in range(n - 1):
        total += line[i]
    for i in range(result.size):
        total += line[i + n - 1]
        result[i] = total / n
        total -= line[i]


def _scipy(image, **arguments):
    import scipy.ndimage

    return lambda: scipy.ndimage.generic_filter1d(image, **arguments)


WORKLOADS = [Workload(tissue, (512, 512), "float64", function=running_mean, filter_size=9, axis=0)]

test_generic1d = race(generic_filter1d, {"scipy": _scipy}, WORKLOADS)
