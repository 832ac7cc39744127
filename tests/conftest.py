"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastmed._engine import isa as _isa

#: Every build that this processor runs, and the Numba twins.
BUILDS = [("cpp", level) for level in _isa.runnable()] + [("numba", None)]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository; a test that needs it is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FASTMED_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data: no folder {folder} (FASTMED_SHARED_DATA names another place)")
    return folder


@pytest.fixture(params=BUILDS, ids=lambda build: build[1] or build[0])
def build(request):
    """Runs the test on every built instruction set that this processor has, and on the Numba twins."""
    with _isa.using(*request.param):
        yield request.param
