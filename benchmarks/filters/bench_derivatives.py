"""laplace, gaussian_laplace and the gradient magnitudes against SciPy, OpenCV (2-D), SimpleITK and dask-image."""

import numpy as np

from chunked import compute, halves
from data import tissue
from fastmed import gaussian_gradient_magnitude, gaussian_laplace, generic_gradient_magnitude, laplace, sobel
from race import CannotError, Peer, Workload, race


def _scipy(name):
    def build(image, **arguments):
        import scipy.ndimage

        return lambda: getattr(scipy.ndimage, name)(image, **arguments)

    return build


def _scipy_generic(image, derivative):
    import scipy.ndimage

    return lambda: scipy.ndimage.generic_gradient_magnitude(image, scipy.ndimage.sobel)


def _dask_image(name):
    def build(image, sigma=None, output=None):
        import dask_image.ndfilters

        if output is not None:
            raise CannotError("no output=")
        lazy, more = halves(image), () if sigma is None else (sigma,)
        return compute(lambda: getattr(dask_image.ndfilters, name)(lazy, *more))

    return build


def _opencv(image, output=None):
    import cv2

    if image.ndim != 2:
        raise CannotError("2-D only")
    depth = cv2.CV_32F if image.dtype.kind == "f" else cv2.CV_16S
    return lambda: cv2.Laplacian(image, depth, ksize=1, borderType=cv2.BORDER_REFLECT)


def _simpleitk(image, output=None):
    import SimpleITK

    if image.dtype != np.float32:
        raise CannotError("raced on floats only (refuses integers)")
    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.Laplacian(picture, False)


def _simpleitk_gaussian(name):
    def build(image, sigma):
        import SimpleITK

        picture = SimpleITK.GetImageFromArray(image)
        return lambda: getattr(SimpleITK, name)(picture, sigma)

    return build


ROUNDING = "sums float32 in another order"
RECURSIVE = "recursive approximation of the Gaussian"
LARGE = [Workload(tissue, (128, 512, 512), "float32", headline=True), Workload(tissue, (128, 512, 512), "int16")]
FLAT = [
    Workload(tissue, (2048, 2048), "float32"),
    Workload(tissue, (2048, 2048), "uint8", output="int16"),
    Workload(tissue, (64, 64), "uint8", output="int16"),
]
SMOOTHED = [
    Workload(tissue, (128, 512, 512), "float32", sigma=1),
    Workload(tissue, (2048, 2048), "float32", sigma=1),
]

test_laplace = race(
    laplace,
    {
        "scipy": _scipy("laplace"),
        "OpenCV": Peer(_opencv, ROUNDING, tolerance=0.005),
        "SimpleITK": Peer(_simpleitk, ROUNDING, tolerance=0.005, border=1),
        "dask-image": _dask_image("laplace"),
    },
    LARGE + FLAT,
)
test_gaussian_laplace = race(
    gaussian_laplace,
    {
        "scipy": _scipy("gaussian_laplace"),
        "SimpleITK": Peer(_simpleitk_gaussian("LaplacianRecursiveGaussian"), RECURSIVE, tolerance=None),
        "dask-image": Peer(_dask_image("gaussian_laplace"), ROUNDING, tolerance=0.005),
    },
    SMOOTHED,
)
test_gaussian_gradient_magnitude = race(
    gaussian_gradient_magnitude,
    {
        "scipy": _scipy("gaussian_gradient_magnitude"),
        "SimpleITK": Peer(_simpleitk_gaussian("GradientMagnitudeRecursiveGaussian"), RECURSIVE, tolerance=None),
        "dask-image": Peer(_dask_image("gaussian_gradient_magnitude"), ROUNDING, tolerance=0.005),
    },
    SMOOTHED,
)
test_generic_gradient_magnitude = race(
    generic_gradient_magnitude,
    {"scipy": _scipy_generic},
    [Workload(tissue, shape, "float32", derivative=sobel) for shape in ((128, 512, 512), (2048, 2048))],
)
