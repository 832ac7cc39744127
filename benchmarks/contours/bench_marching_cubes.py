"""marching_cubes against scikit-image's."""

import numpy as np

from data import blobs, tissue
from fastmed import marching_cubes
from race import Workload, race


def _skimage(volume, level):
    import skimage.measure

    return lambda: skimage.measure.marching_cubes(volume, level)


def _agree(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


PEERS = {"scikit-image": _skimage}
WORKLOADS = [
    Workload(blobs, (256, 256, 256), "float32", headline=True, level=0.5),
    Workload(tissue, (256, 256, 256), "int16", level=300),
]

test_marching_cubes = race(marching_cubes, PEERS, WORKLOADS, agree=_agree)
