"""MetaImage as ITK reads it, or refused."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from make import Truth, oblique, ramp

from fastmed import Volume, errors
from fastmed.archive import Limits, read

HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 1 2 3
ElementSpacing = 0.5 0.75 2
DimSize = 4 3 2
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def made(folder, data=VOXELS.tobytes(), **changes):
    lines = []
    for line in HEADER.splitlines():
        name = line.partition(" ")[0]
        value = changes.pop(name, line.partition("= ")[2])
        if value is not None:
            lines.append(f"{name} = {value}")
    lines[-1:-1] = [f"{name} = {value}" for name, value in changes.items()]
    (folder / "a.mha").write_bytes("\n".join(lines).encode() + b"\n" + data)
    return folder / "a.mha"


def test_by_hand(tmp_path):
    volume = read(made(tmp_path))
    np.testing.assert_array_equal(volume.array, VOXELS)
    assert volume.spacing == (2, 0.75, 0.5) and volume.origin.tolist() == [1, 2, 3] and volume.axes == "zyx"
    assert volume.meta["geometry"] == "patient"


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32,
                                   np.float64])  # fmt: skip
def test_what_itk_writes(tmp_path, suffix, compressed, dtype):
    sitk = pytest.importorskip("SimpleITK", reason="ITK's own writer of MetaImage is the reference")
    truth = Truth(ramp(), orientation=oblique())
    one = Volume((np.random.default_rng(0).random((8, 6, 5)) * 120).astype(dtype), truth.affine)
    path = str(tmp_path / f"a{suffix}")
    sitk.WriteImage(one.to_sitk(), path, useCompression=compressed)
    volume, expected = read(path), Volume.from_sitk(sitk.ReadImage(path))
    np.testing.assert_array_equal(volume.array, expected.array)
    assert volume.dtype == expected.dtype
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-9)


def test_four_axes_and_two(tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="ITK's own writer of MetaImage is the reference")
    array = np.random.default_rng(0).random((3, 4, 5, 6)).astype(np.float32)
    image = sitk.JoinSeries([sitk.GetImageFromArray(a) for a in array])
    image.SetSpacing((1, 2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    volume = read(tmp_path / "a.mha")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.axes == "tzyx" and volume.spacing == (3, 2, 1)
    sitk.WriteImage(sitk.GetImageFromArray(array[0, 0]), str(tmp_path / "b.mha"))
    assert read(tmp_path / "b.mha").shape == (1, 5, 6)


def test_byte_order_and_skipped_bytes(tmp_path):
    big = VOXELS.astype(">i2").tobytes()
    np.testing.assert_array_equal(read(made(tmp_path, big, BinaryDataByteOrderMSB="True")).array, VOXELS)
    for skip in (7, -1):
        path = made(tmp_path, b"1234567" + VOXELS.tobytes(), HeaderSize=str(skip))
        np.testing.assert_array_equal(read(path).array, VOXELS)


def test_without_geometry(tmp_path):
    volume = read(made(tmp_path, TransformMatrix=None, Offset=None, ElementSpacing=None))
    assert volume.spacing == (1, 1, 1) and volume.meta["geometry"] == "none"


PACKED = zlib.compress(VOXELS.tobytes())


@pytest.mark.parametrize(
    ("data", "changes", "error", "words"),
    [
        (VOXELS.tobytes()[:-1], {}, errors.TruncatedPixels, "47 bytes, 48 wanted"),
        (PACKED[:-8], {"CompressedData": "True"}, errors.DecodeError, "truncated|inflated"),
        (b"CANARY" * 20, {"CompressedData": "True"}, errors.DecodeError, "cannot be inflated"),
        (zlib.compress(bytes(49)), {"CompressedData": "True"}, errors.LimitExceeded, "more than the header"),
        (PACKED, {"CompressedData": "True", "DimSize": "4000 4000 40"}, errors.LimitExceeded, "claims"),
        (VOXELS.tobytes(), {"DimSize": "4000000 4000000 4000000"}, errors.LimitExceeded, "at most"),
        (VOXELS.tobytes(), {"DimSize": "4 3"}, errors.DecodeError, "other sizes"),
        (VOXELS.tobytes(), {"DimSize": "4 3 0"}, errors.DecodeError, "without voxels"),
        (VOXELS.tobytes(), {"DimSize": "CANARY"}, errors.DecodeError, "ValueError"),
        (VOXELS.tobytes(), {"ElementType": "MET_SHORT_ARRAY"}, errors.UnsupportedImageError, "no real number"),
        (VOXELS.tobytes(), {"ElementNumberOfChannels": "3"}, errors.UnsupportedImageError, "several values"),
        (VOXELS.tobytes(), {"TransformMatrix": "1 0 0 1"}, errors.DecodeError, "other axes"),
        (VOXELS.tobytes(), {"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, errors.DecodeError, "ValueError"),
        (VOXELS.tobytes(), {"ElementDataFile": "/etc/passwd"}, errors.UnsupportedImageError, "another folder"),
        (VOXELS.tobytes(), {"ElementDataFile": "../a.raw"}, errors.UnsupportedImageError, "another folder"),
        (VOXELS.tobytes(), {"ElementDataFile": "LIST"}, errors.UnsupportedImageError, "several files"),
        (VOXELS.tobytes(), {"ElementDataFile": "not-there.raw"}, errors.DecodeError, "without the file"),
        (VOXELS.tobytes(), {"BinaryData": "False"}, errors.UnsupportedImageError, "text"),
        (VOXELS.tobytes(), {"DistanceUnits": "um"}, errors.UnsupportedImageError, "mm"),
    ],
)
def test_what_is_refused(tmp_path, data, changes, error, words):
    with pytest.raises(error, match=words) as told:
        read(made(tmp_path, data, **changes), limits=Limits(max_volume_bytes=1 << 31))
    assert "CANARY" not in str(told.value)


def test_no_header(tmp_path):
    for data in (b"", b"CANARY", b"x" * 100_000, b"a = b\n" * 20_000):
        (tmp_path / "a.mha").write_bytes(data)
        with pytest.raises(errors.DecodeError, match="header"):
            read(tmp_path / "a.mha")


def test_a_link_to_the_voxels_is_not_followed(tmp_path):
    made(tmp_path, ElementDataFile="a.raw")
    (tmp_path / "b.raw").write_bytes(VOXELS.tobytes())
    os.symlink(tmp_path / "b.raw", tmp_path / "a.raw")
    with pytest.raises(errors.DecodeError, match="without the file"):
        read(tmp_path / "a.mha")
