"""What is de-identified holds no identifier that was in the file, and is still the same image."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from make import Truth, ramp
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from fastmed import errors
from fastmed.archive import _deidentify, deidentify, read, read_series, scan

pytest.importorskip("dicognito", reason="de-identification stands on dicognito, of the extra deidentify")

KEY = b"sixteen bytes or more"
TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN", "OB"}
NEEDED = {"SOPClassUID", "TransferSyntaxUID", "PixelData", "PhotometricInterpretation", "SpecificCharacterSet",
          "BurnedInAnnotation"}  # fmt: skip


def planted(ds, depth=0):
    """Identifiers in every element of the dictionary that can hold them, in private ones, and inside sequences."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if keyword in NEEDED or tag >> 16 in (0, 2, 4, 0xFFFE, 0x7FE0) or not keyword:
            continue
        if (vr in TEXTS and keyword not in ds) or vr in ("LO", "SH", "PN", "ST", "LT", "UT", "AE"):
            value = b"CANARY" if vr in ("UN", "OB") else "CANARY"
            ds.add(pydicom.DataElement(tag, vr, value, validation_mode=0))
        elif vr == "CS" and keyword not in ("Modality",):
            ds.add(pydicom.DataElement(tag, vr, "CANARY"))
        elif vr == "UI" and "Class" not in keyword and depth:
            ds.add(pydicom.DataElement(tag, vr, "1.2.826.0.1.3680043.8.498.77.5"))
        elif vr in ("DA", "DT"):
            ds.add(pydicom.DataElement(tag, vr, "19510607"))
        elif keyword == "RequestAttributesSequence" and depth < 2:
            inner = Dataset()
            planted(inner, depth + 1)
            ds.add(pydicom.DataElement(tag, vr, [inner]))
    block = ds.private_block(0x0011, "CANARYMAKER", create=True)
    for n, vr in enumerate(sorted(TEXTS)):
        block.add_new(n, vr, b"CANARY" if vr in ("UN", "OB") else "CANARY")
    for group in (0x5000, 0x6000):
        ds.add_new((group, 0x3000), "OW", b"CANARY")
        ds.add_new((group, 0x0022), "LO", "CANARY")


def outputs(folder):
    return sorted(p for p in Path(folder).rglob("*") if p.is_file())


def test_no_identifier_is_in_any_output(tmp_path, caplog, capfd):
    truth = Truth(ramp((1, 6, 5)))
    for ds in truth.datasets:
        planted(ds)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "CANARY"]
        ds.DataSetTrailingPadding = b"CANARY"
        ds.PixelData += b"CANARY"
        ds.preamble = b"CANARY".ljust(128, b"\0")
        ds.file_meta.SourceApplicationEntityTitle = "CANARY"
        ds.PatientID, ds.PatientName = "CANARYID77", "CANARY^NAME"
        ds.PatientAge = "094Y"
        for name in ("InstanceNumber", "ImagePositionPatient", "PixelSpacing"):
            assert name in ds
    truth.write(tmp_path / "CANARY")
    caplog.set_level(logging.DEBUG)
    done = deidentify(tmp_path / "CANARY", tmp_path / "out", key=KEY)
    assert (done.n_written, done.failures) == (1, [])
    for file in outputs(tmp_path / "out"):
        text = file.read_bytes() + str(file.relative_to(tmp_path)).encode()
        for canary in (b"CANARY", b"19510607", b"20010203", b"1.2.826.0.1.3680043.8.498.77", b"Canary"):
            assert canary not in text
        ds = pydicom.dcmread(file)
        assert ds.PatientIdentityRemoved == "YES" and ds.PatientAge == "090Y" and ds.ImageType[2] == "OTHER"
        assert not any(element.tag.is_private for element in ds.iterall())
    captured = capfd.readouterr()
    assert "CANARY" not in caplog.text + captured.out + captured.err + repr(done)
    np.testing.assert_array_equal(read(tmp_path / "out").array, truth.values)


def test_real_files_keep_their_voxels_and_places(tmp_path):
    """Every image of pydicom's wheel that fastmed reads: the same volume, under other names."""
    source = Path(pydicom.data.get_testdata_file("CT_small.dcm")).parent
    originals = scan(source / "dicomdirtests")
    done = deidentify(source / "dicomdirtests", tmp_path / "out", key=KEY)
    copies = scan(tmp_path / "out")
    assert done.n_written > 30 and len(originals.series) == len(copies.series) > 5

    def about(index):
        found = []
        for one in index.series:
            volume = read_series(one)
            digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).hexdigest()
            found.append((digest, volume.shape, volume.modality, np.round(volume.affine, 5).tolist()))
        return sorted(found, key=str)

    assert about(originals) == about(copies)
    assert not {one.key for one in originals.series} & {one.key for one in copies.series}
    groups = [{(one.study, one.patient) for one in index.series} for index in (originals, copies)]
    assert [len(g) for g in groups] == [len(groups[0])] * 2
    for file in outputs(tmp_path / "out")[:5]:
        ds = pydicom.dcmread(file)
        assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID and ds.PatientName


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm",
                                  "image_dfl.dcm", "examples_palette.dcm", "eCT_Supplemental.dcm"])  # fmt: skip
