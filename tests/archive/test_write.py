"""What is written reads back the same, here and by other software; whole or not at all."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
from make import Truth, oblique, ramp

from fastmed import Volume, errors
from fastmed.archive import Limits, _write, read, write

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".zarr"]
NEEDS = {".nii": "nibabel", ".nii.gz": "nibabel", ".nrrd": "nrrd", ".zarr": "zarr"}


@pytest.fixture(params=SUFFIXES)
def suffix(request):
    pytest.importorskip(NEEDS[request.param])
    return request.param


def volume(dtype=np.int16, orientation=None, step=None, shape=(8, 6, 5)):
    truth = Truth(ramp((8, 6, 5)), orientation=orientation or oblique(), step=step)
    array = np.random.default_rng(0).integers(0, 2 if dtype is bool else 100, shape).astype(dtype)
    return Volume(array, truth.affine, modality="CT", units="HU", meta={"axes": "tzyx"} if len(shape) == 4 else {})


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(8, 6, 5), (2, 8, 6, 5)])
def test_there_and_back(tmp_path, suffix, dtype, shape):
    one = volume(dtype, shape=shape)
    again = read(write(one, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(again.array, one.array)
    np.testing.assert_allclose(again.affine, one.affine, atol=1e-5)
    assert again.axes == one.axes
    assert again.dtype == (np.uint8 if dtype is bool and suffix != ".zarr" else one.dtype)
    assert os.listdir(tmp_path) == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_other_software_reads_the_same(tmp_path, suffix):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip(NEEDS[suffix])
    one = volume()
    there = Volume.from_sitk(sitk.ReadImage(write(one, tmp_path / f"a{suffix}")))
    np.testing.assert_array_equal(there.array, one.array)
    np.testing.assert_allclose(there.affine, one.affine, atol=1e-5)


def test_shear(tmp_path, suffix):
    tilted = volume(step=np.array([0.3, 0.2, 2.0]), orientation=(1.0, 0, 0, 0, 1, 0))
    if suffix == ".zarr":
        with pytest.raises(errors.GeometryError, match="shear"):
            write(tilted, tmp_path / f"a{suffix}")
        assert not list(tmp_path.iterdir())
    else:
        again = read(write(tilted, tmp_path / f"a{suffix}"))
        np.testing.assert_allclose(again.affine, tilted.affine, atol=1e-5)


def test_what_is_there_is_kept(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    one, two = volume(), volume(np.uint8)
    write(one, path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(two, path)

    def fails(volume, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setitem(_write._WRITERS, suffix, fails)
        with pytest.raises(OSError, match="No space"):
            write(two, path, overwrite=True)
    assert read(path).dtype == np.int16 and len(list(tmp_path.iterdir())) == 1
    write(two, path, overwrite=True)
    assert read(path).dtype == np.uint8 and len(list(tmp_path.iterdir())) == 1


def test_cut_off_files_are_refused(tmp_path):
    for suffix in (".nii", ".nii.gz", ".nrrd"):
        pytest.importorskip(NEEDS[suffix])
        file = tmp_path / f"a{suffix}"
        write(volume(shape=(20, 30, 40)), file)
        file.write_bytes(file.read_bytes()[:-400])
        with pytest.raises(errors.DecodeError):
            read(file)


def test_incomplete_zarr(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "a.zarr"
    write(volume(), path)
    (chunk,) = (p for p in (path / "0" / "c").rglob("*") if p.is_file())
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(errors.DecodeError, match="other bytes"):
        read(path)
    chunk.unlink()
    with pytest.raises(errors.DecodeError, match="lacks a part"):
        read(path)
    (path / _write.MANIFEST).unlink()
    with pytest.raises(errors.DecodeError, match="completion mark"):
        read(path)


def test_nifti_that_claims_too_much(tmp_path):
    pytest.importorskip("nibabel")
    file = tmp_path / "a.nii"
    write(volume(), file)
    data = bytearray(file.read_bytes())
    data[40:48] = struct.pack("<4h", 3, 32000, 32000, 32000)
    file.write_bytes(data)
    with pytest.raises(errors.DecodeError):
        read(file)
    with pytest.raises(errors.LimitExceeded):
        read(file, limits=Limits(max_volume_bytes=1 << 20))


def test_nrrd_that_names_another_file(tmp_path):
    pytest.importorskip("nrrd")
    (tmp_path / "a.nrrd").write_text(
        "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/passwd\n\n"
    )
    with pytest.raises(errors.UnsupportedImageError, match="other files"):
        read(tmp_path / "a.nrrd")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(TypeError, match="volume must be a Volume, found ndarray"):
        write(np.zeros((2, 3, 4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"path must end with one of \.nii\.gz"):
        write(volume(), tmp_path / "a.txt")
    with pytest.raises(ValueError, match="found complex64"):
        write(volume(np.complex64), tmp_path / "a.nii")
    with pytest.raises(ValueError, match="axes"):
        write(Volume(np.zeros((2, 3, 4)), np.eye(4), meta={"axes": "tyx"}), tmp_path / "a.nii")


def test_no_identifier_is_written(tmp_path, suffix):
    truth = Truth(ramp())
    one = read(truth.write(tmp_path / "CANARY"))
    path = tmp_path / f"a{suffix}"
    write(one, path)
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        assert b"CANARY" not in file.read_bytes()


def test_conversions():
    nibabel = pytest.importorskip("nibabel")
    one = volume()
    image = one.to_nibabel()
    assert np.shares_memory(np.asanyarray(image.dataobj), one.array)
    again = Volume.from_nibabel(image)
    assert np.shares_memory(again.array, one.array)
    np.testing.assert_allclose(again.affine, one.affine, atol=1e-5)
    assert isinstance(image, nibabel.Nifti1Image)
    pytest.importorskip("xarray")
    named = one.to_xarray()
    assert named.dims == ("z", "y", "x") and np.shares_memory(named.values, one.array)
    np.testing.assert_allclose(named.z[:3], [0, 2, 4])


def test_shared_volumes(shared_data):
    """NIfTI and NRRD files of others, against nibabel and SimpleITK."""
    nibabel, sitk = pytest.importorskip("nibabel"), pytest.importorskip("SimpleITK")
    pytest.importorskip("nrrd")
    for name in ("anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz"):
        path = shared_data / "volumes" / name
        expected = np.asarray(nibabel.load(path).dataobj)
        found = read(path)
        expected = expected.reshape(expected.shape[: found.ndim]).transpose(range(found.ndim - 1, -1, -1))
        np.testing.assert_allclose(found.array, expected, rtol=1e-6)
    for name in ("brain1_image.nrrd", "brain1_label.nrrd"):
        path = str(shared_data / "volumes" / name)
        expected = Volume.from_sitk(sitk.ReadImage(path))
        np.testing.assert_array_equal(read(path).array, expected.array)
        np.testing.assert_allclose(read(path).affine, expected.affine, atol=1e-5)
