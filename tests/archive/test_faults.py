"""What on_fault makes of series that are no regular volume, and that padding and broken files show."""

from __future__ import annotations

import numpy as np
import pytest
from make import MR, Truth, new_uid, ramp, save, set_pixels

from fastmed import errors
from fastmed.archive import Limits, read, read_series, scan


def test_choices(tmp_path):
    with pytest.raises(ValueError, match="on_fault must be one of 'raise', 'split', 'regrid', 'keep'; found 'guess'"):
        scan(tmp_path, on_fault="guess")


def test_a_right_series_is_the_same_with_every_choice(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path)
    for choice in ("raise", "keep", "regrid"):
        volume = read(tmp_path, on_fault=choice)
        np.testing.assert_array_equal(volume.array, truth.stored)
        assert "fault" not in volume.meta and volume.dtype == np.int16
    (volume,) = read(tmp_path, on_fault="split")
    np.testing.assert_array_equal(volume.array, truth.stored)


def test_missing_slices(tmp_path):
    truth = Truth(ramp((10, 6, 5)))
    del truth.datasets[4:6]
    truth.write(tmp_path)
    with pytest.raises(errors.MissingSlices, match="on_fault='keep'") as caught:
        read(tmp_path)
    assert len(caught.value.paths) == 8
    first, second = read(tmp_path, on_fault="split")
    np.testing.assert_array_equal(first.array, truth.stored[:4])
    np.testing.assert_array_equal(second.array, truth.stored[6:])
    np.testing.assert_allclose(second.affine[:3, 3], (truth.affine @ (6, 0, 0, 1))[:3], atol=1e-4)
    keys = [s.key for s in scan(tmp_path, on_fault="split").series]
    assert len(set(keys)) == 2
    grid = read(tmp_path, on_fault="regrid")
    assert grid.shape == (10, 6, 5) and grid.dtype == np.float32 and grid.meta["interpolated"] == (4, 5)
    np.testing.assert_allclose(grid.affine, truth.affine, atol=1e-4)
    np.testing.assert_allclose(grid.array[[0, 3, 6, 9]], truth.stored[[0, 3, 6, 9]], atol=1e-3)
    a, b = truth.stored[3].astype(float), truth.stored[6].astype(float)
    np.testing.assert_allclose(grid.array[4], a + (b - a) / 3, rtol=1e-5, atol=1e-3)
    kept = read(tmp_path, on_fault="keep")
    np.testing.assert_array_equal(kept.array, np.delete(truth.stored, [4, 5], axis=0))
    assert kept.meta["heights_mm"] == pytest.approx([0, 2, 4, 6, 12, 14, 16, 18])
    assert kept.meta["fault"].startswith("MissingSlices: 2 slices missing")


def test_spacing_that_changes(tmp_path):
    heights = np.r_[np.arange(5) * 2.0, 8 + np.arange(1, 4) * 5.0]
    truth = Truth(ramp((8, 4, 4)))
    for ds, z in zip(truth.datasets, heights, strict=True):
        ds.ImagePositionPatient = [0, 0, f"{z:g}"]
    truth.write(tmp_path)
    first, second = read(tmp_path, on_fault="split")
    assert (first.shape[0], first.spacing[0], second.shape[0], second.spacing[0]) == (5, 2, 3, 5)
    grid = read(tmp_path, on_fault="regrid")
    where = grid.affine[2, 3] + grid.affine[2, 0] * np.arange(grid.shape[0])
    expected = [np.interp(where, heights, truth.stored[:, i, 0]) for i in range(4)]
    np.testing.assert_allclose(grid.array[:, :, 0], np.transpose(expected), rtol=1e-4, atol=1e-2)


def test_repeated_positions(tmp_path):
    uid, truths = new_uid(), [Truth(ramp(seed=n), sop_class=MR, modality="MR") for n in range(2)]
    for n, truth in enumerate(truths):
        for k, ds in enumerate(truth.datasets):
            ds.SeriesInstanceUID, ds.FrameOfReferenceUID, ds.InstanceNumber = uid, uid + ".2", 2 * k + n
        truth.write(tmp_path / str(n))
    with pytest.raises(errors.RepeatedPositions):
        read(tmp_path)
    with pytest.raises(errors.RepeatedPositions, match="16 slices at 8 positions"):
        read(tmp_path, on_fault="regrid")
    split = read(tmp_path, on_fault="split")
    assert [v.array.tobytes() for v in split] == [t.stored.tobytes() for t in truths]
    kept = read(tmp_path, on_fault="keep")
    assert kept.shape[0] == 16 and kept.meta["heights_mm"][:4] == pytest.approx((0, 0, 2, 2))


