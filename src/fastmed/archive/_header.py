"""One file -> :class:`Image`: the few header values that place and decode its pixels. pydicom is the parser.

Values are taken from the raw bytes of the elements: that is quick, and pydicom's warnings, which quote what
they find, have no occasion to arise. Nothing here keeps a name, a date, a number or a UID of a patient in
clear.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from ..errors import DecodeError, FastmedError, GeometryError, NoDicomError, UnsupportedImageError

DEFLATED = "1.2.840.10008.1.2.1.99"
RAW_SYNTAXES = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED}
#: A deflated file is inflated up to so many bytes, and refused beyond: a few kB can claim to hold gigabytes.
MAX_INFLATED = 1 << 30
#: From here on it may not grow more than so many times (images reach 2 to 10, constant ones more).
FREELY_INFLATED, MAX_INFLATION = 1 << 26, 100
#: More frames in one object are refused.
MAX_FRAMES = 1 << 20

#: What may tell apart slices at one position, the most telling first. The last ones are weak: other values of
#: theirs often differ within one volume, which is why a split must give every position once.
SPLITTERS = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "StackID", "ImageType", "FrameType", "EchoTime",
    "EffectiveEchoTime", "EchoNumbers", "DiffusionBValue", "DiffusionGradientOrientation", "InversionTime",
    "FlipAngle", "AcquisitionNumber", "FrameAcquisitionNumber", "TriggerTime",
    "NominalCardiacTriggerDelayTime", "FrameReferenceTime", "FrameReferenceDateTime",
    "FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime",
)  # fmt: skip

_FILE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientID", "IssuerOfPatientID", "Modality", "ImageType", "InstanceNumber", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType", "Units",
    "ModalityLUTSequence", "GridFrameOffsetVector", "DoseGridScaling", "DoseUnits", "KVP", "Manufacturer",
    "FrameTime", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_TAGS = {name: Tag(name) for name in (*_FILE, *SPLITTERS)}
_PIXELS = {0x7FE00010: "u", 0x7FE00008: "f", 0x7FE00009: "f"}
_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}

_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_NOT_A_VOLUME = {  # objects with pixels that are no image of their own or no volume
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.77.1.6",  # Whole slide microscopy: tiles of one plane
}

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """One frame of one file and where it lies; `None` where the file does not say."""

    image: Image
    frame: int
    position: Vector | None
    orientation: Vector | None
    spacing: tuple[float, float] | None  # of rows and of columns, mm
    between: float | None  # spacing between slices or thickness, mm
    slope: float
    intercept: float
    splitters: tuple[str, ...] = field(repr=False)  # one per name in SPLITTERS, as the file has them


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """What one file says of its pixels. Hashes stand for identifiers."""

    path: str
    series: str
    study: str
    patient: str
    patient_from: str
    instance: str
    frame_of_reference: str
    sop_class: str = field(repr=False)
    modality: str
    syntax: str = field(repr=False)
    number: float | None  # InstanceNumber
    localizer: bool
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    kind: str  # of a stored value: 'u' or 'i' integer, 'f' float
    allocated: int
    stored: int
    shift: int  # unused bits below the stored ones
    big_endian: bool
    swap_words: bool
    encapsulated: bool
    offset: int  # of the first pixel byte, in the file or in what was inflated
    length: int
    size: int  # bytes of the file, or of what was inflated
    lut: bool
    units: str
    facts: tuple[tuple[str, Any], ...]

    @property
    def frame_bytes(self) -> int:
        return (self.rows * self.columns * self.samples * self.allocated + 7) // 8

    @property
    def known_syntax(self) -> bool:
        """Whether the transfer syntax is one of the standard's, and so safe to name."""
        return UID(self.syntax).name != self.syntax

    @property
    def colour(self) -> bool:
        return self.samples > 1 or self.photometric == "PALETTE COLOR"


