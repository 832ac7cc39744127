"""read and read_series: files -> Volume."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..errors import MixedGeometry, NoDicomError, SeriesError
from ..volume import Volume
from . import _decode
from ._header import quiet
from ._scan import Failure, Index, scan
from ._series import Series


def read_series(series: Series, *, dtype: Any = "auto") -> Volume:
    """Read the voxels of a series.

    Parameters
    ----------
    series : Series
        From `scan`.
    dtype : 'auto' or dtype, optional
        'auto' takes an integer type if all rescale slopes and intercepts are whole numbers: the smallest that
        holds every value the headers allow, and int16 instead of int32 where the values fit. Else float32, or
        float64 for more than 24 stored bits or double pixel data.

    Returns
    -------
    Volume
        (z, y, x) in ascending order along the normal of the slices; values are rescale slope * stored +
        intercept, slice by slice. MONOCHROME1 is not inverted. Frames without positions come as (t, y, x),
        colour as (t, y, x, rgb), named in ``meta['axes']``; ``meta['geometry']`` says whether the affine is a
        place in the patient ('patient'), only a scale ('pixel spacing') or nothing ('none').

    Raises
    ------
    DecodeError
        If pixel data are truncated, corrupt, or need a decoder that is not installed.
    ValueError
        If `dtype` cannot hold the values.
    """
    candidates = _decode.dtypes_of(series.slices, dtype)
    with quiet():
        for wanted in candidates:
            array = np.empty(series.shape, wanted)
            try:
                _load(series, array)
                break
            except _decode.Overflow:
                continue
        else:
            raise ValueError(
                f"dtype {candidates[-1]} cannot hold the values of this series; ask for 'auto' or 'float32'"
            )
    meta = {**series.meta, "stored_bits": max(s.image.stored for s in series.slices)}
    return Volume(array, series.affine, modality=series.modality, units=meta.pop("units"), meta=meta)


def _load(series: Series, array: np.ndarray) -> None:
    """Decode the files side by side, each straight into its place."""
    files: dict[str, list[int]] = defaultdict(list)
    for k, one in enumerate(series.slices):
        files[one.image.path].append(k)

    def load(ks: list[int]) -> None:
        _decode.fill([series.slices[k] for k in ks], [array[k] for k in ks])

    workers = _decode.threads_for(len(files))
    if workers == 1:
        for ks in files.values():
            load(ks)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="fastmed-read") as pool:
        waiting = [pool.submit(load, ks) for ks in files.values()]
        try:
            for done in waiting:
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def read(path: Any, *, series: str | None = None, dtype: Any = "auto") -> Volume:
    """Read the one volume in a file or folder.

    Parameters
    ----------
    path : path_like
        A DICOM file, or a folder with the files of one series (sub-folders are searched too).
    series : str, optional
        Key of the series to read, where the folder holds several.
    dtype : 'auto' or dtype, optional
        See `read_series`.

    Returns
    -------
    Volume
        See `read_series`.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    NoDicomError
        If there is no DICOM image.
    SeriesError
        If there are several series and `series` does not say which (`MixedGeometry` where they are parts of
        one series), or files that belong to the volume cannot be used: then the error of the first of them,
        for example `MissingSlices` or `DecodeError`. `scan` and `read_series` give what can be read.

    Examples
    --------
    >>> import fastmed, pydicom.data
    >>> volume = fastmed.read(pydicom.data.get_testdata_file("CT_small.dcm"))
    >>> volume
    Volume(1 x 128 x 128, int16, spacing (5, 0.661468, 0.661468) mm, CT, HU)
    """
    index = scan(path)
    found = [s for s in index.series if series is None or s.key == series]
    if series is not None and not found:
        raise SeriesError(f"no series {series!r} here; there are: {_keys(index.series)}")
    lost = [f for f in index.failures if f.lost and (series is None or (f.key and series.startswith(f.key)))]
    if lost:
        raise _as_error(lost, index)
    if not found:
        raise _nothing(index)
    if len(found) > 1:
        one_uid = len({s.key[:16] for s in found}) == 1 and not all("split_by" in s.meta for s in found)
        kind = MixedGeometry if one_uid else SeriesError
        raise kind(f"{len(found)} volumes where one was wanted; choose by series=: {_keys(found)}")
    return read_series(found[0], dtype=dtype)


def _as_error(lost: list[Failure], index: Index) -> SeriesError:
    first = min(
        lost, key=lambda f: bool(f.key)
    )  # a broken file is the cause, a hole in its series the consequence
    more = f" (and {len(lost) - 1} more files)" if len(lost) > 1 else ""
    return first.error(f"{first.reason}{more}")


def _nothing(index: Index) -> SeriesError:
    if not index.failures:
        return NoDicomError("there is no file")
    unsupported = [f for f in index.failures if f.error is not NoDicomError]
    if unsupported:
        return unsupported[0].error(unsupported[0].reason)
    return NoDicomError(
        f"none of the {len(index.failures)} files is DICOM that can be read: {index.failures[0].reason}"
    )


def _keys(series: list[Series]) -> str:
    shown = ", ".join(s.key for s in series[:8])
    return shown + (f"... ({len(series)} in all)" if len(series) > 8 else "") if shown else "none"
