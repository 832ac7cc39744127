"""The command line: what each command reads and writes, how it ends, and what it never shows."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pydicom
import pydicom.data
import pytest
from typer.testing import CliRunner

import fastmed
from fastmed.cli._app import app
from fastmed.demo import write_archive

COMMANDS = ["convert", "demo", "doctor", "extract", "index", "info", "report", "train", "view"]


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, patients=6)
    return folder


@pytest.fixture(scope="module")
def extracted(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    result = run("extract", archive, "-o", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def table(tmp_path):
    """A table that a model can learn from, in a folder of its own."""
    rng = np.random.default_rng(0)
    kind = np.arange(24) % 2
    frame = pd.DataFrame(
        {
            "series": [f"s{i}" for i in range(24)],
            "patient": [f"p{i}" for i in range(24)],
            "modality": "CT",
            "kind": np.where(kind, "a", "b"),
            "firstorder_mean": kind * 3 + rng.normal(size=24),
            "edge_density": rng.normal(size=24),
        }
    )
    frame.to_parquet(tmp_path / "features.parquet")
    return tmp_path


# --- help, version
# -----------------------------------------------------------------------------------------------


def test_help_lists_every_command():
    text = run("--help").output
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_an_example_and_the_exit_codes(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert f"Example: fastmed {name}" in text and "Exit codes: 0" in text


def test_version():
    assert run("--version").output == f"fastmed {fastmed.__version__}\n"


def test_no_command_shows_the_help():
    assert "Usage" in run().output


def test_help_loads_none_of_the_heavy_libraries():
    code = (
        "import sys; from fastmed.cli._app import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = 'numpy', 'pydicom', 'sklearn', 'pyarrow', 'dask', 'numba'\n"
        "print(sorted(m for m in sys.modules if m in heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --- bad input
# ---------------------------------------------------------------------------------------------------


def _one_line(result, code, *words):
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("fastmed: ")]
    assert len(lines) == 1 and all(word in lines[0] for word in words), result.stderr
    assert "Traceback" not in result.output and result.stdout == ""


@pytest.mark.parametrize("command", [["extract", "{}", "-o", "{}/out"], ["report", "{}"], ["demo", "--archive", "{}"]])
def test_a_folder_that_is_missing(tmp_path, command):
    _one_line(run(*(c.replace("{}", str(tmp_path / "gone")) for c in command)), 2, "gone", "does not exist")
    assert not (tmp_path / "gone").exists()


def test_a_file_where_a_folder_is_wanted(tmp_path):
    (tmp_path / "f").write_text("x")
    _one_line(run("extract", tmp_path / "f", "-o", tmp_path / "out"), 2, "is a file", "a folder is wanted")
    assert not (tmp_path / "out").exists()
    (tmp_path / "in").mkdir()
    _one_line(run("extract", tmp_path / "in", "-o", tmp_path / "f"), 2, "--out", "is a file")


def test_an_empty_folder(tmp_path):
    (tmp_path / "in").mkdir()
    _one_line(run("extract", tmp_path / "in", "-o", tmp_path / "out"), 3, "no files")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_folder_without_dicom(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    _one_line(run("extract", tmp_path / "in", "-o", tmp_path / "out"), 3, "none of the 1 files")


def test_results_may_not_overwrite_the_archive(archive):
    _one_line(run("extract", archive, "-o", archive), 2, "archive")


def test_tiles_that_are_too_small(archive, tmp_path):
    assert run("extract", archive, "-o", tmp_path / "o", "--tiles", 2).exit_code == 2
    assert not (tmp_path / "o").exists()


def test_train_without_a_table(tmp_path):
    _one_line(run("train", tmp_path, "--label", "kind"), 2, "no feature table")


def test_train_on_what_is_no_table(tmp_path):
    (tmp_path / "features.parquet").write_bytes(b"PAR1 not")
    _one_line(run("train", tmp_path, "--label", "kind"), 2, "cannot be read as a Parquet table")


def test_train_on_a_column_that_is_missing(table):
    _one_line(run("train", table, "--label", "colour"), 2, "colour", "modality")
    _one_line(run("train", table, "--label", "kind", "--group", "ward"), 2, "ward")
    assert sorted(p.name for p in table.iterdir()) == ["features.parquet"]


def test_train_on_one_class(table):
    _one_line(run("train", table, "--label", "modality"), 2, "at least two")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["extract", "x"],
        ["extract", "x", "-o", "y", "--workers", "-1"],
        ["dance"],
        ["demo", "--fast"],
    ],
)
def test_wrong_usage(arguments):
    assert run(*arguments).exit_code == 2


def test_the_synthetic_truth_has_one_label(tmp_path):
    _one_line(run("demo", "--out", tmp_path / "o", "--label", "modality"), 2, "--label", "synthetic")
    assert not (tmp_path / "o").exists()


def test_report_without_a_table(tmp_path):
    _one_line(run("report", tmp_path), 2, "no feature table")


def test_report_on_a_broken_evaluation(table):
    (table / "evaluation.json").write_text("{}")
    _one_line(run("report", table), 2, "is not an evaluation")
    assert not (table / "report.html").exists()


def test_labels_without_a_key(table, tmp_path):
    (tmp_path / "l.csv").write_text("name,grade\nx,1\n")
    _one_line(run("train", table, "--label", "grade", "--labels", tmp_path / "l.csv"), 2, "series, study, patient")


# --- what the commands do
# ----------------------------------------------------------------------------------------


def test_extract_counts_what_it_could_not_use(archive, extracted):
    result = run("extract", archive, "-o", extracted, "--workers", 1)
    assert "6 series in the table, 6 of them from an earlier run; 2 files not used" in result.stderr
    assert "1 x not DICOM" in result.stderr
    assert result.stdout.strip() == str(extracted / "features.parquet")


def test_extract_json_is_the_only_output(archive, extracted):
    result = run("extract", archive, "-o", extracted, "--workers", 1, "--json")
    document = json.loads(result.stdout)
    assert (document["n_series"], document["n_failures"], sum(document["reasons"].values())) == (6, 2, 2)
    assert result.stderr == ""


def test_the_same_archive_gives_the_same_tables(archive, extracted, tmp_path):
    run("extract", archive, "-o", tmp_path / "again", "--workers", 1)
    for name in ("features.parquet", "failures.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (extracted / name).read_bytes()


def test_tiles_give_more_rows(archive, tmp_path):
    document = json.loads(run("extract", archive, "-o", tmp_path, "--workers", 1, "--tiles", 32, "--json").stdout)
    assert document["n_rows"] > document["n_series"]


def test_train_tells_score_interval_and_chance(table):
    result = run("train", table, "--label", "kind", "--folds", 3)
    assert result.exit_code == 0, result.output
    assert "balanced accuracy" in result.stderr and "interval" in result.stderr and "chance" in result.stderr
    document = json.loads((table / "evaluation.json").read_text())
    assert document["n_groups"] == 24 and 0 <= document["balanced_accuracy"] <= 1
    assert fastmed.learn.load_model(table / "model.npz").classes == ["a", "b"]


def test_train_json_equals_the_file(table):
    result = run("train", table, "--label", "kind", "--folds", 3, "--json", "-o", table / "model")
    assert json.loads(result.stdout) == json.loads((table / "model" / "evaluation.json").read_text())


def test_labels_from_another_file(table, tmp_path):
    (tmp_path / "l.csv").write_text("patient,grade\n" + "".join(f"p{i},{'hi' if i % 2 else 'lo'}\n" for i in range(24)))
    result = run("train", table, "--label", "grade", "--labels", tmp_path / "l.csv", "--folds", 3, "--json")
    assert json.loads(result.stdout)["classes"] == ["hi", "lo"]


def test_report_shows_table_failures_and_slices(archive, extracted, tmp_path):
    document = json.loads(run("report", extracted, "-o", tmp_path / "r.html", "--archive", archive, "--json").stdout)
    assert document == {
        "report": str(tmp_path / "r.html"),
        "rows": 6,
        "failures": 2,
        "trained": False,
        "slices": 6,
    }
    page = (tmp_path / "r.html").read_text()
    assert page.count("<image ") == 6 and "not DICOM" in page
    assert "damaged" not in page  # a file name


def test_without_the_archive_no_pixel_is_shown(extracted, tmp_path):
    run("report", extracted, "-o", tmp_path / "r.html")
    assert "data:image" not in (tmp_path / "r.html").read_text()


def test_nothing_written_or_shown_names_a_patient(archive, extracted, tmp_path):
    dataset = pydicom.dcmread(next(p for p in archive.rglob("*") if p.is_file() and p.parent != archive))
    names = ["SYNTHETIC-00", "Synthetic^", dataset.StudyInstanceUID, dataset.SeriesInstanceUID]
    shown = run("extract", archive, "-o", extracted, "--workers", 1).output
    run("report", extracted, "-o", tmp_path / "r.html", "--archive", archive)
    table = pd.read_parquet(extracted / "features.parquet").to_csv()
    texts = [
        shown,
        table,
        (tmp_path / "r.html").read_text(),
        *(p.read_text() for p in (extracted / "units").rglob("*") if p.is_file()),
    ]
    assert not [name for name in names for text in texts if name in text]


# --- the process
# -------------------------------------------------------------------------------------------------


def test_the_module_runs_as_a_script_and_ends_with_its_code(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fastmed", "extract", tmp_path / "gone", "-o", tmp_path / "o"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastmed: ARCHIVE ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_ends_with_130_and_one_line(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmed", "demo", "--out", tmp_path / "o"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not (tmp_path / "o").exists() or not list((tmp_path / "o").rglob("SYNTHETIC.txt")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "fastmed: stopped; what was finished is kept\n"


# --- the demo
# ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastmed.cli._demo.QUICK_PATIENTS", 12)
        result = run("demo", "--quick", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_the_demo_runs_from_files_to_a_report(demo):
    out, document = demo
    assert document["synthetic"] and document["extract"]["n_series"] == 12
    assert document["extract"]["reasons"] == {"not DICOM": 1, **_only_other(document["extract"]["reasons"])}
    assert set(document["score"]) == {"balanced_accuracy", "interval", "chance", "groups"}
    page = (out / "report.html").read_text()
    assert "Synthetic archive" in page and "CT of a spine" in page and "damaged/cut-short" in page


def _only_other(reasons):
    (other,) = (r for r in reasons if r != "not DICOM")
    assert "truncated" in other
    return {other: 1}


def test_the_demo_makes_the_same_table_twice(demo, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmed.cli._demo.QUICK_PATIENTS", 12)
    run("demo", "--quick", "--out", tmp_path / "again")
    for name in ("features.parquet", "failures.parquet", "labels.csv", "evaluation.json", "model.npz"):
        first, second = demo[0] / "features" / name, tmp_path / "again" / "features" / name
        assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest(), name


def test_the_labels_of_the_demo_fit_its_table(demo):
    folder = demo[0] / "features"
    labels, table = pd.read_csv(folder / "labels.csv"), pd.read_parquet(folder / "features.parquet")
    assert set(labels["patient"]) == set(table["patient"])
    assert labels["label"].value_counts().to_dict() == {"smooth": 6, "spiculated": 6}


def test_the_demo_on_own_data_goes_on_without_a_model(archive, tmp_path):
    result = run("demo", "--archive", archive, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "No model: " in result.stderr and "synthetic" not in result.stderr
    page = (tmp_path / "report.html").read_text()
    assert "Synthetic archive." not in page and "damaged" not in page and "No model: " in page


def test_the_demo_takes_a_folder_that_mixes_series(tmp_path):
    """The folders of real archives are not one series each."""
    (tmp_path / "in").mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm", "rtdose.dcm"):
        shutil.copy(pydicom.data.get_testdata_file(name, download=False), tmp_path / "in" / name)
    result = run("demo", "--archive", tmp_path / "in", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "report.html").is_file()
