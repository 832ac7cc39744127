"""Segmentations, structure sets, PET uptake values, waveforms: objects beside images."""

from __future__ import annotations

import math

import numpy as np
import pydicom
import pytest
from make import PT, Truth, base, new_uid, oblique, ramp, save, set_pixels
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fastmed import Volume, errors
from fastmed.archive import Limits, read, read_segmentation, read_structures, read_suv, read_waveforms, scan

SEG, LABELS, RTSTRUCT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.481.3"


def item(**values):
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def group(**values):
    return Sequence([item(**values)])


def segmentation(truth, masks, kind, skip_empty=True):
    """An object with the planes of `masks` (s, z, y, x), or of labels (z, y, x), on the grid of `truth`."""
    ds = base(LABELS if kind == "LABELMAP" else SEG, "SEG", new_uid())
    ds.FrameOfReferenceUID = truth.uid + ".2"
    frames, places = [], []
    stacks = [masks] if kind == "LABELMAP" else masks
    for s, stack in enumerate(stacks):
        for k, plane in enumerate(stack):
            if plane.any() or not skip_empty:
                frames.append(plane)
                places.append((s + 1, k))
    order = np.random.default_rng(0).permutation(len(frames))
    frames, places = np.array(frames)[order], [places[n] for n in order]
    set_pixels(ds, frames.astype(np.uint8))
    if kind == "BINARY":
        ds.BitsAllocated = ds.BitsStored = 1
        ds.HighBit = 0
        packed = np.packbits(frames.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
        ds.PixelData = packed + b"\0" * (len(packed) % 2)
    ds.NumberOfFrames, ds.SegmentationType = len(frames), kind
    if kind == "FRACTIONAL":
        ds.MaximumFractionalValue, ds.SegmentationFractionalType = 200, "PROBABILITY"
    code = item(CodeValue="123037004", CodingSchemeDesignator="SCT", CodeMeaning="CANARY")
    ds.SegmentSequence = Sequence(
        [item(SegmentNumber=s + 1, SegmentLabel="CANARY", SegmentedPropertyCategoryCodeSequence=Sequence([code]))
         for s in range(len(masks) if kind != "LABELMAP" else 3)]
    )  # fmt: skip
    ds.SharedFunctionalGroupsSequence = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=[f"{v:.12g}" for v in truth.orientation]),
        PixelMeasuresSequence=group(PixelSpacing=[str(v) for v in truth.spacing[1:]], SliceThickness="2",
                                    SpacingBetweenSlices="2"),
    )  # fmt: skip
    ds.PerFrameFunctionalGroupsSequence = Sequence()
    for s, k in places:
        frame = item(PlanePositionSequence=group(
            ImagePositionPatient=[f"{v:.9g}" for v in (truth.affine @ (k, 0, 0, 1))[:3]]))  # fmt: skip
        if kind != "LABELMAP":
            frame.SegmentIdentificationSequence = group(ReferencedSegmentNumber=s)
        ds.PerFrameFunctionalGroupsSequence.append(frame)
    return ds


def overlapping():
    masks = np.zeros((2, 8, 6, 5), bool)
    masks[0, 1:4, 2:5, 1:4] = True
    masks[1, 3, 3:, 2:] = masks[1, 6, 0, 0] = True  # with planes between that no frame holds
    return masks


@pytest.mark.parametrize("orientation", [(1.0, 0, 0, 0, 1, 0), oblique()], ids=["axial", "oblique"])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segmentation(tmp_path, kind, orientation):
    truth = Truth(ramp(), orientation=orientation)
    masks = overlapping()
    if kind == "LABELMAP":
        stored = expected = (masks[0] * 1 + masks[1] * 2).astype(np.uint8)
    elif kind == "FRACTIONAL":
        stored = (masks * np.arange(1, 6) * 40).astype(np.uint8)
        expected = stored / np.float32(200)
    else:
        stored = expected = masks
    save(segmentation(truth, stored, kind), tmp_path / "seg")
    volume = read(truth.write(tmp_path / "image"))
    found = read_segmentation(tmp_path / "seg", like=volume)
    np.testing.assert_array_equal(found.array, expected)
    np.testing.assert_array_equal(found.affine, volume.affine)
    assert found.axes == ("zyx" if kind == "LABELMAP" else "szyx")
    assert found.meta["segments"][0] == {"number": 1, "category": "SCT:123037004"}
    assert "CANARY" not in repr(found.meta)
    assert read_segmentation(tmp_path / "seg", labels=True).meta["segments"][0]["label"] == "CANARY"
    own = read_segmentation(tmp_path / "seg")
    np.testing.assert_array_equal(own.array, expected[..., 1:7, :, :])  # from its first to its last plane
    np.testing.assert_allclose(own.affine[:3, 3], (truth.affine @ (1, 0, 0, 1))[:3], atol=1e-4)


