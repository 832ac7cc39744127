"""Bytes of a file -> the elements of its header. pydicom is the parser of record."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from ..errors import LimitExceeded, NoDicomError, UnsupportedImageError
from ._limits import Limits
from ._model import Image
from ._source import open_source
from ._values import TAGS

try:
    from . import _elements as native  # type: ignore[attr-defined]
except ImportError:  # the extension is not built
    native = None

DEFLATED = "1.2.840.10008.1.2.1.99"
RAW_SYNTAXES = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED}
PIXELS = {0x7FE00010: "u", 0x7FE00008: "f", 0x7FE00009: "f"}
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}

_PART = 1 << 23
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"


def parse(file: BinaryIO, limits: Limits) -> Dataset:
    """The whole dataset of a file, for pydicom's decoders."""
    head = file.read(4096)
    if _syntax_of(head) == DEFLATED:
        inflated(file, head, limits)  # refuses what grows too large, before pydicom inflates it
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(_guessed_syntax(dataset))
    return dataset


def raw_source(file: BinaryIO, syntax: str, limits: Limits) -> BinaryIO:
    """The stream that the offsets of an `Image` refer to."""
    return inflated(file, file.read(4096), limits) if syntax == DEFLATED else file


def read_pixel_digest(image: Image, limits: Limits) -> str:
    """A hash of all bytes from the pixel data on: equal for files with equal pixels in the same encoding."""
    digest = hashlib.sha256()
    with open_source(image.path, limits) as file:
        source = raw_source(file, image.syntax, limits)
        source.seek(image.offset)
        for part in iter(lambda: source.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


#: The tags in ascending order and their types, as `_elements.pyx` wants them. A sequence means: a case for pydicom.
ORDERED: list[tuple[str, int]] = sorted(TAGS.items(), key=lambda entry: entry[1])
SORTED = np.array([tag for _, tag in ORDERED], np.uint32)
_CHUNKS = (1 << 14, 1 << 18, 1 << 22)


def _type_code(name: str) -> int:
    vr = pydicom.datadict.dictionary_VR(name)
    if vr == "SQ":
        return 1
    return int.from_bytes(vr.encode(), "little") if len(vr) == 2 else 0


TYPES = np.array([_type_code(name) for name, _ in ORDERED], np.uint16)
_VRS = {int(tag): (vr if len(vr := pydicom.datadict.dictionary_VR(name)) == 2 else "US") for name, tag in ORDERED}


class Raw:
    """An element as the native reader finds it; what `_values` knows of a `pydicom.DataElement`."""

    __slots__ = ("VR", "tag", "value")
    is_little_endian = True

    def __init__(self, tag: int, vr: str, value: bytes) -> None:
        self.tag, self.VR, self.value = tag, vr, value


class Elements:
    """The elements of a header that the native reader has found."""

    __slots__ = ("values",)

    def __init__(self, values: list[bytes | None]) -> None:
        self.values = dict(zip(_VRS, values, strict=True))

    def get_item(self, tag: int) -> Raw | None:
        value = self.values.get(tag)
        return None if value is None else Raw(tag, _VRS[tag], value)


def native_header(file: BinaryIO, limits: Limits) -> tuple[BinaryIO, str, Elements] | None:
    """What `header_only` gives; None where there is any doubt."""
    if native is None:
        return None
    size = file.seek(0, os.SEEK_END)
    for chunk in _CHUNKS:
        file.seek(0)
        head = file.read(chunk)
        status, at, syntax, media, _, values = native.read_elements(head, size, SORTED, TYPES, limits.max_depth)
        if status != native.MORE or at > limits.max_header_bytes:
            break
    if status not in (native.AT_PIXELS, native.AT_END) or b"\\" in syntax:
        return None
    if media == _MEDIA_DIRECTORY.encode():
        raise UnsupportedImageError("no image that can be a volume: a DICOM directory")
    file.seek(at)
    return file, syntax.decode("latin-1"), Elements(values)


def header_only(file: BinaryIO, limits: Limits, every: bool = False) -> tuple[BinaryIO, str, Any]:
    """The stream, standing at the pixel data; the transfer syntax; the elements of `TAGS`, or `every` one."""
    if not every:
        found = native_header(file, limits)
        if found is not None:
            return found
        file.seek(0)
    head = file.read(4096)
    forced = head[128:132] != b"DICM"
    if forced and not _looks_like_dicom(head):
        raise NoDicomError("not DICOM")
    tags: Any = None if every else list(TAGS.values())
    if not forced and _syntax_of(head) == DEFLATED:
        source = inflated(file, head, limits)
        return source, DEFLATED, read_dataset(source, False, True, stop_when=_at_pixels, specific_tags=tags)
    file.seek(0)
    dataset = pydicom.dcmread(file, force=forced, stop_before_pixels=True, specific_tags=tags)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or _guessed_syntax(dataset)
    if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == _MEDIA_DIRECTORY:
        raise UnsupportedImageError("no image that can be a volume: a DICOM directory")
    if forced and "SOPClassUID" not in dataset:
        raise NoDicomError("not DICOM")
    return file, syntax, dataset


def pixel_element(head: bytes, at: int, syntax: str) -> tuple[int, int, int, bytes]:
    """Offset, length, tag and type of the pixel data whose element starts with `head` at `at`; zeros for others.

    Whether it has a type is seen from the element itself: some files say of their types what is not so.
    """
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    if len(head) < 8:
        return 0, 0, 0, b""
    typed = head[4:6] in LONG_VRS  # as part of a length they would make it odd, as none is
    group, element = struct.unpack(f"{order}HH", head[:4])
    tag = group << 16 | element
    if tag not in PIXELS:
        return 0, 0, 0, b""
    if not typed:
        return at + 8, struct.unpack(f"{order}I", head[4:8])[0], tag, b""
    if len(head) < 12:
        return at + 8, 0, tag, b""
    return at + 12, struct.unpack(f"{order}I", head[8:12])[0], tag, head[4:6]


def _at_pixels(tag: Any, vr: str | None, length: int) -> bool:
    return int(tag) in PIXELS


def _looks_like_dicom(head: bytes) -> bool:
    """Whether a file without preamble starts with an element of group 0002 or 0008, as all of them do."""
    if len(head) < 16:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", head[:8])
        if group in (2, 8) and element <= 0x2000 and (explicit or length <= 1024):
            return True
    return False


def _meta_end(head: bytes) -> int:
    """Where the file meta group ends, 0 if it does not say."""
    if head[128:138] != b"DICM\x02\x00\x00\x00UL" or len(head) < 144:
        return 0
    return 144 + int(struct.unpack("<I", head[140:144])[0])


def _syntax_of(head: bytes) -> str:
    """The transfer syntax in the first bytes of a file; empty where it is not found there."""
    at = head[: _meta_end(head)].find(b"\x02\x00\x10\x00UI")
    if at < 0:
        return ""
    length = int.from_bytes(head[at + 6 : at + 8], "little")
    return head[at + 8 : at + 8 + length].rstrip(b"\0 ").decode("ascii", "replace")


def inflated(file: BinaryIO, head: bytes, limits: Limits) -> BinaryIO:
    """The dataset of a deflated file.

    Raises
    ------
    LimitExceeded
        If it grows too much.
    """
    file.seek(_meta_end(head))
    body = zlib.decompressobj(-zlib.MAX_WBITS)
    deflated = file.read()
    left, parts, grown = deflated, [], 0
    while left and not body.eof:
        parts.append(body.decompress(left, _PART))
        grown, left = grown + len(parts[-1]), body.unconsumed_tail
        if grown > limits.inflated(len(deflated) - len(left)):  # the ratio so far: a bomb shows at once
            raise LimitExceeded(f"{len(deflated)} deflated bytes are more than {grown} when inflated")
    return io.BytesIO(b"".join(parts) + body.flush(_PART))


def _guessed_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
