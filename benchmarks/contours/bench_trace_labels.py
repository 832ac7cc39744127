"""trace_labels against a loop of OpenCV calls, one per label."""

import numpy as np

from data import noise
from fastmed import trace_labels
from race import Workload, race


def cells(shape, dtype):
    """The image in square cells with holes, each a label: 2,025 on 2048 x 2048."""
    size = max(shape[0] // 45, 1)
    y, x = np.indices(shape, np.int32) // size
    labels = (y * (shape[1] // size + 1) + x + 1).astype(dtype)
    return np.where(noise(shape, "float32") < 0.02, 0, labels).astype(dtype)


def _opencv(labels, mode):
    import cv2

    retrieve = {"external": cv2.RETR_EXTERNAL, "tree": cv2.RETR_TREE}[mode]
    numbers = np.unique(labels[labels > 0])

    def call():
        return [cv2.findContours((labels == k).view(np.uint8), retrieve, cv2.CHAIN_APPROX_SIMPLE)[0] for k in numbers]

    return call


def _agree(ours, theirs):
    borders = [border for found in theirs for border in found]
    return len(borders) == len(ours) and all(np.array_equal(a, b[:, 0]) for a, b in zip(ours, borders, strict=True))


PEERS = {"OpenCV": _opencv}
WORKLOADS = [Workload(cells, (2048, 2048), "int32", headline=True, mode="external")]

test_trace_labels = race(trace_labels, PEERS, WORKLOADS, agree=_agree)
