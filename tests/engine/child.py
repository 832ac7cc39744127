"""Runs a line of code in a Python of its own, with chosen environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastmed

OURS = ("FASTMED_ISA", "FASTMED_BACKEND", "FASTMED_NUM_THREADS", "OMP_NUM_THREADS")


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """The finished process, whatever it returned."""
    clean = {k: v for k, v in os.environ.items() if k not in OURS}
    paths = [str(Path(fastmed.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    clean["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    return subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, timeout=120
    )


def output_of(code: str, **environment: str) -> str:
    """What the code prints; it must succeed."""
    done = run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
