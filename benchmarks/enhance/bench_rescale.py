"""rescale_intensity against scikit-image and OpenCV."""

from data import tissue
from fastmed import rescale_intensity
from race import CannotError, Peer, Workload, race


def _skimage(image, **arguments):
    import skimage.exposure

    return lambda: skimage.exposure.rescale_intensity(image, **arguments)


def _opencv(image, **arguments):
    import cv2

    if arguments or image.dtype != "uint8":
        raise CannotError("stretches 8-bit images by other arithmetic")
    return lambda: cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)


PEERS = {
    "scikit-image": _skimage,
    "OpenCV": Peer(_opencv, "rounds to nearest, where scikit-image cuts: one level apart", tolerance=1.01),
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", headline=True),
    Workload(tissue, (128, 512, 512), "float32"),
    Workload(tissue, (2048, 2048), "uint8"),
]

test_rescale = race(rescale_intensity, PEERS, WORKLOADS)
