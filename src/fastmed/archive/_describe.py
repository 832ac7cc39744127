"""One header -> :class:`Image` and its slices: the few values that place and decode pixels."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import (
    DecodeError,
    GeometryError,
    LimitExceeded,
    SeriesError,
    TruncatedPixels,
    UnsupportedImageError,
)
from ._labels import label
from ._limits import DEFAULT, Limits
from ._model import RT_DOSE, SPLITTERS, Image, Slice, Vector, long_hash, pixel_fault, short_hash
from ._parse import PIXELS, RAW_SYNTAXES, header_only, pixel_element
from ._quick import Templates
from ._source import guarded, open_source
from ._values import TAGS, element, number, numbers, raw_label, sound_number, spacing, text, vector, whole

_RLE = "1.2.840.10008.1.2.5"  # two bytes stand for 128 at most
_NOT_A_VOLUME = {  # objects with pixels that are no image of their own or no volume
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.77.1.6",  # Whole slide microscopy: tiles of one plane
}


@dataclass(slots=True)
class Found:
    """What one file holds: slices, or why there are none.

    `series` is known of broken files too where the header goes that far: their series may not pass as complete.
    """

    slices: list[Slice] = field(default_factory=list)
    error: SeriesError | None = None
    series: str = ""


def read_header(path: str, limits: Limits = DEFAULT, templates: Templates | None = None) -> Found:
    """Read the header of one DICOM image file. All that is wrong with it is in the result; nothing is raised."""
    found = Found()
    try:
        one = None if templates is None else templates.slice_of(path, limits)
        if one is not None:
            _check_sizes(one.image, limits)
            return Found([one], None, one.image.series)
        with open_source(path, limits) as file, guarded():
            _describe(found, path, *header_only(file, limits), limits)
    except SeriesError as error:
        found.error, found.slices = error, []
        error.paths = (path,)
    if templates is not None:
        templates.learn(found.slices)
    return found


def describe_object(path: str, limits: Limits, wanted: set[str]) -> tuple[Image, list[Slice], Dataset]:
    """Of an object that is no image of its own: what decodes its frames, and all elements before them.

    Raises
    ------
    UnsupportedImageError
        If its SOP class is not in `wanted`.
    NoDicomError, DecodeError
        See `read_header`.
    """
    with open_source(path, limits) as file, guarded():
        source, syntax, dataset = header_only(file, limits, every=True)
        sop_class = text(dataset, "SOPClassUID")
        if sop_class not in wanted:
            kinds = " or ".join(sorted(UID(uid).name for uid in wanted))
            raise UnsupportedImageError(f"wanted is {kinds}, found {_class_name(sop_class)}")
        at = source.tell()
        pixels = pixel_element(source.read(12), at, syntax)
        if not pixels[2]:
            raise DecodeError("the object has no pixel data")
        image = _image(path, source, syntax, dataset, _series_hash(dataset, source), pixels)
        _check_sizes(image, limits)
        if image.fault is not None:
            raise image.fault
        return image, _slices(image, dataset), dataset


def read_dataset(path: str, limits: Limits, wanted: set[str]) -> Dataset:
    """All elements of an object without pixels; raises as `describe_object`."""
    with open_source(path, limits) as file, guarded():
        size = file.seek(0, os.SEEK_END)
        if size > limits.max_header_bytes:
            raise LimitExceeded(f"an object of {size} bytes; at most {limits.max_header_bytes} are read")
        file.seek(0)
        _, _, dataset = header_only(file, limits, every=True)
        sop_class = text(dataset, "SOPClassUID")
        if sop_class not in wanted:
            kinds = " or ".join(sorted(UID(uid).name for uid in wanted))
            raise UnsupportedImageError(f"wanted is {kinds}, found {_class_name(sop_class)}")
        return dataset


def _describe(found: Found, path: str, source: BinaryIO, syntax: str, dataset: Dataset, limits: Limits) -> None:
    sop_class = text(dataset, "SOPClassUID")
    at = source.tell()
    found.series = _series_hash(dataset, source)
    source.seek(at)
    pixels = pixel_element(source.read(12), at, syntax)
    _check_is_image(dataset, sop_class, pixels[2])
    image = _image(path, source, syntax, dataset, found.series, pixels)
    _check_sizes(image, limits)
    found.slices = _slices(image, dataset)


def _check_is_image(dataset: Dataset, sop_class: str, tag: int) -> None:
    name = _class_name(sop_class)
    image = "Image Storage" in name or numbers(dataset, "Rows") is not None
    if sop_class in _NOT_A_VOLUME or not (tag or image):
        raise UnsupportedImageError(f"no image that can be a volume: {name}")
    if not tag:
        raise DecodeError(f"the image has no pixel data ({name})")
    if "MOSAIC" in text(dataset, "ImageType").split("\\"):
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
    series: str,
    pixels: tuple[int, int, int, bytes],
) -> Image:
    offset, length, tag, vr = pixels
    sop_class = text(dataset, "SOPClassUID")
    study = text(dataset, "StudyInstanceUID")
    patient = text(dataset, "PatientID")
    allocated = whole(dataset, "BitsAllocated", {0x7FE00008: 32, 0x7FE00009: 64}.get(tag, 0))
    stored = whole(dataset, "BitsStored") or allocated
    kind = PIXELS[tag]
    if kind == "u" and whole(dataset, "PixelRepresentation") == 1:
        kind = "i"
    big = syntax == "1.2.840.10008.1.2.2"
    image = Image(
        path=path,
        series=series,
        study=short_hash(study),
        patient=short_hash(f"{patient}\0{text(dataset, 'IssuerOfPatientID')}" if patient else study),
        patient_from="patient" if patient else "study",
        instance=short_hash(text(dataset, "SOPInstanceUID")),
        frame_of_reference=_hash_of(text(dataset, "FrameOfReferenceUID")),
        sop_class=sop_class,
        modality=_code(dataset, "Modality"),
        syntax=syntax,
        number=number(dataset, "InstanceNumber"),
        localizer="LOCALIZER" in text(dataset, "ImageType").split("\\"),
        rows=whole(dataset, "Rows"),
        columns=whole(dataset, "Columns"),
        frames=_frames(dataset),
        samples=whole(dataset, "SamplesPerPixel", 1),
        photometric=_code(dataset, "PhotometricInterpretation"),
        kind=kind,
        allocated=allocated,
        stored=stored,
        shift=max(0, whole(dataset, "HighBit", stored - 1) + 1 - stored),
        big_endian=big,
        swap_words=big and allocated == 8 and vr == b"OW",
        encapsulated=syntax not in RAW_SYNTAXES,
        offset=offset,
        length=length,
        size=source.seek(0, os.SEEK_END),
        lut=element(dataset, "ModalityLUTSequence") is not None,
        units=_units(dataset, sop_class),
        facts=_facts(dataset),
        padding=_padding(dataset, kind),
        fault=None,
    )
    return replace(image, fault=_unsaid(dataset, image) or pixel_fault(image))


def _unsaid(dataset: Dataset, image: Image) -> SeriesError | None:
    """What the header does not say of integers, and nobody can know: their sign, and which bits are theirs."""
    if image.kind == "f" or image.samples > 1 or image.allocated == 1:
        return None
    for name in ("PixelRepresentation", "BitsStored"):
        if numbers(dataset, name) is None:
            return DecodeError(f"the header has no {name}")
    return None


def _hash_of(uid: str) -> str:
    return short_hash(uid) if uid else ""


def _frames(dataset: Dataset) -> int:
    value = sound_number(dataset, "NumberOfFrames")
    if value is None:
        return 1
    if not math.isfinite(value) or value != int(value):
        raise DecodeError("NumberOfFrames is not a whole number")
    return int(value)


def _series_hash(dataset: Dataset, source: BinaryIO) -> str:
    """Of the SeriesInstanceUID; a file without one is a series by itself."""
    series, instance = text(dataset, "SeriesInstanceUID"), text(dataset, "SOPInstanceUID")
    if series or instance:
        return long_hash(series or f"no series: {instance}")
    return nameless(source)


def nameless(source: BinaryIO) -> str:
    """What stands for the series of a file that has no UID at all."""
    source.seek(0)
    return long_hash(b"no series" + source.read(1 << 20))


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
    found = text(dataset, name).upper()
    return found if found in _CODES else ""


def _units(dataset: Dataset, sop_class: str) -> str:
    if sop_class == RT_DOSE:
        found = text(dataset, "DoseUnits")
    else:
        found = text(dataset, "Units") or text(dataset, "RescaleType")
    found = found.upper()
    if not found and text(dataset, "Modality") == "CT" and element(dataset, "RescaleSlope") is not None:
        return "" if "LOCALIZER" in text(dataset, "ImageType") else "HU"
    return found if found in _UNITS and found != "US" else ""  # US: unspecified


def _facts(dataset: Dataset) -> tuple[tuple[str, Any], ...]:
    maker = text(dataset, "Manufacturer").upper()
    facts: dict[str, Any] = {
        "slice_thickness": number(dataset, "SliceThickness"),
        "kvp": number(dataset, "KVP"),
        "frame_time_ms": number(dataset, "FrameTime"),
        "manufacturer": next((m for m in _MAKERS if maker.startswith(m)), None),
    }
    return tuple((k, v) for k, v in facts.items() if v is not None)


def _padding(dataset: Dataset, kind: str) -> tuple[float, float] | None:
    """The range of stored values that stand for no data."""
    if kind == "f":
        value = number(dataset, "FloatPixelPaddingValue")
        return None if value is None else (value, value)
    ends = [_stored(dataset, name, kind) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if ends[0] is not None else None


def _stored(dataset: Dataset, name: str, kind: str) -> float | None:
    """A value of 'US or SS': its sign is that of the pixels, whatever type the file gives it."""
    raw: Any = dataset.get_item(TAGS[name])
    if raw is None or not isinstance(raw.value, bytes) or len(raw.value) < 2:
        return number(dataset, name)
    return float(int.from_bytes(raw.value[:2], "little" if raw.is_little_endian else "big", signed=kind == "i"))


def _check_sizes(image: Image, limits: Limits) -> None:
    """Refuse what no pixel data could fit, and what asks for too much, before anything is allocated."""
    if min(image.rows, image.columns, image.samples, image.frames) < 1:
        raise DecodeError(
            f"rows {image.rows}, columns {image.columns}, samples {image.samples}, frames {image.frames}: "
            "each must be at least 1"
        )
    if image.frames > limits.max_frames:
        raise LimitExceeded(f"{image.frames} frames in one file; at most {limits.max_frames} are read")
    if image.frame_bytes > limits.max_frame_bytes:
        raise LimitExceeded(f"a frame of {image.frame_bytes} bytes; at most {limits.max_frame_bytes} are read")
    if image.offset > limits.max_header_bytes:
        raise LimitExceeded(f"a header of {image.offset} bytes; at most {limits.max_header_bytes} are read")
    if image.allocated not in (1, 8, 12, 16, 24, 32, 64) or not 1 <= image.stored <= image.allocated:
        raise DecodeError(f"{image.stored} bits stored in {image.allocated} allocated cannot be decoded")
    if image.shift + image.stored > image.allocated:
        raise DecodeError(
            f"{image.stored} bits stored from bit {image.shift} do not fit {image.allocated} allocated"
        )
    present = image.size - image.offset
    if image.frames > 1 + present:  # each takes a byte at least, and each becomes a Slice
        raise TruncatedPixels(f"the pixel data are truncated: {present} bytes for {image.frames} frames")
    if image.encapsulated:
        wanted = image.frame_bytes * image.frames
        ratio = min(limits.max_expansion, 64.0) if image.syntax == _RLE else limits.max_expansion
        limits.check_expansion(wanted, present, ratio, "the header")


# ----------------------------------------------------------------------------------------------------- slices


def _slices(image: Image, dataset: Dataset) -> list[Slice]:
    if element(dataset, "PerFrameFunctionalGroupsSequence") is not None:
        return _enhanced_slices(image, dataset)
    if image.frames > 1 and image.sop_class == RT_DOSE:
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
            if element(place, name) is not None:
                return place
        return self.places[-1]


def _slice(image: Image, frame: int, where: _Lookup) -> Slice:
    measured = None
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        measured = measured or spacing(where(name), name)
    dose = image.sop_class == RT_DOSE
    factor = "DoseGridScaling" if dose else "RescaleSlope"
    slope = sound_number(where(factor), factor)
    intercept = None if dose else sound_number(where("RescaleIntercept"), "RescaleIntercept")
    between = _first_number(where, "SpacingBetweenSlices", "SliceThickness")
    return Slice(
        image,
        frame,
        vector(where("ImagePositionPatient"), "ImagePositionPatient", 3),
        vector(where("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        measured,
        abs(between) if between and math.isfinite(between) else None,
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        tuple(label(name, raw_label(where(name), name), image.series) for name in SPLITTERS),
    )


def _first_number(where: _Lookup, *names: str) -> float | None:
    return next((value for name in names if (value := number(where(name), name))), None)


def _moved(one: Slice, frame: int, position: Vector | None) -> Slice:
    return replace(one, frame=frame, position=position)


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
    offsets = vector(dataset, "GridFrameOffsetVector", image.frames)
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
