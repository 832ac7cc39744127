"""What scan makes of folders, files that are no images, and things that are no files."""

from __future__ import annotations

import os
import pickle
import warnings

import numpy as np
import pytest
from make import SC, Truth, base, ramp, save, set_pixels

from fastmed import errors
from fastmed.archive import Limits, read, read_series, scan


def test_empty_folder(tmp_path):
    index = scan(tmp_path)
    assert index.series == [] and index.failures == []
    with pytest.raises(errors.NoDicomError, match="no file"):
        read(tmp_path)


def test_no_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("no image here" * 40)
    (tmp_path / "empty.dcm").touch()
    index = scan(tmp_path)
    assert [(f.path, f.reason) for f in index.failures] == [
        ("empty.dcm", "not DICOM"),
        ("notes.txt", "not DICOM"),
    ]
    with pytest.raises(errors.NoDicomError, match="none of the 2 files"):
        read(tmp_path)


def test_root_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="root"):
        scan(tmp_path / "nowhere")


def test_every_file_is_in_a_series_or_a_row(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path / "deep" / "down")
    (tmp_path / "LICENCE").write_text("text")
    report = base("1.2.840.10008.5.1.4.1.1.88.11", "SR", truth.uid + ".9")
    save(report, tmp_path / "report.dcm")
    broken = tmp_path / "deep" / "broken.dcm"
    broken.write_bytes((tmp_path / "report.dcm").read_bytes()[:300])
    steps = []
    index = scan(tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(n + 1, 11) for n in range(11)]
    rows = {f.path: f.reason for f in index.failures}
    assert set(rows) == {"LICENCE", "report.dcm", os.path.join("deep", "broken.dcm")}
    assert rows["report.dcm"] == "no image that can be a volume: Basic Text SR Storage"
    (series,) = index.series
    assert len(series.paths) == 8
    np.testing.assert_array_equal(read_series(series).array, truth.stored)


def test_files_that_are_no_images_do_not_stop_read(tmp_path):
    truth = Truth(ramp())
    truth.write(tmp_path)
    (tmp_path / "README.txt").write_text("hello")
    save(base("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", truth.uid + ".9"), tmp_path / "structures.dcm")
    np.testing.assert_array_equal(read(tmp_path).array, truth.stored)


@pytest.mark.parametrize("where", [0, 3])
def test_one_corrupt_file_among_good_ones(tmp_path, where):
    truth = Truth(ramp())
    truth.write(tmp_path)
    files = sorted(tmp_path.iterdir(), key=lambda p: scan(p).series[0].affine[2, 3])
    files[where].write_bytes(files[where].read_bytes()[:700])
    index = scan(tmp_path)
    assert not index.series and len(index.failures) == 8
    assert sum(f.cause for f in index.failures) == 1
    with pytest.raises(errors.DecodeError):
        read(tmp_path)


def test_read_of_one_file(tmp_path):
    truth = Truth(ramp((1, 6, 5)))
    truth.write(tmp_path)
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(read(file).array, truth.stored)
    report = tmp_path / "report"
    save(base("1.2.840.10008.5.1.4.1.1.88.11", "SR", "1.2.3"), report)
    with pytest.raises(errors.UnsupportedImageError, match="Basic Text SR"):
        read(report)


def test_series_key_that_is_not_there(tmp_path):
    Truth(ramp()).write(tmp_path)
    with pytest.raises(errors.SeriesError, match="there are"):
        read(tmp_path, series="0" * 16)


@pytest.mark.parametrize("keep_meta", [True, False])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_no_preamble(tmp_path, syntax, keep_meta):
    truth = Truth(ramp((2, 6, 5)), syntax=syntax)
    for k, ds in enumerate(truth.datasets):
        save(ds, tmp_path / f"{k}")
        data = (tmp_path / f"{k}").read_bytes()
        start = 132 if keep_meta else 144 + int.from_bytes(data[140:144], "little")
        (tmp_path / f"{k}").write_bytes(data[start:])
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.array, truth.stored)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_links_and_special_files_are_rows(tmp_path):
    truth = Truth(ramp())
    outside = truth.write(tmp_path / "outside")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(next(outside.iterdir()))
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "dangling").symlink_to(root / "nothing")
    os.mkfifo(root / "fifo")
    index = scan(root)
    assert not index.series
    rows = {f.path: f.reason for f in index.failures}
    assert set(rows) == {"link", "folder", "loop", "dangling", "fifo"}
    assert "FIFO" in rows["fifo"] and all("link" in rows[n] for n in ("link", "folder", "loop", "dangling"))


