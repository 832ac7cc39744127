"""Multi-frame objects whose frames say each where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from make import ENHANCED_MR, Truth, base, new_uid, oblique, ramp, save, set_pixels
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fastmed import errors
from fastmed.archive import read, read_series, scan


def item(**values):
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def group(**values):
    return Sequence([item(**values)])


def enhanced(truth, order, slopes=None, times=None, shared_orientation=True):
    """One enhanced MR object with the slices of `truth` as frames in another order."""
    ds = base(ENHANCED_MR, "MR", truth.uid)
    slopes = np.ones(len(order)) if slopes is None else slopes
    pixels = truth.stored.reshape(-1, *truth.stored.shape[-2:])[order]
    set_pixels(ds, pixels)
    ds.NumberOfFrames = len(order)
    where = group(ImageOrientationPatient=[f"{v:.12g}" for v in truth.orientation])
    measures = group(PixelSpacing=[str(v) for v in truth.spacing[1:]], SliceThickness=str(truth.spacing[0]))
    shared = item(PixelMeasuresSequence=measures)
    if shared_orientation:
        shared.PlaneOrientationSequence = where
    frames = []
    for n, k in enumerate(order):
        z = k % truth.stored.shape[-3] if truth.stored.ndim == 4 else k
        position = [f"{v:.9g}" for v in (truth.affine @ (z, 0, 0, 1))[:3]]
        frame = item(
            PlanePositionSequence=group(ImagePositionPatient=position),
            PixelValueTransformationSequence=group(
                RescaleSlope=f"{slopes[n]:.8g}", RescaleIntercept="0", RescaleType="US"
            ),
            FrameContentSequence=group(
                StackID="1", TemporalPositionIndex=1 if times is None else int(times[n])
            ),
        )
        if not shared_orientation:
            frame.PlaneOrientationSequence = where
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return ds


@pytest.mark.parametrize("shared", [True, False])
def test_frames_are_ordered_and_rescaled_each(tmp_path, shared):
    truth = Truth(ramp(), orientation=oblique(), modality="MR")
    order = np.random.default_rng(1).permutation(8)
    slopes = np.linspace(0.5, 2, 8).round(3)
    save(enhanced(truth, order, slopes, shared_orientation=shared), tmp_path / "a.dcm")
    volume = read(tmp_path)
    expected = np.empty(truth.stored.shape)
    expected[order] = truth.stored[order] * slopes[:, None, None]
    np.testing.assert_allclose(volume.array, expected, rtol=1e-6)
    np.testing.assert_allclose(volume.affine, truth.affine, atol=1e-4)


def test_compressed_frames(tmp_path):
    truth = Truth(ramp(), modality="MR")
    ds = enhanced(truth, np.arange(8)[::-1])
    ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    save(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read(tmp_path).array, truth.stored)


def test_temporal_positions_are_split(tmp_path):
    truth = Truth(ramp((12, 6, 5)), modality="MR")
    truth.stored = truth.stored.reshape(3, 4, 6, 5)
    order = np.random.default_rng(2).permutation(12)
    save(enhanced(truth, order, times=order // 4 + 1), tmp_path / "a.dcm")
    series = scan(tmp_path).series
    assert [s.meta["split_by"] for s in series] == ["TemporalPositionIndex"] * 3
    for one, stored in zip(series, truth.stored, strict=True):
        np.testing.assert_array_equal(read_series(one).array, stored)


def test_several_files_of_frames_are_one_volume(tmp_path):
    truth = Truth(ramp(), modality="MR")
    for n, order in enumerate((np.array([7, 0, 3]), np.array([1, 2, 4, 5, 6]))):
        save(enhanced(truth, order), tmp_path / f"{n}.dcm")
    np.testing.assert_array_equal(read(tmp_path).array, truth.stored)


def test_missing_frame(tmp_path):
    truth = Truth(ramp(), modality="MR")
    save(enhanced(truth, np.array([0, 1, 2, 4, 5])), tmp_path / "a.dcm")
    with pytest.raises(errors.MissingSlices, match="1 slice missing at 36 mm"):
        read(tmp_path)


def test_number_of_frames_must_agree(tmp_path):
    ds = enhanced(Truth(ramp(), modality="MR"), np.arange(8))
    ds.PerFrameFunctionalGroupsSequence = Sequence(ds.PerFrameFunctionalGroupsSequence[:5])
    save(ds, tmp_path / "a.dcm")
    with pytest.raises(errors.GeometryError, match="8 frames, but functional groups for 5"):
        read(tmp_path)


def test_frames_without_positions_are_refused(tmp_path):
    ds = enhanced(Truth(ramp(), modality="MR"), np.arange(8))
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    save(ds, tmp_path / "a.dcm")
    with pytest.raises(errors.NoGeometry):
        read(tmp_path)


def test_dose_grid(tmp_path):
    truth = Truth(ramp(dtype=np.uint16), spacing=(2.5, 1.0, 1.5))
    ds = base("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE", new_uid())
    set_pixels(ds, truth.stored)
    ds.NumberOfFrames = 8
    ds.ImagePositionPatient, ds.ImageOrientationPatient = list(truth.origin), list(truth.orientation)
    ds.PixelSpacing, ds.GridFrameOffsetVector = [1.0, 1.5], [2.5 * k for k in range(8)]
    ds.DoseGridScaling, ds.DoseUnits = "0.001", "GY"
    save(ds, tmp_path / "dose.dcm")
    volume = read(tmp_path)
    np.testing.assert_allclose(volume.array, truth.stored * 0.001, rtol=1e-6)
    np.testing.assert_allclose(volume.affine, truth.affine, atol=1e-6)
    assert volume.units == "GY"
