"""correlate1d and convolve1d against SciPy, OpenCV (2-D) and dask-image."""

import numpy as np

from chunked import compute, halves
from data import tissue
from fastmed import convolve1d, correlate1d
from race import CannotError, Peer, Workload, race


def _scipy(name):
    def build(image, weights):
        import scipy.ndimage

        return lambda: getattr(scipy.ndimage, name)(image, weights)

    return build


def _opencv(image, weights):
    import cv2

    if image.ndim != 2 or image.dtype != np.float32:
        raise CannotError("raced on 2-D floats only (rounds integers)")
    return lambda: cv2.filter2D(image, -1, np.asarray(weights)[None], borderType=cv2.BORDER_REFLECT)


def _opencv_reversed(image, weights):
    return _opencv(image, weights[::-1])


def _dask_image(image, weights):
    import dask_image.ndfilters

    lazy, row = halves(image), np.asarray(weights).reshape([1] * (image.ndim - 1) + [-1])
    return compute(lambda: dask_image.ndfilters.correlate(lazy, row))


FIVE = (0.1, 0.4, 0.2, 0.2, 0.1)
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "float32", headline=True, weights=FIVE),
    Workload(tissue, (128, 512, 512), "int16", weights=FIVE),
    Workload(tissue, (2048, 2048), "float32", weights=FIVE),
    Workload(tissue, (64, 64), "uint8", weights=(0.25, 0.5, 0.2)),
]
OPENCV = "sums float32 in another order"

test_correlate1d = race(
    correlate1d,
    {
        "scipy": _scipy("correlate1d"),
        "OpenCV": Peer(_opencv, OPENCV, tolerance=0.005),
        "dask-image": Peer(_dask_image, "n-D correlation with a row of weights, summed in another order", tolerance=1),
    },
    WORKLOADS,
)
test_convolve1d = race(
    convolve1d,
    {"scipy": _scipy("convolve1d"), "OpenCV": Peer(_opencv_reversed, OPENCV, tolerance=0.005)},
    [WORKLOADS[0], WORKLOADS[2]],
)
