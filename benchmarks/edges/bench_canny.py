"""canny against scikit-image. OpenCV's and SimpleITK's have other gradients or smoothing: other edges, more or less."""

from data import blobs, noise
from fastmed import canny
from race import CannotError, Peer, Workload, race


def _skimage(image):
    import skimage.feature

    if image.ndim != 2:
        raise CannotError("two axes only")

    return lambda: skimage.feature.canny(image)


def _opencv(image):
    import cv2

    if image.dtype != "uint8" or image.ndim != 2:
        raise CannotError("planes of uint8 only")

    def smooth_and_detect():
        return cv2.Canny(cv2.GaussianBlur(image, (9, 9), 1.0), 25.5, 51.0, L2gradient=True)

    return smooth_and_detect


def _sitk(image):
    import SimpleITK

    if image.ndim != 3:
        raise CannotError("raced on volumes")
    source = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.CannyEdgeDetection(source, 0.0125, 0.025, [1.0] * 3)  # a slope of 1 counts 8 in ours


PEERS = {
    "scikit-image": _skimage,
    "SimpleITK": Peer(_sitk, "thins by zero crossings and finds other edges; outcomes not compared"),
    "OpenCV": Peer(_opencv, "runs GaussianBlur and Canny in integers and finds other edges; outcomes not compared"),
}
WORKLOADS = [
    Workload(blobs, (2048, 2048), "uint8", headline=True),
    Workload(blobs, (2048, 2048), "uint16", headline=True),
    Workload(blobs, (2048, 2048), "float32"),
    Workload(noise, (2048, 2048), "float64"),
    Workload(blobs, (128, 512, 512), "float32", part=32, headline=True),
    Workload(blobs, (512, 512), "uint16"),
    Workload(blobs, (64, 64), "uint8"),
]

test_canny = race(canny, PEERS, WORKLOADS)
