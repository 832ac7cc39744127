"""Real series: against SimpleITK, and against the NIfTI files that came with them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom.data
import pytest

import fastmed
from fastmed import errors
from fastmed.archive import read, read_series, scan

WHEEL = Path(pydicom.data.__file__).parent

#: Series that SimpleITK and we read differently, or only one of us, and who is right.
NOTES = {
    "refused": "by us: 12 bits of lossy JPEG without a decoder that is not GPL; a codestream that says another size",
    "picture": "a sequence of pictures or colour, which is no volume; SimpleITK makes time or samples an axis in space",
    "not read by SimpleITK": "float pixels, or of more than 3 axes",
    "time": "SimpleITK puts the slices of all time points on one axis; ours equal the NIfTI files below",
    "MONOCHROME1": "SimpleITK inverts the values; we leave them as they are stored, which quantities need",
    "lookup table": "SimpleITK leaves the modality lookup table out, which the standard wants applied",
}
#: Transfer syntaxes whose decoders may differ.
EXPLAINED = {
    "1.2.840.10008.1.2.4.50": "lossy: two JPEG decoders differ by a grey level",
    "1.2.840.10008.1.2.4.51": "lossy: two JPEG decoders differ by a grey level",
}


def from_sitk(paths):
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject_SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader() if len(paths) == 1 else sitk.ImageSeriesReader()
    reader.SetFileName(paths[0]) if len(paths) == 1 else reader.SetFileNames(paths)
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        image = reader.Execute()
    except RuntimeError:
        return None  # it cannot read the file; not ours to judge here
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        return None
    return fastmed.Volume.from_sitk(image)


def compare(series):
    """Assert that both readers give the same: '' then, or which of the notes says why they cannot."""
    try:
        volume = read_series(series)
    except errors.DecodeError:
        return "refused"
    if series.axes != "zyx":
        return "picture"
    reference = from_sitk(list(series.paths))
    if reference is None:
        return "not read by SimpleITK"
    if "split_by" in series.meta and reference.shape[0] == series.meta["split_count"] * volume.shape[0]:
        return "time"
    assert reference.shape == volume.shape
    if volume.meta["photometric"] == "MONOCHROME1":
        return "MONOCHROME1"
    if any(s.image.lut for s in series.slices):
        return "lookup table"
    expected, found = np.asarray(reference), np.asarray(volume, np.float64)
    if volume.modality == "RTDOSE":  # SimpleITK gives the stored integers, not the dose
        expected = expected * series.slices[0].slope
    slope = max(abs(s.slope) for s in series.slices)
    lossy = slope * 1.01 if volume.meta["transfer_syntax"] in EXPLAINED else 0
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=lossy)
    np.testing.assert_allclose(volume.affine[:, 1:], reference.affine[:, 1:], atol=1e-3)
    if series.n_slices > 1:  # of one slice alone, SimpleITK takes 1 mm where only a thickness is given
        np.testing.assert_allclose(_unsheared(volume), reference.affine[:3, 0], atol=1e-3)
    return ""


def compared(folder):
    """How many of its series are equal; all others have a note."""
    found = [compare(series) for series in scan(folder).series]
    assert set(found) <= {"", *NOTES}
    return found.count("")


def _unsheared(volume):
    """The slice step as an image without shear would hold it: along the normal, of the same length."""
    step = volume.affine[:3, 0]
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    return normal / np.linalg.norm(normal) * np.linalg.norm(step)


def test_the_wheel_of_pydicom_against_sitk():
    pytest.importorskip("SimpleITK")
    assert compared(WHEEL) >= 25


def test_every_file_of_the_wheel_by_itself():
    """Each is a volume or has a typed refusal, and none is lost between the two."""
    read_ones = 0
    for file in sorted(WHEEL.rglob("*")):
        if file.is_file():
            try:
                volume = read(file)
            except errors.SeriesError:
                continue
            read_ones += 1
            assert np.isfinite(np.asarray(volume, np.float64)).all()
    assert read_ones >= 90


def test_every_file_is_in_a_series_or_a_row(shared_data):
    root = shared_data / "dicom"
    index = scan(root)
    outer = [p.rpartition("::")[2] for s in index.series for p in s.paths]  # a zip file holds the files in it
    held = {os.path.relpath(p, root) for p in outer}
    rows = {f.path for f in index.failures}
    assert held | rows == {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert not held & rows
    assert len({s.key for s in index.series}) == len(index.series) >= 60


FOLDERS = """
    ct_crlm1004 dce_ucsf_br06 sts001 dicom2nifti series_faults transfer_syntaxes dcmqi_seg pydicom_data
    highdicom
