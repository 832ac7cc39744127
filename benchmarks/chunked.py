"""What the builders of dask-image share."""

from __future__ import annotations

from typing import Any


def halves(image: Any) -> Any:
    """The array as Dask chunks, two along the first axis: a chunk per thread on a small machine."""
    import dask.array as da

    return da.from_array(image, chunks=(-(-image.shape[0] // 2), *image.shape[1:]))


def compute(lazy: Any) -> Any:
    """The call: the graph is part of the work, since it is made anew for every array."""
    return lambda: lazy().compute(scheduler="threads")
