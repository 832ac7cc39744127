"""trace_contours beside OpenCV's findContours."""

import numpy as np
from race import race
from scipy import ndimage

import fastmed

try:
    import cv2
except ImportError:
    cv2 = None


def _findcontours(mask, mode="external", method="simple"):
    retrieve = {"external": 0, "list": 1, "ccomp": 2, "tree": 3}[mode]
    approximate = {"none": 1, "simple": 2}[method]
    image = mask.view(np.uint8)
    return lambda: cv2.findContours(image, retrieve, approximate)


def _disk(n):
    y, x = np.mgrid[:n, :n]
    return (y - n / 2) ** 2 + (x - n / 2) ** 2 < (0.4 * n) ** 2


def _blobs(n, sigma):
    return ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((n, n)), sigma) > 0


PEERS = {"cv2": _findcontours} if cv2 else {}

#: Name -> (mask, keyword arguments).
WORKLOADS = {
    "disk 256x256": (_disk(256), {"mode": "tree"}),
    "disk 2048x2048": (_disk(2048), {"mode": "external"}),
    "1,000 borders 2048x2048": (_blobs(2048, 8), {"mode": "tree"}),
    "20,000 borders 2048x2048": (_blobs(2048, 2), {"mode": "tree"}),
    "noise 2048x2048": (np.random.default_rng(0).random((2048, 2048)) > 0.5, {"mode": "list"}),
}

test_trace_contours = race(fastmed.trace_contours, PEERS, WORKLOADS)
