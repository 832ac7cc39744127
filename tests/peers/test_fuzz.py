"""A small part of the random calls of fuzz.py, always the same, and what fuzz.py makes of a fault.

The whole run: ``python tests/peers/fuzz.py --cases 200000``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import fastmed

sys.path.insert(0, str(Path(__file__).parent))
import fuzz

CASES, SEED = 2000, 0


def test_random_calls_equal_scipys(capsys):
    status = fuzz.main(["--cases", str(CASES), "--seed", str(SEED)])
    said = capsys.readouterr()
    assert status == 0, said.out
    assert f"{CASES:,} cases of {len(fuzz.operations())} functions" in said.out
    assert "a second, 0 s left" in said.err


def test_cases_are_made_of_their_numbers_alone():
    names = fuzz.operations()
    first, again = (str(fuzz.make(7, 123, names)) for _ in range(2))
    assert first == again != str(fuzz.make(8, 123, names))


def test_cases_are_of_every_kind():
    cases = [fuzz.make(SEED, number, fuzz.operations()) for number in range(CASES)]
    assert {case.name for case in cases} == set(fuzz.operations())
    assert {case.image.ndim for case in cases} == {0, 1, 2, 3, 4}
    assert {case.image.dtype.kind for case in cases} == set("biufc")
    assert any(case.image.size == 0 for case in cases)
    assert any(not case.image.dtype.isnative for case in cases)
    assert any(not case.image.flags.writeable for case in cases)
    assert any(case.in_place for case in cases)
    assert any("nan" in case.notes for case in cases)
    assert {case.threads for case in cases} == {1, 2}
    assert {"axes", "cval", "mode", "origin", "output", "size", "weights"} <= {case.spoilt for case in cases}


WHOLE = np.arange(-30, 30).reshape(6, 10)


@pytest.mark.parametrize(
    "name, image, arguments",
    [
        ("uniform_filter", WHOLE.astype(np.int8), {"size": [3, 4], "output": np.uint64}),
        ("minimum_filter", WHOLE.astype(np.int32), {"size": 3, "mode": "constant", "cval": -40.7, "output": "f"}),
        ("maximum_filter1d", WHOLE.astype(np.uint16), {"size": 3, "mode": "constant", "cval": 300.2, "output": "d"}),
        ("uniform_filter", WHOLE, {"size": 3, "origin": np.array(1)}),
        ("uniform_filter", WHOLE, {"size": 3, "origin": -2.5}),
        ("uniform_filter1d", WHOLE, {"size": -2.5}),
        ("uniform_filter1d", WHOLE, {"size": 3, "axis": 2.5}),
        ("minimum_filter", WHOLE, {"size": 3, "axes": ""}),
        ("minimum_filter", WHOLE, {"size": 3, "axes": b"reflect"}),
        ("laplace", WHOLE.astype("d"), {"output": np.complex64}),
        ("sobel", WHOLE.astype("D"), {"output": np.int16}),
        ("gaussian_filter", WHOLE.astype("D"), {"sigma": 1, "cval": "a word"}),
        ("gaussian_filter1d", WHOLE, {"sigma": np.inf, "radius": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_random_calls_once_found(name, image, arguments):
    assert fuzz.mismatch(fuzz.Case(name, image, {"cval": 0.0, **arguments})) == ""


@pytest.mark.parametrize(
    "broken, said",
    [
        (lambda image, **_: image + 1, "values differ"),
        (lambda image, **_: image[:-1], "wanted int32"),
        (lambda image, **_: image.astype("f"), "wanted int32"),
        (lambda image, **_: 1 / 0, "refused: ZeroDivisionError"),
    ],
)
def test_a_fault_is_seen(broken, said, monkeypatch):
    case = fuzz.Case("sobel", np.zeros((4, 5), np.int32), {"mode": "wrap"})
    assert fuzz.mismatch(case) == ""
    monkeypatch.setattr(fastmed, "sobel", broken)
    assert said in fuzz.mismatch(case)


def test_an_accepted_or_otherwise_refused_call_is_seen(monkeypatch):
    case = fuzz.Case("sobel", np.zeros((4, 5)), {"mode": "no such mode"}, spoilt="mode")
    assert fuzz.mismatch(case) == ""
    monkeypatch.setattr(fastmed, "sobel", lambda image, **_: image)
    assert "SciPy refuses" in fuzz.mismatch(case)
    monkeypatch.setattr(fastmed, "sobel", lambda image, **_: [][0])
    assert "SciPy raises RuntimeError" in fuzz.mismatch(case)


def test_what_is_half_written_or_changed_is_seen(monkeypatch):
    def spoil_output(image, mode, output):
        output[0] = 7
        raise RuntimeError

    def spoil_input(image, mode, output):
        image[0] = 7

    case = fuzz.Case("sobel", np.zeros((4, 5)), {"mode": "no such mode", "output": np.ones((4, 5))}, spoilt="mode")
    monkeypatch.setattr(fastmed, "sobel", spoil_output)
    assert "half written" in fuzz.mismatch(case)
    case.arguments["output"] = np.ones((4, 5))
    monkeypatch.setattr(fastmed, "sobel", spoil_input)
    assert fuzz.mismatch(case) == "the input has changed"


def test_a_crash_names_its_case(tmp_path, monkeypatch, capsys):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, fastmed\nreal, calls = fastmed.sobel, []\ndef crash(*args, **kwargs):\n    calls.append(1)\n"
        "    return os.abort() if len(calls) == 3 else real(*args, **kwargs)\nfastmed.sobel = crash\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(fastmed.__file__).parents[1]}")
    assert fuzz.main(["--cases", "5", "--seed", "3", "--operation", "sobel", "--operation", "prewitt"]) == 1
    said = capsys.readouterr().out
    assert "--seed 3 --only 4 " in said and "CRASH: the process ended with -6" in said
