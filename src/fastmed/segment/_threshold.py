"""threshold_otsu: the threshold between dark and bright."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.operation import is_dask
from ._histogram import Counts, _checked, chunked_counts, counted


def threshold_otsu(image: Any = None, nbins: int = 256, *, hist: Any = None) -> Any:
    """The threshold that parts values into two classes as far apart as can be (Otsu, IEEE SMC 9:62-66, 1979).

    Names, defaults and results are those of :func:`skimage.filters.threshold_otsu`.

    Parameters
    ----------
    image : array_like, optional
        Any shape; bool, integers or floats. What is above the threshold is foreground.
    nbins : int, optional
        Number of bins, of floats. Integers have one for each value.
    hist : array, or pair of arrays, optional
        Counts, or counts and the values that they are of, instead of the image.

    Returns
    -------
    scalar
        The middle of a bin: of integers one of the values. An image of one value gives that value. Of a Dask array a
        lazy one without axes.

    Raises
    ------
    ValueError
        Neither image nor counts; an empty image; NaN or infinity; integers more than 2^28 apart; floats in one bin.
    RuntimeError, TypeError
        Unsupported dtype.

    Notes
    -----
    The sums are in float32, as scikit-image has them: of more than 2^24 elements they are rounded. On Dask arrays the
    threshold is that of the whole array; chunks are computed once for integers of 8 and 16 bits, twice for others.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> int(fastmed.threshold_otsu(np.array([1, 2, 2, 3, 9, 10, 10, 11])))
    3
    """
    if hist is not None:
        return _best(*_trimmed(hist))
    if image is None:
        raise ValueError("image or hist must be given, found neither")
    image = _checked(image, nbins, "image")
    if is_dask(image):
        import dask
        import dask.array as da

        sample = threshold_of(counted(np.arange(2).astype(image.dtype), 2), image.dtype)
        whole = dask.delayed(threshold_of)(chunked_counts(image, nbins), image.dtype)
        return da.from_delayed(whole, (), np.asarray(sample).dtype)
    return threshold_of(counted(image, nbins), image.dtype)


def threshold_of(found: Counts, dtype: np.dtype) -> Any:
    """The threshold from the counts of all values of an image of this dtype."""
    if found.edges is None and found.counts.size == 1:
        return dtype.type(found.low)
    if found.only is not None:
        return dtype.type(found.only)
    if found.counts.size == 1:
        raise ValueError("nbins must be at least 2 for a threshold, found 1")
    return _best(found.counts.astype(np.float32), found.centers())


def _trimmed(hist: Any) -> tuple[np.ndarray, np.ndarray]:
    """Counts that were given, without the empty ones at both ends, and their values."""
    pair = isinstance(hist, (tuple, list))
    counts = np.asarray(hist[0] if pair else hist)
    centers = np.asarray(hist[1]) if pair else np.arange(counts.size)
    there = np.flatnonzero(counts > 0)
    if not there.size:
        raise ValueError("hist must hold a count above 0")
    part = slice(int(there[0]), int(there[-1]) + 1)
    return counts[part].astype(np.float32, copy=False), centers[part]


def _best(counts: np.ndarray, centers: np.ndarray) -> Any:
    """Where the variance between the classes below and above is largest."""
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    moments = counts * centers
    mean_below = np.cumsum(moments) / below
    mean_above = (np.cumsum(moments[::-1]) / above[::-1])[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return centers[int(np.argmax(between))]
