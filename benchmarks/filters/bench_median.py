"""median_filter against SciPy, scikit-image, OpenCV (2-D), SimpleITK and dask-image.

SciPy takes tens of seconds for a volume; so 32 of its slices are timed unless --race-full is given.
"""

import numpy as np

from chunked import compute, halves
from data import tissue
from fastmed import median_filter
from race import CannotError, Peer, Workload, race


def _not_for_minutes(size):
    if size > 15:
        raise CannotError("takes minutes")


def _scipy(image, size):
    import scipy.ndimage

    return lambda: scipy.ndimage.median_filter(image, size)


def _skimage(image, size):
    import skimage.filters

    _not_for_minutes(size)
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

    _not_for_minutes(size)
    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.Median(picture, [size // 2] * image.ndim)


def _dask_image(image, size):
    import dask_image.ndfilters

    _not_for_minutes(size)
    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.median_filter(lazy, size))


NEAREST = "repeats the edge beyond the borders (not compared there)"
PEERS = {
    "scipy": _scipy,
    "scikit-image": _skimage,
    "OpenCV": Peer(_opencv, NEAREST, tolerance=0.0, border=26),
    "SimpleITK": Peer(_simpleitk, NEAREST, tolerance=0.0, border=8),
    "dask-image": _dask_image,
}
IMAGES = [
    Workload(tissue, (2048, 2048), dtype, part=128 if size > 15 else 0,
             headline=(size, dtype) == (3, "uint8"), size=size)
    for size in (3, 5, 15, 51) for dtype in ("uint8", "uint16", "float32")
]
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", part=32, headline=True, size=3),
    Workload(tissue, (128, 512, 512), "float32", part=32, headline=True, size=3),
    Workload(tissue, (128, 512, 512), "int16", part=16, headline=True, size=5),
    *(Workload(tissue, (32, 64, 64), dtype, size=size) for size in (9, 15) for dtype in ("int16", "float32")),
    *IMAGES,
    Workload(tissue, (64, 64), "uint8", size=3),
    Workload(tissue, (64, 64), "uint8", size=5),
]

test_median = race(median_filter, PEERS, WORKLOADS)
