"""median_filter against SciPy, scikit-image, OpenCV (2-D), SimpleITK and dask-image.

SciPy takes tens of seconds for a volume; so 32 of its slices are timed unless --race-full is given.
"""

import numpy as np

from chunked import compute, halves
from data import tissue
from fastmed import median_filter
from race import CannotError, Peer, Workload, race


def _scipy(image, size):
    import scipy.ndimage

    return lambda: scipy.ndimage.median_filter(image, size)


def _skimage(image, size):
    import skimage.filters

    if image.ndim != 2:
        raise CannotError("in 3-D it calls SciPy, with a footprint")
    window = np.ones((size,) * image.ndim, bool)
    return lambda: skimage.filters.median(image, window, mode="reflect")


def _opencv(image, size):
    import cv2

    if image.ndim != 2:
        raise CannotError("2-D only")
    if size > 5 and image.dtype != np.uint8:
        raise CannotError("above 5x5 uint8 only")
    return lambda: cv2.medianBlur(image, size)


def _simpleitk(image, size):
    import SimpleITK

    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.Median(picture, [size // 2] * image.ndim)


def _dask_image(image, size):
    import dask_image.ndfilters

    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.median_filter(lazy, size))


NEAREST = "repeats the edge beyond the borders (not compared there)"
PEERS = {
    "scipy": _scipy,
    "scikit-image": _skimage,
    "OpenCV": Peer(_opencv, NEAREST, tolerance=0.0, border=4),
    "SimpleITK": Peer(_simpleitk, NEAREST, tolerance=0.0, border=4),
    "dask-image": _dask_image,
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", part=32, headline=True, size=3),
    Workload(tissue, (128, 512, 512), "float32", part=32, headline=True, size=3),
    Workload(tissue, (2048, 2048), "uint8", headline=True, size=3),
    Workload(tissue, (2048, 2048), "uint8", size=9),
    Workload(tissue, (2048, 2048), "uint16", size=5),
    Workload(tissue, (2048, 2048), "float32", size=5),
    Workload(tissue, (64, 64), "uint8", size=3),
    Workload(tissue, (64, 64), "uint8", size=5),
]

test_median = race(median_filter, PEERS, WORKLOADS)
