"""vectorized_filter against SciPy with the same function."""

import numpy as np

from data import tissue
from fastmed import vectorized_filter
from race import Workload, race


def spread(windows, axis):
    return windows.max(axis=axis) - windows.min(axis=axis)


def _scipy(image, **arguments):
    import scipy.ndimage

    return lambda: scipy.ndimage.vectorized_filter(image, **arguments)


WORKLOADS = [
    Workload(tissue, (64, 256, 256), "float32", part=8, function=f, size=5) 
    for f in (spread, np.median, np.max, np.mean, np.ptp, np.std)
] + [Workload(tissue, (1024, 1024), "int16", function=f, size=7) for f in (spread, np.median, np.mean, np.ptp)]

test_vectorized = race(vectorized_filter, {"scipy": _scipy}, WORKLOADS)
