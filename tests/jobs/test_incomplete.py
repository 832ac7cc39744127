"""What an archive run says of series that lack slices, and what it does not read again."""

import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ct_archive import write_archive, write_slice

import fastmed
from fastmed.jobs import _plan, _run, extract


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"), n_slices=5)


@pytest.fixture
def copy(archive, tmp_path):
    return shutil.copytree(archive, tmp_path / "copy")


def run(folder, out, **options):
    summary = extract(folder, out, **options)
    return pd.read_parquet(summary.features).set_index("series"), pd.read_parquet(summary.failures)


def key_of(folder):
    return fastmed.read(folder).meta["series"]


def test_a_whole_archive_lacks_nothing(archive, tmp_path):
    table, _ = run(archive, tmp_path / "out")
    assert (table["n_missing"] == 0).all() and (table["fault"] == "").all()


@pytest.mark.parametrize("left", [0, 300, 350, 400, 520])
def test_the_row_of_a_series_whose_last_slice_is_cut_in_its_header_says_so(left, copy, tmp_path):
    """Nobody can tell whose the file was: the rest is a regular volume, only shorter."""
    broken, key = copy / "s1" / "4.dcm", key_of(copy / "s1")
    broken.write_bytes(broken.read_bytes()[:left])
    (copy / "s1" / "notes.txt").write_text("no slice of any series")
    table, failures = run(copy, tmp_path / "out")
    assert table.loc[key, ["n_slices", "n_missing"]].tolist() == [4, 1]
    assert table.drop(key)["n_missing"].max() == 0
    assert set(failures["file"]) == {os.path.join("s1", "4.dcm"), os.path.join("s1", "notes.txt")}


@pytest.mark.parametrize(("which", "on_fault", "slices"), [(4, "keep", 4), (2, "keep", 4), (2, "regrid", 5)])
def test_a_slice_that_cannot_be_decoded_can_be_left_out(which, on_fault, slices, copy, tmp_path):
    broken, key = copy / "s1" / f"{which}.dcm", key_of(copy / "s1")
    broken.write_bytes(broken.read_bytes()[:-1000])
    table, failures = run(copy, tmp_path / "out", on_fault=on_fault)
    assert table.loc[key, ["n_slices", "n_missing"]].tolist() == [slices, 1]
    assert "truncated" in table.loc[key, "fault"]
    assert failures["file"].tolist() == [os.path.join("s1", f"{which}.dcm")]
    table, failures = run(copy, tmp_path / "out")
    assert key not in table.index and len(failures) == 5


def test_missing_slices_are_counted(copy, tmp_path):
    for which in (1, 2):
        (copy / "s1" / f"{which}.dcm").unlink()
    for k in range(5, 9):
        write_slice(copy / "s1" / f"{k}.dcm", np.zeros((48, 48), np.int16), 1, k)
    table, _ = run(copy, tmp_path / "out", on_fault="keep")
    row = table[table["fault"] != ""].iloc[0]
    assert row[["n_slices", "n_missing"]].tolist() == [7, 2]
    assert row["fault"].startswith("MissingSlices")


def test_what_has_not_changed_is_not_read_again(copy, tmp_path, monkeypatch):
    extract(copy, tmp_path / "out")
    os.utime(copy / "s2" / "0.dcm")
    computed = []
    real = _run._work_one
    monkeypatch.setattr(_run, "_work_one", lambda packed, *rest: computed.append(1) or real(packed, *rest))
    assert extract(copy, tmp_path / "out").n_reused == 4
    assert len(computed) == 1  # its bytes were read, and found to be those of before
    assert extract(copy, tmp_path / "out").n_reused == 4
    assert len(computed) == 1


def test_a_damaged_note_of_what_is_known_costs_a_second_look_only(copy, tmp_path):
    whole = extract(copy, tmp_path / "out")
    before = Path(whole.features).read_bytes()
    known = tmp_path / "out" / "units" / "known.log"
    known.write_bytes(known.read_bytes()[:-30] + b"\xff\0")
    assert extract(copy, tmp_path / "out").n_reused == 4
    assert Path(whole.features).read_bytes() == before


def test_many_pages_and_batches_give_the_same_bytes(archive, tmp_path, monkeypatch):
    wanted = extract(archive, tmp_path / "wanted")
    monkeypatch.setattr(_plan, "HEADERS", 3)
    monkeypatch.setattr(_plan, "_PAGE", 1)
    made = extract(archive, tmp_path / "made")
    for name in ("features", "failures"):
        assert Path(getattr(made, name)).read_bytes() == Path(getattr(wanted, name)).read_bytes()
    assert extract(archive, tmp_path / "made").n_reused == 4


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_results_have_the_modes_of_any_new_file(archive, tmp_path):
    before = os.umask(0o027)
    try:
        extract(archive, tmp_path / "out")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    folders = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out").rglob("*") if p.is_dir()}
    assert (modes, folders) == ({0o640}, {0o750})
    assert not list((tmp_path / "out").rglob(".*"))


def test_padding_is_left_out_of_rows_and_tiles(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(2):
        pixels = rng.normal(1000, 50, (64, 64)).astype(np.int16)
        pixels[:, :32] = -2000
        (tmp_path / "archive").mkdir(exist_ok=True)
        write_slice(tmp_path / "archive" / f"{k}.dcm", pixels, 0, k, padding=-2000)
    table, _ = run(tmp_path / "archive", tmp_path / "out")
    assert table["firstorder_minimum"].item() > -1000
    tiles, _ = run(tmp_path / "archive", tmp_path / "out", tiles=16)
    assert tiles["firstorder_minimum"].min() > -1000 and set(tiles["tile_column"]) == {32, 48}
