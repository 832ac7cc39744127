"""Statistics of thousands of labels against SciPy and dask-image."""

import numpy as np
import scipy.ndimage

import fastmed
from data import tissue
from race import CannotError, Peer, Workload, race


def parts(shape):
    """Labels of some thousand parts; their number."""
    image = scipy.ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape, dtype=np.float32), 3)
    return fastmed.label(image > 1.2 * image.std())


_kept = {}


def _labels(shape):
    if shape not in _kept:
        _kept.clear()
        labels, count = parts(shape)
        _kept[shape] = labels, np.arange(1, count + 1)
    return _kept[shape]


def _call(module, image, name):
    labels, index = _labels(image.shape)
    if name == "find_objects":
        return lambda: module.find_objects(labels)
    return lambda: getattr(module, name)(image, labels, index)


def statistics(image, name):
    """One of them of all labels."""
    return _call(fastmed.ndimage, image, name)()


def _scipy(image, name):
    return _call(scipy.ndimage, image, name)


def _dask_image(image, name):
    import dask.array as da
    import dask_image.ndmeasure

    if image.size > 1 << 22 or not hasattr(dask_image.ndmeasure, name) or name in ("find_objects", "extrema"):
        raise CannotError("takes a task per label")
    labels, index = _labels(image.shape)
    chunks = [da.from_array(array, chunks=64) for array in (image, labels)]
    return lambda: np.asarray(getattr(dask_image.ndmeasure, name)(*chunks, index[:50]))


def _agree(found, wanted):
    if isinstance(wanted, list) and isinstance(wanted[0][0], slice):
        return found == wanted
    if isinstance(wanted, tuple):
        return all(np.array_equal(f, w) for f, w in zip(found[:2], wanted[:2], strict=True))
    return np.allclose(np.asarray(found, float), np.asarray(wanted, float), rtol=1e-9, atol=1e-6)


PEERS = {"scipy": _scipy, "dask-image": Peer(_dask_image, "50 labels only", tolerance=None)}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), dtype, headline=(name == "extrema" and dtype == "int16"), name=name)
    for dtype in ("int16", "float32")
    for name in ("sum_labels", "variance", "maximum", "extrema", "center_of_mass", "median")
] + [
    Workload(tissue, (128, 512, 512), "int16", name="find_objects"),
    Workload(tissue, (64, 128, 128), "float32", name="mean"),
]

test_statistics = race(statistics, PEERS, WORKLOADS, agree=_agree)


def label_statistics(image):
    """All of them in one sweep."""
    return fastmed.label_statistics(image, _labels(image.shape)[0])


def _scipy_all(image):
    labels, index = _labels(image.shape)

    def call():
        found = {name: getattr(scipy.ndimage, name)(image, labels, index) for name in ("sum", "mean", "variance")}
        found["standard_deviation"] = scipy.ndimage.standard_deviation(image, labels, index)
        found["extrema"] = scipy.ndimage.extrema(image, labels, index)
        found["center_of_mass"] = scipy.ndimage.center_of_mass(image, labels, index)
        return found, scipy.ndimage.find_objects(labels)

    return call


ALL = [Workload(tissue, (128, 512, 512), "int16", headline=True), Workload(tissue, (128, 512, 512), "float32")]

test_label_statistics = race(
    label_statistics, {"scipy": Peer(_scipy_all, "one function after the other", tolerance=None)}, ALL
)
