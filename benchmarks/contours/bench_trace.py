"""trace_contours against OpenCV's findContours, and scikit-image's find_contours, which has lines and no hierarchy."""

import numpy as np

from data import blobs, disk, noise, speckles
from fastmed import canny_integer, trace_contours
from race import Peer, Workload, race


def _opencv(mask, mode):
    import cv2

    retrieve = {
        "external": cv2.RETR_EXTERNAL, "list": cv2.RETR_LIST, "ccomp": cv2.RETR_CCOMP, "tree": cv2.RETR_TREE
    }[mode]
    image = mask.view(np.uint8)
    return lambda: cv2.findContours(image, retrieve, cv2.CHAIN_APPROX_SIMPLE)


def _skimage(mask, mode):
    import skimage.measure

    return lambda: skimage.measure.find_contours(mask, 0.5)


def _agree(ours, theirs):
    """The same borders, in the same order, with the same hierarchy."""
    borders, hierarchy = theirs
    wanted = ours.to_opencv()
    same = len(borders) == len(ours) and all(np.array_equal(a, b) for a, b in zip(wanted[0], borders, strict=True))
    return same and np.array_equal(wanted[1], hierarchy)


def edges(shape, dtype):
    """Canny's edges of blobs: many thin borders."""
    return (canny_integer(blobs(shape, "uint8"), 50, 150) > 0).astype(dtype)


PEERS = {
    "OpenCV": _opencv,
    "scikit-image": Peer(_skimage, "gives lines between pixels and no hierarchy; outcomes not compared"),
}
WORKLOADS = [
    Workload(disk, (256, 256), "bool", mode="tree"),
    Workload(disk, (2048, 2048), "bool", mode="external"),
    Workload(blobs, (2048, 2048), "bool", headline=True, mode="tree"),
    Workload(speckles, (2048, 2048), "bool", mode="tree"),
    Workload(noise, (2048, 2048), "bool", mode="list"),
    Workload(edges, (2048, 2048), "bool", mode="tree"),
    Workload(edges, (512, 512), "bool", mode="list"),
    Workload(noise, (512, 512), "bool", mode="tree"),
]

test_trace_contours = race(trace_contours, PEERS, WORKLOADS, agree=_agree)
