"""NIfTI, NRRD, OME-Zarr, MetaImage, TIFF, PNG, JPEG and video -> Volume."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import DecodeError, LimitExceeded, TruncatedPixels, UnsupportedImageError
from ..volume import Volume
from ._limits import Limits
from ._metaimage import inflate, read_metaimage
from ._pictures import PICTURES, TIFF, VIDEO, read_picture
from ._source import guarded, open_regular, quiet
from ._write import MANIFEST

#: Suffixes that `read` does not take for DICOM.
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".zarr", ".mha", ".mhd", *TIFF, *PICTURES, *VIDEO)

#: Times a byte is what deflate reaches at most. Masks, nearly all zeros, come close...
_DEFLATED = 1032
#: ...and are believed up to so many bytes; what claims more may grow by `Limits.max_inflation` only.
_BELIEVED = 1 << 28


def is_other(path: str) -> bool:
    """Whether `read` takes a path for a file that is no DICOM."""
    return path.lower().rstrip("/").endswith(SUFFIXES) and os.path.exists(path)


def read_other(path: str, dtype: Any, limits: Limits) -> Volume:
    """Read a file that is no DICOM.

    Raises
    ------
    DecodeError
        If it is broken or incomplete.
    LimitExceeded
        If it is larger than `limits` allow.
    UnsupportedImageError
        If it holds what is no volume, or names another file that holds its voxels.
    """
    name = path.lower().rstrip("/")
    with quiet(), guarded("file"):
        if name.endswith(".zarr"):
            volume = _read_zarr(Path(path), limits)
        elif name.endswith(".nrrd"):
            volume = _read_nrrd(path, limits)
        elif name.endswith((".mha", ".mhd")):
            volume = read_metaimage(path, limits)
        elif name.endswith((*TIFF, *PICTURES, *VIDEO)):
            volume = read_picture(path, limits)
        else:
            volume = _read_nifti(path, limits)
    if isinstance(dtype, str) and dtype == "auto":
        return volume
    wanted = np.dtype(dtype)
    converted = np.asarray(volume.array).astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(converted, volume.array):
        raise ValueError(f"dtype {wanted} cannot hold the values of this volume; ask for 'auto' or 'float32'")
    return volume.with_array(converted)


def check_size(
    shape: tuple[int, ...], itemsize: int, present: int, deflated: bool, limits: Limits
) -> int:
    """Compare declared and present bytes before anything is allocated; gives how many the voxels need."""
    size = itemsize
    for n in shape:
        if n < 1:
            raise DecodeError("a volume without voxels")
        size *= int(n)
    if size > limits.max_volume_bytes:
        raise LimitExceeded(f"a volume of {size} bytes; at most {limits.max_volume_bytes} are read")
    if deflated:
        ratio = _DEFLATED if size <= _BELIEVED else min(_DEFLATED, limits.max_inflation)
        limits.check_expansion(size, present, ratio, "the header")
    elif size > present:
        raise TruncatedPixels(f"the voxels are truncated: {present} bytes, {size} wanted")
    return size


def _read_nifti(path: str, limits: Limits) -> Volume:
    import nibabel

    with open_regular(path) as file:
        zipped = file.read(2) == b"\x1f\x8b"
        present = file.seek(0, os.SEEK_END)
    image: Any = nibabel.load(path)
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise UnsupportedImageError("a file of this name that is no NIfTI volume")
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 3 <= len(shape) <= 4 or image.get_data_dtype().fields is not None or image.get_data_dtype().kind == "c":
        raise UnsupportedImageError(
            f"a NIfTI image of {len(shape)} axes of {image.get_data_dtype()}; wanted are 3 or 4 axes of real numbers"
        )
    check_size(shape, image.get_data_dtype().itemsize, present, zipped, limits)
    proxy: Any = image.dataobj
    plain = proxy.slope == 1 and proxy.inter == 0
    try:
        array = np.asarray(proxy.get_unscaled() if plain else np.asarray(proxy).astype(np.float32)).reshape(shape)
    except (EOFError, OSError, gzip.BadGzipFile, ValueError) as error:
        raise TruncatedPixels(f"the voxels cannot be read to their end ({type(error).__name__})") from None
    array = np.ascontiguousarray(array.transpose(range(len(shape) - 1, -1, -1)))
    known = bool(image.header["sform_code"] or image.header["qform_code"])
    meta = {"axes": "tzyx" if array.ndim == 4 else "zyx", "geometry": "patient" if known else "pixel spacing"}
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)[:, [2, 1, 0, 3]]  # RAS to LPS
    return Volume(array.astype(array.dtype.newbyteorder("="), copy=False), affine, meta=meta)


def _read_nrrd(path: str, limits: Limits) -> Volume:
    import nrrd

    with open_regular(path) as file:
        present = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = nrrd.read_header(file)
        if "data file" in header or "datafile" in header:
            raise UnsupportedImageError("a NRRD header whose voxels are in other files")
        shape = tuple(int(n) for n in header["sizes"])
        kinds = header.get("kinds", ["domain"] * len(shape))
        if not 3 <= len(shape) <= 4 or any("color" in k or "matrix" in k or "vector" in k for k in kinds):
            raise UnsupportedImageError(f"a NRRD image of {len(shape)} axes ({', '.join(kinds)})")
        kind = np.dtype(nrrd.reader._determine_datatype(header))
        encoding = str(header.get("encoding", "raw")).lower()
        packed = encoding not in ("raw", "ascii", "text", "txt")
        size = check_size(shape, kind.itemsize, present, packed, limits)
        array = _nrrd_voxels(header, file, encoding, kind, size)
        if array is None:
            array = nrrd.read_data(header, file, path, index_order="C")
    return Volume(_spatial_last(array, header), _nrrd_affine(header), meta=_nrrd_meta(header, array.ndim))


def _nrrd_voxels(header: Any, file: BinaryIO, encoding: str, kind: np.dtype, size: int) -> np.ndarray | None:
    """Compressed voxels in C order, never more than `size` bytes of them; None for others, which are no larger."""
    if encoding not in ("gzip", "gz", "bzip2", "bz2"):
        return None
    if any(int(header.get(name, 0)) for name in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise UnsupportedImageError("a NRRD image with bytes to be skipped before its compressed voxels")
    array = np.empty(size // kind.itemsize, kind)
    if encoding in ("gzip", "gz"):
        inflate(file, memoryview(array.view(np.uint8)), zlib.MAX_WBITS | 32)  # type: ignore[arg-type]
    else:
        data = bz2.BZ2Decompressor().decompress(file.read(), size)
        if len(data) < size:
            raise TruncatedPixels(f"the voxels are truncated: {len(data)} bytes, {size} wanted")
        array[...] = np.frombuffer(data, kind)
    return array.reshape([int(n) for n in header["sizes"]][::-1])


def _spatial_axes(header: Any, count: int) -> list[int]:
    """Which of the file's axes lie in space."""
    directions = header.get("space directions")
    if directions is None:
        return list(range(count))[-3:]
    return [n for n in range(count) if directions[n] is not None and np.isfinite(directions[n]).all()]


