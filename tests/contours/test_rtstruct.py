"""RT Structure Sets: real ones against the masks that belong to them, and written ones read again."""

import numpy as np
import pytest

import fastmed
from fastmed.errors import GeometryError, UnsupportedImageError


@pytest.fixture(params=["CT", "PET", "MR_T1"])
def pair(request, shared_data):
    """A series with the contours of one region, and the mask that others made of them."""
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    folder = shared_data / "dicom" / "sts001" / request.param
    volume = fastmed.read(folder / "dicom" / "image")
    (contours,) = fastmed.read_rtstruct(folder / "dicom" / "mask" / "RS.dcm").values()
    image = nibabel.load(folder / "nifti" / "mask" / "mask.nii.gz")
    return folder, volume, contours, image


def on_the_volume(image, volume):
    """A NIfTI mask in the voxels of a volume: NIfTI's axes are RAS, DICOM's LPS."""
    affine = np.diag([-1, -1, 1, 1]) @ image.affine
    corner = np.round(np.linalg.inv(affine) @ volume.affine, 3)
    k, j, i = np.indices(volume.shape)
    places = np.stack([k, j, i, np.ones_like(k)]).reshape(4, -1)
    index = np.round(corner @ places).astype(int)[:3]
    data = np.asarray(image.dataobj) > 0
    inside = ((index >= 0) & (index < np.reshape(data.shape, (3, 1)))).all(axis=0)
    found = np.zeros(index.shape[1], bool)
    found[inside] = data[tuple(index[:, inside])]
    return found.reshape(volume.shape)


def test_real_contours_fill_the_real_mask(pair):
    _, volume, contours, image = pair
    mask = fastmed.contours_to_volume(contours, volume)
    wanted = on_the_volume(image, volume)
    assert mask.array.dtype == bool and mask.shape == volume.shape and wanted.sum() > 100
    np.testing.assert_array_equal(mask.affine, volume.affine)
    np.testing.assert_array_equal(mask.array, wanted)


def test_written_contours_come_back(pair, tmp_path):
    folder, _, contours, _ = pair
    images = sorted((folder / "dicom" / "image").iterdir())
    fastmed.write_rtstruct(tmp_path / "RS.dcm", {"one": contours, "two": contours}, images)
    found = fastmed.read_rtstruct(tmp_path / "RS.dcm")
    assert list(found) == ["one", "two"]
    for region in found.values():
        np.testing.assert_array_equal(region.offsets, contours.offsets)
        np.testing.assert_allclose(region.points, contours.points, rtol=0, atol=1e-6)


def test_a_mask_comes_back_through_a_structure_set(shared_data, tmp_path):
    folder = shared_data / "dicom" / "sts001" / "CT" / "dicom" / "image"
    volume = fastmed.read(folder)
    mask = np.zeros(volume.shape, bool)
    mask[20:30, 50:120, 60:100] = True
    mask[22:26, 70:90, 70:80] = False
    contours = fastmed.trace_contours(volume.with_array(mask), "tree")
    fastmed.write_rtstruct(tmp_path / "RS.dcm", {"box": contours}, sorted(folder.iterdir()))
    found = fastmed.contours_to_volume(fastmed.read_rtstruct(tmp_path / "RS.dcm")["box"], volume).array
    # Contours run through the centres of pixels: those on the contour itself go one way or the other.
    assert (found <= mask | _touches(mask)).all() and (mask & ~_touches(~mask) <= found).all()


def _touches(mask):
    framed = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    return framed[:, 2:, 1:-1] | framed[:, :-2, 1:-1] | framed[:, 1:-1, 2:] | framed[:, 1:-1, :-2]


def test_structure_sets_refer_to_their_images(pair, tmp_path):
    import pydicom

    folder, _, contours, _ = pair
    images = sorted((folder / "dicom" / "image").iterdir())
    fastmed.write_rtstruct(tmp_path / "RS.dcm", {"one": contours}, images)
    written, first = pydicom.dcmread(tmp_path / "RS.dcm"), pydicom.dcmread(images[0])
    assert written.Modality == "RTSTRUCT" and written.StudyInstanceUID == first.StudyInstanceUID
    assert written.PatientID == first.PatientID and written.SeriesInstanceUID != first.SeriesInstanceUID
    places = {pydicom.dcmread(i).SOPInstanceUID: pydicom.dcmread(i).ImagePositionPatient[2] for i in images}
    for contour in written.ROIContourSequence[0].ContourSequence:
        image = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert abs(contour.ContourData[2] - places[image]) < 0.1


def in_mm(points):
    from fastmed.contours import Contours

    return Contours(np.array(points, float), np.array([0, len(points)]), np.full((1, 4), -1, np.int32))


def test_errors_say_what_is_wanted(tmp_path):
    volume = fastmed.Volume(np.zeros((3, 4, 5)), np.eye(4))
    with pytest.raises(GeometryError, match=r"contour 0 must lie in one slice, found slices 0.00 to 2.00"):
        fastmed.contours_to_volume(in_mm([[0, 1, 1], [2, 1, 1], [0, 2, 2]]), volume)
    with pytest.raises(GeometryError, match="contour 0 lies in slice 7, but the volume has 3"):
        fastmed.contours_to_volume(in_mm([[7, 1, 1], [7, 2, 1]]), volume)
    with pytest.raises(ValueError, match="must be patient positions"):
        fastmed.contours_to_volume(fastmed.trace_contours(np.eye(3)), volume)
    with pytest.raises(ValueError, match="at least one file"):
        fastmed.write_rtstruct(tmp_path / "RS.dcm", {}, [])
    with pytest.raises(ValueError, match="region 'a' must be in mm"):
        fastmed.write_rtstruct(tmp_path / "RS.dcm", {"a": fastmed.trace_contours(np.eye(3))}, ["x"])
    from pydicom.data import get_testdata_file

    with pytest.raises(UnsupportedImageError, match="must be an RT Structure Set, found CT Image Storage"):
        fastmed.read_rtstruct(get_testdata_file("CT_small.dcm"))