def test_segmentation_onto_another_grid(tmp_path):
    truth = Truth(ramp())
    masks = overlapping()
    save(segmentation(truth, masks, "BINARY"), tmp_path / "seg")
    finer = truth.affine @ np.diag([1, 0.5, 0.5, 1])
    finer[:3, 3] -= finer[:3, 1] / 2 + finer[:3, 2] / 2
    found = read_segmentation(tmp_path / "seg", like=Volume(np.zeros((8, 12, 10)), finer))
    np.testing.assert_array_equal(found.array, masks.repeat(2, axis=2).repeat(2, axis=3))


def test_segmentation_that_does_not_fit(tmp_path):
    truth = Truth(ramp())
    seg = segmentation(truth, overlapping(), "BINARY")
    save(seg, tmp_path / "seg")
    other = Volume(np.zeros((8, 6, 5)), truth.affine, meta={"frame_of_reference": "0" * 16})
    with pytest.raises(errors.GeometryError, match="frames of reference"):
        read_segmentation(tmp_path / "seg", like=other)
    with pytest.raises(errors.LimitExceeded, match="masks of"):
        read_segmentation(tmp_path / "seg", limits=Limits(max_volume_bytes=300))
    with pytest.raises(errors.UnsupportedImageError, match="found CT Image Storage"):
        read_segmentation(next(truth.write(tmp_path / "image").iterdir()))
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [-10, 20, 35.3]
    save(seg, tmp_path / "between")
    with pytest.raises(errors.GeometryError, match="multiples of one distance"):
        read_segmentation(tmp_path / "between")
    seg.PixelData = seg.PixelData[:10]
    save(seg, tmp_path / "short")
    with pytest.raises(errors.TruncatedPixels):
        read_segmentation(tmp_path / "short")


def structures(truth, contours, **roi):
    ds = base(RTSTRUCT, "RTSTRUCT", new_uid())
    ds.StructureSetROISequence = group(
        ROINumber=7, ROIName="CANARY", ReferencedFrameOfReferenceUID=roi.get("frame", truth.uid + ".2")
    )
    items = [
        item(ContourGeometricType=kind, NumberOfContourPoints=len(points),
             ContourData=[f"{v:.6f}" for p in points for v in (truth.affine @ (*p, 1))[:3]])
        for kind, points in contours
    ]  # fmt: skip
    ds.ROIContourSequence = Sequence([item(ReferencedROINumber=7, ContourSequence=Sequence(items))])
    return ds


def square(k, low, high):
    return [(k, low, low), (k, low, high), (k, high, high), (k, high, low)]


@pytest.mark.parametrize("orientation", [(1.0, 0, 0, 0, 1, 0), oblique()], ids=["axial", "oblique"])
def test_structures(tmp_path, orientation):
    truth = Truth(ramp((8, 20, 20)), orientation=orientation)
    volume = read(truth.write(tmp_path / "image"))
    contours = [
        ("CLOSED_PLANAR", square(2, 3.5, 12.5)),
        ("CLOSED_PLANAR", square(2, 5.5, 8.5)),  # a hole
        ("CLOSED_PLANAR", square(5, 1.5, 4.5)),
        ("POINT", [(1, 1, 1)]),
    ]
    save(structures(truth, contours), tmp_path / "rs")
    found = read_structures(tmp_path / "rs", like=volume)
    expected = np.zeros((1, 8, 20, 20), bool)
    expected[0, 2, 4:13, 4:13] = True
    expected[0, 2, 6:9, 6:9] = False
    expected[0, 5, 2:5, 2:5] = True
    np.testing.assert_array_equal(found.array, expected)
    assert found.meta["segments"] == ({"number": 7, "left_out": 1},)
    assert read_structures(tmp_path / "rs", like=volume, labels=True).meta["segments"][0]["label"] == "CANARY"