"""


@pytest.mark.parametrize("folder", FOLDERS.split())
def test_shared_series_against_sitk(shared_data, folder):
    pytest.importorskip("SimpleITK")
    assert compared(shared_data / "dicom" / folder) >= 1


NIFTI = {
    f"sts001/{m}/dicom/image": f"sts001/{m}/nifti/image/image.nii.gz" for m in ("CT", "MR_T1", "PET")
} | {
    folder: f"{folder}_ground_truth.nii.gz"
    for folder in (
        "dicom2nifti/ge/anatomical/001",
        "dicom2nifti/ge/anatomical/001_single_slice",
        "dicom2nifti/ge/fmri/001",
        "dicom2nifti/generic/anatomical/001",
        "dicom2nifti/generic/anatomical/002_non_isotropic",
        "dicom2nifti/generic/compressed_j2k/001",
        "dicom2nifti/generic/compressed_rle/001",
        "dicom2nifti/philips_enhanced/fmri/001",
        "series_faults/slicecount/001",
    )
}


@pytest.mark.parametrize(("folder", "truth"), NIFTI.items(), ids=list(NIFTI))
def test_shared_series_against_nifti(shared_data, folder, truth):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(shared_data / "dicom" / truth)
    times = np.asarray(image.dataobj, np.float64)
    times = times[..., None] if times.ndim == 3 else times
    index = scan(shared_data / "dicom" / folder)
    assert not index.failures and len(index.series) == times.shape[3]
    for t, series in enumerate(index.series):
        volume = read_series(series)
        # NIfTI's axes point right, front and up, ours left, back and up.
        to_nifti = np.linalg.inv(image.affine) @ np.diag([-1, -1, 1, 1]) @ volume.affine
        where = np.indices(volume.shape).reshape(3, -1)
        index_there = (to_nifti @ np.vstack([where, np.ones(where.shape[1])]))[:3]
        nearest = np.rint(index_there).astype(int)
        np.testing.assert_allclose(index_there, nearest, atol=1e-3)
        assert nearest.min() >= 0 and (nearest.max(axis=1) < times.shape[:3]).all()
        found = np.asarray(volume, np.float64).ravel()
        np.testing.assert_allclose(found, times[(*nearest, t)], rtol=1e-6, atol=1e-5)


def test_transfer_syntaxes_decode_alike(shared_data):
    volumes = {}
    for file in sorted((shared_data / "dicom" / "transfer_syntaxes").iterdir()):
        volume = read(file)
        volumes[volume.meta["transfer_syntax"]] = volume
    assert len(volumes) == 9
    lossy = volumes.pop("1.2.840.10008.1.2.4.50")
    first = volumes["1.2.840.10008.1.2.1"]
    for volume in volumes.values():
        np.testing.assert_array_equal(volume.array, first.array)
        np.testing.assert_array_equal(volume.affine, first.affine)
    assert np.abs(np.asarray(lossy) - first.array).max() < 200  # its 8 bits stand for steps of about 17


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cs_no-pixel-data.dcm", errors.UnsupportedImageError),
        ("fo_GH1376.dcm", errors.DecodeError),
        ("fo_GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm", errors.DecodeError),
        ("fo_GH178.dcm", errors.DecodeError),
        ("fo_GH220.dcm", errors.UnsupportedImageError),
        ("fo_Issue1097_FailToOpenDeflatedFileWithSQ.dcm", errors.UnsupportedImageError),
        ("fo_multiframe.dcm", errors.UnsupportedImageError),
        ("PYDICOM_3_BEHAVIOUR.csv", errors.NoDicomError),
    ],
)
def test_malformed_files_are_refused(shared_data, name, error):
    with pytest.raises(error):
        read(shared_data / "dicom" / "malformed" / name)
