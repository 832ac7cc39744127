"""What planning an archive run costs: seconds of a processor and bytes per file and per series, at several sizes.

``python benchmarks/archive/plan_of_a_million.py --series 1000 10000`` makes small CT series, plans a run over them
with the runner's own code, notes made-up results in place of computed ones, writes the table, and plans again. Each
size runs in a process of its own, so that the peak of its memory can be told. The figures stand in docs/cluster.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "jobs"))
from ct_archive import write_slice  # the archive of the runner's tests

from fastmed.archive import Limits
from fastmed.archive._scan import walk
from fastmed.features import feature_names
from fastmed.jobs import _run
from fastmed.jobs._plan import Plan, headers_of, unpacked
from fastmed.jobs._store import Known, Units, write_rows
from fastmed.jobs._unit import Settings


def make(folder: Path, n_series: int, n_slices: int) -> None:
    """Series that differ in their UIDs: one is written, the others are its bytes with other digits."""
    source = folder.with_name("model")
    source.mkdir()
    slices = []
    for k in range(n_slices):
        write_slice(source / "slice.dcm", np.zeros((16, 16), np.int16), 10_000_000, k)
        slices.append((source / "slice.dcm").read_bytes())
    for n in range(n_series):
        where = folder / f"{n // 1000:04}" / f"{n % 1000:03}"
        where.mkdir(parents=True)
        for k, content in enumerate(slices):
            (where / f"{k}.dcm").write_bytes(content.replace(b".10000000", b".%d" % (10_000_000 + n)))


def timed(what: str, times: dict[str, float], function: Callable[[], Any]) -> Any:
    begin = time.process_time()
    result = function()
    times[what] = times.get(what, 0.0) + time.process_time() - begin
    return result


def made_up(units: Units, plan: Plan, known: Known) -> int:
    """A result for every series; bytes of the tasks that would have been sent."""
    sent = 0
    features = dict.fromkeys(feature_names(), 1.25)
    for (batch,) in _run._tasks(plan.missing(), 64):
        for number, packed in batch:
            sent += len(packed)
            series, _ = unpacked(packed)
            key = (series.key * 4)[:64]
            units.path(key).parent.mkdir(exist_ok=True)
            row = {"series": series.key, **features}
            units.path(key).write_text(json.dumps({"key": key, "rows": [row]}))
            _, stamp = plan.note(number, key, "", False)
            known.note(stamp, key)
    known.flush()
    return sent


def one_size(n_series: int, n_slices: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, units = Path(place) / "archive", Units(Path(place) / "units")
        make(folder, n_series, n_slices)
        units.folder.mkdir()
        for again in (False, True):
            times: dict[str, float] = {}
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            facts = plan_once(folder, units, times)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            n_files = n_series * n_slices
            show(f"{n_series} series, {n_files} files" + (", again" * again), times, facts, n_files, n_series, grown)


def plan_once(folder: Path, units: Units, times: dict[str, float]) -> dict[str, float]:
    known, settings = Known(units.folder / "known.log"), Settings()
    with Plan(units.folder, str(folder), "raise") as plan:
        _, files = walk(str(folder), Limits(), [])
        timed("list, per file", times, lambda: plan.add_paths(files))
        for first, paths in plan.batches():
            headers = timed("header, per file (workers)", times, lambda: headers_of(first, paths))  # noqa: B023
            timed("note header, per file", times, lambda: plan.add_headers(first, paths, headers))  # noqa: B023
        timed("build, per file", times, lambda: plan.build(settings.identity()))
        timed("look up what is done, per series", times, lambda: _run._take_known(plan, known, units))
        sent = timed("send and note, per series", times, lambda: made_up(units, plan, known))
        size = plan.path.stat().st_size
        with open(units.folder / "table", "wb") as stream:
            rows = _run._rows(plan, units)
            timed("table, per series", times, lambda: write_rows(stream, rows, _run._schema(settings)))
    return {"plan, bytes per file": size, "sent, bytes per series": sent}


def show(title: str, times: dict[str, float], facts: dict[str, float], files: int, series: int, grown: int) -> None:
    print(f"{title}: memory grew by {grown / 1024:.0f} MB", flush=True)
    for name, seconds in times.items():
        count = files if "per file" in name else series
        print(f"  {name:36} {seconds / count * 1e6:8.1f} us")
    for name, size in facts.items():
        print(f"  {name:36} {size / (files if 'per file' in name else series):8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--here", action="store_true", help="in this process; what the others are started with")
    given = parser.parse_args()
    for count in given.series:
        if given.here:
            one_size(count, given.slices)
        else:
            command = [sys.executable, __file__, "--here", "--series", str(count), "--slices", str(given.slices)]
            subprocess.run(command, check=True, env=dict(os.environ))


if __name__ == "__main__":
    main()
