"""The synthetic archive: valid DICOM, the same bytes from the same seed, known truth."""

import hashlib

import numpy as np
import pydicom
import pytest

from fastmed.demo import CLASSES, make_case, write_archive, write_labels

TYPE_1 = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
]
TYPE_2 = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "PositionReferenceIndicator",
    "Manufacturer",
    "InstanceNumber",
    "SliceThickness",
    "KVP",
    "AcquisitionNumber",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    return folder, write_archive(folder, patients=4, seed=5)


def _digest(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [(p.relative_to(folder).as_posix(), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]


def _images(folder):
    return [
        p
        for p in folder.rglob("*")
        if p.is_file() and p.name != "SYNTHETIC.txt" and p.parent.name != "damaged"
    ]


def test_the_same_seed_gives_the_same_bytes(archive, tmp_path):
    folder, truth = archive
    assert write_archive(tmp_path / "again", patients=4, seed=5) == truth
    assert _digest(tmp_path / "again") == _digest(folder)


def test_fewer_patients_are_the_first_of_more(archive, tmp_path):
    folder, _ = archive
    write_archive(tmp_path, patients=2, seed=5)
    assert set(_digest(tmp_path)) < set(_digest(folder))


def test_another_seed_gives_other_voxels():
    assert not np.array_equal(make_case(1, 5).voxels[:24], make_case(1, 6).voxels[:24])


def test_every_image_has_what_a_ct_image_must_have(archive):
    for path in _images(archive[0]):
        dataset = pydicom.dcmread(path)
        assert not [name for name in TYPE_1 if dataset.get(name) in (None, "")]
        assert not [name for name in TYPE_2 if name not in dataset]
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert all(dataset[name].value.is_valid for name in TYPE_1[:5])
        assert "SYNTHETIC" in dataset.PatientID


def test_uids_are_unique_and_series_are_by_patient(archive):
    datasets = [pydicom.dcmread(p, stop_before_pixels=True) for p in _images(archive[0])]
    assert len({d.SOPInstanceUID for d in datasets}) == len(datasets)
    assert len({(d.PatientID, d.SeriesInstanceUID, d.StudyInstanceUID) for d in datasets}) == 4


def test_the_files_hold_the_voxels(archive):
    case = make_case(3, 5)
    slices = [pydicom.dcmread(p) for p in _images(archive[0])]
    slices = sorted(
        (s for s in slices if s.PatientID == case.patient_id), key=lambda s: s.ImagePositionPatient[2]
    )
    volume = np.stack(
        [s.pixel_array.astype(int) * int(s.RescaleSlope) + int(s.RescaleIntercept) for s in slices]
    )
    np.testing.assert_array_equal(volume, case.voxels)
    steps = np.diff([float(s.ImagePositionPatient[2]) for s in slices])
    np.testing.assert_allclose(steps, case.spacing[0], atol=2e-6)
    assert tuple(map(float, slices[0].PixelSpacing)) == case.spacing[1:]


def test_names_and_instance_numbers_do_not_tell_the_order(archive):
    for folder in {p.parent for p in _images(archive[0])}:
        heights = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in sorted(folder.iterdir())]
        assert heights != sorted(heights)


def test_encodings_noise_and_spacing_vary():
    cases = [make_case(k, 5) for k in range(1, 13)]
    assert len({c.encoding for c in cases}) == 3
    assert len({c.spacing for c in cases}) == 12
    assert {c.label for c in cases} == set(CLASSES)


def test_stored_values_fit_their_bits():
    for case in (make_case(k, 5) for k in range(1, 8)):
        intercept, signed, bits = case.encoding
        stored = case.voxels.astype(int) - intercept
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        assert low <= stored.min() and stored.max() <= high


def test_one_file_is_damaged_on_purpose(archive):
    (path,) = (archive[0] / "damaged").iterdir()
    with pytest.raises(ValueError, match="less than expected"):
        _ = pydicom.dcmread(path).pixel_array


def test_the_archive_says_that_it_is_synthetic(archive):
    assert "SYNTHETIC" in (archive[0] / "SYNTHETIC.txt").read_text()


@pytest.mark.parametrize("patients", [0, 1, 2.5])
def test_too_few_patients_are_refused_before_anything_is_written(tmp_path, patients):
    with pytest.raises(ValueError, match="patients must be a whole number of at least 2"):
        write_archive(tmp_path / "a", patients=patients)
    assert not (tmp_path / "a").exists()


def test_labels_are_written_in_a_stable_order(tmp_path):
    write_labels(tmp_path / "l.csv", {"b": "smooth", "a": "spiculated"})
    assert (tmp_path / "l.csv").read_text() == "patient,label\na,spiculated\nb,smooth\n"
