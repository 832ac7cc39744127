"""What tells slices apart, without dates, times of day or free text: those are shifted or hashed.

Two values are equal after this exactly when they were before, numbers keep their order, and moments the time between
them.
"""

from __future__ import annotations

import datetime
import functools

from ._model import long_hash

#: Words of the standard that are kept: they name nobody.
WORDS = {
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "OTHER", "NONE", "MIXED", "M", "P", "R", "I",
    "FFE", "SE", "IR", "PHASE", "MAGNITUDE", "REAL", "IMAGINARY", "WATER", "FAT", "IN_PHASE", "OUT_PHASE", "IP", "OP",
    "W", "F", "ADC", "FA", "TRACE", "DIFFUSION", "PERFUSION", "T1", "T2", "CBF", "CBV", "MTT", "TTP", "MPR", "MIP",
    "MIN_IP", "AVERAGE", "SUM", "VOLUME", "STATIC", "DYNAMIC", "GATED", "WHOLE", "BODY", "EMISSION", "TRANSMISSION",
    "RECON", "TOMO", "HELICAL", "SINGLE", "REFORMATTED", "PROJECTION", "IMAGE", "ND", "NORM", "DIS2D", "DIS3D",
    "MOCO", "RESAMPLED",
}  # fmt: skip
_MOMENTS = frozenset(
    ("FrameReferenceDateTime", "FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")
)
_YEAR = 366 * 86400


def label(name: str, found: str, series: str) -> str:
    """The value of the splitter `name`, for slices of `series` (a hash)."""
    if not found:
        return ""
    if name in _MOMENTS:
        seconds = _seconds(found)
        return f"{seconds + _shift(series):.6f}" if seconds is not None else _hidden(found)
    if _is_number(found):
        return found
    return "\\".join(_word(part) for part in found.split("\\"))


def _word(part: str) -> str:
    part = part.strip()
    return part if part in WORDS or _is_number(part) or not part else _hidden(part)


@functools.lru_cache(maxsize=1024)
def _is_number(found: str) -> bool:
    """A short number; a long one could be one of a patient."""
    try:
        float(found)
    except ValueError:
        return False
    return len(found.split(".")[0]) <= 7 or "E" in found.upper()


def _hidden(text: str) -> str:
    return "#" + long_hash(text)[:12]


@functools.lru_cache(maxsize=256)
def _shift(series: str) -> int:
    """Up to ten years, another for each series."""
    return int(series[:15] or "0", 16) % (10 * _YEAR)


def _seconds(found: str) -> float | None:
    """Of a DICOM time (HHMMSS.F) or date and time (YYYYMMDDHHMMSS.F), from an origin of its own."""
    text = found.split("+")[0].split("-")[0]
    digits, _, fraction = text.partition(".")
    if not digits.isdigit() or (fraction and not fraction.isdigit()):
        return None
    share = float(f"0.{fraction}") if fraction else 0.0
    if len(digits) <= 6:
        digits = digits.ljust(6, "0")
        return int(digits[:2]) * 3600.0 + int(digits[2:4]) * 60 + int(digits[4:6]) + share
    try:
        moment = datetime.datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return (moment - datetime.datetime(1900, 1, 1)).total_seconds() + share