def test_structures_that_do_not_fit(tmp_path):
    truth = Truth(ramp((8, 20, 20)))
    volume = read(truth.write(tmp_path / "image"))
    tilted = [(2, 3, 3), (2, 3, 9), (4, 9, 9)]
    for contour, match in ((tilted, "spans 2 slices"), (square(11, 2, 5), "beyond"), (square(2, 2, 33), "beyond")):
        save(structures(truth, [("CLOSED_PLANAR", contour)]), tmp_path / "rs")
        with pytest.raises(errors.GeometryError, match=match):
            read_structures(tmp_path / "rs", like=volume)
    cropped = read_structures(tmp_path / "rs", like=volume, crop=True)
    np.testing.assert_array_equal(np.argwhere(cropped.array[0, 2]).min(axis=0), [2, 2])
    assert cropped.array[0, 2, 2:, 2:].all()
    save(structures(truth, [("CLOSED_PLANAR", square(2, 3, 5))], frame="1.2.3"), tmp_path / "rs")
    with pytest.raises(errors.GeometryError, match="frames of reference"):
        read_structures(tmp_path / "rs", like=volume)


@pytest.mark.parametrize("kind", ["CT", "MR_T1", "PET"])
def test_structures_of_a_real_series(shared_data, kind):
    """Equal, voxel by voxel, to the mask that was drawn from them by other software."""
    nibabel = pytest.importorskip("nibabel")
    folder = shared_data / "dicom" / "sts001" / kind
    volume = read(folder / "dicom" / "image")
    image = nibabel.load(folder / "nifti" / "mask" / "mask.nii.gz")
    like = np.linalg.inv(image.affine) @ np.diag([-1, -1, 1, 1]) @ volume.affine
    where = np.indices(volume.shape).reshape(3, -1)
    index = np.rint(like[:3] @ np.vstack([where, np.ones(where.shape[1])])).astype(int)
    expected = np.asarray(image.dataobj)[tuple(index)].reshape(volume.shape) > 0
    found = read_structures(folder / "dicom" / "mask" / "RS.dcm", like=volume)
    np.testing.assert_array_equal(found.array[0], expected)


def test_real_segmentations_against_pydicom(shared_data):
    for name in ("dcmqi_seg/liver.dcm", "pydicom_data/liver_nonbyte_aligned.dcm", "dcmqi_seg/sr-example/seg.dcm"):
        path = shared_data / "dicom" / name
        found = read_segmentation(path)
        dataset = pydicom.dcmread(path)
        frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns) > 0
        positions = [f.PlanePositionSequence[0].ImagePositionPatient for f in dataset.PerFrameFunctionalGroupsSequence]
        for frame, position in zip(frames, positions, strict=True):
            k, i, j, _ = np.linalg.inv(found.affine) @ (*map(float, position), 1)
            assert abs(k - round(k)) < 0.02 and abs(i) < 1e-2 and abs(j) < 1e-2
            np.testing.assert_array_equal(found.array[0, round(k)], frame)


# --------------------------------------------------------------------------------------------------------- PET


def pet(**changes):
    truth = Truth(ramp(low=0, dtype=np.uint16), sop_class=PT, modality="PT", slope=0.5)
    for ds in truth.datasets:
        ds.Units, ds.CorrectedImage, ds.DecayCorrection = "BQML", ["ATTN", "DECY"], "START"
        ds.PatientWeight, ds.SeriesDate, ds.SeriesTime = "80", "20200102", "003000"
        ds.AcquisitionDate, ds.AcquisitionTime = "20200102", "003100.5"
        ds.FrameReferenceTime, ds.ActualFrameDuration = "60500", "120000"
        ds.RadiopharmaceuticalInformationSequence = group(
            RadionuclideTotalDose="4E8", RadionuclideHalfLife="6586.2", RadiopharmaceuticalStartTime="233000"
        )
        for name, value in changes.items():
            place = ds if name in ds else ds.RadiopharmaceuticalInformationSequence[0]
            setattr(place, name, value)
    return truth


def test_suv_over_midnight(tmp_path):
    truth = pet()
    (series,) = scan(truth.write(tmp_path)).series
    volume = read_suv(series)
    factor = 80_000 / (4e8 * 2 ** (-3600 / 6586.2))
    np.testing.assert_allclose(volume.array, truth.values * factor, rtol=1e-6)
    assert volume.units == "g/ml"


