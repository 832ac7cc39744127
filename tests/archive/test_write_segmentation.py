"""Segmentations that are written lie where they were drawn, for us and for other readers."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pydicom
import pytest
from make import Truth, oblique, ramp, save
from test_enhanced import enhanced

import fastmed
from fastmed import errors
from fastmed.archive import read, read_segmentation, scan, write, write_segmentation

highdicom = pytest.importorskip("highdicom", reason="DICOM SEG is written with highdicom, of the extra archive")

SHAPE = (8, 6, 5)
GRIDS = {
    "axial": {},
    "oblique": {"orientation": oblique()},
    "tilted": {"step": np.array([0.3, 0.2, 2.0])},
}


@pytest.fixture(params=list(GRIDS))
def source(request, tmp_path):
    truth = Truth(ramp(SHAPE), **GRIDS[request.param])
    for one in truth.datasets:
        complete(one)
    return truth.write(tmp_path / "source")


def complete(ds):
    """What a valid CT image has beside what `make` gives it."""
    ds.StudyTime, ds.StudyID, ds.AccessionNumber = "101112", "1", ""
    ds.PatientSex, ds.ReferringPhysicianName, ds.PositionReferenceIndicator = "", "", ""
    ds.SeriesNumber = 1


def labels_of(volume):
    array = np.zeros(volume.shape, np.uint8)
    array[1:4, 1:4, 1:3], array[3:6, 4:, 2:] = 2, 5
    return volume.with_array(array)


@pytest.mark.parametrize("kind", [None, "binary", "labelmap"])
def test_labels_come_back(source, tmp_path, kind):
    volume = read(source)
    labels = labels_of(volume)
    path = write_segmentation(labels, tmp_path / "seg.dcm", source=source, kind=kind)
    again = read_segmentation(path, like=volume)
    assert [one["number"] for one in again.meta["segments"] if one["number"]] == [2, 5]  # 0: of label maps
    if kind == "labelmap":
        np.testing.assert_array_equal(again.array, labels.array)
    else:
        np.testing.assert_array_equal(again.array, [labels.array == n for n in (2, 5)])
    own = read_segmentation(path)  # the grid of its own frames: planes 1 to 5
    corner = own.affine @ (0, 0, 0, 1)
    np.testing.assert_allclose(corner, volume.affine @ (0 if kind == "labelmap" and own.shape[0] == 8 else 1, 0, 0, 1),
                               atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(own.affine[:3, :3], volume.affine[:3, :3], atol=1e-3)


def test_highdicom_and_pydicom_read_the_same(source, tmp_path):
    volume = read(source)
    labels = labels_of(volume)
    path = write(labels, tmp_path / "seg.dcm", source=scan(source).series[0])
    found = highdicom.seg.segread(path)
    assert list(found.segment_numbers) == [2, 5] and found.SegmentationType == "BINARY"
    uids = [pydicom.dcmread(p).SOPInstanceUID for p in scan(source).series[0].paths]
    pixels = found.get_pixels_by_source_instance(uids, combine_segments=True)
    np.testing.assert_array_equal(pixels, labels.array)
    plain = pydicom.dcmread(path)
    assert plain.pixel_array.shape == (6, 6, 5) and plain.pixel_array.sum() == (labels.array > 0).sum()


def test_masks_that_overlap(source, tmp_path):
    volume = read(source)
    masks = np.random.default_rng(1).random((3, *SHAPE)) > 0.5
    made = fastmed.Volume(masks, volume.affine, meta={"axes": "szyx"})
    path = write_segmentation(made, tmp_path / "seg.dcm", source=source)
    np.testing.assert_array_equal(read_segmentation(path, like=volume).array, masks)
    with pytest.raises(ValueError, match="overlap"):
        write_segmentation(made, tmp_path / "b.dcm", source=source, kind="labelmap")


def test_fractions(source, tmp_path):
    volume = read(source)
    fractions = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    path = write_segmentation(volume.with_array(fractions), tmp_path / "seg.dcm", source=source)
    again = read_segmentation(path, like=volume)
    np.testing.assert_allclose(again.array[0], fractions, atol=0.51 / 255)


def test_an_empty_mask(source, tmp_path):
    volume = read(source)
    path = write_segmentation(volume.with_array(np.zeros(SHAPE, bool)), tmp_path / "seg.dcm", source=source)
    assert not read_segmentation(path, like=volume).array.any()


def test_segments_say_what_they_are(source, tmp_path):
    volume = read(source)
    liver = {"label": "liver", "type": ("SCT", "10200004", "Liver"), "category": ("SCT", "123037004", "Structure")}
    path = write_segmentation(labels_of(volume), tmp_path / "s.dcm", source=source, segments={5: liver}, algorithm="")
    one, two = read_segmentation(path, labels=True).meta["segments"]
    assert two == {"number": 5, "category": "SCT:123037004", "type": "SCT:10200004", "label": "liver"}
    assert one["type"] == "SCT:85756007" and one["label"] == "Segment 2"
    assert pydicom.dcmread(path).SegmentSequence[0].SegmentAlgorithmType == "MANUAL"


def test_another_grid_is_refused(source, tmp_path):
    volume = read(source)
    labels = labels_of(volume)
    moved = volume.affine.copy()
    moved[0, 3] += 0.1
    for array, affine in ((labels.array, moved), (labels.array[1:], volume.affine)):
        with pytest.raises(errors.GeometryError, match="resample"):
            write_segmentation(fastmed.Volume(array, affine), tmp_path / "s.dcm", source=source)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_what_cannot_be_written(source, tmp_path):
    volume = read(source)
    bad = [
        (volume, {}, "0 to 65535"),
        (volume.with_array(np.zeros(SHAPE, np.uint8)), {}, "no label"),
        (volume.with_array(np.full(SHAPE, 1.5)), {}, "0 to 1"),
        (labels_of(volume), {"kind": "guess"}, "'labelmap'; found 'guess'"),
        (labels_of(volume), {"kind": "fractional"}, "takes floats"),
        (labels_of(volume), {"segments": {3: {}}}, r"found \[3\]"),
        (labels_of(volume), {"segments": {2: {"type": "liver"}}}, "type must be a tuple"),
    ]
    for one, settings, words in bad:
        with pytest.raises(ValueError, match=words):
            write_segmentation(one, tmp_path / "s.dcm", source=source, **settings)
    with pytest.raises(ValueError, match="source= must name"):
        write(labels_of(volume), tmp_path / "s.dcm")
    write(labels_of(volume), tmp_path / "s.dcm", source=source)
    with pytest.raises(FileExistsError):
        write(labels_of(volume), tmp_path / "s.dcm", source=source)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.dcm", "source"]


def test_what_is_there_survives_a_full_disk(source, tmp_path, monkeypatch):
    volume = read(source)
    path = write(labels_of(volume), tmp_path / "s.dcm", source=source)
    before = (tmp_path / "s.dcm").read_bytes()

    def full(self, name, **_):
        name.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", full)
    with pytest.raises(OSError, match="No space"):
        write_segmentation(labels_of(volume), path, source=source, overwrite=True)
    assert (tmp_path / "s.dcm").read_bytes() == before and len(list(tmp_path.iterdir())) == 2


def test_no_identifier_gets_out(tmp_path, caplog, capfd):
    """The file names the patient, as the standard demands; warnings, logs and errors do not."""
    truth = Truth(ramp(SHAPE))
    for ds in truth.datasets:
        complete(ds)
        ds.PatientName, ds.PatientID, ds.ReferringPhysicianName = "CANARY", "CANARYID", "CANARY"
    folder = truth.write(tmp_path / "CANARY")
    labels = labels_of(read(folder))
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        write_segmentation(labels, tmp_path / "s.dcm", source=folder)
        with pytest.raises(errors.FastmedError) as refused:
            write_segmentation(labels, tmp_path / "t.dcm", source=tmp_path / "s.dcm")
    assert pydicom.dcmread(tmp_path / "s.dcm").PatientName == "CANARY"
    printed = capfd.readouterr()
    text = "".join([str(w.message) for w in told] + [caplog.text, printed.out, printed.err, str(refused.value)])
    assert "CANARY" not in text


def test_a_source_of_many_frames(tmp_path):
    """Frames of an enhanced image that lie in another order than its slices."""
    truth = Truth(ramp((4, 6, 5)), orientation=oblique())
    save(enhanced(truth, [2, 0, 3, 1]), tmp_path / "image.dcm")
    volume = read(tmp_path / "image.dcm")
    array = np.arange(volume.array.size).reshape(volume.shape) % 7 == 0
    path = write_segmentation(volume.with_array(array), tmp_path / "s.dcm", source=tmp_path / "image.dcm")
    np.testing.assert_array_equal(read_segmentation(path, like=volume).array[0], array)


def test_a_real_series(shared_data, tmp_path):
    """A segmentation of others, written again by us on its own CT."""
    found = [one for one in scan(shared_data / "dicom").series if one.axes == "zyx" and one.modality == "CT"]
    series = max(found, key=lambda one: one.n_slices)
    volume = fastmed.archive.read_series(series)
    mask = np.asarray(volume.array) > np.percentile(volume.array, 99)
    path = write_segmentation(volume.with_array(mask), tmp_path / "s.dcm", source=series)
    np.testing.assert_array_equal(read_segmentation(path, like=volume).array[0], mask)
