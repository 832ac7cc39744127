"""MetaImage (.mha, .mhd) -> Volume. The header is a few lines of text; the voxels are raw or one zlib stream."""

from __future__ import annotations

import os
import zlib
from typing import Any, BinaryIO

import numpy as np

from ..errors import DecodeError, LimitExceeded, NoDicomError, TruncatedPixels, UnsupportedImageError
from ..volume import Volume
from ._limits import Limits
from ._source import open_regular

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_LONGEST_HEADER = 1 << 16
_BLOCK = 1 << 22


def read_metaimage(path: str, limits: Limits) -> Volume:
    """Read a MetaImage of 2, 3 or 4 axes.

    Raises
    ------
    DecodeError
        If the header is broken, or the voxels end too early or cannot be inflated.
    LimitExceeded
        If the volume is larger than `limits` allow.
    UnsupportedImageError
        If it has other axes or several values per voxel, or its voxels are in several files or another folder.
    """
    with open_regular(path) as file:
        header = _header(file)
        shape, kind = _shape(header), _kind(header)
        name = header["ElementDataFile"]
        if name.upper() == "LOCAL":
            return _volume(file, header, shape, kind, limits)
    if name != os.path.basename(name) or name in ("", ".", "..", "LIST") or "%" in name or " " in name.strip():
        raise UnsupportedImageError("a MetaImage whose voxels are in several files, or in another folder")
    try:
        data = open_regular(os.path.join(os.path.dirname(path), name))
    except NoDicomError:
        raise DecodeError("a MetaImage header without the file of its voxels") from None
    with data:
        return _volume(data, header, shape, kind, limits)


def _header(file: BinaryIO) -> dict[str, str]:
    found: dict[str, str] = {}
    left = _LONGEST_HEADER
    while "ElementDataFile" not in found:
        line = file.readline(left)
        left -= len(line)
        name, equals, value = line.decode("latin-1").partition("=")
        if not line.endswith(b"\n") and left <= 0:
            raise DecodeError("the header of the MetaImage has no end")
        if not line or not equals:
            raise DecodeError("no header of a MetaImage")
        found[name.strip()] = value.strip()
    if found.get("ObjectType", "Image") != "Image":
        raise UnsupportedImageError("a MetaIO object that is no image")
    return found


def _flag(header: dict[str, str], *names: str) -> bool:
    return any(header.get(name, "False").lower() in ("true", "1") for name in names)


def _shape(header: dict[str, str]) -> tuple[int, ...]:
    """Of the array, slowest axis first."""
    sizes = tuple(int(n) for n in header["DimSize"].split())
    if len(sizes) != int(header["NDims"]):
        raise DecodeError("a MetaImage of other sizes than axes")
    if not 2 <= len(sizes) <= 4:
        raise UnsupportedImageError(f"a MetaImage of {len(sizes)} axes; wanted are 2 to 4")
    if int(header.get("ElementNumberOfChannels", "1")) != 1:
        raise UnsupportedImageError("a MetaImage with several values per voxel")
    return sizes[::-1] if len(sizes) > 2 else (1, *sizes[::-1])


def _kind(header: dict[str, str]) -> np.dtype:
    if not _flag(header, "BinaryData") and "BinaryData" in header:
        raise UnsupportedImageError("a MetaImage whose voxels are text")
    if header.get("ElementType") not in _TYPES:
        raise UnsupportedImageError("a MetaImage with voxels of a kind that is no real number")
    if header.get("DistanceUnits", "mm").lower() not in ("mm", "?"):
        raise UnsupportedImageError("a MetaImage in other units than mm")
    big = _flag(header, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    return np.dtype((">" if big else "<") + _TYPES[header["ElementType"]])


def _volume(file: BinaryIO, header: dict[str, str], shape: tuple[int, ...], kind: np.dtype, limits: Limits) -> Volume:
    from ._formats import check_size

    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    compressed = _flag(header, "CompressedData")
    skip = int(header.get("HeaderSize", "0"))
    check_size(shape, kind.itemsize, end - start, compressed, limits)
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if skip == -1 and not compressed:
        start = end - size
    elif skip > 0:
        start += skip
    elif skip:
        raise DecodeError("a MetaImage with an impossible HeaderSize")
    file.seek(start)
    array = np.empty(shape, kind)
    view = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    inflate(file, view) if compressed else _fill(file, view)
    meta = {"axes": "tzyx" if len(shape) == 4 else "zyx", "geometry": "patient"}
    if not {"TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin"} & set(header):
        meta["geometry"] = "pixel spacing" if "ElementSpacing" in header else "none"
    return Volume(array.astype(kind.newbyteorder("="), copy=False), _affine(header), meta=meta)


def _fill(file: Any, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise TruncatedPixels(f"the voxels are truncated: {done} bytes, {len(view)} wanted")
        done += count


def inflate(file: BinaryIO, view: memoryview, window: int = zlib.MAX_WBITS) -> None:
    """Fill `view` with the stream that starts here; `window` says of which kind it is, as for zlib.

    Raises
    ------
    TruncatedPixels, DecodeError, LimitExceeded
        If it gives fewer bytes, none, or more.
    """
    stream, done = zlib.decompressobj(window), 0
    while done < len(view):
        data = stream.unconsumed_tail or file.read(_BLOCK)
        try:
            part = stream.decompress(data, min(_BLOCK, len(view) - done))
        except zlib.error:
            raise DecodeError("the voxels cannot be inflated") from None
        if not part and (not data or stream.eof):
            raise TruncatedPixels(f"the voxels are truncated: {done} bytes, {len(view)} wanted")
        view[done : done + len(part)] = part
        done += len(part)
    if not stream.eof and stream.decompress(stream.unconsumed_tail or file.read(_BLOCK), 1):
        raise LimitExceeded("the voxels inflate to more than the header claims")


def _affine(header: dict[str, str]) -> np.ndarray:
    """Of ITK's axes, which are DICOM's."""
    count = int(header["NDims"])
    spacing = _numbers(header, ("ElementSpacing", "ElementSize"), [1.0] * count)
    matrix = _numbers(header, ("TransformMatrix", "Rotation", "Orientation"), np.eye(count).ravel())
    origin = _numbers(header, ("Offset", "Position", "Origin"), [0.0] * count)
    if (len(spacing), len(matrix), len(origin)) != (count, count * count, count):
        raise DecodeError("the geometry of the MetaImage has other axes than its voxels")
    used = min(count, 3)
    axes = np.eye(3)  # a plane lies across the third axis
    axes[:used, :used] = np.reshape(matrix, (count, count))[:used, :used] * np.array(spacing[:used])[:, None]
    affine = np.eye(4)
    affine[:3, :3] = axes[::-1].T
    affine[:used, 3] = origin[:used]
    return affine


def _numbers(header: dict[str, str], names: tuple[str, ...], default: Any) -> list[float]:
    found = next((header[name] for name in names if name in header), None)
    return list(default) if found is None else [float(v) for v in found.split()]
