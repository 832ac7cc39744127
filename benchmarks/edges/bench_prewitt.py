"""prewitt against SciPy and dask-image. OpenCV has none, SimpleITK only magnitudes."""

from chunked import compute, halves
from data import tissue
from fastmed import prewitt
from race import CannotError, Workload, race


def _scipy(image, **arguments):
    import scipy.ndimage

    return lambda: scipy.ndimage.prewitt(image, **arguments)


def _dask_image(image, **arguments):
    import dask_image.ndfilters

    if arguments:
        raise CannotError("no output=")
    lazy = halves(image)
    return compute(lambda: dask_image.ndfilters.prewitt(lazy))


PEERS = {"scipy": _scipy, "dask-image": _dask_image}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "float32"),
    Workload(tissue, (128, 512, 512), "int16"),
    Workload(tissue, (2048, 2048), "float32"),
]

test_prewitt = race(prewitt, PEERS, WORKLOADS)
