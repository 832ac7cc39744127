"""An archive run: every file accounted for, nothing lost by a kill, the same bytes whatever happened."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ct_archive import CANARY, write_archive, write_slice

import fastmed
from fastmed.errors import DecodeError, NoDicomError
from fastmed.features import extract_features, feature_names
from fastmed.jobs import _run, extract
from fastmed.learn import feature_columns


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def wanted(archive, tmp_path_factory):
    """The tables of an undisturbed run."""
    return tables(extract(archive, tmp_path_factory.mktemp("wanted")))


def tables(summary):
    return Path(summary.features).read_bytes(), Path(summary.failures).read_bytes()


def test_one_row_per_series(archive, tmp_path):
    summary = extract(archive, tmp_path / "out")
    table = pd.read_parquet(summary.features)
    assert (summary.n_series, summary.n_rows, summary.n_failures, summary.n_reused) == (4, 4, 0, 0)
    assert list(table["series"]) == sorted(s.key for s in fastmed.scan(archive).series)
    assert (table["n_slices"] == 3).all()
    assert table["patient"].nunique() == table["study"].nunique() == 2
    volume = fastmed.read(archive / "s2")
    row = table[table["series"] == volume.meta["series"]].iloc[0]
    for name, value in extract_features(volume).items():
        np.testing.assert_equal(row[name], value, name)


def test_no_column_but_features_is_learned_from(archive, tmp_path):
    table = pd.read_parquet(extract(archive, tmp_path / "out", tiles=16).features)
    assert tuple(feature_columns(table, "modality", "series")) == feature_names()


def test_a_second_run_reuses_all(archive, tmp_path, wanted):
    extract(archive, tmp_path / "out")
    summary = extract(archive, tmp_path / "out")
    assert summary.n_reused == 4
    assert tables(summary) == wanted
    assert extract(archive, tmp_path / "out", resume=False).n_reused == 0


def test_processes_give_the_same_bytes(archive, tmp_path, wanted):
    seen = []
    summary = extract(archive, tmp_path / "out", workers=2, progress=lambda *a: seen.append(a))
    assert tables(summary) == wanted
    assert [s[:2] for s in seen[-4:]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[0][2] == "scan"


def test_where_the_archive_lies_does_not_matter(archive, tmp_path, wanted):
    elsewhere = shutil.copytree(archive, tmp_path / "moved")
    (elsewhere / "s0" / "0.dcm").rename(elsewhere / "s0" / "renamed.dcm")
    assert tables(extract(elsewhere, tmp_path / "out")) == wanted


def test_changed_pixels_are_computed_anew(archive, tmp_path, wanted):
    copy = shutil.copytree(archive, tmp_path / "copy")
    extract(copy, tmp_path / "out")
    file = copy / "s1" / "2.dcm"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    summary = extract(copy, tmp_path / "out")
    assert summary.n_reused == 3
    assert tables(summary) != wanted


def test_other_settings_are_other_units(archive, tmp_path):
    extract(archive, tmp_path / "out")
    assert extract(archive, tmp_path / "out", tiles=16).n_reused == 0


RUN = """
import sys
from fastmed.jobs import extract
if __name__ == "__main__":
    extract(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


def start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, str(script), *map(str, arguments)], env=environment)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(("workers", "how"), [(1, "SIGKILL"), (2, "SIGKILL"), (2, "SIGINT")])
def test_killed_and_resumed(workers, how, tmp_path):
    """A signal once a unit is kept; the rest is computed later; the tables are those of a quiet run."""
    archive = write_archive(tmp_path / "archive", n_series=6, n_slices=8, size=256)
    script = tmp_path / "run.py"
    script.write_text(RUN)
    out = tmp_path / "out"
    process = start(script, archive, out, workers)
    deadline = time.monotonic() + 60
    while not list(out.glob("units/*/*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(getattr(signal, how))
    assert process.wait(60) != 0
    time.sleep(0.5)  # workers notice that their parent is gone
    kept = len(list(out.glob("units/*/*.json")))
    assert kept >= 1
    assert not (out / "features.parquet").exists()
    (out / "units" / ".half.json.xyz.tmp").write_bytes(b"{")
    summary = extract(archive, out)
    assert summary.n_reused == kept
    assert how == "SIGINT" or kept < 6  # what Ctrl-C finds in flight is finished
    assert tables(summary) == tables(extract(archive, tmp_path / "quiet"))
    assert not list(out.glob("units/**/.*"))


def test_a_corrupt_file_among_good_ones_is_a_failure_and_nothing_else(archive, tmp_path):
    copy = shutil.copytree(archive, tmp_path / "copy")
    whole = pd.read_parquet(extract(copy, tmp_path / "out").features).set_index("series")
    (copy / "notes.txt").write_text("no DICOM")
    file = copy / "s1" / "2.dcm"
    broken = fastmed.read(copy / "s1").meta["series"]
    file.write_bytes(file.read_bytes()[:-1000])
    summary = extract(copy, tmp_path / "out")
    table, failures = (pd.read_parquet(p) for p in (summary.features, summary.failures))
    assert {"notes.txt", os.path.join("s1", "2.dcm")} <= set(failures["file"])
    assert not {f for f in failures["file"] if not f.startswith(("notes", "s1"))}
    assert failures["reason"].str.len().min() > 5
    assert summary.n_failures == len(failures)
    pd.testing.assert_frame_equal(table.set_index("series").drop(broken, errors="ignore"), whole.drop(broken))


def test_a_series_that_cannot_be_decoded_gives_its_reason_for_each_file(archive, tmp_path, monkeypatch):
    def refuse(series, n_missing, settings):
        raise DecodeError("pixel data are truncated")

    monkeypatch.setattr(_run, "unit_rows", refuse)
    summary = extract(archive, tmp_path / "out")
    failures = pd.read_parquet(summary.failures)
    assert (summary.n_series, summary.n_failures) == (0, 12)
    assert set(failures["reason"]) == {"DecodeError: pixel data are truncated"}
    assert len(pd.read_parquet(summary.features)) == 0


def test_a_bug_in_one_series_ends_no_run_and_quotes_nothing(archive, tmp_path, monkeypatch):
    real = _run.unit_rows

    def fail_on_one(series, n_missing, settings):
        if series.key == keys[1]:
            raise RuntimeError(f"{CANARY} in a message")
        return real(series, n_missing, settings)

    keys = sorted(s.key for s in fastmed.scan(archive).series)
    monkeypatch.setattr(_run, "unit_rows", fail_on_one)
    summary = extract(archive, tmp_path / "out")
    failures = pd.read_parquet(summary.failures)
    assert summary.n_series == 3
    assert len(failures) == 3
    assert set(failures["reason"]) == {"RuntimeError while the series was computed"}
    monkeypatch.undo()
    assert extract(archive, tmp_path / "out").n_reused == 3


CRASH = """
import os, sys
from fastmed.jobs import _run, extract
real = _run.unit_key
def crash(series, n_missing, settings):
    if series.key == sys.argv[3]:
        os._exit(9)
    return real(series, n_missing, settings)
_run.unit_key = crash
if __name__ == "__main__":
    summary = extract(sys.argv[1], sys.argv[2], workers=2)
    assert summary.n_series == 3, summary
"""


def test_a_process_that_dies_costs_one_series(archive, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(CRASH)
    key = fastmed.scan(archive).series[2].key
    assert start(script, archive, tmp_path / "out", key).wait(120) == 0
    assert key not in set(pd.read_parquet(tmp_path / "out" / "features.parquet")["series"])
    reasons = set(pd.read_parquet(tmp_path / "out" / "failures.parquet")["reason"])
    assert len(reasons) == 1 and "died" in reasons.pop()


def test_ctrl_c_leaves_what_is_done(archive, tmp_path, wanted):
    def stop(done, total, name):
        if name != "scan" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(archive, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out" / "features.parquet").exists()
    summary = extract(archive, tmp_path / "out")
    assert summary.n_reused == 2
    assert tables(summary) == wanted


def test_a_damaged_unit_is_computed_anew(archive, tmp_path, wanted):
    extract(archive, tmp_path / "out")
    unit = sorted((tmp_path / "out" / "units").glob("*/*.json"))[0]
    unit.write_bytes(unit.read_bytes()[:50])
    summary = extract(archive, tmp_path / "out")
    assert summary.n_reused == 3
    assert tables(summary) == wanted


def test_out_inside_the_archive(archive, tmp_path, wanted):
    copy = shutil.copytree(archive, tmp_path / "copy")
    for _ in range(2):
        assert tables(extract(copy, copy / "out")) == wanted


def test_no_identifier_reaches_the_results(archive, tmp_path):
    extract(archive, tmp_path / "out")
    for file in (tmp_path / "out").rglob("*"):
        assert CANARY not in file.name
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes()
    table = pd.read_parquet(tmp_path / "out" / "features.parquet")
    assert not table.astype(str).apply(lambda c: c.str.contains("CANARY|1[.]2[.]826")).any().any()


def test_tiles(archive, tmp_path):
    table = pd.read_parquet(extract(archive, tmp_path / "out", tiles=16, max_tiles=5).features)
    assert table.groupby("series").size().tolist() == [5] * 4
    assert set(table["tile_row"]) <= {0, 16, 32}
    assert not table.duplicated(["series", "tile_slice", "tile_row", "tile_column"]).any()
    volume = fastmed.read(archive / "s0")
    row = table[table["series"] == volume.meta["series"]].iloc[2]
    k, i, j = (int(row[c]) for c in ("tile_slice", "tile_row", "tile_column"))
    tile = volume.array[k, i : i + 16, j : j + 16]
    np.testing.assert_equal(row["firstorder_mean"], tile.mean())
    found = extract_features(tile, spacing=(0.8, 0.8))
    np.testing.assert_equal(row["contour_area_mean"], found["contour_area_mean"])


def test_tiles_larger_than_the_planes_are_the_planes(archive, tmp_path):
    table = pd.read_parquet(extract(archive, tmp_path / "out", tiles=512).features)
    assert len(table) == 12
    assert (table["tile_size"] == 48).all()


def test_a_constant_series_keeps_its_rows(tmp_path):
    for k in range(2):
        (tmp_path / "archive").mkdir(exist_ok=True)
        write_slice(tmp_path / "archive" / f"{k}.dcm", np.zeros((20, 20), np.int16), 0, k)
    table = pd.read_parquet(extract(tmp_path / "archive", tmp_path / "out", tiles=10, max_tiles=3).features)
    assert len(table) == 3
    assert (table["firstorder_mean"] == -1024).all()


def test_tiles_of_air_are_left_out(archive, tmp_path):
    table = pd.read_parquet(extract(archive, tmp_path / "out", tiles=8, max_tiles=1000).features)
    assert 0 < len(table) < 4 * 3 * 36
    assert table["firstorder_variance"].min() > 40**2


@pytest.mark.parametrize("content", [None, b"text", b""])
def test_without_dicom_nothing_is_written(content, tmp_path):
    (tmp_path / "archive").mkdir()
    if content is not None:
        (tmp_path / "archive" / "file.dcm").write_bytes(content)
    with pytest.raises(NoDicomError, match="archive_root"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match="archive_root"):
        extract(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_out_that_cannot_be(archive, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="out"):
            extract(archive, out)
    with pytest.raises(NotADirectoryError, match="archive_root"):
        extract(tmp_path / "file", tmp_path / "out")
    with pytest.raises(ValueError, match="the archive itself"):
        extract(archive, archive)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_out_without_permission(archive, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="out"):
        extract(archive, closed / "out")


@pytest.mark.parametrize(
    ("name", "value"), [("workers", 0), ("workers", 1.5), ("tiles", 4), ("max_tiles", 0)]
)
def test_bad_numbers(name, value, archive, tmp_path):
    with pytest.raises(ValueError, match=name):
        extract(archive, tmp_path / "out", **{name: value})
    assert not (tmp_path / "out").exists()
