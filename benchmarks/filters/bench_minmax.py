"""minimum_filter and maximum_filter against SciPy, OpenCV (2-D) and SimpleITK."""

import numpy as np

from data import tissue
from fastmed import maximum_filter, maximum_filter1d, minimum_filter, minimum_filter1d
from race import CannotError, Peer, Workload, race


def _scipy(name):
    def build(image, size, **arguments):
        import scipy.ndimage

        return lambda: getattr(scipy.ndimage, name)(image, size, **arguments)

    return build


def _opencv(name):
    def build(image, size):
        import cv2

        if image.ndim != 2:
            raise CannotError("2-D only")
        box = np.ones((size, size), np.uint8)
        return lambda: getattr(cv2, name)(image, box, borderType=cv2.BORDER_REFLECT)

    return build


def _simpleitk(name):
    def build(image, size):
        import SimpleITK

        picture = SimpleITK.GetImageFromArray(image)
        # The box is SimpleITK's quickest kernel; outside, nothing counts, which is what reflecting comes to.
        return lambda: getattr(SimpleITK, name)(picture, [size // 2] * image.ndim, SimpleITK.sitkBox)

    return build


WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", headline=True, size=3),
    Workload(tissue, (128, 512, 512), "int16", size=9),
    Workload(tissue, (128, 512, 512), "int16", headline=True, size=31),
    Workload(tissue, (128, 512, 512), "float32", size=3),
    Workload(tissue, (128, 512, 512), "float32", size=31),
    Workload(tissue, (2048, 2048), "uint8", size=3),
    Workload(tissue, (2048, 2048), "uint8", size=31),
    Workload(tissue, (2048, 2048), "float32", size=9),
    Workload(tissue, (64, 64), "uint8", size=3),
]
LINES = [Workload(tissue, (128, 512, 512), "int16", size=9, axis=axis) for axis in (0, 2)]


def _peers(word, opencv, simpleitk):
    return {
        "scipy": _scipy(f"{word}_filter"),
        "OpenCV": Peer(_opencv(opencv), "the same values", tolerance=0.0),
        "SimpleITK": Peer(_simpleitk(simpleitk), "the same values, of floats but for their last digit", tolerance=1e-3),
    }


test_minimum = race(minimum_filter, _peers("minimum", "erode", "GrayscaleErode"), WORKLOADS)
test_maximum = race(maximum_filter, _peers("maximum", "dilate", "GrayscaleDilate"), WORKLOADS[::2])
test_minimum1d = race(minimum_filter1d, {"scipy": _scipy("minimum_filter1d")}, LINES)
test_maximum1d = race(maximum_filter1d, {"scipy": _scipy("maximum_filter1d")}, LINES)
