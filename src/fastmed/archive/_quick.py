"""Headers of slices that differ from one already read in their place, number and times only.

Nearly all slices of a series are so. Their raw elements come from the native reader; what they share with the first is
taken from there, which is exact since it is the same bytes.
"""

from __future__ import annotations

import math
import operator
import os
import stat
from dataclasses import fields, replace
from typing import Any

from ..errors import NoDicomError
from ._labels import label
from ._limits import Limits
from ._model import RT_DOSE, SPLITTERS, Image, Slice, pixel_fault, short_hash
from ._parse import ORDERED, PIXELS, SORTED, TYPES, native, pixel_element
from ._source import is_url
from ._values import BINARY_LABELS

_FIRST = 1 << 14
_PLACES = {name: n for n, (name, _) in enumerate(ORDERED)}
#: What may differ; all of it is text.
_OWN = (
    "SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept",
    "TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "FrameReferenceTime", "AcquisitionDateTime",
    "AcquisitionTime", "ContentTime", "EchoNumbers",
)  # fmt: skip
_shared = operator.itemgetter(*(n for name, n in _PLACES.items() if name not in _OWN))
_OWN_SPLITTERS = [(SPLITTERS.index(name), _PLACES[name]) for name in _OWN if name in SPLITTERS]
_moments = operator.itemgetter(*(n for _, n in _OWN_SPLITTERS))
_INSTANCE, _NUMBER, _POSITION, _SLOPE, _INTERCEPT = (_PLACES[name] for name in _OWN[:5])
_SERIES = _PLACES["SeriesInstanceUID"]  # without one a file is a series by itself
_FIELDS = [f.name for f in fields(Image)]
_SLOTS = {name: _FIELDS.index(name) for name in ("path", "instance", "number", "offset", "length", "size", "fault")}
_values_of = operator.attrgetter(*_FIELDS)
_MOST = 4096

assert not BINARY_LABELS & set(_OWN)


class Templates:
    """The first slice of each kind that a scan has met."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[list[Any], Slice, tuple[Any, ...]]] = {}
        self._waiting: Any = None

    def slice_of(self, path: str, limits: Limits) -> Slice | None:
        """The slice in a file, where a like one is known.

        Raises
        ------
        NoDicomError
            If it is no regular file that can be opened.
        """
        self._waiting = None
        if native is None or is_url(path):
            return None
        head, size = _head(path)
        status, at, syntax, _, _, values = native.read_elements(head, size, SORTED, TYPES, limits.max_depth)
        if status != native.AT_PIXELS or b"\\" in syntax or not values[_INSTANCE] or not values[_SERIES]:
            return None
        offset, length, tag, vr = pixel_element(head[at : at + 12], at, syntax.decode("latin-1"))
        if tag not in PIXELS:
            return None
        key = (_shared(values), syntax, tag, vr)
        template = self._known.get(key)
        if template is None:
            self._waiting = key, _moments(values)
            return None
        return _like(*template, path, values, (offset, length, size))

    def learn(self, slices: list[Slice]) -> None:
        """Keep the slice of the file that `slice_of` was last asked for."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or len(slices) != 1 or len(self._known) >= _MOST:
            return
        key, moments = waiting
        image = slices[0].image
        if image.fault is None and image.frames == 1 and image.sop_class != RT_DOSE:  # whose slope is another element
            self._known[key] = list(_values_of(image)), slices[0], moments


def _head(path: str) -> tuple[bytes, int]:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NoDicomError(f"the file cannot be opened ({reason})") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise NoDicomError("not a regular file")
        return os.read(handle, min(_FIRST, about.st_size)), about.st_size
    except OSError as error:
        raise NoDicomError(f"the file cannot be read ({error.strerror})") from None
    finally:
        os.close(handle)


def _like(
    shared: list[Any],
    template: Slice,
    moments: tuple[Any, ...],
    path: str,
    values: list[bytes | None],
    place: tuple[int, int, int],
) -> Slice | None:
    """`template` with the file's own values; None where one of them is unusual."""
    try:
        position = _vector(values[_POSITION])
        number = _number(values[_NUMBER])
        slope, intercept = _number(values[_SLOPE]), _number(values[_INTERCEPT])
    except ValueError:
        return None
    if (position is None) is not (template.position is None):
        return None
    about = list(shared)
    about[_SLOTS["path"]] = path
    about[_SLOTS["instance"]] = short_hash(_text(values[_INSTANCE]))
    about[_SLOTS["number"]] = number
    about[_SLOTS["offset"]], about[_SLOTS["length"]], about[_SLOTS["size"]] = place
    image = Image(*about)
    fault = pixel_fault(image)
    if fault is not None:
        image = replace(image, fault=fault)
    own = _moments(values)
    splitters = template.splitters
    if own != moments:
        changed = list(splitters)
        for (column, _), found, known in zip(_OWN_SPLITTERS, own, moments, strict=True):
            if found != known:
                changed[column] = label(SPLITTERS[column], _text(found), image.series)
        splitters = tuple(changed)
    return Slice(
        image, 0, position, template.orientation, template.spacing, template.between,
        1.0 if slope is None else slope, 0.0 if intercept is None else intercept, splitters,
    )  # fmt: skip


def _text(value: bytes | None) -> str:
    return value.decode("latin-1").strip("\0 ") if value else ""


def _number(value: bytes | None) -> float | None:
    """One number; ValueError where it is not exactly one."""
    if not value:
        return None
    if b"_" in value:  # a number in Python, but not in DICOM
        raise ValueError
    return float(value.rstrip(b"\0 "))


def _vector(value: bytes | None) -> tuple[float, ...] | None:
    if not value:
        return None
    if b"_" in value:
        raise ValueError
    found = tuple(map(float, value.rstrip(b"\0 ").split(b"\\")))
    if len(found) != 3 or not all(map(math.isfinite, found)):
        raise ValueError
    return found
