"""20,000 mutants of real files, and some of every other format: a volume or one of our errors, soon, of little memory.

No mutant may kill the process, take 2 s or 64 MiB (or four times its own size), quote an identifier, or give other
voxels than its seed without another header or other pixel bytes. In pieces, for `pytest -n`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")
sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import formats
import mutate


def wrong(folder, mutants, explain=False):
    found = []
    for name, data in mutants:
        verdict = mutate.judge(folder / f"mutant{mutate.ending(name)}", data, name if explain else "")
        if verdict:
            found.append((name, verdict[:300]))
    return found


@pytest.mark.parametrize("piece", range(10))
def test_images(tmp_path, piece):
    assert wrong(tmp_path, mutate.mutants(2000, seed=piece), explain=True) == []


@pytest.mark.parametrize("piece", range(2))
def test_other_formats(tmp_path, piece):
    of = formats.seeds(tmp_path)
    assert len({Path(name).suffix for name in of}) >= 4
    assert wrong(tmp_path, mutate.mutants(1000, seed=piece, of=of)) == []


def test_pictures_and_videos(tmp_path):
    """Few, since each starts a process."""
    assert wrong(tmp_path, mutate.mutants(20, seed=0, of=formats.pictures(tmp_path))) == []
