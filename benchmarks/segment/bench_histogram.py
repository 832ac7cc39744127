"""intensity_histogram and threshold_otsu against scikit-image."""

from data import tissue
from fastmed import intensity_histogram, threshold_otsu
from race import Workload, race


def _histogram(image, **arguments):
    import skimage.exposure

    return lambda: skimage.exposure.histogram(image, **arguments)


def _otsu(image, **arguments):
    import skimage.filters

    return lambda: skimage.filters.threshold_otsu(image, **arguments)


WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", headline=True),
    Workload(tissue, (128, 512, 512), "float32"),
    Workload(tissue, (2048, 2048), "uint8"),
]

test_histogram = race(intensity_histogram, {"scikit-image": _histogram}, WORKLOADS)
test_otsu = race(threshold_otsu, {"scikit-image": _otsu}, WORKLOADS)
