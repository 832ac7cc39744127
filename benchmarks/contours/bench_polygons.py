"""Measures of all contours at once against a loop of OpenCV calls."""

import numpy as np

from data import noise, speckles
from fastmed import areas, simplify_contours, trace_contours
from race import Workload, race


def areas_of(mask):
    return areas(contours_of(mask))


def simplified(mask):
    return np.concatenate(simplify_contours(contours_of(mask), 1.5))


_traced = {}


def contours_of(mask):
    """Traced once: tracing is raced in bench_trace.py."""
    return _traced.setdefault(id(mask), trace_contours(mask, "list"))


def _area(mask):
    import cv2

    borders = list(contours_of(mask))
    return lambda: np.array([cv2.contourArea(border) for border in borders])


def _approx(mask):
    import cv2

    borders = list(contours_of(mask))
    return lambda: np.concatenate([cv2.approxPolyDP(border, 1.5, True)[:, 0] for border in borders])


WORKLOADS = [Workload(speckles, (2048, 2048), "bool"), Workload(noise, (512, 512), "bool")]

test_areas = race(areas_of, {"OpenCV": _area}, WORKLOADS)
test_simplify = race(simplified, {"OpenCV": _approx}, WORKLOADS)
