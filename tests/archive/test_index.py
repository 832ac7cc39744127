"""The index file: what it saves, what it notices, what it does not hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from make import MR, Truth, ramp

from fastmed import errors
from fastmed.archive import _scan, scan


def said(index):
    return repr([(s.key, s.shape, s.affine.tolist(), s.meta, s.paths, s.slices, s.fault) for s in index.series]) + repr(
        [(f.path, f.reason, f.error, f.lost, f.key, f.cause) for f in index.failures]
    )


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "root"
    for n in range(3):
        truth = Truth(ramp(seed=n), sop_class=MR, modality="MR")
        for k, ds in enumerate(truth.datasets):
            ds.AcquisitionDateTime, ds.ImageType = f"200102031010{k:02d}", ["ORIGINAL", "CANARY", "M"]
            ds.StackID = ds.SeriesDescription = ds.StudyDescription = "CANARY"
            ds.add_new("PixelPaddingValue", "SS", -5)
        truth.write(root / f"CANARY {n}")
    short = sorted((root / "CANARY 1").iterdir())[2]
    short.write_bytes(short.read_bytes()[:-3])
    (root / "notes.txt").write_text("CANARY" * 50)
    shutil.copy(sorted((root / "CANARY 0").iterdir())[0], root / "copy")
    return root


def reads(monkeypatch):
    """Counts the headers that are read."""
    count = []
    original = _scan.read_header
    monkeypatch.setattr(_scan, "read_header", lambda *args: count.append(args[0]) or original(*args))
    return count


@pytest.mark.parametrize("on_fault", ["raise", "keep"])
def test_a_second_scan_reads_nothing_and_says_the_same(archive, tmp_path, monkeypatch, on_fault):
    plain = said(scan(archive, on_fault=on_fault))
    count = reads(monkeypatch)
    first = scan(archive, index=tmp_path / "index", on_fault=on_fault)
    assert len(count) == 26
    second = scan(archive, index=tmp_path / "index", on_fault=on_fault)
    assert len(count) == 26
    assert said(first) == said(second) == plain
    for one in second.series:
        assert np.isfinite(second.read(one.key).array).all()


def test_what_changed_is_read_again(archive, tmp_path, monkeypatch):
    scan(archive, index=tmp_path / "index")
    count = reads(monkeypatch)
    files = sorted((archive / "CANARY 2").iterdir())
    os.utime(files[0])
    files[1].unlink()
    data = files[3].read_bytes()
    about = files[3].stat()
    files[3].write_bytes(data[:-20] + bytes(20))
    os.utime(files[3], ns=(about.st_atime_ns, about.st_mtime_ns))  # the same size and date
    (archive / "new").write_text("x" * 200)
    again = scan(archive, index=tmp_path / "index")
    assert {os.path.basename(p) for p in count} == {files[0].name, files[3].name, "new"}
    assert said(again) == said(scan(archive))


def test_settings_make_another_index(archive, tmp_path, monkeypatch):
    scan(archive, index=tmp_path / "index")
    count = reads(monkeypatch)
    keyed = scan(archive, index=tmp_path / "index", project_key=b"secret")
    assert len(count) == 26
    assert not {s.key[:16] for s in keyed.series} & {s.key[:16] for s in scan(archive).series}
    assert said(keyed) == said(scan(archive, index=tmp_path / "index", project_key=b"secret"))


def test_nothing_in_it_names_anybody(archive, tmp_path):
    index = scan(archive, index=tmp_path / "index", on_fault="keep")
    found = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    text = found + index.to_frame().to_csv().encode() + json.dumps(index.rows()).encode()
    for canary in (b"CANARY", b"19510607", b"20010203", b"1.2.826.0.1.3680043.8.498.77"):
        assert canary not in text
    assert (tmp_path / "index").stat().st_mode & 0o077 == 0


def test_another_file_is_not_overwritten(archive, tmp_path):
    (tmp_path / "index").write_text("no database, but somebody's notes" * 100)
    with pytest.raises(errors.TableError, match="another file"):
        scan(archive, index=tmp_path / "index")
    assert (tmp_path / "index").read_text().startswith("no database")


def test_a_killed_scan_goes_on(archive, tmp_path, monkeypatch):
    script = """
import os, signal, sys
from fastmed.archive import _cache, scan
_cache._SECONDS = -1
scan(sys.argv[1], index=sys.argv[2], progress=lambda done, total: done == 15 and os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run([sys.executable, "-c", script, str(archive), str(tmp_path / "index")], timeout=120)
    assert done.returncode == -9
    count = reads(monkeypatch)
    index = scan(archive, index=tmp_path / "index")
    assert len(count) <= 12
    assert said(index) == said(scan(archive))


def test_the_index_may_lie_in_the_archive(archive):
    first = scan(archive, index=archive / "index.sqlite")
    assert said(first) == said(scan(archive, index=archive / "index.sqlite"))
    assert not any("index.sqlite" in f.path for f in first.failures)


def test_table(archive):
    index = scan(archive, on_fault="keep")
    frame = index.to_frame()
    assert list(frame.series) == [s.key for s in index.series]
    assert set(frame.modality) == {"MR"} and set(frame.n_slices) == {7, 8}
    assert (frame.fault != "").sum() == 1
    with pytest.raises(KeyError, match="no series"):
        index.read("0" * 16)
