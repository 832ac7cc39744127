"""Tracing with Teh and Chin's dominant points against OpenCV's."""

import numpy as np

from data import blobs, speckles
from fastmed import trace_contours
from race import Workload, race


def _opencv(mask, mode, method):
    import cv2

    retrieve, approximate = cv2.RETR_LIST, {"tc89_kcos": cv2.CHAIN_APPROX_TC89_KCOS}[method]
    image = mask.view(np.uint8)
    return lambda: cv2.findContours(image, retrieve, approximate)[0]


def _agree(ours, theirs):
    return len(ours) == len(theirs) and all(np.array_equal(a, b[:, 0]) for a, b in zip(ours, theirs, strict=True))


WORKLOADS = [
    Workload(blobs, (2048, 2048), "bool", mode="list", method="tc89_kcos"),
    Workload(speckles, (512, 512), "bool", mode="list", method="tc89_kcos"),
]

test_dominant_points = race(trace_contours, {"OpenCV": _opencv}, WORKLOADS, agree=_agree)
