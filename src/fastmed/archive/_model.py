"""What is kept of a file: :class:`Image`, and a :class:`Slice` for each of its frames. Nothing names a patient."""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID

from ..errors import DecodeError, SeriesError, TruncatedPixels

#: What may tell apart slices at one position, the most telling first. The last ones are weak: other values of
#: theirs often differ within one volume, which is why a split must give every position once.
SPLITTERS = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "StackID", "ImageType", "FrameType", "EchoTime",
    "EffectiveEchoTime", "EchoNumbers", "DiffusionBValue", "DiffusionGradientOrientation", "InversionTime",
    "FlipAngle", "RepetitionTime", "KVP", "ConvolutionKernel", "CorrectedImage", "NominalPercentageOfCardiacPhase",
    "NominalPercentageOfRespiratoryPhase", "SequenceName", "AcquisitionNumber", "FrameAcquisitionNumber", "TriggerTime",
    "NominalCardiacTriggerDelayTime", "FrameReferenceTime", "FrameReferenceDateTime",
    "FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime",
)  # fmt: skip

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"

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
    padding: tuple[float, float] | None  # stored values that stand for no data
    fault: SeriesError | None  # why the pixels cannot be decoded, where the header shows it already

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


def pixel_fault(image: Image) -> SeriesError | None:
    """Compare what the header declares with the bytes that are there. The place of such a slice is still known."""
    present = image.size - image.offset
    if image.encapsulated:
        if present < 8 * (image.frames + 1):  # an item header for the offset table and for each frame
            return TruncatedPixels(
                f"the pixel data are truncated: {present} compressed bytes for {image.frames} frames"
            )
        return None
    if image.length == 0xFFFFFFFF:
        return DecodeError("pixel data of undefined length in an uncompressed transfer syntax")
    wanted = (image.rows * image.columns * image.samples * image.frames * image.allocated + 7) // 8
    if image.photometric == "YBR_FULL_422":
        wanted = wanted * 2 // 3
    found = min(image.length, present)
    if found < wanted:
        return TruncatedPixels(f"the pixel data are truncated: {found} bytes, {wanted} wanted")
    return None


_project_key: contextvars.ContextVar[bytes] = contextvars.ContextVar("fastmed_project_key", default=b"")


@contextlib.contextmanager
def hashing_with(key: bytes) -> Iterator[None]:
    """Hash identifiers with a secret key: without it nobody can test whether a known UID is in a table."""
    token = _project_key.set(key)
    try:
        yield
    finally:
        _project_key.reset(token)


def long_hash(text: str | bytes) -> str:
    """SHA-256, or HMAC-SHA-256 where there is a project key, in 64 hexadecimal digits."""
    data, key = text.encode() if isinstance(text, str) else text, _project_key.get()
    return hmac.digest(key, data, "sha256").hex() if key else hashlib.sha256(data).hexdigest()


def short_hash(text: str) -> str:
    """The first 16 digits of `long_hash`."""
    return long_hash(text)[:16]
