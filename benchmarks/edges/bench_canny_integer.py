"""canny_integer against OpenCV's Canny: the same edges, bit for bit."""

from data import blobs, noise
from fastmed import canny_integer
from race import Workload, race


def _opencv(image, threshold1, threshold2, aperture_size=3, l2_gradient=False):
    import cv2

    return lambda: cv2.Canny(image, threshold1, threshold2, apertureSize=aperture_size, L2gradient=l2_gradient)


SIZE = (2048, 2048)
WORKLOADS = [
    Workload(blobs, SIZE, "uint8", headline=True, threshold1=50, threshold2=150),
    Workload(blobs, SIZE, "uint8", threshold1=50, threshold2=150, l2_gradient=True),
    Workload(blobs, SIZE, "uint8", threshold1=500, threshold2=1500, aperture_size=5),
    Workload(blobs, SIZE, "uint8", threshold1=5000, threshold2=15000, aperture_size=7),
    Workload(noise, SIZE, "uint8", threshold1=300, threshold2=900),
    Workload(blobs, (1024, 1024, 3), "uint8", threshold1=50, threshold2=150),
    Workload(blobs, (512, 512), "uint8", threshold1=50, threshold2=150),
    Workload(blobs, (64, 64), "uint8", threshold1=50, threshold2=150),
]

test_canny_integer = race(canny_integer, {"OpenCV": _opencv}, WORKLOADS)