_quiet_lock = threading.Lock()
_quiet_users: list[contextlib.ExitStack] = []


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and log lines of pydicom and its plugins, which quote values of the file.

    Warning filters belong to the process: the first thread that comes sets them and the last that leaves
    restores them; otherwise two overlapping readers would restore each other's.
    """
    with _quiet_lock:
        if not _quiet_users:
            _quiet_users.append(_silence())
        _quiet_users.append(_quiet_users[0])
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users.pop()
            if len(_quiet_users) == 1:
                _quiet_users.pop().close()


def _silence() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.filterwarnings(
        "ignore", module=r"(pydicom|PIL|pylibjpeg|openjpeg|libjpeg|jpeg_ls|fastmed\.archive)\b"
    )
    log = logging.getLogger("pydicom")
    stack.callback(setattr, log, "disabled", log.disabled)
    log.disabled = True
    return stack


def short_hash(text: str) -> str:
    """The first 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_header(path: str) -> tuple[Image, list[Slice]]:
    """Read the header of one DICOM image file.

    Raises
    ------
    NoDicomError
        Not DICOM, or not readable.
    UnsupportedImageError
        DICOM, but no image that can be (part of) a volume.
    DecodeError
        The header is broken, or the pixel data are shorter than it says.
    """
    with open_regular(path) as file, guarded():
        return _describe(path, *_header_only(file))


