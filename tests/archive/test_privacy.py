"""Identifiers planted in a file turn up in no error, row, repr or volume."""

from __future__ import annotations

import logging
import warnings

import pytest
from make import Truth, ramp

from fastmed import errors
from fastmed.archive import read, read_series, scan

CANARIES = ("CANARY", "19510607", "20010203", "1.2.826.0.1.3680043.8.498.77", "Müller")


def planted(folder):
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds.ReferringPhysicianName = ds.InstitutionName = ds.StudyDescription = "CANARY"
        ds.SeriesDescription = ds.ProtocolName = ds.AccessionNumber = ds.DeviceSerialNumber = "CANARY"
        ds.RescaleType, ds.StudyID = "CANARY", "CANARY"
        ds.ImageType = ["ORIGINAL", "CANARY", "PRIMARY"]
        ds.AcquisitionDateTime = "20010203101010"
        ds.PatientComments = "CANARY" * 300
        ds.add_new(0x00091010, "LO", "CANARY")
    return truth


def leaks(*things):
    text = "\n".join(f"{thing!r}\n{thing}" for thing in things)
    return [c for c in CANARIES if c in text]


def ruin_position(ds):
    ds.ImagePositionPatient = None


def ruin_slope(ds):
    ds["RescaleSlope"]._value = "CANARY"


def ruin_orientation(ds):
    ds.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def ruin_spacing(ds):
    ds.PixelSpacing = [0.5 + 0.1 * (ds.InstanceNumber % 2), 0.5]


def ruin_pixels(ds):
    ds.PixelData = b"CANARY"


def ruin_modality(ds):
    ds.Modality = "CANARY"
    ds.PhotometricInterpretation = "CANARY"


def ruin_bits(ds):
    ds.BitsStored = 99


def compress(ds):
    ds.PatientID = "CANARY" * 20  # too long: pydicom's decoders would say so
    ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)


def compress_and_ruin(ds):
    compress(ds)
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x06\0\0\0CANARY\xfe\xff\xdd\xe0\0\0\0\0"


def ruin_class(ds):
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.826.0.1.3680043.8.498.77.5"
    del ds.PixelData, ds.Rows


def ruin_numbers(ds):
    ds["InstanceNumber"]._value = "CANARY"
    ds["SliceThickness"]._value = "CANARY"


RUINS = [
    None,
    ruin_position,
    ruin_slope,
    ruin_orientation,
    ruin_spacing,
    ruin_pixels,
    ruin_modality,
    ruin_bits,
    ruin_class,
    ruin_numbers,
    compress,
    compress_and_ruin,
]


@pytest.mark.parametrize("ruin", RUINS)
def test_no_identifier_gets_out(tmp_path, ruin, caplog, capfd):
    truth = planted(tmp_path)
    for ds in truth.datasets:
        if ruin is not None:
            ruin(ds)
    truth.write(tmp_path / "series")
    for n, file in enumerate(sorted((tmp_path / "series").iterdir())):
        file.rename(file.with_name(f"{n}"))
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        index = scan(tmp_path / "series")
        found = [
            index,
            *index.series,
            *(s.slices[0] for s in index.series),
            *index.failures,
            *(s.meta for s in index.series),
            *(s.key for s in index.series),
        ]
        for series in index.series:
            try:
                volume = read_series(series)
            except errors.DecodeError as error:
                found.append(error)
                continue
            found += [volume, volume.meta, volume.units, volume.modality]
        try:
            read(tmp_path / "series")
        except errors.FastmedError as error:
            found += [error, error.__cause__]
            assert error.__suppress_context__ or error.__context__ is None
    assert index.series or index.failures
    printed = capfd.readouterr()
    assert leaks(*found, *(w.message for w in told), caplog.text, printed.out, printed.err) == []


def test_patients_are_hashes(tmp_path):
    a, b, c = (Truth(ramp((1, 4, 4)), uid=f"1.2.3.{n}") for n in range(3))
    b.datasets[0].PatientID = "SOMEBODY ELSE"
    c.datasets[0].PatientID = ""
    keys = [scan(t.write(tmp_path / str(n))).series[0] for n, t in enumerate((a, b, c))]
    assert len({k.patient for k in keys}) == 3 and all(len(k.patient) == 16 for k in keys)
    assert [k.meta["patient_from"] for k in keys] == ["patient", "patient", "study"]
