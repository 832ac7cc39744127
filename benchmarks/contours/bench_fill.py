"""fill_contours against OpenCV's drawContours."""

import numpy as np

from data import blobs, speckles
from fastmed import fill_contours, trace_contours
from race import Workload, race

_traced = {}


def contours_of(mask):
    """Traced once: tracing is raced in bench_trace.py."""
    return _traced.setdefault(id(mask), trace_contours(mask, "ccomp"))


def filled(mask):
    return fill_contours(contours_of(mask), mask.shape)


def _opencv(mask):
    import cv2

    borders, hierarchy = contours_of(mask).to_opencv()

    def call():
        drawn = np.zeros(mask.shape, np.uint8)
        return cv2.drawContours(drawn, borders, -1, 1, cv2.FILLED, hierarchy=hierarchy).view(bool)

    return call


WORKLOADS = [Workload(blobs, (2048, 2048), "bool"), Workload(speckles, (2048, 2048), "bool")]

test_fill_contours = race(filled, {"OpenCV": _opencv}, WORKLOADS)
