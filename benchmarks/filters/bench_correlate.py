"""correlate, convolve and their one-axis forms against SciPy, OpenCV (2-D), SimpleITK and dask-image."""

import numpy as np

from chunked import compute, halves
from data import tissue
from fastmed import convolve, convolve1d, correlate, correlate1d
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
    return lambda: cv2.filter2D(image, -1, np.atleast_2d(weights), borderType=cv2.BORDER_REFLECT)


def _opencv_reversed(image, weights):
    return _opencv(image, weights[::-1])


def _dask_image(image, weights):
    import dask_image.ndfilters

    lazy, weights = halves(image), np.asarray(weights)
    full = weights.reshape([1] * (image.ndim - weights.ndim) + list(weights.shape))
    return compute(lambda: dask_image.ndfilters.correlate(lazy, full))


def _simpleitk(image, weights):
    import SimpleITK

    if image.dtype != np.float32:
        raise CannotError("raced on floats only (rounds integers)")
    picture, taps = (SimpleITK.GetImageFromArray(a) for a in (image, np.asarray(weights, np.float32)))
    border = SimpleITK.ConvolutionImageFilter.ZERO_FLUX_NEUMANN_PAD
    return lambda: SimpleITK.Convolution(picture, taps, False, border)


class cone:
    """Weights that fall off from the centre, without a separable form, that add up to 1."""

    def __init__(self, *shape):
        self.shape, self.__name__ = shape, "cone " + "x".join(map(str, shape))

    def __array__(self, dtype=None, copy=None):
        places = np.indices(self.shape) - (np.array(self.shape) // 2).reshape(-1, *[1] * len(self.shape))
        weights = 1 / (1 + np.sqrt((places**2).sum(0)))
        return (weights / weights.sum()).astype(dtype or float)


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
test_correlate = race(
    correlate,
    {
        "scipy": _scipy("correlate"),
        "OpenCV": Peer(_opencv, OPENCV, tolerance=0.005),
        "dask-image": _dask_image,
    },
    [
        Workload(tissue, (128, 512, 512), "float32", headline=True, weights=cone(3, 3, 3)),
        Workload(tissue, (128, 512, 512), "int16", weights=cone(3, 3, 3)),
        Workload(tissue, (128, 512, 512), "float32", part=32, weights=cone(5, 5, 5)),
        Workload(tissue, (2048, 2048), "float32", weights=cone(5, 5)),
        Workload(tissue, (64, 64), "uint8", weights=cone(3, 3)),
    ],
)
test_convolve = race(
    convolve,
    {
        "scipy": _scipy("convolve"),
        "SimpleITK": Peer(_simpleitk, "repeats the edge (not compared there)", tolerance=0.01, border=2),
    },
    [Workload(tissue, (128, 512, 512), "float32", part=32, weights=cone(3, 3, 3))],
)
