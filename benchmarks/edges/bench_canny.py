"""canny against scikit-image. OpenCV's has other gradients and no Gaussian: its edges are not comparable."""

import numpy as np
import scipy.ndimage
import skimage.feature
from race import race

from fastmed import canny

PEERS = {"scikit-image": lambda image: lambda: skimage.feature.canny(image)}


def blobs(dtype, n=2048):
    """Smooth structures with some noise, 0 to 1 or the range of an unsigned dtype."""
    rng = np.random.default_rng(0)
    image = scipy.ndimage.gaussian_filter(rng.random((n, n)), 4) + 0.01 * rng.random((n, n))
    image = (image - image.min()) / np.ptp(image)
    return (image * np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else image).astype(dtype)


WORKLOADS = {
    "blobs 2048^2 uint8": lambda: blobs(np.uint8),
    "blobs 2048^2 uint16": lambda: blobs(np.uint16),
    "blobs 2048^2 float32": lambda: blobs(np.float32),
    "noise 2048^2 float64": lambda: np.random.default_rng(0).random((2048, 2048)),
    "blobs 512^2 uint16": lambda: blobs(np.uint16, 512),
}

test_canny = race(canny, PEERS, WORKLOADS)
