"""Where the frames of compressed pixel data lie in a file; every length is checked against the bytes that are left."""

from __future__ import annotations

import struct
from typing import BinaryIO

from ..errors import DecodeError, TruncatedPixels
from ._model import Image

_ITEM, _END = 0xE000FFFE, 0xE0DDFFFE  # tags as one little-endian number
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203)}
_JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81)}
#: Transfer syntaxes whose frames say their own size.
SIZED = _JPEG | _JPEG_2000
#: SOF0 to SOF15 without DHT, JPG and DAC; SOF55 is JPEG-LS.
_FRAME_HEADERS = ({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_STARTS = (b"\xff\xd8", b"\xff\x4f")  # JPEG and JPEG 2000 codestreams

Extent = tuple[int, int]


def frame_extents(source: BinaryIO, image: Image) -> list[list[Extent]]:
    """Offset and length of each fragment of each frame.

    Raises
    ------
    TruncatedPixels
        If a fragment goes beyond the end of the file, or frames are missing.
    DecodeError
        If the fragments cannot be told apart.
    """
    offsets, fragments = _items(source, image)
    frames = image.frames
    if len(fragments) < frames:
        raise TruncatedPixels(
            f"the pixel data are truncated: {len(fragments)} compressed fragments for {frames} frames"
        )
    if frames == 1:
        return [fragments]
    if len(fragments) == frames:
        return [[one] for one in fragments]
    starts = {at - fragments[0][0]: n for n, (at, _) in enumerate(fragments)}
    firsts = [starts.get(offset, -1) for offset in offsets]
    if len(firsts) != frames or firsts[0] != 0 or sorted(set(firsts)) != firsts:
        firsts = [n for n, extent in enumerate(fragments) if _begins_image(source, extent)]
    if len(firsts) != frames or firsts[0] != 0:
        raise DecodeError(f"{len(fragments)} compressed fragments cannot be divided into {frames} frames")
    return [fragments[a:b] for a, b in zip(firsts, [*firsts[1:], len(fragments)], strict=True)]


def _items(source: BinaryIO, image: Image) -> tuple[list[int], list[Extent]]:
    """The basic offset table, and the fragments."""
    at, end = image.offset, image.size
    items: list[Extent] = []
    while at + 8 <= end:
        source.seek(at)
        tag, length = struct.unpack("<II", source.read(8))
        if tag == _END:
            break
        if tag != _ITEM or length == 0xFFFFFFFF:
            raise DecodeError("the compressed pixel data are not a sequence of items")
        if length > end - at - 8:
            raise TruncatedPixels(
                f"the pixel data are truncated: a fragment of {length} bytes, {end - at - 8} are there"
            )
        items.append((at + 8, length))
        at += 8 + length
    if not items:
        raise TruncatedPixels("the pixel data are truncated: no compressed fragment")
    start, length = items[0]
    source.seek(start)
    table = source.read(length // 4 * 4) if length <= 4 * image.frames else b""
    return [offset for (offset,) in struct.iter_unpack("<I", table)], items[1:]


def _begins_image(source: BinaryIO, extent: Extent) -> bool:
    source.seek(extent[0])
    return source.read(min(2, extent[1])) in _STARTS


def check_codestream(frame: bytes, image: Image) -> None:
    """Compare the size in a JPEG, JPEG-LS or JPEG 2000 codestream with that of the header, before it is decoded.

    A codec allocates what its own header says, whatever DICOM's says.

    Raises
    ------
    DecodeError
        If they differ, or there is no such header.
    """
    found = _jpeg_2000_size(frame) if image.syntax in _JPEG_2000 else _jpeg_size(frame)
    if found is None:
        raise DecodeError("the compressed pixel data have no readable header")
    if found != (image.rows, image.columns, image.samples):
        rows, columns, samples = found
        raise DecodeError(
            f"the compressed frame has {rows} x {columns} pixels of {samples} samples, the header says "
            f"{image.rows} x {image.columns} of {image.samples}"
        )


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and components of the frame header; markers are walked by their lengths."""
    at = 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            if at + 10 > len(frame):
                return None
            rows, columns = struct.unpack(">HH", frame[at + 5 : at + 9])
            return rows, columns, frame[at + 9]
        at += 2 if 0xD0 <= marker <= 0xD8 or marker == 1 else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and components of the SIZ segment, which comes first; some files have a JP2 box around it."""
    start = 0 if frame[:2] == b"\xff\x4f" else frame[:4096].find(b"\xff\x4f\xff\x51")
    if start < 0 or frame[start + 2 : start + 4] != b"\xff\x51" or len(frame) < start + 42:
        return None
    x, y, x0, y0 = struct.unpack(">IIII", frame[start + 8 : start + 24])
    return y - y0, x - x0, int.from_bytes(frame[start + 40 : start + 42], "big")


def read_frame(source: BinaryIO, extents: list[Extent]) -> bytes:
    """The compressed bytes of a frame."""
    parts = []
    for at, length in extents:
        source.seek(at)
        parts.append(source.read(length))
    return parts[0] if len(parts) == 1 else b"".join(parts)