def test_suv_of_a_series_time_after_the_acquisition(tmp_path):
    """The scan's start then comes from the frame's reference time and its mean activity."""
    truth = pet(SeriesTime="120000")
    (series,) = scan(truth.write(tmp_path)).series
    x = math.log(2) / 6586.2 * 120
    start = math.log(x / (1 - math.exp(-x))) / (math.log(2) / 6586.2)  # s after 00:30:00
    factor = 80_000 / (4e8 * 2 ** (-(3600 + start) / 6586.2))
    np.testing.assert_allclose(read_suv(series).array, truth.values * factor, rtol=1e-5)


def test_suv_decayed_to_the_injection_and_suv_already(tmp_path):
    truth = pet(DecayCorrection="ADMIN")
    (series,) = scan(truth.write(tmp_path / "admin")).series
    np.testing.assert_allclose(read_suv(series).array, truth.values * 80_000 / 4e8, rtol=1e-6)
    truth = pet(Units="GML")
    (series,) = scan(truth.write(tmp_path / "gml")).series
    np.testing.assert_allclose(read_suv(series).array, truth.values, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"PatientWeight": None}, "PatientWeight"),
        ({"RadionuclideTotalDose": "0"}, "RadionuclideTotalDose"),
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife"),
        ({"RadiopharmaceuticalStartTime": None}, "time of the injection"),
        ({"CorrectedImage": ["ATTN"]}, "CorrectedImage"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection"),
        ({"Units": "CNTS"}, "Philips"),
        ({"Units": "PROPCPS"}, "BQML"),
    ],
)
def test_suv_that_is_not_known(tmp_path, changes, match):
    (series,) = scan(pet(**changes).write(tmp_path)).series
    with pytest.raises(errors.SeriesError, match=match) as caught:
        read_suv(series)
    assert "2020" not in str(caught.value)


def test_suv_of_philips_counts(tmp_path):
    truth = pet(Units="CNTS")
    for ds in truth.datasets:
        ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0, "DS", "0.00025")
    (series,) = scan(truth.write(tmp_path)).series
    np.testing.assert_allclose(read_suv(series).array, truth.values * 0.00025, rtol=1e-6)


def test_suv_needs_pet(tmp_path):
    (series,) = scan(Truth(ramp()).write(tmp_path)).series
    with pytest.raises(errors.UnsupportedImageError, match="found CT"):
        read_suv(series)


# --------------------------------------------------------------------------------------------------- waveforms


def test_ecg_against_pydicom():
    path = pydicom.data.get_testdata_file("waveform_ecg.dcm")
    dataset = pydicom.dcmread(path)
    found = read_waveforms(path)
    assert len(found) == 2
    for n, one in enumerate(found):
        np.testing.assert_allclose(one.array, dataset.waveform_array(n))
        assert one.rate == 1000 and one.shape[1] == 12


def recording(meaning, data, samples):
    ds = base("1.2.840.10008.5.1.4.1.1.9.4.1", "AU", new_uid())
    ds.WaveformSequence = group(
        NumberOfWaveformChannels=1, NumberOfWaveformSamples=samples, WaveformSampleInterpretation=meaning,
        WaveformBitsAllocated=8, SamplingFrequency="8000",
        ChannelDefinitionSequence=Sequence([item(ChannelLabel="CANARY")]),
    )  # fmt: skip
    ds.WaveformSequence[0].add_new("WaveformData", "OB", data)
    return ds


def test_companded_audio(tmp_path):
    audioop = pytest.importorskip("audioop")
    data = bytes(range(256))
    for meaning, expand in (("MB", audioop.ulaw2lin), ("AB", audioop.alaw2lin)):
        save(recording(meaning, data, 256), tmp_path / meaning)
        (one,) = read_waveforms(tmp_path / meaning)
        np.testing.assert_array_equal(one.array[:, 0], np.frombuffer(expand(data, 2), np.int16))
        assert one.rate == 8000 and "CANARY" not in repr(one)


def test_truncated_audio(tmp_path):
    save(recording("UB", bytes(100), 2**31), tmp_path / "a")
    with pytest.raises(errors.TruncatedPixels, match="100 bytes, 2147483648 wanted"):
        read_waveforms(tmp_path / "a")
    with pytest.raises(errors.UnsupportedImageError):
        read_waveforms(pydicom.data.get_testdata_file("CT_small.dcm"))
