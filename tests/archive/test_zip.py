"""Zip files are read in place, and names in them are only names."""

from __future__ import annotations

import pickle
import struct
import zipfile

import numpy as np
import pytest
from make import Truth, ramp

from fastmed import errors
from fastmed.archive import Limits, read, read_series, scan


def zipped(folder, target, method=zipfile.ZIP_DEFLATED, prefix=""):
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(folder.iterdir()):
            archive.writestr(prefix + file.name, file.read_bytes())
    return target


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", ["", "a/b/", "../../", "/etc/"])
def test_read_in_place(tmp_path, method, prefix):
    truth = Truth(ramp(), syntax="1.2.840.10008.1.2.5")
    file = zipped(truth.write(tmp_path / "series"), tmp_path / "series.zip", method, prefix)
    before = sorted(tmp_path.rglob("*"))
    volume = read(file)
    np.testing.assert_array_equal(volume.array, truth.stored)
    (series,) = scan(file).series
    np.testing.assert_array_equal(read_series(pickle.loads(pickle.dumps(series))).array, truth.stored)
    assert sorted(tmp_path.rglob("*")) == before


def test_among_files(tmp_path):
    a, b = Truth(ramp()), Truth(ramp(seed=1))
    zipped(a.write(tmp_path / "a"), tmp_path / "root.zip")
    root = tmp_path / "root"
    b.write(root)
    zipped(tmp_path / "a", root / "inner.zip")
    (root / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    with zipfile.ZipFile(root / "texts.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    index = scan(root)
    assert len(index.series) == 2
    assert {f.path: f.reason for f in index.failures} == {
        "broken.zip": "a zip file that cannot be read",
        "zip://readme.txt::texts.zip": "not DICOM",
    }


def test_a_flipped_byte_is_seen(tmp_path):
    truth = Truth(ramp((3, 40, 40)))
    file = zipped(truth.write(tmp_path / "series"), tmp_path / "series.zip", zipfile.ZIP_STORED)
    data = bytearray(file.read_bytes())
    data[data.index(truth.stored[1, 20].tobytes()) + 3] ^= 1
    file.write_bytes(data)
    with pytest.raises(errors.DecodeError, match="zip member cannot be read"):
        read(file)


def test_bomb(tmp_path):
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1 << 26))
    (failure,) = scan(file).failures
    assert failure.error is errors.LimitExceeded and "claims" in failure.reason
    assert scan(file, limits=Limits(max_inflation=2000)).failures[0].reason == "not DICOM"


def test_size_that_lies(tmp_path):
    """The directory says 10 bytes, the stream gives 64 MiB."""
    file = tmp_path / "lie.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1 << 26))
    data = file.read_bytes()
    file.write_bytes(data.replace(struct.pack("<I", 1 << 26), struct.pack("<I", 10)))
    (failure,) = scan(file).failures
    assert issubclass(failure.error, errors.SeriesError)


def test_members_limit_and_encryption(tmp_path):
    truth = Truth(ramp())
    file = zipped(truth.write(tmp_path / "series"), tmp_path / "series.zip")
    (failure,) = scan(file, limits=Limits(max_members=7)).failures
    assert failure.error is errors.LimitExceeded and "8 members" in failure.reason
    data = bytearray(file.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1  # the first member says that it is encrypted
    file.write_bytes(data)
    index = scan(file)
    assert any("zip member cannot be read" in f.reason for f in index.failures)
