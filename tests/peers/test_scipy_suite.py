"""SciPy's own tests of its filters and measurements, run with fastmed's functions in SciPy's place.

They run in a process of their own, on the SciPy that is installed, so nothing of SciPy is copied here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import fastmed

MODULES = ["scipy.ndimage.tests.test_filters", "scipy.ndimage.tests.test_measurements"]

#: Tests of SciPy that fastmed does not pass on purpose, and why. One that passes, or is gone, fails this test.
DIFFERENT = {
    "test_gaussian_filter_float16": "SciPy refuses float16; fastmed computes it in float32 and rounds once",
}

#: At least these many must have run: a selection that finds nothing would pass silently.
AT_LEAST = 700


def _outcomes(folder: Path, *arguments: str) -> dict[str, list[str]]:
    """Test function -> the outcomes of its cases."""
    report = folder / "report.xml"
    (folder / "pytest.ini").write_text("[pytest]\n")
    source = Path(fastmed.__file__).parents[1]
    path = os.pathsep.join([str(Path(__file__).parent), str(source), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable, "-m", "pytest", "--pyargs", *MODULES, "-p", "fastmed_in_scipy", "-p", "no:cacheprovider",
        "-c", str(folder / "pytest.ini"), "--rootdir", str(folder), "-q", "--tb=line", f"--junitxml={report}",
        *arguments,
    ]  # fmt: skip
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600
    )
    assert report.exists(), run.stdout[-3000:] + run.stderr[-3000:]
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        outcome = next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "passed")
        found.setdefault(case.attrib["name"].split("[")[0], []).append(outcome)
    return found


def test_scipys_own_tests_pass(tmp_path):
    if any(importlib.util.find_spec(name) is None for name in ("scipy.ndimage.tests", *MODULES)):
        pytest.skip("SciPy is installed without its tests")
    found = _outcomes(tmp_path)
    failed = {name for name, outcomes in found.items() if {"failure", "error"} & set(outcomes)}
    assert failed == set(DIFFERENT)
    assert sum(outcomes.count("passed") for outcomes in found.values()) >= AT_LEAST
