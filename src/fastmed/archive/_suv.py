"""PET activity -> standardised uptake values by body weight, as QIBA's vendor-neutral rules say."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ..errors import SeriesError, UnsupportedImageError
from ..volume import Volume
from ._limits import DEFAULT, Limits
from ._parse import header_only
from ._read import read_series
from ._series import Series
from ._source import guarded, open_source, quiet

_PHILIPS = 0x7053


def read_suv(series: Series, *, limits: Limits = DEFAULT) -> Volume:
    """Read a PET series as standardised uptake values by body weight (SUVbw).

    Parameters
    ----------
    series : Series
        From `scan`.
    limits : Limits, optional
        What reading may cost.

    Returns
    -------
    Volume
        float32, units 'g/ml': activity (Bq/ml) x body weight (g) / dose (Bq) decayed to the time to which the scan
        is corrected. Values that are SUVbw already (units 'GML') are kept; Philips' counts are scaled by the factor
        in its private elements.

    Raises
    ------
    UnsupportedImageError
        If it is no PET series.
    SeriesError
        If weight, dose, half-life or times are missing or senseless, or the series is not corrected for attenuation
        and decay: the message says which.

    Notes
    -----
    The scan starts at the series' time if no slice was acquired before it, else at the acquisition's time less
    the frame reference time, plus the time at which the mean activity of the frame was reached. Dates of an injection
    that have none are those of the scan; one that would follow the scan was on the day before.
    """
    if series.modality != "PT":
        raise UnsupportedImageError(f"SUV needs a PET series, found {series.modality or 'an unknown modality'}")
    with quiet():
        factors = {path: _factor(path, limits) for path in series.paths}
    volume = read_series(series, dtype="float32", limits=limits)
    array = np.array(volume.array, np.float32)
    if series.places is not None and len(set(factors.values())) > 1:
        raise SeriesError("slices of several SUV factors cannot be regridded")
    for k in range(len(array)):
        one = series.slices[min(k, len(series.slices) - 1)]
        array[k] *= np.float32(factors[one.image.path])
    return Volume(array, volume.affine, modality="PT", units="g/ml", padding=volume.padding,
                  meta={**volume.meta, "suv": "body weight"})  # fmt: skip


def _factor(path: str, limits: Limits) -> float:
    with open_source(path, limits) as file, guarded():
        _, _, dataset = header_only(file, limits, every=True)
        return suv_factor(dataset)


def suv_factor(dataset: Dataset) -> float:
    """What one slice's values are to be multiplied with.

    Raises
    ------
    SeriesError
        If that is not known.
    """
    units = str(dataset.get("Units", ""))
    if units == "GML" and str(dataset.get("SUVType", "BW") or "BW") == "BW":
        return 1.0
    corrected = set(dataset.get("CorrectedImage") or ())
    if not {"ATTN", "DECY"} <= corrected:
        raise SeriesError("SUV needs values that are corrected for attenuation and decay (CorrectedImage)")
    if units == "CNTS":
        return _philips(dataset)
    if units != "BQML":
        raise SeriesError("SUV needs values in BQML, GML (body weight) or Philips' CNTS")
    return _from_activity(dataset)


def _philips(dataset: Dataset) -> float:
    try:
        block = dataset.private_block(_PHILIPS, "Philips PET Private Group")
    except KeyError:
        raise SeriesError("SUV from counts needs Philips' private scale factor, which is not there") from None
    for element, further in ((0x00, None), (0x09, _from_activity)):
        if element in block and _positive(block[element].value):
            scale = float(block[element].value)
            return scale if further is None else scale * further(dataset)
    raise SeriesError("SUV from counts needs Philips' private scale factor, which is not there")


def _positive(value: Any) -> bool:
    try:
        return math.isfinite(float(value)) and float(value) > 0
    except (TypeError, ValueError):
        return False


def _needed(place: Dataset, name: str) -> float:
    value = place.get(name)
    if not _positive(value):
        raise SeriesError(f"SUV needs {name}, which is missing or no number above 0")
    return float(value)


def _from_activity(dataset: Dataset) -> float:
    """Weight in g by decayed dose in Bq."""
    weight = _needed(dataset, "PatientWeight") * 1000
    tracer = (dataset.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    dose, half_life = _needed(tracer, "RadionuclideTotalDose"), _needed(tracer, "RadionuclideHalfLife")
    correction = str(dataset.get("DecayCorrection", ""))
    if correction == "ADMIN":
        return weight / dose
    if correction != "START":
        raise SeriesError("SUV needs values that are decay corrected to START or ADMIN (DecayCorrection)")
    seconds = _decay_seconds(dataset, tracer, half_life)
    return weight / (dose * 2 ** (-seconds / half_life))


def _decay_seconds(dataset: Dataset, tracer: Dataset, half_life: float) -> float:
    scan = _scan_start(dataset, half_life)
    injected = _moment(tracer.get("RadiopharmaceuticalStartDateTime"), "")
    if injected is None:
        injected = _moment(scan.strftime("%Y%m%d"), tracer.get("RadiopharmaceuticalStartTime"))
        if injected is not None and injected > scan:
            injected -= datetime.timedelta(days=1)
    if injected is None:
        raise SeriesError("SUV needs the time of the injection (RadiopharmaceuticalStartTime)")
    seconds = (scan - injected).total_seconds()
    if not 0 <= seconds <= 24 * 3600:
        raise SeriesError(f"SUV needs an injection at most a day before the scan, found {seconds:.0f} s")
    return seconds


def _scan_start(dataset: Dataset, half_life: float) -> datetime.datetime:
    series = _moment(dataset.get("SeriesDate"), dataset.get("SeriesTime"))
    acquired = _moment(dataset.get("AcquisitionDate"), dataset.get("AcquisitionTime"))
    if series is not None and (acquired is None or series <= acquired):
        return series
    if acquired is None:
        raise SeriesError("SUV needs the time of the scan (SeriesTime or AcquisitionTime)")
    reference, duration = dataset.get("FrameReferenceTime"), dataset.get("ActualFrameDuration")
    if reference is None or not _positive(duration):
        raise SeriesError("SUV needs FrameReferenceTime and ActualFrameDuration, since the series' time is a later one")
    decay = math.log(2) / half_life
    exponent = decay * float(duration) / 1000
    mean = math.log(exponent / (1 - math.exp(-exponent))) / decay
    return acquired + datetime.timedelta(seconds=mean - float(reference) / 1000)


def _moment(date: Any, time: Any) -> datetime.datetime | None:
    """A date and a time, or a date-time, of DICOM; None where that is none. Time zones are left out."""
    text = f"{date or ''}".strip()[:26] + f"{time or ''}".strip()
    digits, _, fraction = text.partition(".")
    digits = digits.split("+")[0].split("-")[0]
    if not digits.isdigit() or not 10 <= len(digits) <= 14:
        return None
    try:
        moment = datetime.datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    share = "".join(c for c in fraction.split("+")[0].split("-")[0] if c.isdigit())
    return moment + datetime.timedelta(seconds=float(f"0.{share}") if share else 0.0)
