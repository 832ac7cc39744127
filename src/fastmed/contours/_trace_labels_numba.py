"""The twin of csrc/contours/trace_labels.cpp: label after label, each as a mask of its own."""

from __future__ import annotations

import numpy as np

from ._trace_numba import joined
from ._trace_numba import trace_contours as trace_mask


def trace_labels(labels, mode, simple, threads):
    """Points, offsets, hierarchy and label of the borders, flat, in OpenCV's order label after label."""
    found = [label for label in np.unique(labels) if label != 0]
    return joined([trace_mask(labels == label, mode, simple, threads)[:3] for label in found], found)
