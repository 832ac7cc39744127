"""label and label_regions against SciPy, cc3d, OpenCV, scikit-image and dask-image."""

import numpy as np

from data import blobs
from fastmed import label, label_regions
from race import CannotError, Peer, Workload, race


def noise_30(shape, dtype):
    """A mask of noise, 30 % set: many parts of every size."""
    return (np.random.default_rng(0).random(shape, dtype=np.float32) < 0.3).astype(dtype)


def noise_50(shape, dtype):
    """A mask of noise, half set: short runs, one large part."""
    return (np.random.default_rng(0).random(shape, dtype=np.float32) < 0.5).astype(dtype)


def vessels(shape, dtype):
    """Thin winding tubes: where two smooth fields are nearly zero at once."""
    import scipy.ndimage

    rng = np.random.default_rng(0)
    fields = (scipy.ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 6) for _ in range(2))
    return np.all([abs(f) < 0.2 * f.std() for f in fields], axis=0).astype(dtype)


def patches(shape, dtype):
    """Regions of some twenty values."""
    image = blobs(shape, "float32")
    return (image * 20).astype(dtype)


def full(ndim):
    """All neighbours, with the corners."""
    return np.ones((3,) * ndim, bool)


def _structure(image, structure):
    return structure and structure(image.ndim)


def _ours(image, structure=None):
    return label(image, _structure(image, structure))


def _scipy(image, structure=None):
    import scipy.ndimage

    chosen = _structure(image, structure)
    return lambda: scipy.ndimage.label(image, chosen)


def _cc3d(image, structure=None):
    import cc3d

    if image.ndim == 2:
        raise CannotError("volumes only here")
    return lambda: cc3d.connected_components(image, connectivity=26 if structure else 6, return_N=True)


def _opencv(image, structure=None):
    import cv2

    if image.ndim != 2:
        raise CannotError("planes only")
    mask = image.astype(np.uint8)
    return lambda: cv2.connectedComponents(mask, connectivity=8 if structure else 4)[::-1]


def _skimage(image, structure=None):
    import skimage.measure

    return lambda: skimage.measure.label(image, return_num=True, connectivity=image.ndim if structure else 1)


def _agree(found, wanted):
    return np.array_equal(np.asarray(found[0]), np.asarray(wanted[0]))


PEERS = {
    "scipy": _scipy,
    "cc3d": Peer(_cc3d, "numbers in its own order"),
    "OpenCV": Peer(_opencv, "numbers in its own order; counts the background"),
    "scikit-image": _skimage,
}
WORKLOADS = [
    Workload(noise_30, (128, 512, 512), "bool"),
    Workload(noise_50, (128, 512, 512), "bool"),
    Workload(noise_30, (128, 512, 512), "bool", structure=full),
    Workload(blobs, (128, 512, 512), "bool", headline=True),
    Workload(blobs, (128, 512, 512), "bool", structure=full),
    Workload(vessels, (128, 512, 512), "bool"),
    Workload(noise_50, (2048, 2048), "bool"),
    Workload(blobs, (2048, 2048), "bool"),
    Workload(vessels, (2048, 2048), "bool", structure=full),
]
_ours.__name__ = "label"

test_label = race(_ours, PEERS, WORKLOADS, agree=_agree)


def _skimage_regions(image):
    import skimage.measure

    return lambda: skimage.measure.label(image)


REGIONS = [Workload(patches, (2048, 2048), "uint8"), Workload(patches, (64, 256, 256), "uint8")]

test_label_regions = race(label_regions, {"scikit-image": _skimage_regions}, REGIONS)


def _chunked(image):
    import dask.array as da

    return da.from_array(image, chunks=tuple(min(n, 128) for n in image.shape))


def _ours_chunked(image):
    labels, count = label(_chunked(image))
    return np.asarray(labels), count


def _dask_image(image):
    import dask_image.ndmeasure

    chunks = _chunked(image)

    def call():
        labels, count = dask_image.ndmeasure.label(chunks)
        return np.asarray(labels), count

    return call


_ours_chunked.__name__ = "label (chunks of 128)"
CHUNKED = [Workload(noise_30, (128, 256, 256), "bool"), Workload(blobs, (128, 512, 512), "bool")]

test_label_chunked = race(
    _ours_chunked, {"dask-image": Peer(_dask_image, "numbers in its own order")}, CHUNKED, agree=_agree
)
