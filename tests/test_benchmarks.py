"""The races of benchmarks/: what they refuse to time, what they record, and the tables made of it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

RACE = """
import numpy as np
from data import noise
from fastmed import uniform_filter
from race import CannotError, Peer, Workload, race

def missing(image, size):
    import a_library_that_nobody_has

def unable(image, size):
    raise CannotError("odd days only")

PEERS = {
    "equal": lambda image, size: lambda: uniform_filter(image, size),
    "off by one": lambda image, size: lambda: uniform_filter(image, size) + 1,
    "off by one, and says so": Peer(lambda a, size: lambda: uniform_filter(a, size) + 1, "one more", tolerance=1),
    "two off, and says one": Peer(lambda a, size: lambda: uniform_filter(a, size) + 2, "one more", tolerance=1),
    "missing": missing,
    "unable": unable,
}
test_race = race(uniform_filter, PEERS, [Workload(noise, (64, 64), "int32", headline=True, size=3)])
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest on a copy of the harness, with a bench file of the test's own."""
    for name in ("conftest.py", "race.py", "tables.py", "data.py"):
        text = (BENCHMARKS / name).read_text()
        helpers = str(Path(__file__).parent)
        (folder / name).write_text(text.replace('str(Path(__file__).resolve().parents[1] / "tests")', repr(helpers)))
    (folder / "bench_own.py").write_text(RACE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -q --benchmark-skip\npython_files = bench_*.py\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", str(folder), *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}  # of the outer run
    environment["COLUMNS"] = "200"
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)


def with_loads(path: Path, before: float, after: float) -> None:
    """Write another load of the machine into the JSON of a race."""
    stored = json.loads(path.read_text())
    for one in stored["benchmarks"]:
        assert len(one["extra_info"].get("load", (0, 0))) == 2
        one["extra_info"]["load"] = [before, after]
    path.write_text(json.dumps(stored))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    done = run(folder, "--race-rounds", "4", "--race-json", "kept/race.json")
    return done, json.loads((folder / "kept" / "race.json").read_text()), folder


def test_who_differs_is_not_timed(outcome):
    done, stored, _ = outcome
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "off by one gives another outcome than fastmed" in done.stdout
    assert "largest difference 2, allowed 1" in done.stdout
    timed = [b["extra_info"]["contender"] for b in stored["benchmarks"]]
    assert timed == ["fastmed", "equal", "off by one, and says so", "copy"]


def test_who_is_left_out_is_named(outcome):
    done, stored, _ = outcome
    left_out = stored["benchmarks"][0]["extra_info"]["left_out"]
    assert left_out["unable"] == "odd days only"
    assert left_out["missing"].startswith("not installed")
    assert "unable left out: odd days only" in done.stdout


def test_rounds_are_stored_as_pytest_benchmark_stores_them(outcome):
    _, stored, _ = outcome
    assert {b["group"] for b in stored["benchmarks"]} == {"uniform_filter: noise 64x64 int32, size=3"}
    for one in stored["benchmarks"]:
        assert len(one["stats"]["data"]) == 4
        assert one["stats"]["iterations"] >= 1
        assert 0 < one["stats"]["min"] <= one["stats"]["median"]
    ratios = stored["benchmarks"][0]["extra_info"]["ratios"]
    ours, equal = (stored["benchmarks"][i]["stats"]["data"] for i in (0, 1))
    ordered = sorted(theirs / mine for theirs, mine in zip(equal, ours, strict=True))
    assert ratios["equal"] == pytest.approx((ordered[1] + ordered[2]) / 2)
    assert ratios["fastmed"] == 1


def test_the_json_names_no_machine(outcome):
    assert outcome[1]["machine_info"]["node"] == ""


def test_small_races_have_names_of_their_own_and_leave_no_json(tmp_path):
    done = run(tmp_path, "--race-small", "--race-rounds", "1")
    assert "race: ms per call" in done.stdout
    assert not list(tmp_path.rglob("*.json"))
    kept = run(tmp_path, "--race-small", "--race-rounds", "1", "--race-json", "small.json")
    assert kept.returncode == 1
    stored = json.loads((tmp_path / "small.json").read_text())
    assert all(b["fullname"].endswith("(small)") for b in stored["benchmarks"])


