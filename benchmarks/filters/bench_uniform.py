"""uniform_filter against SciPy, OpenCV (2-D), SimpleITK and dask-image."""

from chunked import compute, halves
from data import tissue
from fastmed import uniform_filter, uniform_filter1d
from race import CannotError, Peer, Workload, race


def _scipy(image, size):
    import scipy.ndimage

    return lambda: scipy.ndimage.uniform_filter(image, size)


def _opencv(image, size):
    import cv2

    if image.ndim != 2:
        raise CannotError("2-D only")
    return lambda: cv2.blur(image, (size, size), borderType=cv2.BORDER_REFLECT)


def _simpleitk(image, size):
    import SimpleITK

    if size > 5:
        raise CannotError("its borders, which are others, reach as far as the box")
    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.BoxMean(picture, [size // 2] * image.ndim)


def _dask_image(image, size):
    import dask_image.ndfilters

    if size // 2 > image.shape[0] // 2:
        raise CannotError("no chunk may be smaller than half the box")
    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.uniform_filter(lazy, size))


def _scipy_line(image, size):
    import scipy.ndimage

    return lambda: scipy.ndimage.uniform_filter1d(image, size)


PEERS = {
    "scipy": _scipy,
    "OpenCV": Peer(_opencv, "rounds integers where SciPy cuts, once (up to 2 levels apart)", tolerance=2.01),
    "SimpleITK": Peer(_simpleitk, "averages over what lies inside at the borders (not compared there); cuts integers "
                                  "once (up to 3 levels apart)", tolerance=3.01, border=2),
    "dask-image": _dask_image,
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "float32", headline=True, size=3),
    Workload(tissue, (128, 512, 512), "float32", size=5),
    Workload(tissue, (128, 512, 512), "int16", headline=True, size=3),
    Workload(tissue, (128, 512, 512), "int16", size=5),
    Workload(tissue, (128, 512, 512), "uint8", size=5),
    *(Workload(tissue, (128, 512, 512), "float32", size=n) for n in (15, 51, 201)),
    Workload(tissue, (2048, 2048), "uint8", size=5),
    Workload(tissue, (2048, 2048), "uint16", size=5),
    Workload(tissue, (2048, 2048), "float32", size=5),
    Workload(tissue, (2048, 2048), "uint8", size=51),
    Workload(tissue, (64, 64), "uint8", size=3),
    Workload(tissue, (64, 64), "uint8", size=5),
]

test_uniform = race(uniform_filter, PEERS, WORKLOADS)
test_uniform_line = race(
    uniform_filter1d, {"scipy": _scipy_line},
    [Workload(tissue, (128, 512, 512), t, size=5) for t in ("float32", "int16")],
)
