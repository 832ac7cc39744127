"""intensity_histogram: how often values occur, over all of an image."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_bytes, native
from .._engine.chunks import check_known, reduced
from .._engine.operation import is_dask, kernel
from ..edges._quantiles import made_after
from ..enhance._rescale import chunked_range, value_range

#: Integers further apart than this are not counted one by one: 2 GB of counts.
MOST_BINS = 1 << 28


def intensity_histogram(
    image: Any, nbins: int = 256, source_range: str = "image", normalize: bool = False
) -> tuple[Any, Any]:
    """How often the values of an image occur.

    Parameters and results are those of :func:`skimage.exposure.histogram`.

    Parameters
    ----------
    image : array_like
        Any shape; bool, integers or floats. Of a Dask array two lazy arrays come out; how long they are is known
        beforehand for floats and bool only.
    nbins : int, optional
        Number of bins, of floats and bool. Integers have one for each value.
    source_range : {'image', 'dtype'}, optional
        Bins lie from the least to the highest value (default), or over all that the dtype can hold (floats: -1 to 1).
    normalize : bool, optional
        Give shares of all that was counted, and not counts.

    Returns
    -------
    counts : array of int64, or of float64
    centers : array
        The middle of each bin; of integers the values themselves (int64).

    Raises
    ------
    ValueError
        `source_range` is neither word, `nbins` is below 1 or more than there are numbers, the image is empty or holds
        NaN or infinity (with `source_range` 'image'), integers lie more than 2^28 apart.
    RuntimeError, TypeError
        Unsupported dtype.

    Notes
    -----
    One sweep for integers of 8 and 16 bits, two for others (their range comes first). The result is exact for any
    number of threads and any chunks.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.intensity_histogram(np.array([[3, 5], [5, 6]]))
    (array([1, 0, 2, 1]), array([3, 4, 5, 6]))
    """
    image = _checked(image, nbins, source_range)
    if is_dask(image):
        return _of_chunks(image, nbins, source_range, normalize)
    return finished(counted(image, nbins, source_range), normalize)


def _checked(image: Any, nbins: int, source_range: str) -> Any:
    """The array, NumPy's or Dask's."""
    image = getattr(image, "array", image) if hasattr(image, "with_array") else image
    if is_dask(image):
        check_known(image, "image")
        as_array(np.empty(0, image.dtype), "image")
    else:
        image = as_array(image, "image")
    if source_range not in ("image", "dtype"):
        raise ValueError(f"source_range must be 'image' or 'dtype', found {source_range!r}")
    if not isinstance(nbins, (int, np.integer)) or nbins < 1:
        raise ValueError(f"nbins must be a whole number of at least 1, found {nbins!r}")
    if image.size == 0:
        raise ValueError(f"image is empty: found shape {image.shape}, wanted at least one element")
    return image


@dataclass(frozen=True)
class Counts:
    """Counts and the bins that they are of: of integers from `low` on, of others between `edges`."""

    counts: np.ndarray
    low: int = 0
    edges: np.ndarray | None = None
    only: Any = None  # the value that all have, where one is known

    def centers(self) -> np.ndarray:
        if self.edges is None:
            return np.arange(self.low, self.low + self.counts.size)
        return (self.edges[:-1] + self.edges[1:]) / 2.0


def one_by_one(dtype: np.dtype) -> bool:
    """Whether integers are so small that all they can be is counted in one sweep."""
    return dtype.kind in "iu" and dtype.itemsize <= 2


def empty_bins(dtype: np.dtype, found: tuple[Any, Any] | None, nbins: int) -> Counts:
    """Bins with nothing in them: over the range that was found, or all that the dtype can hold (None)."""
    if dtype.kind in "iu":
        low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if found is None else map(int, found)
        if high - low >= MOST_BINS:
            raise ValueError(
                f"image holds integers from {low} to {high}; at most {MOST_BINS} values are counted one by one"
            )
        return Counts(np.zeros(high - low + 1, np.int64), low)
    only = None if found is None or found[0] != found[1] else found[0]
    ends: Any = found
    if dtype.kind == "b":
        dtype, ends = np.dtype(np.uint8), (0, 1) if found is None else [np.uint8(v) for v in found]
    elif found is None:
        ends = -1.0, 1.0
    if not np.isfinite(np.array(ends, float)).all():
        raise ValueError(f"image must be finite where its range is asked for, found {ends[0]} to {ends[1]}")
    try:
        edges = np.histogram_bin_edges(np.empty(0, dtype), nbins, tuple(ends))
    except ValueError:  # NumPy finds too many, too
        edges = np.zeros(2)
    if not (np.diff(edges) > 0).all():
        raise ValueError(f"nbins must not be {nbins}: there are fewer numbers of {dtype} from {ends[0]} to {ends[1]}")
    return Counts(np.zeros(nbins, np.int64), edges=edges, only=only)


def add_up(image: np.ndarray, bins: Counts) -> Counts:
    """The bins with the counts of an image, or of a part of one."""
    counts = np.zeros_like(bins.counts)
    source = as_bytes(native(image))
    source = source.reshape(1) if source.ndim == 0 else source
    # tables of all threads together stay below one of 64-bit counts
    budget = threads.budget(source.size, 4) if counts.size <= 1 << 22 else 1
    if bins.edges is None:
        kernel("value_counts", __name__)(source, bins.low, counts, budget)
    else:
        kernel("bin_counts", __name__)(source, bins.edges.astype(float).tolist(), counts, budget)
    return replace(bins, counts=counts)


def trimmed(found: Counts) -> Counts:
    """Without the integers before the least and after the highest one."""
    there = np.flatnonzero(found.counts)
    return Counts(found.counts[there[0] : there[-1] + 1].copy(), found.low + int(there[0]))


def counted(image: np.ndarray, nbins: int, source_range: str = "image") -> Counts:
    """Counts of an array."""
    if source_range == "dtype":
        return add_up(image, empty_bins(image.dtype, None, nbins))
    if one_by_one(image.dtype):
        return trimmed(add_up(image, empty_bins(image.dtype, None, nbins)))
    return add_up(image, empty_bins(image.dtype, value_range(image), nbins))


def joined(parts: list[Counts]) -> Counts:
    """The counts of all from those of parts."""
    if parts[0].edges is not None:
        return replace(parts[0], counts=np.sum([p.counts for p in parts], axis=0))
    low = min(p.low for p in parts)
    counts = np.zeros(max(p.low + p.counts.size for p in parts) - low, np.int64)
    for part in parts:
        counts[part.low - low : part.low - low + part.counts.size] += part.counts
    return Counts(counts, low)


def finished(found: Counts, normalize: bool) -> tuple[np.ndarray, np.ndarray]:
    counts = found.counts / np.sum(found.counts) if normalize else found.counts
    return counts, found.centers()


# --- over chunks --------------------------------------------------------------------------------------------


def chunked_counts(image: Any, nbins: int, source_range: str = "image") -> Any:
    """Counts of a Dask array, delayed. Where their range comes first its chunks are made twice, not held."""
    import dask

    known: Any = None
    if source_range == "image" and not one_by_one(image.dtype):
        known = chunked_range(image)
        (image,) = made_after([image], known)
    if source_range == "image" and one_by_one(image.dtype):
        return reduced(image, functools.partial(counted, nbins=nbins), joined, name="counts")
    bins = dask.delayed(empty_bins)(image.dtype, known, nbins)
    return reduced(image, add_up, joined, name="counts", before=bins)


def _of_chunks(image: Any, nbins: int, source_range: str, normalize: bool) -> tuple[Any, Any]:
    import dask
    import dask.array as da

    image = image.rechunk() if 0 in image.numblocks else image
    both = dask.delayed(finished)(chunked_counts(image, nbins, source_range), normalize)
    whole = image.dtype.kind in "iu"
    shape = (np.nan,) if whole else (nbins,)
    if whole and source_range == "dtype":
        shape = (np.iinfo(image.dtype).max - int(np.iinfo(image.dtype).min) + 1,)
    centers = np.dtype(np.int64) if whole else empty_bins(image.dtype, None, 1).centers().dtype
    kinds = np.dtype(float if normalize else np.int64), centers
    return tuple(da.from_delayed(both[k], shape, kind) for k, kind in enumerate(kinds))