def test_beside_the_line(tmp_path):
    truth = Truth(ramp())
    x, y, z = truth.datasets[4].ImagePositionPatient
    truth.datasets[4].ImagePositionPatient = [x + 5, y, z]
    truth.write(tmp_path)
    with pytest.raises(errors.GeometryError, match="straight line"):
        read(tmp_path, on_fault="regrid")
    assert read(tmp_path, on_fault="keep").shape == truth.stored.shape


def test_no_positions(tmp_path):
    truth = Truth(ramp())
    for ds in truth.datasets:
        del ds.ImagePositionPatient
    truth.write(tmp_path)
    volume = read(tmp_path, on_fault="keep")
    np.testing.assert_array_equal(volume.array, truth.stored)
    assert volume.meta["geometry"] == "pixel spacing" and "instance numbers" in volume.meta["fault"]


def test_a_broken_file_of_unknown_place(tmp_path):
    """Its series may lack a slice at either end; nobody can know."""
    truth = Truth(ramp())
    truth.write(tmp_path)
    file = sorted(tmp_path.iterdir())[0]
    file.write_bytes(file.read_bytes()[:-120])  # in the element before the pixel data
    with pytest.raises(errors.DecodeError) as caught:
        read(tmp_path)
    assert caught.value.paths
    index = scan(tmp_path)
    assert not index.series and sum(f.cause for f in index.failures) == 1
    (series,) = scan(tmp_path, on_fault="split").series[:1]
    assert "cannot be read (file " in series.fault and file.name not in series.fault


def test_a_broken_file_costs_no_other_series(tmp_path):
    good, bad = Truth(ramp()), Truth(ramp(seed=1))
    good.write(tmp_path / "good")
    bad.write(tmp_path / "bad")
    file = next((tmp_path / "bad").iterdir())
    file.write_bytes(file.read_bytes()[:-9])
    (series,) = scan(tmp_path).series
    np.testing.assert_array_equal(read_series(series).array, good.stored)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2",
                                    "1.2.840.10008.1.2.5"])  # fmt: skip
@pytest.mark.parametrize("signed", [True, False])
def test_padding_is_a_mask_of_stored_values(tmp_path, syntax, signed):
    stored = ramp(dtype=np.int16 if signed else np.uint16)
    value = -2000 if signed else 2000
    out = np.random.default_rng(0).random(stored.shape) < 0.3
    stored[out] = value
    truth = Truth(stored, syntax=syntax, intercept=value)  # the value of -1000 is a voxel's after the rescale
    for ds in truth.datasets:
        ds.add_new("PixelPaddingValue", "SS" if signed else "US", value)
    volume = read(truth.write(tmp_path))
    np.testing.assert_array_equal(volume.array, truth.values)
    np.testing.assert_array_equal(volume.padding, out)
    np.testing.assert_array_equal(volume.with_array(volume.array * 2).padding, out)


def test_padding_ranges_and_padding_of_no_voxel(tmp_path):
    truth = Truth(ramp(low=0))
    for ds in truth.datasets:
        ds.add_new("PixelPaddingValue", "SS", 100)
        ds.add_new("PixelPaddingRangeLimit", "SS", 300)
    volume = read(truth.write(tmp_path / "range"))
    np.testing.assert_array_equal(volume.padding, (truth.stored >= 100) & (truth.stored <= 300))
    for ds in truth.datasets:
        del ds.PixelPaddingRangeLimit
        ds.PixelPaddingValue = -1
    assert read(truth.write(tmp_path / "none")).padding is None


def test_limits(tmp_path):
    truth = Truth(ramp((8, 60, 50)))
    truth.write(tmp_path)
    with pytest.raises(errors.LimitExceeded, match="a volume of 48000 bytes; at most 47999"):
        read(tmp_path, limits=Limits(max_volume_bytes=47999))
    with pytest.raises(errors.LimitExceeded, match="a frame of 6000 bytes"):
        read(tmp_path, limits=Limits(max_frame_bytes=5000))
    with pytest.raises(errors.LimitExceeded, match="a header of"):
        read(tmp_path, limits=Limits(max_header_bytes=100))
    with pytest.raises(ValueError, match="max_frames must be"):
        Limits(max_frames=0)


def test_units_of_joined_volumes_and_shapes(tmp_path):
    with pytest.raises(ValueError, match="empty"):
        read_series([])
    a, b = Truth(ramp()), Truth(ramp((4, 6, 5)))
    found = [scan(t.write(tmp_path / str(n))).series[0] for n, t in enumerate((a, b))]
    with pytest.raises(errors.GeometryError, match="one grid"):
        read_series(found)


def test_truncated_multi_frame(tmp_path):
    truth = Truth(ramp((1, 6, 5)))
    ds = truth.datasets[0]
    set_pixels(ds, ramp((4, 6, 5)))
    ds.NumberOfFrames = 5
    save(ds, tmp_path / "a.dcm")
    with pytest.raises(errors.TruncatedPixels, match="240 bytes, 300 wanted"):
        read(tmp_path)