def test_declared_sizes_are_checked_before_anything_is_allocated(tmp_path):
    ds = base(SC, "OT", "1.2.3.4")
    set_pixels(ds, np.zeros((4, 4), np.uint16))
    ds.Rows = ds.Columns = 65535
    ds.NumberOfFrames = 2**20
    save(ds, tmp_path / "bomb.dcm")
    (failure,) = scan(tmp_path).failures
    assert failure.error is errors.LimitExceeded and "a frame of 8589672450 bytes" in failure.reason


def test_compressed_bomb_is_refused_before_decoding(tmp_path):
    ds = base(SC, "OT", "1.2.3.4")
    set_pixels(ds, np.zeros((4, 4), np.uint16))
    ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    ds.Rows = ds.Columns = 65535
    save(ds, tmp_path / "bomb.dcm")
    ds.Rows = ds.Columns = 30000
    save(ds, tmp_path / "less.dcm")
    large, claims = scan(tmp_path).failures
    assert large.error is claims.error is errors.LimitExceeded and "claims" in claims.reason


@pytest.mark.parametrize("frames", [1000, 2**31 - 1])
def test_compressed_frames_that_cannot_be_there(tmp_path, frames):
    ds = base(SC, "OT", "1.2.3.4")
    set_pixels(ds, np.zeros((4, 4), np.uint16))
    ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    ds.NumberOfFrames = frames
    save(ds, tmp_path / "bomb.dcm")
    (failure,) = scan(tmp_path).failures
    assert issubclass(failure.error, errors.DecodeError) and f"{frames} frames" in failure.reason


def test_deflated_bomb(tmp_path):
    import zlib

    truth = Truth(ramp((1, 6, 5)), syntax="1.2.840.10008.1.2.1.99")
    truth.write(tmp_path)
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    body = b"".join(packer.compress(zeros) for _ in range(100)) + packer.flush()
    file.write_bytes(data[:end] + body)
    with pytest.raises(errors.DecodeError, match="when inflated"):
        read(file)


def test_warning_filters_are_restored_by_overlapping_readers():
    from fastmed.archive._source import quiet

    before, first, second = list(warnings.filters), quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert warnings.filters != before
    second.__exit__(None, None, None)
    assert warnings.filters == before


def test_unknown_transfer_syntax(tmp_path):
    ds = base(SC, "OT", "1.2.3.4")
    set_pixels(ds, np.zeros((4, 4), np.uint16))
    save(ds, tmp_path / "a.dcm")
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0", 1))
    with pytest.raises(errors.DecodeError, match="unknown transfer syntax"):
        read(tmp_path)


def jpeg_ls(folder, shape=(2, 6, 5)):
    pytest.importorskip("jpeg_ls")
    truth = Truth(ramp(shape))
    for ds in truth.datasets:
        ds.compress("1.2.840.10008.1.2.4.80", generate_instance_uid=False)
    return truth.write(folder), truth


def test_missing_decoder_names_the_extra(tmp_path, monkeypatch):
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGLSLossless

    jpeg_ls(tmp_path)
    monkeypatch.setattr(type(get_decoder(JPEGLSLossless)), "is_available", property(lambda self: False))
    with pytest.raises(errors.UnsupportedEncoding, match=r"JPEG-LS .*needs .*fastmed\[archive\]"):
        read(tmp_path)


def test_a_panic_in_a_decoder_is_a_typed_error(tmp_path, monkeypatch):
    from fastmed.archive import _worker

    class Panic(BaseException):
        pass

    def panic(*args, **kwargs):
        raise Panic("CANARY")

    jpeg_ls(tmp_path)
    monkeypatch.setattr(_worker, "frames_of", panic)
    with pytest.raises(errors.DecodeError, match=r"JPEG-LS.*Panic") as caught:
        read(tmp_path, limits=Limits(isolate=False))
    assert "CANARY" not in str(caught.value)


def test_series_can_be_sent_to_another_process(tmp_path):
    truth = Truth(ramp())
    (series,) = scan(truth.write(tmp_path)).series
    copy = pickle.loads(pickle.dumps(series))
    np.testing.assert_array_equal(read_series(copy).array, truth.stored)


def test_changed_after_the_scan(tmp_path):
    truth = Truth(ramp())
    (series,) = scan(truth.write(tmp_path)).series
    with open(series.paths[3], "r+b") as file:
        file.truncate(500)
    with pytest.raises(errors.DecodeError, match="missing"):
        read_series(series)
    os.unlink(series.paths[0])
    with pytest.raises(errors.SeriesError):
        read_series(series)
