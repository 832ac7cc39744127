"""Kill `fastmed extract` itself at random moments and start it again, until it ends; compare bytes with a quiet run.

Run by hand: ``python tests/peers/kill_extract.py --kills 20 --workers 2``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))
from ct_archive import write_archive

from fastmed.jobs import extract


def tables(out: Path) -> list[bytes]:
    return [(out / f"{name}.parquet").read_bytes() for name in ("features", "failures")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        archive = write_archive(Path(folder) / "archive", given.series, n_slices=8, size=192)
        (archive / "s1" / "broken.dcm").write_bytes(b"no DICOM")
        extract(archive, Path(folder) / "quiet")
        wanted = tables(Path(folder) / "quiet")
        for workers in given.workers:
            left, complete = given.kills, 0
            while left:
                complete += 1
                out = Path(folder) / f"out{workers}-{complete}"
                left -= until_done(archive, out, workers, left, chance)
                assert tables(out) == wanted, f"other bytes (seed {given.seed})"
                assert not list(out.rglob(".*")), f"half-written files stayed (seed {given.seed})"
            print(f"{workers} workers: {given.kills} kills in {complete} runs, the same bytes (seed {given.seed})")


def until_done(archive: Path, out: Path, workers: int, kills: int, chance: random.Random) -> int:
    """Start again and again; how often it was killed."""
    command = [sys.executable, "-m", "fastmed", "extract", str(archive), "-o", str(out), "--workers", str(workers)]
    killed, usual = 0, 8.0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            begin = time.monotonic()
            process.wait(chance.uniform(0.2, usual) if killed < kills else 600)
            assert process.returncode == 0, process.returncode
            print(f"  ended after {time.monotonic() - begin:.1f} s and {killed} kills", flush=True)
            return killed
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1


if __name__ == "__main__":
    main()
