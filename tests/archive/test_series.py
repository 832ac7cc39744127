"""Series of known truth: the right volume or a typed refusal."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import (
    AXIAL,
    CORONAL,
    MR,
    PT,
    SAGITTAL,
    SC,
    Truth,
    base,
    new_uid,
    oblique,
    ramp,
    save,
    set_pixels,
)  # fmt: skip
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

import fastmed
from fastmed import errors
from fastmed.archive import read, read_series, scan


def check(volume, truth, values=None):
    expected = truth.values if values is None else values
    assert volume.shape == expected.shape
    np.testing.assert_allclose(np.asarray(volume), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(volume.affine, truth.affine, atol=1e-4)


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, oblique()], ids=["axial", "coronal", "sagittal", "oblique"]
)
@pytest.mark.parametrize("numbers", ["up", "down", "same", "none"])
def test_order_comes_from_positions(tmp_path, orientation, numbers):
    truth = Truth(ramp(), orientation=orientation)
    for k, ds in enumerate(truth.datasets):
        if numbers == "none":
            del ds.InstanceNumber
        else:
            ds.InstanceNumber = {"up": k + 1, "down": 100 - k, "same": 1}[numbers]
    volume = read(truth.write(tmp_path))
    check(volume, truth)
    assert volume.dtype == np.int16
    assert volume.modality == "CT" and volume.units == "HU"
    assert volume.spacing == pytest.approx(truth.spacing)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_transfer_syntaxes_and_depths(tmp_path, syntax, dtype):
    if syntax == RLELossless and np.dtype(dtype).itemsize > 2:
        syntax = ImplicitVRLittleEndian  # RLE has no 32-bit integers
    truth = Truth(ramp((3, 5, 7), dtype), syntax=syntax)
    volume = read(truth.write(tmp_path))
    check(volume, truth)
    assert np.can_cast(dtype, volume.dtype)


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_bytes_in_big_endian_words(tmp_path, vr):
    truth = Truth(ramp((3, 6, 5), np.uint8), syntax=ExplicitVRBigEndian)
    for ds in truth.datasets:
        ds["PixelData"].VR = vr
        if vr == "OW":
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    check(read(truth.write(tmp_path)), truth)


def test_missing_slice(tmp_path):
    truth = Truth(ramp())
    del truth.datasets[3:5]
    with pytest.raises(errors.MissingSlices, match=r"2 slices missing at 36, 38 mm .*spacing 2 mm"):
        read(truth.write(tmp_path))
    index = scan(tmp_path)
    assert (
        not index.series
        and len(index.failures) == 6
        and all("2 slices missing" in f.reason for f in index.failures)
    )


def test_repeated_position(tmp_path):
    truth = Truth(ramp())
    truth.datasets.append(Truth(ramp(seed=1), uid=truth.uid).datasets[4])
    for ds in truth.datasets:
        ds.InstanceNumber = 1
    with pytest.raises(errors.RepeatedPositions, match="9 slices at 8 positions"):
        read(truth.write(tmp_path))


def test_a_copied_file_costs_its_row(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path)
    shutil.copy(next(tmp_path.iterdir()), tmp_path / "zz.dcm")
    check(read(tmp_path), truth)
    (failure,) = scan(tmp_path).failures
    assert failure.path == "zz.dcm" and "copy" in failure.reason


def test_same_object_with_other_pixels_is_refused(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path)
    set_pixels(truth.datasets[2], truth.stored[2] + 1)
    save(truth.datasets[2], tmp_path / "other.dcm")
    with pytest.raises(errors.RepeatedPositions):
        read(tmp_path)


@pytest.mark.parametrize("tag", ["AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "TriggerTime",
                                 "ContentTime", "DiffusionBValue", "ImageType"])  # fmt: skip
def test_phases_are_split_on_what_tells_them_apart(tmp_path, tag):
    values = {
        "ContentTime": ["101112", "101113"],
        "ImageType": [["ORIGINAL", "PRIMARY", x] for x in "MP"],
    }.get(tag, [10, 200])
    phases = [Truth(ramp(seed=s), sop_class=MR, modality="MR") for s in (0, 1)]
    phases[1].uid = phases[0].uid
    for phase, value in zip(phases, values, strict=True):
        for k, ds in enumerate(phase.datasets):
            setattr(ds, tag, value)
            ds.SeriesInstanceUID, ds.FrameOfReferenceUID = phases[0].uid, phases[0].uid + ".2"
            ds.AcquisitionTime = f"1010{k:02d}"  # of the slice, not of the phase
    for n, phase in enumerate(phases):
        phase.write(tmp_path / str(n), seed=n)
    index = scan(tmp_path)
    assert not index.failures and len(index.series) == 2
    assert len({s.key for s in index.series}) == 2
    for n, (phase, series) in enumerate(zip(phases, index.series, strict=True)):
        assert (series.meta["split_by"], series.meta["split_index"]) == (tag, n)
        check(read_series(series), phase)
    check(read(tmp_path, series=index.series[1].key), phases[1])
    if tag == "ImageType":  # magnitude and phase are no two times of one thing
        with pytest.raises(errors.SeriesError, match="2 volumes"):
            read(tmp_path)
        return
    volume = read(tmp_path)
    assert volume.axes == "tzyx" and volume.meta["split_by"] == tag
    assert volume.meta.get("split_values", (10, 200)) == (10, 200)
    np.testing.assert_array_equal(volume.array, [phase.stored for phase in phases])
    np.testing.assert_allclose(volume.affine, phases[0].affine, atol=1e-4)


def test_phases_told_apart_by_two_tags(tmp_path):
    uid, truths = Truth(ramp()).uid, []
    for n in range(4):
        truth = Truth(ramp(seed=n), uid=uid, sop_class=MR, modality="MR")
        for ds in truth.datasets:
            ds.EchoTime, ds.AcquisitionNumber = 10 * (1 + n % 2), 1 + n // 2
        truth.write(tmp_path / str(n))
        truths.append(truth)
    index = scan(tmp_path)
    assert [s.meta["split_by"] for s in index.series] == ["EchoTime+AcquisitionNumber"] * 4
    found = {read_series(s).array.tobytes() for s in index.series}
    assert found == {t.stored.tobytes() for t in truths}


def test_phases_at_times_of_each_slice(tmp_path):
    uid, truths = new_uid(), [Truth(ramp(seed=n), sop_class=MR, modality="MR") for n in range(3)]
    random = np.random.default_rng(0)
    for n, truth in enumerate(truths):
        for k, ds in enumerate(truth.datasets):
            ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uid, uid + ".2"
            ds.InstanceNumber, ds.TriggerTime = 3 * k + n, f"{40 * n + random.uniform(0, 9):.3f}"
        truth.write(tmp_path / str(n), seed=n)
    series = scan(tmp_path).series
    assert [s.meta["split_by"] for s in series] == ["TriggerTime at each position"] * 3
    for one, truth in zip(series, truths, strict=True):
        check(read_series(one), truth)


def test_two_unlabelled_phases_are_refused(tmp_path):
    uid = new_uid()
    for n in range(2):
        truth = Truth(ramp(seed=n), sop_class=MR, modality="MR")
        for k, ds in enumerate(truth.datasets):
            ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uid, uid + ".2"
            ds.InstanceNumber = 2 * k + n
        truth.write(tmp_path / str(n))
    with pytest.raises(errors.RepeatedPositions, match="16 slices at 8 positions"):
        read(tmp_path)


def test_runs_of_instance_numbers_are_the_last_resort(tmp_path):
    uid, truths = Truth(ramp()).uid, [Truth(ramp(seed=n), sop_class=MR, modality="MR") for n in range(3)]
    for n, truth in enumerate(truths):
        for k, ds in enumerate(truth.datasets):
            ds.SeriesInstanceUID, ds.FrameOfReferenceUID, ds.InstanceNumber = uid, uid + ".2", 1 + 20 * n + k
        truth.write(tmp_path / str(n))
    series = scan(tmp_path).series
    assert [s.meta["split_by"] for s in series] == ["InstanceNumber"] * 3
    for one, truth in zip(series, truths, strict=True):
        check(read_series(one), truth)


@pytest.mark.parametrize("gaps", [[2] * 4 + [5] * 3, [2, 2, 2.3, 2, 2], [1, 1.5, 1, 1.5]])
def test_variable_spacing_is_refused(tmp_path, gaps):
    heights = np.concatenate([[0], np.cumsum(gaps)])
    truth = Truth(ramp((len(heights), 4, 4)))
    for ds, z in zip(truth.datasets, heights, strict=True):
        ds.ImagePositionPatient = [0, 0, f"{z:.6g}"]
    with pytest.raises(errors.GeometryError, match="varies from"):
        read(truth.write(tmp_path))


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 4e-3])
def test_rounded_positions_are_accepted(tmp_path, noise):
    truth = Truth(ramp((30, 4, 4)), spacing=(0.625, 0.5, 0.5), origin=(0, 0, 0))
    random = np.random.default_rng(3)
    for k, ds in enumerate(truth.datasets):
        ds.ImagePositionPatient = [
            f"{v:.9g}" for v in (0, 0, k * 0.625 + random.uniform(-noise, noise) * (0 < k < 29))
        ]
    check(read(truth.write(tmp_path)), truth)


def test_gantry_tilt_keeps_the_shear(tmp_path):
    tilt = np.deg2rad(15)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt)))
    truth = Truth(ramp((20, 5, 4)), orientation=orientation, step=np.array([0.0, 0.0, 2.0]))
    volume = read(truth.write(tmp_path))
    check(volume, truth)
    last = volume.affine @ (19, 0, 0, 1)
    np.testing.assert_allclose(last[:3], np.add(truth.origin, (0, 0, 38)), atol=1e-6)
    with pytest.raises(errors.GeometryError, match="shear"):
        volume.to_sitk()


def test_slices_beside_the_line_are_refused(tmp_path):
    truth = Truth(ramp())
    x, y, z = truth.datasets[4].ImagePositionPatient
    truth.datasets[4].ImagePositionPatient = [x + 5, y, z]
    with pytest.raises(errors.GeometryError, match="straight line"):
        read(truth.write(tmp_path))


def test_slope_per_slice(tmp_path):
    truth = Truth(ramp(), sop_class=PT, modality="PT")
    slopes = np.linspace(0.5, 3.1, len(truth.stored)).round(3)
    for ds, slope in zip(truth.datasets, slopes, strict=True):
        ds.RescaleSlope, ds.Units = str(slope), "BQML"
    volume = read(truth.write(tmp_path))
    check(volume, truth, truth.stored * slopes[:, None, None])
    assert volume.dtype == np.float32 and volume.units == "BQML"


def test_whole_slope_then_fraction(tmp_path):
    truth = Truth(ramp())
    slopes = np.array([1] * 4 + [0.5] * 4)
    for ds, slope in zip(truth.datasets, slopes, strict=True):
        ds.RescaleSlope = str(slope)
    check(read(truth.write(tmp_path)), truth, truth.stored * slopes[:, None, None])


@pytest.mark.parametrize("slope", [0.001, 1e-7, 12345.678])
def test_slopes_of_any_size(tmp_path, slope):
    truth = Truth(ramp(), slope=slope, intercept=-3.25)
    check(read(truth.write(tmp_path)), truth)


@pytest.mark.parametrize("slope", ["0", "1e308", "nan"])
def test_useless_slopes_are_refused(tmp_path, slope):
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds.add_new("RescaleSlope", "DS", "1")
        ds["RescaleSlope"]._value = slope
    with pytest.raises(errors.DecodeError, match="rescale slope"):
        read(truth.write(tmp_path))


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept", "NumberOfFrames"])
def test_numbers_that_are_none(tmp_path, name):
    """A slope that cannot be read is not a slope of 1."""
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds.add_new(name, "IS" if name == "NumberOfFrames" else "DS", "1")
        ds[name]._value = "1,A"
    with pytest.raises(errors.DecodeError, match=f"{name} is not a number"):
        read(truth.write(tmp_path))


def test_units(tmp_path):
    truth = Truth(ramp(), sop_class=PT, modality="PT")
    for ds in truth.datasets[2:]:
        ds.Units = "BQML"
    assert read(truth.write(tmp_path / "some")).units == ""
    truth.datasets[0].Units = "GML"
    with pytest.raises(errors.SeriesError, match="several units"):
        read(truth.write(tmp_path / "two"))


def test_localizer_in_the_series(tmp_path):
    truth = Truth(ramp((8, 6, 6)))
    scout = Truth(ramp((1, 6, 6), seed=5), orientation=CORONAL, uid=truth.uid).datasets[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    truth.datasets.append(scout)
    with pytest.raises(errors.MixedGeometry):
        read(truth.write(tmp_path))
    index = scan(tmp_path)
    assert not index.failures
    series = max(index.series, key=lambda s: s.n_slices)
    check(read_series(series), truth)


def other_size(ds):
    set_pixels(ds, np.zeros((9, 5), np.int16))


def other_spacing(ds):
    ds.PixelSpacing = ["0.51", "0.75"]


def other_orientation(ds):
    ds.ImageOrientationPatient = [f"{v:.9g}" for v in oblique()]


def other_frame_of_reference(ds):
    ds.FrameOfReferenceUID = "1.2.3.4"


@pytest.mark.parametrize("change", [other_size, other_spacing, other_orientation, other_frame_of_reference])
def test_one_slice_of_other_geometry(tmp_path, change):
    truth = Truth(ramp())
    change(truth.datasets[3])
    with pytest.raises(errors.MissingSlices, match="2 geometries"):
        read(truth.write(tmp_path))
    index = scan(tmp_path)
    assert [s.n_slices for s in index.series] == [1] and len(index.failures) == 7


def test_two_series_in_one_folder(tmp_path):
    a, b = Truth(ramp()), Truth(ramp(seed=1), origin=(0, 0, 31))
    a.write(tmp_path)
    b.write(tmp_path)
    with pytest.raises(errors.SeriesError, match="2 volumes"):
        read(tmp_path)
    found = {read_series(s).array.tobytes() for s in scan(tmp_path).series}
    assert found == {a.stored.tobytes(), b.stored.tobytes()}


def test_signedness_mixed(tmp_path):
    truth = Truth(ramp(low=0))
    set_pixels(truth.datasets[3], truth.stored[3].astype(np.uint16))
    check(read(truth.write(tmp_path)), truth)
    truth = Truth(ramp(low=-900))
    set_pixels(truth.datasets[3], np.full((6, 5), 60000, np.uint16))
    truth.stored = truth.stored.astype(np.int32)
    truth.stored[3] = 60000
    volume = read(truth.write(tmp_path / "large"))
    check(volume, truth)
    assert volume.dtype == np.int32


def test_unsigned_with_intercept_is_int16_where_it_fits(tmp_path):
    truth = Truth(ramp(dtype=np.uint16), intercept=-1024)
    volume = read(truth.write(tmp_path))
    check(volume, truth)
    assert volume.dtype == np.int16
    truth.stored[2, 3, 1] = 65535
    set_pixels(truth.datasets[2], truth.stored[2])
    volume = read(truth.write(tmp_path / "large"))
    check(volume, truth)
    assert volume.dtype == np.int32


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_unused_bits_are_ignored(tmp_path, syntax, signed):
    stored = ramp(dtype=np.int16 if signed else np.uint16, low=-1024)
    truth = Truth(stored, syntax=syntax)
    junk = np.random.default_rng(4).integers(0, 16, stored.shape).astype(np.uint16) << 12
    dirty = ((stored.view(np.uint16) & 0xFFF) | junk).view(stored.dtype)
    for ds, pixels in zip(truth.datasets, dirty, strict=True):
        ds.file_meta.TransferSyntaxUID = syntax
        set_pixels(ds, pixels, bits=12)
    check(read(truth.write(tmp_path)), truth)


def test_high_bit_above_the_stored_bits(tmp_path):
    truth = Truth(ramp(dtype=np.uint16))
    for ds, pixels in zip(truth.datasets, truth.stored, strict=True):
        set_pixels(ds, (pixels << 4) | 5, bits=12)
        ds.HighBit = 15
    check(read(truth.write(tmp_path)), truth)


def test_monochrome1_is_not_inverted(tmp_path):
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds.PhotometricInterpretation = "MONOCHROME1"
    volume = read(truth.write(tmp_path))
    check(volume, truth)
    assert volume.meta["photometric"] == "MONOCHROME1"


@pytest.mark.parametrize("name", ["FloatPixelData", "DoubleFloatPixelData"])
def test_float_pixels(tmp_path, name):
    truth = Truth(ramp())
    values = truth.stored * 0.37
    for ds, pixels in zip(truth.datasets, values, strict=True):
        for gone in (
            "PixelData",
            "BitsStored",
            "HighBit",
            "PixelRepresentation",
            "RescaleSlope",
            "RescaleIntercept",
        ):
            delattr(ds, gone)
        kind = np.float32 if name == "FloatPixelData" else np.float64
        ds.BitsAllocated = 8 * kind().itemsize
        setattr(ds, name, pixels.astype(kind).tobytes())
    volume = read(truth.write(tmp_path))
    check(volume, truth, values)
    assert volume.dtype == (np.float32 if name == "FloatPixelData" else np.float64)


@pytest.mark.parametrize("where", [0, 4, 7])
def test_truncated_pixels(tmp_path, where):
    truth = Truth(ramp())
    truth.datasets[where].SeriesDescription = "short"
    truth.write(tmp_path)
    (short,) = (p for p in tmp_path.iterdir() if b"short" in p.read_bytes())
    short.write_bytes(short.read_bytes()[:-7])
    with pytest.raises(errors.DecodeError, match="truncated: 53 bytes, 60 wanted"):
        read(tmp_path)
    index = scan(tmp_path)
    assert not index.series and len(index.failures) == 8
    (cause,) = (f for f in index.failures if f.cause)
    assert cause.path == short.name and cause.error is errors.TruncatedPixels
    kept = scan(tmp_path, on_fault="keep")
    assert [s.n_slices for s in kept.series] == [7] and "TruncatedPixels" in kept.series[0].fault
    assert [f.path for f in kept.failures] == [short.name]
    volume = read(tmp_path, on_fault="keep")
    np.testing.assert_array_equal(volume.array, np.delete(truth.stored, where, axis=0))
    assert "TruncatedPixels: 1 of 8 slices" in volume.meta["fault"]


def test_no_positions(tmp_path):
    truth = Truth(ramp())
    for ds in truth.datasets:
        del ds.ImagePositionPatient
    with pytest.raises(errors.NoGeometry, match="8 slices without position"):
        read(truth.write(tmp_path))


@pytest.mark.parametrize("position", ["nan\\0\\0", "1\\2", "a\\b\\c", "inf\\0\\0"])
def test_senseless_position(tmp_path, position):
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds["ImagePositionPatient"].value = [0, 0, 0]
    truth.write(tmp_path)
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        at = data.index(b"\x20\x00\x32\x00DS")
        length = int.from_bytes(data[at + 6 : at + 8], "little")
        text = position.encode() + b" " * (len(position) % 2)
        data = data[: at + 6] + len(text).to_bytes(2, "little") + text + data[at + 8 + length :]
        file.write_bytes(data)
    with pytest.raises(errors.GeometryError):
        read(tmp_path)


def test_orientation_that_is_none(tmp_path):
    truth = Truth(ramp())
    for ds in truth.datasets:
        ds.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    with pytest.raises(errors.NoGeometry, match="perpendicular"):
        read(truth.write(tmp_path))


def test_no_pixel_spacing(tmp_path):
    truth = Truth(ramp())
    for ds in truth.datasets:
        del ds.PixelSpacing
    with pytest.raises(errors.NoGeometry, match="pixel spacing"):
        read(truth.write(tmp_path))


def test_a_single_slice_takes_its_thickness(tmp_path):
    truth = Truth(ramp((1, 6, 5)), spacing=(3.5, 0.5, 0.5))
    check(read(truth.write(tmp_path)), truth)


def test_single_images_without_place(tmp_path):
    pixels = ramp((4, 9, 7), np.uint8)
    uid = Truth(ramp((1, 2, 2))).uid
    for k, image in enumerate(pixels):
        ds = base(SC, "US", uid)
        ds.InstanceNumber = k
        set_pixels(ds, image)
        save(ds, tmp_path / f"{k}.dcm")
    index = scan(tmp_path)
    assert len(index.series) == 4 and len({s.key for s in index.series}) == 4
    for series, image in zip(index.series, pixels, strict=True):
        volume = read_series(series)
        np.testing.assert_array_equal(volume.array, image[None])
        assert volume.spacing == (1, 1, 1) and volume.meta["geometry"] == "none"


def test_cine_and_colour(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 3), np.uint8)
    for name, pixels in (("grey", frames[..., 0]), ("colour", frames)):
        ds = base(SC, "US", Truth(ramp((1, 2, 2))).uid)
        set_pixels(ds, pixels)
        ds.NumberOfFrames = 5
        if name == "colour":
            ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        save(ds, tmp_path / name)
        volume = read(tmp_path / name)
        np.testing.assert_array_equal(volume.array, pixels)
        assert volume.meta["axes"] == ("tyx" if name == "grey" else "tyxc")


def test_colour_slices_are_refused(tmp_path):
    truth = Truth(ramp((3, 6, 5), np.uint8))
    for ds in truth.datasets:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = bytes(6 * 5 * 3)
    with pytest.raises(errors.UnsupportedImageError, match="colour"):
        read(truth.write(tmp_path))


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", np.float64])
def test_dtype_can_be_chosen(tmp_path, dtype):
    truth = Truth(ramp(), intercept=-1024)
    volume = read(truth.write(tmp_path), dtype=dtype)
    check(volume, truth)
    assert volume.dtype == np.dtype(dtype)


def test_dtype_that_cannot_hold_the_values(tmp_path):
    truth = Truth(ramp(low=-500))
    truth.write(tmp_path / "whole")
    with pytest.raises(ValueError, match="uint8 cannot hold"):
        read(tmp_path / "whole", dtype=np.uint8)
    with pytest.raises(ValueError, match="dtype must be"):
        read(tmp_path / "whole", dtype="complex64")
    Truth(ramp(), slope=0.5).write(tmp_path / "fractions")
    with pytest.raises(ValueError, match="fractions"):
        read(tmp_path / "fractions", dtype="int16")


def test_threads_do_not_matter(tmp_path):
    truth = Truth(ramp((40, 16, 16)), intercept=-3)
    truth.write(tmp_path)
    with fastmed.num_threads(1):
        one = read(tmp_path)
    with fastmed.num_threads(4):
        four = read(tmp_path)
    check(one, truth)
    np.testing.assert_array_equal(one.array, four.array)


def test_the_key_does_not_depend_on_names_or_order(tmp_path):
    truth = Truth(ramp())
    (a,) = scan(truth.write(tmp_path / "a", seed=1)).series
    (b,) = scan(truth.write(tmp_path / "b", seed=2)).series
    assert a.key == b.key and len(a.key) == 16
    assert a.patient == b.patient and a.study == b.study


@st.composite
def series(draw):
    """Slices in any direction, with or without shear, of any kind of integers."""
    angles = [draw(st.floats(-3, 3)) for _ in range(3)]
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, two = [a for a in range(3) if a != axis]
        r = np.eye(3)
        r[one, one] = r[two, two] = np.cos(angle)
        r[one, two], r[two, one] = -np.sin(angle), np.sin(angle)
        turn = turn @ r
    spacing = tuple(round(draw(st.floats(0.3, 6)), 4) for _ in range(3))
    tilt = draw(st.sampled_from([0.0, 0.2, -0.5]))
    step = turn[:, 2] * spacing[0] + turn[:, 1] * tilt * spacing[0]
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.uint16]))
    stored = ramp((draw(st.integers(2, 6)), 3, 4), dtype, seed=draw(st.integers(0, 99)))
    origin = tuple(draw(st.floats(-300, 300)) for _ in range(3))
    slope, intercept = draw(st.sampled_from([(1, 0), (1, -1024), (2, 3), (0.37, -5.5)]))
    return Truth(
        stored, tuple(turn[:, 0]) + tuple(turn[:, 1]), spacing, origin, step, slope=slope, intercept=intercept
    )


@settings(max_examples=60, deadline=None)
@given(truth=series(), seed=st.integers(0, 1000))
def test_any_orientation_tilt_and_order(tmp_path_factory, truth, seed):
    folder = truth.write(tmp_path_factory.mktemp("series"), seed=seed)
    check(read(folder), truth)


@settings(max_examples=30, deadline=None)
@given(truth=series(), data=st.data())
def test_any_missing_slice_is_noticed(tmp_path_factory, truth, data):
    count = len(truth.datasets)
    if count < 4:
        return
    del truth.datasets[data.draw(st.integers(1, count - 2))]
    with pytest.raises(errors.MissingSlices, match="1 slice missing"):
        read(truth.write(tmp_path_factory.mktemp("series")))


def test_the_key_of_a_part_does_not_depend_on_the_others(tmp_path):
    truth = Truth(ramp((8, 6, 6)))
    scout = Truth(ramp((1, 6, 6)), orientation=CORONAL, uid=truth.uid).datasets[0]
    other = Truth(ramp((2, 6, 6)), orientation=SAGITTAL, uid=truth.uid).datasets
    truth.datasets.append(scout)
    two = {s.key for s in scan(truth.write(tmp_path / "two")).series}
    truth.datasets += other
    three = {s.key for s in scan(truth.write(tmp_path / "three")).series}
    assert len(two) == 2 and len(three) == 3 and two < three
