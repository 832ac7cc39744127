"""sobel against SciPy, scikit-image, OpenCV (2-D) and dask-image. SimpleITK has only the magnitude over all axes."""

from chunked import compute, halves
from data import tissue
from fastmed import sobel
from race import CannotError, Peer, Workload, race


def _scipy(image, **arguments):
    import scipy.ndimage

    return lambda: scipy.ndimage.sobel(image, **arguments)


def _skimage(image, **arguments):
    import skimage.filters

    if image.dtype.kind != "f" or image.ndim != 2:
        raise CannotError("raced on 2-D floats only (integers become floats)")
    return lambda: skimage.filters.sobel(image, axis=1)


def _opencv(image, **arguments):
    import cv2

    if image.ndim != 2:
        raise CannotError("2-D only")
    depth = cv2.CV_32F if image.dtype.kind == "f" else cv2.CV_16S
    if image.dtype.itemsize == 2:
        raise CannotError("no 32-bit integer result")
    return lambda: cv2.Sobel(image, depth, 1, 0, ksize=3, borderType=cv2.BORDER_REFLECT)


def _dask_image(image, **arguments):
    import dask_image.ndfilters

    if arguments:
        raise CannotError("no output=")
    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.sobel(lazy))


PEERS = {
    "scipy": _scipy,
    "scikit-image": Peer(_skimage, "divides by 4", tolerance=0.005, scale=4.0),
    "OpenCV": Peer(_opencv, "sums float32 in another order", tolerance=0.005),
    "dask-image": _dask_image,
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "float32", headline=True),
    Workload(tissue, (128, 512, 512), "int16"),
    Workload(tissue, (2048, 2048), "uint8", output="int16"),
    Workload(tissue, (2048, 2048), "uint16", output="int32"),
    Workload(tissue, (2048, 2048), "float32"),
    Workload(tissue, (64, 64), "uint8", output="int16"),
]

test_sobel = race(sobel, PEERS, WORKLOADS)
