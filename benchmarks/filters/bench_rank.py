"""rank_filter and percentile_filter against SciPy and SimpleITK; 32 slices of a volume are timed unless --race-full."""

import numpy as np

from data import tissue
from fastmed import percentile_filter, rank_filter
from race import CannotError, Peer, Workload, race


class Ball(np.ndarray):
    """A footprint with a name for the table."""

    __name__ = "ball(2)"


def _ball(ndim, radius):
    """The elements not farther than `radius` from the middle."""
    return (((np.indices((2 * radius + 1,) * ndim) - radius) ** 2).sum(0) <= radius**2).view(Ball)


def _scipy(name):
    def build(image, **arguments):
        import scipy.ndimage

        return lambda: getattr(scipy.ndimage, name)(image, **arguments)

    return build


def _simpleitk(image, percentile, size=None, footprint=None):
    import SimpleITK

    if footprint is not None:
        raise CannotError("its ball holds other elements")
    count = size**image.ndim
    rank = (int(count * percentile / 100) + 0.5) / (count - 1)  # it cuts rank * (count - 1) to a whole one
    picture = SimpleITK.GetImageFromArray(image)
    return lambda: SimpleITK.Rank(picture, rank, [size // 2] * image.ndim, SimpleITK.sitkBox)


PEERS = {
    "scipy": _scipy("percentile_filter"),
    "SimpleITK": Peer(_simpleitk, "leaves out what lies outside (not compared there)", tolerance=0.0, border=4),
}
WORKLOADS = [
    Workload(tissue, (128, 512, 512), "int16", part=16, headline=True, percentile=90, size=5),
    Workload(tissue, (128, 512, 512), "float32", part=16, percentile=90, size=5),
    Workload(tissue, (128, 512, 512), "int16", part=16, percentile=50, footprint=_ball(3, 2)),
    Workload(tissue, (2048, 2048), "uint8", percentile=10, size=5),
    Workload(tissue, (64, 64), "uint8", percentile=10, size=3),
]

test_percentile = race(percentile_filter, PEERS, WORKLOADS)
test_rank = race(
    rank_filter, {"scipy": _scipy("rank_filter")}, [Workload(tissue, (2048, 2048), "uint16", rank=-2, size=3)]
)
