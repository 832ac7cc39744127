"""scikit-image's own tests of edges, iso-lines and surfaces, run with fastmed's functions in scikit-image's place.

Wheels up to 0.25 hold them; of later ones FASTMED_SKIMAGE_TESTS names the folder tests/skimage of the sources. They run
in a process of their own; nothing of scikit-image is copied here.
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

FILES = (
    "measure/test_find_contours.py", "measure/test_marching_cubes.py", "feature/test_canny.py", "filters/test_edges.py",
    "filters/test_thresholding.py",
)  # fmt: skip

#: Tests of scikit-image that fail with ours, and why.
KNOWN = {
    "test_image_shape": "canny takes volumes, which scikit-image refuses",
    "test_masked_marching_cubes": "after 0.26 all corners of a cube must be in the mask, not the last one only",
    "test_masked_marching_cubes_masked_corner_excludes_cube": "the same",
}

#: At least these many must have passed: a selection that finds nothing would pass silently.
AT_LEAST = 200


def files() -> list[Path]:
    """FILES, in a folder of each stage or in its folder `tests`."""
    folder = os.environ.get("FASTMED_SKIMAGE_TESTS")
    if not folder:
        pytest.importorskip("skimage", reason="scikit-image is not installed")
        package = importlib.util.find_spec("skimage")
        assert package is not None and package.origin is not None
        folder = str(Path(package.origin).parent)
    inner = [Path(folder, name).parent / "tests" / Path(name).name for name in FILES]
    return [path if path.is_file() else Path(folder, name) for path, name in zip(inner, FILES, strict=True)]


def test_scikit_images_own_tests_pass(tmp_path):
    wanted = files()
    if not all(path.is_file() for path in wanted):
        pytest.skip("scikit-image is installed without its tests (FASTMED_SKIMAGE_TESTS names a folder of them)")
    report = tmp_path / "report.xml"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    source = Path(fastmed.__file__).parents[1]
    path = os.pathsep.join([str(Path(__file__).parent), str(source), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable, "-m", "pytest", *map(str, wanted), "-p", "fastmed_in_skimage", "-p", "no:cacheprovider",
        "-c", str(tmp_path / "pytest.ini"), "--rootdir", str(tmp_path), "--import-mode=importlib", "-q", "--tb=line",
        "--noconftest", f"--junitxml={report}",
    ]  # fmt: skip
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=600
    )
    assert report.exists(), run.stdout[-3000:] + run.stderr[-3000:]
    outcomes = [
        (case.attrib["name"].split("[")[0], [c.tag for c in case if c.tag in ("failure", "error", "skipped")])
        for case in ET.parse(report).iter("testcase")
    ]
    failed = {name for name, bad in outcomes if {"failure", "error"} & set(bad)}
    assert failed <= set(KNOWN), run.stdout[-3000:]
    assert sum(not bad for _, bad in outcomes) >= AT_LEAST
