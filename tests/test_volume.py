"""Volume: geometry, exchange with SimpleITK and NumPy, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import fastmed
from fastmed import Volume, errors

AFFINE = np.array([[0.0, 0.1, 0.5, -10], [0.2, 0.6, -0.1, -20], [2.0, -0.05, 0, 30], [0, 0, 0, 1]])


def turned(spacing=(2.0, 0.5, 0.7)):
    a = 0.4
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn[:, ::-1] * spacing
    affine[:3, 3] = 1, -2, 3
    return affine


def test_geometry():
    volume = Volume(np.zeros((2, 3, 4), np.int16), turned(), modality="CT", units="HU")
    assert volume.shape == (2, 3, 4) and volume.ndim == 3 and volume.dtype == np.int16
    assert volume.spacing == pytest.approx((2.0, 0.5, 0.7))
    np.testing.assert_allclose(volume.origin, (1, -2, 3))
    np.testing.assert_allclose(volume.direction * volume.spacing, volume.affine[:3, :3])
    assert repr(volume) == "Volume(2 x 3 x 4, int16, spacing (2, 0.5, 0.7) mm, CT, HU)"


def test_with_array_keeps_the_rest():
    volume = Volume(np.zeros((2, 3, 4)), AFFINE, modality="MR", units="x", meta={"a": 1})
    other = volume.with_array(np.ones((2, 3, 4), np.uint8))
    assert (other.modality, other.units, other.meta, other.dtype) == ("MR", "x", {"a": 1}, np.uint8)
    np.testing.assert_array_equal(other.affine, volume.affine)
    with pytest.raises(ValueError, match="shape"):
        volume.with_array(np.ones((2, 3)))


def test_operations_take_and_give_volumes():
    volume = Volume(np.random.default_rng(0).random((4, 5, 6)), AFFINE)
    smooth = fastmed.gaussian_filter(volume, 1.0)
    assert isinstance(smooth, Volume)
    np.testing.assert_array_equal(smooth.array, fastmed.gaussian_filter(volume.array, 1.0))
    np.testing.assert_array_equal(smooth.affine, AFFINE)


def test_numpy_takes_it():
    data = np.arange(24.0).reshape(2, 3, 4)
    volume = Volume(data, AFFINE)
    assert np.asarray(volume) is data
    assert np.asarray(volume, np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(volume), data)


def test_dask_arrays_stay_lazy():
    da = pytest.importorskip("dask.array")
    volume = Volume(da.zeros((2, 3, 4), chunks=2), AFFINE)
    assert isinstance(volume.array, da.Array) and volume.shape == (2, 3, 4)
    np.testing.assert_array_equal(np.asarray(volume), np.zeros((2, 3, 4)))


def test_it_cannot_be_changed_by_accident():
    affine = AFFINE.copy()
    volume = Volume(np.zeros((2, 3, 4)), affine)
    affine[0, 0] = 99
    assert volume.affine[0, 0] == 0
    with pytest.raises(ValueError):
        volume.affine[0, 0] = 1
    with pytest.raises(AttributeError):
        volume.array = None


@pytest.mark.parametrize(
    ("array", "affine", "message"),
    [
        (np.zeros((2, 3)), AFFINE, "3 to 5 axes"),
        (np.zeros((2, 3, 4)), np.eye(3), "4 x 4"),
        (np.zeros((2, 3, 4)), np.full((4, 4), np.nan), "finite"),
        (np.zeros((2, 3, 4)), np.ones((4, 4)), "last row"),
        (np.zeros((2, 3, 4)), np.diag([1, 1, 0, 1]), "invertible"),
    ],
)
def test_bad_input(array, affine, message):
    with pytest.raises(ValueError, match=message):
        Volume(array, affine)


def test_tiny_voxels_are_no_error():
    assert Volume(np.zeros((1, 1, 1)), np.diag([1e-4, 1e-4, 50, 1])).spacing == pytest.approx(
        (1e-4, 1e-4, 50)
    )


def test_to_and_from_sitk():
    sitk = pytest.importorskip("SimpleITK")
    volume = Volume(np.random.default_rng(0).random((4, 5, 6)).astype(np.float32), turned())
    image = volume.to_sitk()
    for index in ((0, 0, 0), (5, 4, 3), (1, 2, 0)):  # (i, j, k)
        point = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(point, (volume.affine @ (*index[::-1], 1))[:3], atol=1e-6)
        assert image[index] == volume.array[index[::-1]]
    back = Volume.from_sitk(image, modality="CT")
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-12)
    with pytest.raises(ValueError, match="3-D"):
        Volume.from_sitk(sitk.Image(3, 3, sitk.sitkUInt8))


def test_sitk_cannot_hold_a_shear():
    pytest.importorskip("SimpleITK")
    with pytest.raises(errors.GeometryError, match="shear"):
        Volume(np.zeros((2, 3, 4)), AFFINE).to_sitk()


def tilted():
    affine = np.array([[0.3, 0.1, 0.5, -10], [0.2, 0.5, -0.1, 4], [2, 0, 0, 30], [0, 0, 0, 1.0]])
    return Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), affine, modality="CT", units="HU")


def test_xarray_there_and_back_shares_the_voxels():
    pytest.importorskip("xarray", reason="of the extra archive")
    one = tilted()
    named = one.to_xarray()
    again = Volume.from_xarray(named)
    assert np.shares_memory(named.values, one.array) and np.shares_memory(again.array, one.array)
    np.testing.assert_allclose(again.affine, one.affine, atol=1e-12)
    assert (again.modality, again.units, again.axes) == ("CT", "HU", "zyx")


def test_a_part_of_a_dataarray_lies_where_it_was():
    pytest.importorskip("xarray", reason="of the extra archive")
    one = tilted()
    part = Volume.from_xarray(one.to_xarray().isel(z=slice(1, 3), y=slice(None, None, -1), x=slice(1, None, 2)))
    np.testing.assert_array_equal(part.array, one.array[1:3, ::-1, 1::2])
    np.testing.assert_allclose(part.affine @ (0, 0, 0, 1), one.affine @ (1, 3, 1, 1))
    np.testing.assert_allclose(part.affine @ (1, 2, 1, 1), one.affine @ (2, 1, 3, 1))
    single = Volume.from_xarray(one.to_xarray().isel(z=[2]))
    np.testing.assert_allclose(single.affine @ (0, 0, 0, 1), one.affine @ (2, 0, 0, 1))


def test_dataarrays_of_others():
    xarray = pytest.importorskip("xarray", reason="of the extra archive")
    array = np.zeros((2, 3, 4, 5), np.float32)
    places = {"z": [10, 12, 14, 16, 18], "y": [0.0, 0.5, 1.0, 1.5]}
    one = Volume.from_xarray(xarray.DataArray(array, dims=["t", "x", "y", "z"], coords=places))
    assert one.axes == "tzyx" and one.shape == (2, 5, 4, 3) and one.spacing == (2, 0.5, 1)
    assert one.origin.tolist() == [0, 0, 10] and np.shares_memory(one.array, array)
    with pytest.raises(errors.GeometryError, match="coordinates z are not evenly"):
        Volume.from_xarray(xarray.DataArray(array[0], dims=list("xyz"), coords={"z": [1, 2, 3, 4, 7]}))
    with pytest.raises(ValueError, match="dimensions y and x"):
        Volume.from_xarray(xarray.DataArray(array[0]))


def test_dask_stays_lazy_in_xarray():
    pytest.importorskip("xarray", reason="of the extra archive")
    dask_array = pytest.importorskip("dask.array")
    one = Volume(dask_array.zeros((3, 4, 5)), np.eye(4))
    assert type(Volume.from_xarray(one.to_xarray()).array).__module__.startswith("dask")


def test_sitk_can_share():
    sitk = pytest.importorskip("SimpleITK", reason="of the extra peers")
    one = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)[:, [2, 1, 0, 3]])
    image = one.to_sitk()
    place = sitk.GetArrayViewFromImage(image).__array_interface__["data"][0]
    shared = Volume.from_sitk(image, copy=False)
    assert shared.array.__array_interface__["data"][0] == place and not shared.array.flags.writeable
    assert not np.shares_memory(Volume.from_sitk(image).array, shared.array)
    image[0, 0, 0] = 99
    np.testing.assert_array_equal(shared.array, one.array)
    del image
    np.testing.assert_array_equal(shared.array, one.array)  # SimpleITK's own view would show freed memory


def test_nibabel_shares():
    pytest.importorskip("nibabel", reason="of the extra archive")
    one = tilted()
    again = Volume.from_nibabel(one.to_nibabel())
    assert np.shares_memory(again.array, one.array)
    np.testing.assert_allclose(again.affine, one.affine, atol=1e-6)