def test_every_encoding(tmp_path, name):
    source = pydicom.data.get_testdata_file(name, download=False)
    if source is None:
        pytest.skip(f"pydicom's wheel has no {name}")
    done = deidentify(source, tmp_path / "out", key=KEY)
    assert done.failures == []
    (file,) = outputs(tmp_path / "out")
    one, two = pydicom.dcmread(source), pydicom.dcmread(file)
    np.testing.assert_array_equal(one.pixel_array, two.pixel_array)
    assert one.file_meta.TransferSyntaxUID == two.file_meta.TransferSyntaxUID


def test_pseudonyms_and_dates_fit_together(tmp_path):
    a, b, c = (Truth(ramp((1, 4, 4), seed=n), uid=f"1.2.3.{n}") for n in range(3))
    for truth, patient, study, day in ((a, "X1", "1.2.9", "20010301"), (b, "X1", "1.2.9", "20010331"),
                                       (c, "X2", "1.2.8", "20010301")):  # fmt: skip
        for ds in truth.datasets:
            ds.PatientID, ds.StudyInstanceUID, ds.StudyDate, ds.StudyTime = patient, study, day, "101112"
            ds.FrameOfReferenceUID = "1.2.77"
    for n, truth in enumerate((a, b, c)):
        truth.write(tmp_path / "in" / str(n))
        deidentify(tmp_path / "in" / str(n), tmp_path / "out" / str(n), key=KEY)  # three runs
    found = [pydicom.dcmread(outputs(tmp_path / "out" / str(n))[0]) for n in range(3)]
    assert found[0].PatientID == found[1].PatientID != found[2].PatientID
    assert found[0].StudyInstanceUID == found[1].StudyInstanceUID != found[2].StudyInstanceUID
    assert len({ds.FrameOfReferenceUID for ds in found}) == 1 and len({ds.SeriesInstanceUID for ds in found}) == 3
    days = [datetime.datetime.strptime(ds.StudyDate, "%Y%m%d") for ds in found]
    assert (days[1] - days[0]).days == 30 and days[2] != days[0] and days[0].year < 2001
    assert found[0].StudyTime == "101112"
    deidentify(tmp_path / "in" / "0", tmp_path / "other", key=b"another key of enough bytes")
    other = pydicom.dcmread(outputs(tmp_path / "other")[0])
    assert other.PatientID != found[0].PatientID and other.StudyInstanceUID != found[0].StudyInstanceUID


def test_codes_of_the_standard_stay(tmp_path):
    truth = Truth(ramp((1, 4, 4)))
    (ds,) = truth.datasets
    known, unknown = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "10200004", "SCT", "CANARY"
    unknown.CodeValue, unknown.CodingSchemeDesignator, unknown.CodeMeaning = "CANARY", "SCT", "CANARY"
    ds.AnatomicRegionSequence, ds.ProcedureCodeSequence = [known], [unknown]
    truth.write(tmp_path / "in")
    deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    copy = pydicom.dcmread(outputs(tmp_path / "out")[0])
    assert copy.AnatomicRegionSequence[0].CodeMeaning.startswith("Liver") and "ProcedureCodeSequence" not in copy


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch):
    truth = Truth(ramp())
    truth.write(tmp_path / "in")
    original, count = _deidentify._replaced, [0]

    def dies(*arguments):
        count[0] += 1
        if count[0] == 4:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(_deidentify, "_replaced", dies)
        with pytest.raises(KeyboardInterrupt):
            deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    assert len(outputs(tmp_path / "out")) == 3
    done = deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    assert (done.n_written, done.n_kept) == (5, 3)
    before = [file.read_bytes() for file in outputs(tmp_path / "out")]
    shutil.rmtree(tmp_path / "out")
    deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    assert [file.read_bytes() for file in outputs(tmp_path / "out")] == before


def test_a_full_disk_leaves_nothing_half(tmp_path, monkeypatch):
    Truth(ramp((1, 4, 4))).write(tmp_path / "in")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    assert outputs(tmp_path / "out") == []


def test_failures_say_why_and_name_nobody(tmp_path):
    truth = Truth(ramp())
    truth.datasets[0].BurnedInAnnotation = "YES"
    truth.datasets[1].PixelData = b"CANARY"
    private = truth.datasets[2]
    private.SOPClassUID = private.file_meta.MediaStorageSOPClassUID = "1.2.826.0.1.3680043.8.498.77.5"
    del truth.datasets[3].PixelData
    truth.write(tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("CANARY" * 99)
    done = deidentify(tmp_path / "in", tmp_path / "out", key=KEY)
    reasons = sorted(f.reason for f in done.failures)
    assert done.n_written == 4 and len(reasons) == 5
    assert "CANARY" not in str(reasons) and "1.2.826" not in str(reasons)
    assert {f.error for f in done.failures} <= {errors.UnsupportedImageError, errors.DecodeError,
                                                errors.NoDicomError, errors.TruncatedPixels}  # fmt: skip
    assert any("burned" in reason for reason in reasons)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="at least 16"):
        deidentify(tmp_path, tmp_path / "out", key=b"short")
    with pytest.raises(ValueError, match="inside the archive"):
        deidentify(tmp_path, tmp_path / "out", key=KEY)
    with pytest.raises(FileNotFoundError):
        deidentify(tmp_path / "no", tmp_path / "out", key=KEY)


def test_the_key_in_a_file(tmp_path):
    key = _deidentify.key_from(tmp_path / "key")
    assert len(key) == 64 and _deidentify.key_from(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ValueError, match="1 bytes"):
        _deidentify.key_from(tmp_path / "short")