def _spatial_last(array: np.ndarray, header: Any) -> np.ndarray:
    """(z, y, x), or the other axis before them. In C order the file's first axis is the last."""
    axes = _spatial_axes(header, array.ndim)
    if len(axes) != 3:
        raise UnsupportedImageError(f"a NRRD image with {len(axes)} axes in space")
    last = array.ndim - 1
    other = [last - n for n in range(array.ndim) if n not in axes]
    return np.ascontiguousarray(array.transpose(*other, *(last - n for n in reversed(axes))))


def _nrrd_affine(header: Any) -> np.ndarray:
    affine = np.eye(4)
    directions = header.get("space directions")
    if directions is None:
        steps = [float(s) if np.isfinite(s) else 1.0 for s in header.get("spacings", [1.0] * 3)][-3:]
        affine[:3, :3] = np.diag(steps)[:, ::-1]
        return affine
    axes = _spatial_axes(header, len(directions))
    affine[:3, :3] = np.array([directions[n] for n in reversed(axes)], float).T
    affine[:3, 3] = header.get("space origin", (0.0, 0.0, 0.0))
    signs = {"left-posterior-superior": (1, 1), "lps": (1, 1), "right-anterior-superior": (-1, -1), "ras": (-1, -1),
             "left-anterior-superior": (1, -1), "las": (1, -1)}  # fmt: skip
    space = str(header.get("space", "")).lower()
    if space not in signs:
        raise UnsupportedImageError("a NRRD image in a space that is not of the patient")
    return np.diag([*signs[space], 1, 1]) @ affine


def _nrrd_meta(header: Any, count: int) -> dict[str, Any]:
    known = header.get("space directions") is not None
    return {"axes": "tzyx" if count == 4 else "zyx", "geometry": "patient" if known else "pixel spacing"}


def _read_zarr(path: Path, limits: Limits) -> Volume:
    import zarr

    _check_complete(path)
    group = zarr.open_group(str(path), mode="r")
    about: Any = group.attrs.get("fastmed")
    if not isinstance(about, dict):
        raise UnsupportedImageError("a Zarr that fastmed did not write")
    stored: Any = group["0"]
    present = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    limits.check_expansion(stored.nbytes, present, 1 << 20, "the Zarr")
    if stored.nbytes > limits.max_volume_bytes:
        raise LimitExceeded(f"a volume of {stored.nbytes} bytes; at most {limits.max_volume_bytes} are read")
    array = np.asarray(stored[...])
    array = array.view(bool) if about["dtype"] == "bool" else array
    meta = {"axes": str(about["axes"]), "geometry": "patient"}
    affine = np.array(about["affine"])
    return Volume(array, affine, modality=str(about["modality"]), units=str(about["units"]), meta=meta)


def _check_complete(path: Path) -> None:
    """Refuse a Zarr without its completion mark, or of other bytes: a missing chunk would read as zeros."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        raise DecodeError("a Zarr without its completion mark: it was not written to its end") from None
    for name, (size, digest) in manifest.items():
        file = (path / name).resolve()
        if not file.is_relative_to(path.resolve()) or not file.is_file() or file.stat().st_size != size:
            raise DecodeError("a Zarr that lacks a part of what was written")
        with open(file, "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                raise DecodeError("a Zarr with other bytes than were written")
