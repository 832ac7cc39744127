"""What the tests of volumes beyond memory share."""

from __future__ import annotations

import pytest

from fastmed.stream import _plan


@pytest.fixture(autouse=True)
def a_fresh_process(monkeypatch):
    """Plans count what the process holds already: here as if it had only just started."""
    monkeypatch.setattr(_plan, "resident", lambda: _plan.BASE)
