"""fastmed doctor: what it tells is complete, true, and loud where something is wrong."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastmed._engine import isa
from fastmed.cli import _doctor
from fastmed.cli._app import app


@pytest.fixture(scope="module")
def document():
    return json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)


def test_the_document_has_every_part(document):
    assert list(document) == [
        "fastmed",
        "python",
        "kernels",
        "processor",
        "threads",
        "codecs",
        "dependencies",
        "extras",
        "stores",
        "peers",
        "problems",
    ]
    assert set(document["kernels"]) == {"built", "runnable", "backend", "isa", "environment"}
    assert set(document["threads"]) == {"kernels", "openmp", "pools"}
    assert all(set(row) == {"uid", "name", "decoders", "missing"} for row in document["codecs"])
    assert all(isinstance(problem, str) for problem in document["problems"])


def test_it_tells_what_is_in_force(document):
    backend, level = isa.backend()
    assert (document["kernels"]["backend"], document["kernels"]["isa"]) == (backend, level)
    assert set(document["kernels"]["runnable"]) <= set(document["kernels"]["built"])


def test_every_dependency_is_told_with_its_version(document):
    assert None not in document["dependencies"].values()
    assert "numpy" in document["dependencies"] and "scikit-image" in document["peers"]


def test_extras_are_those_of_the_project(document):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    for name, extra in document["extras"].items():
        wanted = {re.split("[>=]", one)[0] for one in extras[name] if not one.startswith("fastmed[")}
        assert set(extra["packages"]) == wanted
        assert extra["installed"] == (None not in extra["packages"].values())
    assert set(extras) - set(document["extras"]) == {"peers", "test", "dev", "all"}
    assert list(document["stores"]["s3://"]) == ["s3fs"]


def test_an_extra_that_is_not_whole_says_how_to_get_it(monkeypatch):
    version = _doctor._version
    monkeypatch.setattr(_doctor, "_version", lambda name: None if name == "av" else version(name))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0 and "pip install 'fastmed[video]'" in result.stdout
    assert "MP4" in result.stdout and "s3://" in result.stdout


def test_uncompressed_syntaxes_always_decode_and_others_say_what_is_missing(document):
    codecs = {row["uid"]: row for row in document["codecs"]}
    for uid in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"):
        assert codecs[uid]["decoders"]
    assert all(row["decoders"] or row["missing"] for row in document["codecs"])


def test_the_twins_are_a_loud_problem(monkeypatch):
    monkeypatch.setenv("FASTMED_BACKEND", "numba")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "PROBLEM" in result.stdout and "Numba twins" in result.stdout


def test_missing_kernels_are_a_loud_problem(monkeypatch):
    monkeypatch.setattr(isa, "backend", lambda: ("numba", None))
    monkeypatch.delenv("FASTMED_BACKEND", raising=False)
    assert any("install a C++17 compiler" in p for p in _doctor.examine()["problems"])


def test_a_backend_that_cannot_be_had_is_a_problem_and_no_crash(monkeypatch):
    monkeypatch.setenv("FASTMED_ISA", "v9")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["kernels"]["backend"] is None and any("v9" in p for p in document["problems"])


def test_a_wrong_thread_count_is_a_problem_and_no_crash(monkeypatch):
    monkeypatch.setenv("FASTMED_NUM_THREADS", "many")
    assert any("FASTMED_NUM_THREADS" in p for p in _doctor.examine()["problems"])


def test_a_missing_dependency_is_a_problem(monkeypatch):
    monkeypatch.setattr(_doctor, "_version", lambda name: None if name == "scipy" else "1")
    assert "scipy is needed and not installed" in _doctor.examine()["problems"]
