"""find_contours against scikit-image's."""

import numpy as np

from data import blobs, noise, tissue
from fastmed import find_contours
from race import Workload, race


def _skimage(image, level):
    import skimage.measure

    return lambda: skimage.measure.find_contours(image, level)


def _agree(ours, theirs):
    return len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


PEERS = {"scikit-image": _skimage}
WORKLOADS = [
    Workload(blobs, (256, 256), "float32", level=0.5),
    Workload(blobs, (2048, 2048), "float32", headline=True, level=0.5),
    Workload(tissue, (2048, 2048), "float64", level=0.0),
    Workload(blobs, (2048, 2048), "uint8", level=128),
    Workload(noise, (2048, 2048), "float32", level=0.5),
]

test_find_contours = race(find_contours, PEERS, WORKLOADS, agree=_agree)