def test_tables_stand_between_the_markers(outcome):
    _, _, folder = outcome
    site = folder / "site"
    site.mkdir()
    with_loads(folder / "kept" / "race.json", 0.1, 0.7)
    shutil.copy(BENCHMARKS / "tables.py", folder)
    command = [sys.executable, "tables.py", "kept/race.json", "--root", "site"]
    refused = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert refused.returncode != 0 and "README.md" in refused.stderr
    (site / "README.md").write_text("before\n<!-- speed table: begin -->\nold\n<!-- speed table: end -->\nafter\n")
    subprocess.run(command, cwd=folder, check=True)
    readme = (site / "README.md").read_text()
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    assert "| uniform_filter: noise 64x64 int32, size=3 |" in readme
    performance = (site / "docs" / "performance.md").read_text()
    assert "off by one, and says so one more" in performance
    assert "(average of a minute, the races included) was 0.1 to 0.7." in performance
    first = readme
    subprocess.run(command, cwd=folder, check=True)
    assert (site / "README.md").read_text() == first


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("tables")


def row(**changed):
    """A row as tables.py makes it of a race."""
    return {
        "label": "sobel: tissue 64x64 uint8", "ms": 0.012, "ratios": {"OpenCV": 0.5, "copy": 0.1},
        "peer_ms": {"fastmed": 0.012, "OpenCV": 0.006, "copy": 0.001}, "notes": {}, "left_out": {}, "headline": True,
        "small": False, "rounds": 4, "build": "v4", "threads": 2, "scaling": None, "load": (0.5, 1.5),
        "shape": [64, 64], **changed,
    }  # fmt: skip


RUN = {
    "machine_info": {"cpu": {}, "processor": "", "machine": "m", "system": "s", "python_version": "3", "libraries": {}},
    "datetime": "2026-01-01T00:00:00",
}


def test_rows_timed_on_a_busy_machine_are_marked(tables):
    quiet, busy = row(), row(label="sobel: tissue 9x9 uint8", load=(0.5, 7.0))
    text = tables.performance_text([RUN], [quiet, busy], {})
    assert "| tissue 64x64 uint8 |" in text and "| tissue 9x9 uint8 (*) |" in text
    assert "was 0.5 to 7.0; above the number of threads in the rows marked (*): 1 of 2." in text


def test_small_images_are_compared_with_opencv_in_microseconds(tables):
    text = tables.performance_text([RUN], [row(), row(label="sobel: tissue 9x9 uint8", shape=[9, 9])], {})
    assert "## Call overhead: 64x64 images" in text
    assert text.count("| sobel: tissue 64x64 uint8 | 12.0 | 6.0 | +6.0 |") == 1
    assert "sobel: tissue 9x9 uint8 | " not in text
    assert "Call overhead" not in tables.performance_text([RUN], [row(peer_ms={"fastmed": 1.0})], {})


def test_scaling_has_a_column_where_it_was_timed(tables):
    volume = row(label="sobel: tissue 9x9x9 int16", scaling=1.84, shape=[9, 9, 9])
    lines = tables.performance_text([RUN], [row(), volume], {}).splitlines()
    assert "| workload | fastmed, ms | times a copy | one thread to 2 | OpenCV |" in lines
    assert "| tissue 9x9x9 int16 | 0.012 | 10x | 1.84x | 0.50x |" in lines
    assert "| tissue 64x64 uint8 | 0.012 | 10x |  | 0.50x |" in lines


def test_notes_stand_below_their_operation_or_at_the_end(tables):
    notes = tables.notes_of("# Head\n\nNot shown.\n\n## sobel\n\nBound by this.\n\n## Memory\n\nLittle.\n")
    assert notes == {"sobel": "Bound by this.", "Memory": "Little."}
    text = tables.performance_text([RUN], [row(), row(label="zebra: tissue 9x9 int8", shape=[9, 9])], notes)
    places = [text.index(s) for s in ("## sobel", "Bound by this.", "## zebra", "## Memory", "Little.")]
    assert places == sorted(places) and "Not shown" not in text


def test_the_notes_of_the_project_are_read(tables):
    notes = tables.notes_of((BENCHMARKS / "notes.md").read_text())
    assert "Peak memory" in notes and all(notes.values())
