"""Kill workers of a Dask cluster at random moments while it filters a volume and extracts an archive.

Run by hand: ``python tests/peers/kill_workers.py --kills 50 --workers 2``. Whatever dies, the bytes of the results are
those of one quiet process, nothing half-written stays, and nothing hangs: the process ends itself after ``--limit``.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import scipy.ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))
from ct_archive import write_archive

from fastmed import stream
from fastmed.jobs import extract

CANNY = {"low_threshold": 2000, "high_threshold": 9000}


class Workers:
    """Worker processes of a scheduler. While they are let loose one is killed, drawn by chance, and replaced, again and
    again. (LocalCluster's own nannies give up on a worker that dies while it starts.)"""

    def __init__(self, address: str, count: int, kills: int, seed: int, longest: float) -> None:
        self.command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard",
                        "--nthreads", "1", "--memory-limit", "0"]  # fmt: skip
        self.left, self.longest, self.chance = kills, longest, random.Random(seed)
        self.running = [self._start() for _ in range(count)]
        self.loose, self.end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._kill, daemon=True)
        self.thread.start()

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _kill(self) -> None:
        while self.left and not self.end.wait(self.chance.uniform(0.02, self.longest)):
            if not self.loose.wait(0.1):
                continue
            number = self.chance.randrange(len(self.running))
            self.running[number].kill()
            self.running[number].wait()
            self.running[number] = self._start()
            self.left -= 1

    def close(self) -> None:
        self.end.set()
        self.thread.join()
        for process in self.running:
            process.kill()
            process.wait()


def digest(folder: Path) -> str:
    """Of all files below, by name and content."""
    found = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def prepare(place: Path, edge: int, series: int) -> None:
    """A volume with edges, an archive, and what a quiet process makes of them."""
    noise = np.random.default_rng(0).random((edge, edge, edge), np.float32)
    smooth = scipy.ndimage.gaussian_filter(noise, 1.5)
    np.save(place / "in.npy", ((smooth - smooth.min()) / np.ptp(smooth) * 30000).astype(np.int16))
    write_archive(place / "archive", series, n_slices=6, size=128)
    filtered(place, "quiet")
    extracted(place, "quiet")


def filtered(place: Path, name: str, client=None) -> str:
    out = place / f"{name}.zarr"
    stream.apply("canny", place / "in.npy", out, client=client, block=(32, 32, 32), **CANNY)
    found = digest(out)
    if client is not None:
        shutil.rmtree(out)
    return found


def extracted(place: Path, name: str, client=None) -> str:
    out = place / name
    summary = extract(place / "archive", out, client=client)
    assert not list(out.rglob(".*")), "half-written files stayed"
    tables = Path(summary.features).read_bytes() + Path(summary.failures).read_bytes()
    if client is not None:
        shutil.rmtree(out)
    return hashlib.sha256(tables).hexdigest()


def run(place: Path, workers: int, kills: int, seed: int, longest: float = 1.5) -> int:
    """Runs of both kinds in turn until all kills are spent; how many runs."""
    from distributed import Client, LocalCluster

    wanted = {kind: kind(place, f"wanted{seed}") for kind in (filtered, extracted)}
    rounds = 0
    with (
        LocalCluster(n_workers=0, dashboard_address=None, silence_logs=60) as cluster,
        Client(cluster) as client,
        contextlib.closing(Workers(cluster.scheduler_address, workers, kills, seed, longest)) as killer,
    ):
        client.wait_for_workers(1, timeout=120)
        while killer.left:
            for kind in (filtered, extracted):
                rounds += 1
                killer.loose.set()
                found = kind(place, f"run{rounds}", client)
                killer.loose.clear()
                assert found == wanted[kind], f"{kind.__name__}: other bytes (seed {seed})"
                left = [p.name for p in place.iterdir() if p.name.startswith(".")]
                assert not left, f"{kind.__name__}: {left} stayed (seed {seed})"
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--edge", type=int, default=192)
    parser.add_argument("--series", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--limit", type=float, default=1800, help="seconds after which the process ends itself")
    given = parser.parse_args()
    faulthandler.dump_traceback_later(given.limit, exit=True)
    for workers in given.workers:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.monotonic()
            prepare(Path(folder), given.edge, given.series)
            rounds = run(Path(folder), workers, given.kills, given.seed)
            print(f"{workers} workers: {given.kills} kills in {rounds} runs, the same bytes each time; "
                  f"{time.monotonic() - begin:.0f} s (seed {given.seed})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
