"""read and read_series: files -> Volume."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, overload

import numpy as np

from ..errors import GeometryError, LimitExceeded, MixedGeometry, NoDicomError, SeriesError
from ..volume import Volume
from . import _decode
from ._formats import is_other, read_other
from ._limits import DEFAULT, Limits
from ._model import SPLITTERS
from ._scan import Failure, Index, scan
from ._series import Series
from ._source import quiet

#: What may stand beside z, y and x as an axis of one volume. Other parts of a series (magnitude and phase...) have
#: values of different kinds.
_KINDS = {"ImageType", "FrameType", "StackID", "ConvolutionKernel", "CorrectedImage", "SequenceName"}
_DIMENSIONS = set(SPLITTERS) - _KINDS | {"InstanceNumber"}
_KIND_COLUMNS = [SPLITTERS.index(name) for name in ("ImageType", "FrameType", "CorrectedImage")]
#: Splitters that are numbers which name nobody: they label the axis.
_NUMBERS = {
    "TemporalPositionIdentifier", "TemporalPositionIndex", "EchoTime", "EffectiveEchoTime", "EchoNumbers",
    "DiffusionBValue", "InversionTime", "FlipAngle", "RepetitionTime", "KVP", "NominalPercentageOfCardiacPhase",
    "NominalPercentageOfRespiratoryPhase", "AcquisitionNumber", "FrameAcquisitionNumber", "TriggerTime",
    "NominalCardiacTriggerDelayTime", "FrameReferenceTime",
}  # fmt: skip


def read_series(
    series: Series | Sequence[Series], *, dtype: Any = "auto", limits: Limits = DEFAULT
) -> Volume:
    """Read the voxels of a series.

    Parameters
    ----------
    series : Series or sequence of Series
        From `scan`. Several, the time points (echoes, b-values...) of one series, become one volume (t, z, y, x).
    dtype : 'auto' or dtype, optional
        'auto' takes an integer type if all rescale slopes and intercepts are whole numbers: the smallest that
        holds every value the headers allow, and int16 instead of int32 where the values fit. Else float32, or
        float64 for more than 24 stored bits or double pixel data.
    limits : Limits, optional
        What reading may cost.

    Returns
    -------
    Volume
        (z, y, x) in ascending order along the normal of the slices; values are rescale slope * stored +
        intercept, slice by slice. MONOCHROME1 is not inverted. Frames without positions come as (t, y, x),
        colour as (t, y, x, rgb), named in ``axes``; ``meta['geometry']`` says whether the affine is a
        place in the patient ('patient'), only a scale ('pixel spacing') or nothing ('none'). ``padding`` marks
        the voxels whose stored value stands for no data.

    Raises
    ------
    DecodeError
        If pixel data are truncated, corrupt, or need a decoder that is not installed.
    LimitExceeded
        If the volume is larger than `limits` allow.
    GeometryError
        If several series do not lie on one grid.
    ValueError
        If `dtype` cannot hold the values, or there is no series.
    """
    parts = [series] if isinstance(series, Series) else list(series)
    if not parts:
        raise ValueError("series must be a Series or a sequence of them, found an empty one")
    _check_one_grid(parts)
    shape = parts[0].shape if len(parts) == 1 else (len(parts), *parts[0].shape)
    every = [one for part in parts for one in part.slices]
    regrid = any(part.places is not None for part in parts)
    candidates = _decode.dtypes_of(every, "float32" if regrid and isinstance(dtype, str) and dtype == "auto" else dtype)
    _check_volume(shape, candidates[0].itemsize, limits)
    padding = np.zeros(shape, bool) if any(s.image.padding is not None for s in every) else None
    with quiet():
        for wanted in candidates:
            array = np.empty(shape, wanted)
            try:
                places: Sequence[Any] = range(len(parts)) if len(parts) > 1 else [...]
                marked = [
                    _load(part, array[at], None if padding is None else padding[at], limits)
                    for part, at in zip(parts, places, strict=True)
                ]
                break
            except _decode.Overflow:
                continue
        else:
            raise ValueError(
                f"dtype {candidates[-1]} cannot hold the values of this series; ask for 'auto' or 'float32'"
            )
    meta = {**parts[0].meta, "stored_bits": max(s.image.stored for s in every)}
    if len(parts) > 1:
        meta = _joined_meta(parts, meta)
    if not any(marked):
        padding = None
    units = meta.pop("units")
    return Volume(array, parts[0].affine, modality=parts[0].modality, units=units, meta=meta, padding=padding)


def _check_one_grid(parts: list[Series]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.shape != first.shape or part.axes != "zyx" or not np.allclose(part.affine, first.affine, atol=1e-3):
            raise GeometryError(f"the series do not lie on one grid: {first!r} and {part!r}")
        if part.meta["units"] != first.meta["units"]:
            raise SeriesError("the series have values of different units")


def _check_volume(shape: tuple[int, ...], itemsize: int, limits: Limits) -> None:
    size = itemsize
    for n in shape:
        size *= n
    if size > limits.max_volume_bytes:
        raise LimitExceeded(f"a volume of {size} bytes; at most {limits.max_volume_bytes} are read")


def _joined_meta(parts: list[Series], meta: dict[str, Any]) -> dict[str, Any]:
    by = meta.get("split_by", "")
    for gone in ("split_index", "split_count"):
        meta.pop(gone, None)
    meta["axes"] = "tzyx"
    if by in _NUMBERS:
        column = SPLITTERS.index(by)
        meta["split_values"] = tuple(_as_number(part.slices[0].splitters[column]) for part in parts)
    return meta


def _as_number(found: str) -> float:
    try:
        return float(found)
    except ValueError:
        return float("nan")


# --------------------------------------------------------------------------------------------------- one series


def _load(series: Series, array: np.ndarray, padding: np.ndarray | None, limits: Limits) -> bool:
    """Fill `array`, and mark its padding where there is any; gives whether there is."""
    if series.places is None:
        return _load_slices(series, array, padding, limits)
    stack = np.empty((len(series.slices), *array.shape[1:]), array.dtype)
    marks = None if padding is None else np.zeros(stack.shape, bool)
    marked = _load_slices(series, stack, marks, limits)
    _interpolate(stack, series.places, array)
    if padding is not None and marks is not None:
        weights = np.zeros(array.shape, np.float32)
        _interpolate(marks.astype(np.float32), series.places, weights)
        np.greater(weights, 0, out=padding)
    return marked


def _interpolate(stack: np.ndarray, places: tuple[float, ...], array: np.ndarray) -> None:
    """Fill `array` at 0, 1, 2... from slices at `places`, linearly."""
    at = np.asarray(places)
    for k in range(len(array)):
        above = int(np.clip(np.searchsorted(at, k), 1, len(at) - 1))
        share = (k - at[above - 1]) / (at[above] - at[above - 1])
        value = (1 - share) * stack[above - 1] + share * stack[above]
        array[k] = np.rint(value) if array.dtype.kind in "iu" else value


def _load_slices(series: Series, array: np.ndarray, padding: np.ndarray | None, limits: Limits) -> bool:
    """Decode the files side by side, each straight into its place; gives whether any of it is padding."""
    files: dict[str, list[int]] = defaultdict(list)
    for k, one in enumerate(series.slices):
        files[one.image.path].append(k)

    def load(ks: list[int]) -> bool:
        marks = [None if padding is None else padding[k] for k in ks]
        return _decode.fill([series.slices[k] for k in ks], [array[k] for k in ks], marks, limits)

    workers = _decode.threads_for(len(files))
    if workers == 1:
        return sum(load(ks) for ks in files.values()) > 0
    with ThreadPoolExecutor(workers, thread_name_prefix="fastmed-read") as pool:
        waiting = [pool.submit(load, ks) for ks in files.values()]
        try:
            return sum(done.result() for done in waiting) > 0
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


# ------------------------------------------------------------------------------------------------ file or folder


@overload
def read(
    path: Any,
    *,
    series: str | None = ...,
    dtype: Any = ...,
    on_fault: Literal["raise", "regrid", "keep"] = ...,
    limits: Limits = ...,
) -> Volume: ...


@overload
def read(
    path: Any, *, series: str | None = ..., dtype: Any = ..., on_fault: Literal["split"], limits: Limits = ...
) -> list[Volume]: ...


def read(
    path: Any,
    *,
    series: str | None = None,
    dtype: Any = "auto",
    on_fault: str = "raise",
    limits: Limits = DEFAULT,
) -> Volume | list[Volume]:
    """Read the one volume in a file or folder.

    Parameters
    ----------
    path : path_like
        A DICOM file, a folder or zip file with the files of one series (sub-folders are searched too), or a URL.
        Or a NIfTI file (``.nii``, ``.nii.gz``), NRRD (``.nrrd``), MetaImage (``.mha``, ``.mhd``), a Zarr of `write`,
        a TIFF stack (``.tif``, ``.tiff``), PNG, JPEG, or a video (``.mp4``, ``.avi``, ``.mov``, ``.mkv``, ``.webm``,
        ``.mpg``). Pages of a TIFF are slices unless it names them times; pictures and videos have the axes (t, y, x),
        colour (t, y, x, rgb), as they are stored (no EXIF rotation). Their pixels are 1 mm unless ImageJ or OME wrote
        another size, and ``meta['geometry']`` says which: 'none' or 'pixel spacing'.
    series : str, optional
        Key of the series to read, where there are several.
    dtype : 'auto' or dtype, optional
        See `read_series`.
    on_fault : {'raise', 'split', 'regrid', 'keep'}, optional
        What to do where slices are missing, repeated, unevenly spaced or cannot be decoded; see `scan`.
    limits : Limits, optional
        What reading may cost.

    Returns
    -------
    Volume
        See `read_series`. Time points (echoes, b-values, phases) of one series come as one volume (t, z, y, x).
    list of Volume
        With ``on_fault='split'``: all the volumes that there are.

    Raises
    ------
    FileNotFoundError
        If `path` does not exist.
    NoDicomError
        If there is no DICOM image.
    SeriesError
        If there are several series and `series` does not say which (`MixedGeometry` where they are parts of
        one series), or files that belong to the volume cannot be used: then the error of the first of them,
        for example `MissingSlices` or `TruncatedPixels`. `scan` and `read_series` give what can be read.

    Examples
    --------
    >>> import fastmed, pydicom.data
    >>> volume = fastmed.read(pydicom.data.get_testdata_file("CT_small.dcm"))
    >>> volume
    Volume(1 x 128 x 128, int16, spacing (5, 0.661468, 0.661468) mm, CT, HU)
    """
    place = os.fspath(path)
    if is_other(place):
        return read_other(place, dtype, limits)
    index = scan(path, on_fault=on_fault, limits=limits)
    found = [s for s in index.series if series is None or s.key == series]
    if series is not None and not found:
        raise SeriesError(f"no series {series!r} here; there are: {_keys(index.series)}")
    lost = [f for f in index.failures if f.lost and (series is None or (f.key and series.startswith(f.key)))]
    if lost and (on_fault == "raise" or not found):
        raise _as_error(lost, on_fault)
    if not found:
        raise _nothing(index)
    if on_fault == "split":
        return [read_series(one, dtype=dtype, limits=limits) for one in found]
    if len(found) > 1 and not _one_dimension(found):
        one_uid = len({s.key[:16] for s in found}) == 1 and not all("split_by" in s.meta for s in found)
        kind = MixedGeometry if one_uid else SeriesError
        raise kind(
            f"{len(found)} volumes where one was wanted; choose by series= (or on_fault='split' for all of them): "
            f"{_keys(found)}"
        )
    return read_series(found if len(found) > 1 else found[0], dtype=dtype, limits=limits)


def _one_dimension(found: list[Series]) -> bool:
    """Whether these are all the parts of one series, along one axis: time, echo, b-value..."""
    by = {s.meta.get("split_by", "").removesuffix(" at each position") for s in found}
    whole = {s.meta.get("split_count") for s in found} == {len(found)}
    if len({tuple(s.slices[0].splitters[n] for n in _KIND_COLUMNS) for s in found}) > 1:
        return False  # a map beside the images that it was made from
    try:
        _check_one_grid(found)
    except SeriesError:
        return False
    return whole and len({s.key[:16] for s in found}) == 1 and len(by) == 1 and by <= _DIMENSIONS


def _as_error(lost: list[Failure], on_fault: str) -> SeriesError:
    """The error of the file that is the cause; those of the others in its series are the consequence."""
    first = min(lost, key=lambda f: not f.cause)
    more = f" (and {len(lost) - 1} more files)" if len(lost) > 1 else ""
    hint = "; on_fault='keep', 'split' or 'regrid' reads what is there" if on_fault == "raise" and first.key else ""
    error = first.error(f"{first.reason}{more}{hint}")
    error.paths = tuple(f.path for f in lost)
    return error


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
