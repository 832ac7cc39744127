"""Values of single elements, from their raw bytes: quick, and without pydicom's warnings, which quote them."""

from __future__ import annotations

import math
import struct
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..errors import DecodeError
from ._model import SPLITTERS, Vector

_FILE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PatientID", "IssuerOfPatientID", "Modality", "ImageType", "InstanceNumber", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing",
    "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept", "RescaleType", "Units",
    "ModalityLUTSequence", "GridFrameOffsetVector", "DoseGridScaling", "DoseUnits", "Manufacturer",
    "FrameTime", "PixelPaddingValue", "PixelPaddingRangeLimit", "FloatPixelPaddingValue",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_BINARY = {"FD": "d", "FL": "f", "US": "H", "SS": "h", "UL": "I", "SL": "i"}
TAGS = {name: int(Tag(name)) for name in (*_FILE, *SPLITTERS)}


def element(dataset: Dataset, name: str) -> Any:
    """The raw bytes of an element, or what pydicom has already made of them; None where absent or empty."""
    found = dataset.get_item(TAGS[name])
    value = None if found is None else found.value
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def text(dataset: Dataset, name: str) -> str:
    value = element(dataset, name)
    if isinstance(value, bytes):
        return value.decode("latin-1").strip("\0 ")
    if value is not None and not isinstance(value, str) and hasattr(value, "__iter__"):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip("\0 ")


#: Splitters that are binary numbers in the file.
BINARY_LABELS = {name for name in SPLITTERS if pydicom.datadict.dictionary_VR(name) in _BINARY}


def raw_label(dataset: Dataset, name: str) -> str:
    """A value as text that two files with the same value share; binary numbers in decimals."""
    if name in BINARY_LABELS:
        return "\\".join(f"{value:.12g}" for value in numbers(dataset, name) or ())
    return text(dataset, name)


def numbers(dataset: Dataset, name: str) -> Vector | None:
    """Decimal or binary numbers; None where absent or no numbers."""
    raw: Any = dataset.get_item(TAGS[name])
    if raw is None or raw.value is None:
        return None
    binary = _BINARY.get(_vr(raw))
    value = raw.value
    if isinstance(value, bytes) and binary:
        order = "<" if raw.is_little_endian else ">"
        count = len(value) // struct.calcsize(binary)
        return (
            tuple(
                map(float, struct.unpack(f"{order}{count}{binary}", value[: count * struct.calcsize(binary)]))
            )
            or None
        )
    written = text(dataset, name)
    if "_" in written:  # a number in Python, but not in DICOM
        return None
    try:
        found = tuple(float(part) for part in written.split("\\") if part.strip())
    except ValueError:
        return None
    return found or None


def _vr(element: Any) -> str:
    """The element's type as the file says it, or the dictionary where the file says none."""
    if element.VR and element.VR != "UN":
        return str(element.VR)
    return str(pydicom.datadict.dictionary_VR(element.tag))


def number(dataset: Dataset, name: str) -> float | None:
    values = numbers(dataset, name)
    return values[0] if values else None


def sound_number(dataset: Dataset, name: str) -> float | None:
    """A number that changes every voxel: None where absent, never where it is there and cannot be read."""
    values = numbers(dataset, name)
    if (values is None and text(dataset, name)) or (values is not None and len(values) > 1):
        raise DecodeError(f"{name} is not a number")
    return values[0] if values else None


def whole(dataset: Dataset, name: str, default: int = 0) -> int:
    value = number(dataset, name)
    if value is None or not math.isfinite(value):
        return default
    return int(value)


def vector(dataset: Dataset, name: str, length: int) -> Vector | None:
    values = numbers(dataset, name)
    return values if values and len(values) == length and all(map(math.isfinite, values)) else None


def spacing(dataset: Dataset, name: str) -> tuple[float, float] | None:
    values = vector(dataset, name, 2)
    return (values[0], values[1]) if values and min(values) > 0 else None
