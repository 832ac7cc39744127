"""Length of the gradient: against scikit-image, OpenCV's Sobel and magnitude, and SimpleITK."""

from data import tissue
from fastmed import gradient_magnitude
from race import CannotError, Peer, Workload, race


def _skimage(image, operator):
    import skimage.filters

    function = getattr(skimage.filters, operator)
    return lambda: function(image)


def _opencv(image, operator):
    import cv2

    if image.ndim != 2:
        raise CannotError("two axes only")
    derive = {"sobel": cv2.Sobel, "scharr": cv2.Scharr}[operator]
    return lambda: cv2.magnitude(derive(image, cv2.CV_32F, 1, 0), derive(image, cv2.CV_32F, 0, 1))


def _sitk(image, operator):
    import SimpleITK

    if image.ndim != 3 or operator != "sobel":
        raise CannotError("Sobel's in three dimensions")
    source = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.SobelEdgeDetection(source)


PEERS = {
    "scikit-image": Peer(_skimage, "its scale is another; outcomes not compared"),
    "OpenCV": Peer(_opencv, "its scale is another, and so are its borders; outcomes not compared"),
    "SimpleITK": Peer(_sitk, "its scale is another; outcomes not compared"),
}
WORKLOADS = [
    Workload(tissue, (2048, 2048), "float32", headline=True, operator="sobel"),
    Workload(tissue, (2048, 2048), "float32", operator="scharr"),
    Workload(tissue, (128, 512, 512), "float32", part=32, headline=True, operator="sobel"),
]

test_gradient_magnitude = race(gradient_magnitude, PEERS, WORKLOADS)
