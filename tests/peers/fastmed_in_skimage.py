"""A pytest plugin: puts fastmed's functions in the place of scikit-image's before its tests are imported."""

import importlib

import fastmed
import fastmed.skimage

EDGES = ("sobel", "prewitt", "scharr", "farid", "roberts", "roberts_pos_diag", "roberts_neg_diag")

#: Where scikit-image's tests take them from.
NAMES = {
    "skimage.measure": ("find_contours", "marching_cubes"),
    "skimage.feature": ("canny",),
    "skimage.filters": (*EDGES, "apply_hysteresis_threshold"),
    "skimage.filters.edges": EDGES,
    "skimage.filters.thresholding": ("apply_hysteresis_threshold",),
}

for _module, _names in NAMES.items():
    for _name in _names:
        _ours = getattr(fastmed.skimage, _name, None) or getattr(fastmed, _name)
        setattr(importlib.import_module(_module), _name, _ours)


def pytest_report_header():
    return "fastmed in scikit-image's place: " + ", ".join(sorted({n for names in NAMES.values() for n in names}))