def open_regular(path: str) -> BinaryIO:
    """Open a regular file and nothing else: no link, no FIFO that would wait for ever."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise NoDicomError(f"the file cannot be opened ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NoDicomError("not a regular file")
    return os.fdopen(handle, "rb")


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Turn whatever the parser raises into a DecodeError that quotes nothing.

    MemoryError too: a header is small, unless a hostile length makes it seem large.
    """
    try:
        yield
    except (FastmedError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise DecodeError(f"the DICOM header cannot be read ({type(error).__name__})") from None


def parse(file: BinaryIO) -> Dataset:
    """The whole dataset of a file, for pydicom's decoders."""
    head = file.read(4096)
    if _syntax_of(head) == DEFLATED:
        _inflated(file, head)  # refuses what grows too large, before pydicom inflates it
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(_guessed_syntax(dataset))
    return dataset


def raw_source(file: BinaryIO, syntax: str) -> BinaryIO:
    """The stream that the offsets of an `Image` refer to."""
    return _inflated(file, file.read(4096)) if syntax == DEFLATED else file


def read_pixel_digest(image: Image) -> str:
    """A hash of all bytes from the pixel data on: equal for files with equal pixels in the same encoding."""
    digest = hashlib.sha256()
    with open_regular(image.path) as file:
        source = raw_source(file, image.syntax)
        source.seek(image.offset)
        for part in iter(lambda: source.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def _header_only(file: BinaryIO) -> tuple[BinaryIO, str, Dataset]:
    """The stream, standing at the pixel data; the transfer syntax; the elements of :data:`_TAGS`."""
    head = file.read(4096)
    forced = head[128:132] != b"DICM"
    if forced and not _looks_like_dicom(head):
        raise NoDicomError("not DICOM")
    tags: list[Any] = list(_TAGS.values())
    if not forced and _syntax_of(head) == DEFLATED:
        source = _inflated(file, head)
        return source, DEFLATED, read_dataset(source, False, True, stop_when=_at_pixels, specific_tags=tags)
    file.seek(0)
    dataset = pydicom.dcmread(file, force=forced, stop_before_pixels=True, specific_tags=tags)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or _guessed_syntax(dataset)
    if str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == _MEDIA_DIRECTORY:
        raise UnsupportedImageError("no image that can be a volume: a DICOM directory")
    if forced and "SOPClassUID" not in dataset:
        raise NoDicomError("not DICOM")
    return file, syntax, dataset


def _at_pixels(tag: Any, vr: str | None, length: int) -> bool:
    return int(tag) in _PIXELS


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


def _inflated(file: BinaryIO, head: bytes) -> BinaryIO:
    file.seek(_meta_end(head))
    body = zlib.decompressobj(-zlib.MAX_WBITS)
    deflated = file.read()
    limit = min(MAX_INFLATED, max(FREELY_INFLATED, MAX_INFLATION * len(deflated)))
    plain = body.decompress(deflated, limit)
    if body.unconsumed_tail:
        raise DecodeError(f"{len(deflated)} deflated bytes are more than {limit} when inflated")
    return io.BytesIO(plain)


def _guessed_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


# --------------------------------------------------------------------------------------------- element values


def _element(dataset: Dataset, name: str) -> Any:
    """The raw bytes of an element, or what pydicom has already made of them; None where absent or empty."""
    element = dataset.get_item(_TAGS[name])
    value = None if element is None else element.value
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def _text(dataset: Dataset, name: str) -> str:
    value = _element(dataset, name)
    if isinstance(value, bytes):
        return value.decode("latin-1").strip("\0 ")
    if value is not None and not isinstance(value, str) and hasattr(value, "__iter__"):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip("\0 ")


def _numbers(dataset: Dataset, name: str) -> Vector | None:
    """Decimal or binary numbers; None where absent or no numbers."""
    element: Any = dataset.get_item(_TAGS[name])
    if element is None or element.value is None:
        return None
    binary = {"FD": "d", "FL": "f", "US": "H", "SS": "h", "UL": "I", "SL": "i"}.get(_vr(element))
    value = element.value
    if isinstance(value, bytes) and binary:
        order = "<" if element.is_little_endian else ">"
        count = len(value) // struct.calcsize(binary)
        return (
            tuple(
                map(float, struct.unpack(f"{order}{count}{binary}", value[: count * struct.calcsize(binary)]))
            )
            or None
        )
    try:
        found = tuple(float(part) for part in _text(dataset, name).split("\\") if part.strip())
    except ValueError:
        return None
    return found or None


def _vr(element: Any) -> str:
    """The element's type as the file says it, or the dictionary where the file says none."""
    if element.VR and element.VR != "UN":
        return str(element.VR)
    return str(pydicom.datadict.dictionary_VR(element.tag))


def _number(dataset: Dataset, name: str) -> float | None:
    values = _numbers(dataset, name)
    return values[0] if values else None


def _sound_number(dataset: Dataset, name: str) -> float | None:
    """A number that changes every voxel: None where absent, never where it is there and cannot be read."""
    value = _number(dataset, name)
    if value is None and _text(dataset, name):
        raise DecodeError(f"{name} is not a number")
    return value


def _whole(dataset: Dataset, name: str, default: int = 0) -> int:
    value = _number(dataset, name)
    if value is None or not math.isfinite(value):
        return default
    return int(value)


def _vector(dataset: Dataset, name: str, length: int) -> Vector | None:
    values = _numbers(dataset, name)
    return values if values and len(values) == length and all(map(math.isfinite, values)) else None


def _spacing(dataset: Dataset, name: str) -> tuple[float, float] | None:
    values = _vector(dataset, name, 2)
    return (values[0], values[1]) if values and min(values) > 0 else None


# ------------------------------------------------------------------------------------------ what a file holds


def _describe(path: str, source: BinaryIO, syntax: str, dataset: Dataset) -> tuple[Image, list[Slice]]:
    sop_class = _text(dataset, "SOPClassUID")
    pixels = _pixel_element(source, syntax)
    _check_is_image(dataset, sop_class, pixels[2])
    image = _image(path, source, syntax, dataset, sop_class, pixels)
    _check_pixels(image)
    return image, _slices(image, dataset)


def _pixel_element(source: BinaryIO, syntax: str) -> tuple[int, int, int, bytes]:
    """Offset, length, tag and type of the pixel data at which the stream stands; zeros where it does not."""
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    head = source.read(12)
    if len(head) < 8:
        return 0, 0, 0, b""
    group, element = struct.unpack(f"{order}HH", head[:4])
    tag = group << 16 | element
    if tag not in _PIXELS:
        return 0, 0, 0, b""
    at = source.tell() - len(head)
    if syntax == "1.2.840.10008.1.2" or head[4:6] not in _LONG_VRS:
        return at + 8, struct.unpack(f"{order}I", head[4:8])[0], tag, b""
    if len(head) < 12:
        return at + 8, 0, tag, b""
    return at + 12, struct.unpack(f"{order}I", head[8:12])[0], tag, head[4:6]


def _check_is_image(dataset: Dataset, sop_class: str, tag: int) -> None:
    name = _class_name(sop_class)
    image = "Image Storage" in name or _numbers(dataset, "Rows") is not None
    if sop_class in _NOT_A_VOLUME or not (tag or image):
        raise UnsupportedImageError(f"no image that can be a volume: {name}")
    if not tag:
        raise DecodeError(f"the image has no pixel data ({name})")
    if "MOSAIC" in _text(dataset, "ImageType").split("\\"):
        raise UnsupportedImageError(
            "a mosaic of many slices in one image: their positions are in private elements"
        )


def _class_name(sop_class: str) -> str:
    """The standard's name for an object; what is not in the standard is not quoted."""
    uid = UID(sop_class)
    return uid.name if sop_class and uid.name != uid else "an unknown kind of object"


def _image(
    path: str,
    source: BinaryIO,
    syntax: str,
    dataset: Dataset,
    sop_class: str,
    pixels: tuple[int, int, int, bytes],
) -> Image:
    offset, length, tag, vr = pixels
    study = _text(dataset, "StudyInstanceUID")
    patient = _text(dataset, "PatientID")
    allocated = _whole(dataset, "BitsAllocated", {0x7FE00008: 32, 0x7FE00009: 64}.get(tag, 0))
    stored = _whole(dataset, "BitsStored") or allocated
    kind = _PIXELS[tag]
    if kind == "u" and _whole(dataset, "PixelRepresentation") == 1:
        kind = "i"
    big = syntax == "1.2.840.10008.1.2.2"
    return Image(
        path=path,
        series=_series_hash(dataset, source),
        study=short_hash(study),
        patient=short_hash(f"{patient}\0{_text(dataset, 'IssuerOfPatientID')}" if patient else study),
        patient_from="patient" if patient else "study",
        instance=short_hash(_text(dataset, "SOPInstanceUID")),
        frame_of_reference=short_hash(_text(dataset, "FrameOfReferenceUID")),
        sop_class=sop_class,
        modality=_code(dataset, "Modality"),
        syntax=syntax,
        number=_number(dataset, "InstanceNumber"),
        localizer="LOCALIZER" in _text(dataset, "ImageType").split("\\"),
        rows=_whole(dataset, "Rows"),
        columns=_whole(dataset, "Columns"),
        frames=_frames(dataset),
        samples=_whole(dataset, "SamplesPerPixel", 1),
        photometric=_code(dataset, "PhotometricInterpretation"),
        kind=kind,
        allocated=allocated,
        stored=stored,
        shift=max(0, _whole(dataset, "HighBit", stored - 1) + 1 - stored),
        big_endian=big,
        swap_words=big and allocated == 8 and vr == b"OW",
        encapsulated=syntax not in RAW_SYNTAXES,
        offset=offset,
        length=length,
        size=source.seek(0, os.SEEK_END),
        lut=_element(dataset, "ModalityLUTSequence") is not None,
        units=_units(dataset, sop_class),
        facts=_facts(dataset),
    )


def _frames(dataset: Dataset) -> int:
    value = _sound_number(dataset, "NumberOfFrames")
    if value is None:
        return 1
    if not math.isfinite(value) or value != int(value):
        raise DecodeError("NumberOfFrames is not a whole number")
    return int(value)


def _series_hash(dataset: Dataset, source: BinaryIO) -> str:
    """Of the SeriesInstanceUID; a file without one is a series by itself."""
    series, instance = _text(dataset, "SeriesInstanceUID"), _text(dataset, "SOPInstanceUID")
    if series or instance:
        return hashlib.sha256((series or f"no series: {instance}").encode()).hexdigest()
    source.seek(0)
    return hashlib.sha256(b"no series" + source.read(1 << 20)).hexdigest()


#: Defined terms that are passed on. Other text could name somebody, whatever element it stands in.
_CODES = {
    "CT", "MR", "PT", "US", "NM", "CR", "DX", "MG", "XA", "RF", "SC", "OT", "IO", "PX", "ES", "GM", "SM",
    "OP", "OCT", "IVUS", "RTIMAGE", "RTDOSE", "BI", "XC", "TG", "LS", "DG", "MONOCHROME1", "MONOCHROME2",
    "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR",
}  # fmt: skip
_UNITS = {
    "HU", "US", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "BQML", "CNTS", "PROPCPS", "GML",
    "GY",
}  # fmt: skip
_MAKERS = (
    "SIEMENS", "PHILIPS", "GE", "CANON", "TOSHIBA", "HITACHI", "FUJIFILM", "SHIMADZU", "UIH", "HOLOGIC",
)  # fmt: skip


def _code(dataset: Dataset, name: str) -> str:
    """One of :data:`_CODES`, or nothing."""
    text = _text(dataset, name).upper()
    return text if text in _CODES else ""


def _units(dataset: Dataset, sop_class: str) -> str:
    if sop_class == _RT_DOSE:
        text = _text(dataset, "DoseUnits")
    else:
        text = _text(dataset, "Units") or _text(dataset, "RescaleType")
    text = text.upper()
    if not text and _text(dataset, "Modality") == "CT" and _element(dataset, "RescaleSlope") is not None:
        return "" if "LOCALIZER" in _text(dataset, "ImageType") else "HU"
    return text if text in _UNITS and text != "US" else ""  # US: unspecified


def _facts(dataset: Dataset) -> tuple[tuple[str, Any], ...]:
    maker = _text(dataset, "Manufacturer").upper()
    facts: dict[str, Any] = {
        "slice_thickness": _number(dataset, "SliceThickness"),
        "kvp": _number(dataset, "KVP"),
        "frame_time_ms": _number(dataset, "FrameTime"),
        "manufacturer": next((m for m in _MAKERS if maker.startswith(m)), None),
    }
    return tuple((k, v) for k, v in facts.items() if v is not None)


def _check_pixels(image: Image) -> None:
    """Compare what the header declares with the bytes that are there, before anything is allocated."""
    if min(image.rows, image.columns, image.samples, image.frames) < 1:
        raise DecodeError(
            f"rows {image.rows}, columns {image.columns}, samples {image.samples}, frames {image.frames}: "
            "each must be at least 1"
        )
    if image.frames > MAX_FRAMES:
        raise DecodeError(f"{image.frames} frames in one file; at most {MAX_FRAMES} are read")
    if image.allocated not in (1, 8, 12, 16, 24, 32, 64) or not 1 <= image.stored <= image.allocated:
        raise DecodeError(f"{image.stored} bits stored in {image.allocated} allocated cannot be decoded")
    if image.shift + image.stored > image.allocated:
        raise DecodeError(
            f"{image.stored} bits stored from bit {image.shift} do not fit {image.allocated} allocated"
        )
    present = image.size - image.offset
    if image.encapsulated:
        if present < 8 * (image.frames + 1):  # an item header for the offset table and for each frame
            raise DecodeError(
                f"the compressed pixel data are cut off: {present} bytes for {image.frames} frames"
            )
        return
    if image.length == 0xFFFFFFFF:
        raise DecodeError("pixel data of undefined length in an uncompressed transfer syntax")
    wanted = (image.rows * image.columns * image.samples * image.frames * image.allocated + 7) // 8
    if image.photometric == "YBR_FULL_422":
        wanted = wanted * 2 // 3
    found = min(image.length, present)
    if found < wanted:
        raise DecodeError(f"the pixel data are truncated: {found} bytes, {wanted} wanted")


# ----------------------------------------------------------------------------------------------------- slices


def _slices(image: Image, dataset: Dataset) -> list[Slice]:
    if _element(dataset, "PerFrameFunctionalGroupsSequence") is not None:
        return _enhanced_slices(image, dataset)
    if image.frames > 1 and image.sop_class == _RT_DOSE:
        return _dose_slices(image, dataset)
    one = _slice(image, 0, _Lookup(dataset))
    if image.frames == 1:
        return [one]
    return [_moved(one, frame, None) for frame in range(image.frames)]


class _Lookup:
    """Finds an element in the dataset itself."""

    def __init__(self, *places: Dataset) -> None:
        self.places = places

    def __call__(self, name: str) -> Dataset:
        for place in self.places[:-1]:
            if _element(place, name) is not None:
                return place
        return self.places[-1]


def _slice(image: Image, frame: int, where: _Lookup) -> Slice:
    def number(name: str) -> float | None:
        return _number(where(name), name)

    spacing = None
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = spacing or _spacing(where(name), name)
    dose = image.sop_class == _RT_DOSE
    factor = "DoseGridScaling" if dose else "RescaleSlope"
    slope = _sound_number(where(factor), factor)
    intercept = None if dose else _sound_number(where("RescaleIntercept"), "RescaleIntercept")
    between = number("SpacingBetweenSlices") or number("SliceThickness")
    return Slice(
        image,
        frame,
        _vector(where("ImagePositionPatient"), "ImagePositionPatient", 3),
        _vector(where("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        spacing,
        abs(between) if between and math.isfinite(between) else None,
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        tuple(_text(where(name), name) for name in SPLITTERS),
    )


def _moved(one: Slice, frame: int, position: Vector | None) -> Slice:
    return Slice(
        one.image,
        frame,
        position,
        one.orientation,
        one.spacing,
        one.between,
        one.slope,
        one.intercept,
        one.splitters,
    )


def _enhanced_slices(image: Image, dataset: Dataset) -> list[Slice]:
    """One slice per item of the per-frame functional groups; what is shared stands beside them."""
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    if len(per_frame) != image.frames:
        raise GeometryError(f"{image.frames} frames, but functional groups for {len(per_frame)}")
    shared_items = dataset.get("SharedFunctionalGroupsSequence") or []
    shared = _group_items(shared_items[0]) if len(shared_items) else []
    return [
        _slice(image, frame, _Lookup(*_group_items(item), *shared, dataset))
        for frame, item in enumerate(per_frame)
    ]


#: Functional groups that hold what we look for. Others are passed by: a referenced image's position is not
#: ours.
_GROUPS = (
    "FrameContentSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "MREchoSequence", "MRDiffusionSequence", "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence", "PETFrameTypeSequence", "CardiacSynchronizationSequence",
    "MRTimingAndRelatedParametersSequence", "TemporalPositionSequence",
)  # fmt: skip


def _group_items(groups: Dataset) -> list[Dataset]:
    items = []
    for name in _GROUPS:
        sequence = groups.get(name)
        if sequence:
            items.append(sequence[0])
            if name == "MRDiffusionSequence":
                gradient = sequence[0].get("DiffusionGradientDirectionSequence")
                items += [gradient[0]] if gradient else []
    return items


def _dose_slices(image: Image, dataset: Dataset) -> list[Slice]:
    """An RT Dose grid: offsets of the frames along the normal of the first."""
    one = _slice(image, 0, _Lookup(dataset))
    offsets = _vector(dataset, "GridFrameOffsetVector", image.frames)
    if offsets is None or one.position is None or one.orientation is None:
        return [_moved(one, frame, None) for frame in range(image.frames)]
    if offsets[0] != 0:
        raise UnsupportedImageError("a dose grid whose frame offsets are absolute positions")
    r, c = one.orientation[:3], one.orientation[3:]
    normal = (r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0])
    return [
        _moved(one, frame, tuple(p + step * n for p, n in zip(one.position, normal, strict=True)))
        for frame, step in enumerate(offsets)
    ]
