"""Sources of which no part can be had by itself: unpacked once, slice by slice, into a file beside the output."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..archive import Limits, scan
from ..archive._decode import Overflow, dtypes_of, fill
from ..archive._source import quiet
from ..errors import NoDicomError, SeriesError, TruncatedPixels
from ._sources import About, Raw, Source, identity_of, nifti_facts

_PIECE = 1 << 24
Progress = Callable[[int, int], None]


class _Described(Source):
    """A source that is not unpacked: its shape and place only."""


def open_gzip(path: Path, work: Path | None, progress: Progress) -> Source:
    """A ``.nii.gz`` file."""
    shape, dtype, offset, scale, about = nifti_facts(path)
    identity = identity_of(path)
    if work is None:
        return _Described(shape, np.float32 if scale else dtype.newbyteorder("="), about, identity)
    target = work / f"unpacked-{identity[:16]}.raw"
    if not target.exists():
        _unzip(path, offset, math.prod(shape) * dtype.itemsize, target, progress)
    return Raw(target, shape, dtype, 0, about, identity, scale)


def _unzip(path: Path, offset: int, size: int, target: Path, progress: Progress) -> None:
    part = target.with_suffix(".part")
    try:
        with gzip.open(path, "rb") as packed, open(part, "wb") as out:
            packed.seek(offset)
            done = 0
            while done < size:
                piece = packed.read(min(_PIECE, size - done))
                if not piece:
                    raise TruncatedPixels(f"the voxels are truncated: {done} bytes, {size} wanted")
                out.write(piece)
                done += len(piece)
                progress(done >> 20, size >> 20)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TruncatedPixels(f"the voxels cannot be read to their end ({type(error).__name__})") from None
    os.replace(part, target)


def open_series(path: Path, work: Path | None, progress: Progress) -> Source:
    """A folder, zip file or file with one DICOM series."""
    index = scan(path)
    lost = [f for f in index.failures if f.lost]
    if lost:
        raise lost[0].error(lost[0].reason)
    if not index.series:
        raise NoDicomError("the input is no format that is known by its name, and holds no DICOM series")
    if len(index.series) > 1:
        raise SeriesError(f"{len(index.series)} series where one was wanted; `fastmed convert` writes each as a volume")
    series = index.series[0]
    if series.axes != "zyx" or series.places is not None:
        raise SeriesError(f"an image sequence ({series.axes}), or one on an irregular grid, and no volume")
    about = About(series.affine, series.modality, str(series.meta["units"]), "zyx", True)
    facts = [(s.image.instance, s.frame, s.image.size, s.slope, s.intercept) for s in series.slices]
    identity = hashlib.sha256(repr((series.key, facts)).encode()).hexdigest()
    candidates = dtypes_of(series.slices, "auto")
    if work is None:
        return _Described(series.shape, candidates[0], about, identity)
    for dtype in candidates:
        target = work / f"unpacked-{identity[:16]}-{dtype}.raw"
        with contextlib.suppress(Overflow):
            if not target.exists():
                _decode(series, dtype, target, progress)
            return Raw(target, series.shape, dtype, 0, about, identity)
    raise SeriesError("the values of this series do not fit the types that its headers allow")


def _decode(series: Any, dtype: np.dtype, target: Path, progress: Progress) -> None:
    part, limits = target.with_suffix(".part"), Limits()
    with open(part, "wb") as out, quiet():
        for n, one in enumerate(series.slices):
            plane = np.zeros(series.shape[1:], dtype)
            mark = None if one.image.padding is None else np.zeros(plane.shape, bool)
            fill([one], [plane], [mark], limits)
            out.write(plane.data)
            progress(n + 1, len(series.slices))
    os.replace(part, target)
