"""2,000 mutants of real files: a volume or one of our errors, in time, without quoting the file."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import mutate


def test_mutants(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = []
    for name, data in mutate.mutants(2000, seed=20261122):
        verdict = mutate.judge(tmp_path / "mutant", data)
        if verdict:
            wrong.append((name, verdict[:300]))
    assert wrong == []
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 512 << 10  # KiB; the largest seed holds 1 MB of pixels, a limit allows 32 MiB freely
