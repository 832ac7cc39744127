"""gaussian_filter against SciPy, scikit-image, OpenCV (2-D), SimpleITK and dask-image."""

from chunked import compute, halves
from data import tissue
from fastmed import gaussian_filter, gaussian_filter1d
from race import CannotError, Peer, Workload, race


def _scipy(image, sigma):
    import scipy.ndimage

    return lambda: scipy.ndimage.gaussian_filter(image, sigma)


def _skimage(image, sigma):
    import skimage.filters

    if image.dtype.kind != "f":
        raise CannotError("integers become floats")
    return lambda: skimage.filters.gaussian(image, sigma, mode="reflect", preserve_range=True)


def _opencv(image, sigma):
    import cv2

    if image.ndim != 2:
        raise CannotError("2-D only")
    width = 2 * int(4 * sigma + 0.5) + 1
    return lambda: cv2.GaussianBlur(image, (width, width), sigma, borderType=cv2.BORDER_REFLECT)


def _simpleitk(image, sigma):
    import SimpleITK

    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.SmoothingRecursiveGaussian(picture, sigma)


def _dask_image(image, sigma):
    import dask_image.ndfilters

    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.gaussian_filter(lazy, sigma))


def _scipy_line(image, sigma):
    import scipy.ndimage

    return lambda: scipy.ndimage.gaussian_filter1d(image, sigma)


PEERS = {
    "scipy": _scipy,
    "scikit-image": _skimage,
    "OpenCV": Peer(_opencv, "rounds integers where SciPy cuts, after each axis (up to 2 levels apart)", tolerance=2.01),
    "SimpleITK": Peer(_simpleitk, "runs a recursive approximation with other borders; outcomes not compared"),
    "dask-image": _dask_image,
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "float32", headline=True, sigma=1),
    Workload(tissue, (128, 512, 512), "float32", headline=True, sigma=3),
    Workload(tissue, (128, 512, 512), "int16", sigma=1),
    Workload(tissue, (128, 512, 512), "int16", headline=True, sigma=3),
    Workload(tissue, (2048, 2048), "uint8", sigma=1),
    Workload(tissue, (2048, 2048), "uint16", sigma=1),
    Workload(tissue, (2048, 2048), "float32", sigma=1),
    Workload(tissue, (64, 64), "uint8", sigma=1),
]

test_gaussian = race(gaussian_filter, PEERS, WORKLOADS)
test_gaussian_line = race(
    gaussian_filter1d, {"scipy": _scipy_line},
    [Workload(tissue, (128, 512, 512), t, sigma=1) for t in ("float32", "int16")],
)
