"""apply_hysteresis_threshold against scikit-image."""

from data import blobs, noise
from fastmed import apply_hysteresis_threshold
from race import Workload, race


def _skimage(image, low, high):
    import skimage.filters

    return lambda: skimage.filters.apply_hysteresis_threshold(image, low, high)


PEERS = {"scikit-image": _skimage}
WORKLOADS = [
    Workload(blobs, (2048, 2048), "float32", headline=True, low=0.5, high=0.7),
    Workload(noise, (2048, 2048), "float32", low=0.5, high=0.95),
    Workload(blobs, (128, 256, 256), "float32", low=0.5, high=0.7),
]

test_apply_hysteresis_threshold = race(apply_hysteresis_threshold, PEERS, WORKLOADS)
