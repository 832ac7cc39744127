"""Canny on a Zarr volume that is several times larger than the memory that the process may use.

    python tests/peers/canny_beyond_memory.py --slices 512 --side 640 --limit-mb 300

A child process with a limit on its own memory (RLIMIT_DATA: the heap and anonymous maps, not shared libraries and
files) finds the edges of a textured volume, chunk by chunk, from Zarr to Zarr: once with given thresholds, once with
quantiles. In memory, and without a limit, the parent does the same on the first slices and compares; with quantiles it
takes the thresholds that the child's chunks gave. Edges hang together over any distance, so the compared slices are cut
off below by a gap of constant values in the volume.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

GAP = 12  # constant slices behind the part that is compared
GIVEN = {"sigma": 1.0, "low_threshold": 0.25, "high_threshold": 0.6}
QUANTILES = {"sigma": 1.0, "low_threshold": 0.8, "high_threshold": 0.95, "use_quantiles": True}


def write_volume(path: Path, shape: tuple[int, int, int], chunks: tuple[int, int, int], part: int) -> None:
    """Texture of float32 from 0 to 1, other in every slab, with a gap after `part` slices."""
    import zarr

    volume = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="f4")
    for number, z in enumerate(range(0, shape[0], chunks[0])):
        n = min(chunks[0], shape[0] - z)
        rng = np.random.default_rng(number)
        slab = scipy.ndimage.gaussian_filter(rng.standard_normal((n, *shape[1:]), dtype=np.float32), 2, mode="wrap")
        slab = (slab - slab.min()) / np.ptp(slab)
        inside = np.arange(z, z + n)
        slab[(inside >= part) & (inside < part + GAP)] = 0.5
        volume[z : z + n] = slab


def limited(options: argparse.Namespace) -> None:
    """In the child: both runs under the limit. Prints what they took."""
    import dask
    import dask.array as da

    import fastmed

    threading.stack_size(2**19)  # stacks count too, and Zarr starts dozens of threads
    # Everything is loaded, and the threads are there, before the limit: what counts is what the volume takes.
    fastmed.canny(da.zeros((8, 8, 8), chunks=4), use_quantiles=True).compute()
    start = _data_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (start + options.limit_mb * 2**20,) * 2)
    report = {}
    for name, arguments in (("given", GIVEN), ("quantiles", QUANTILES)):
        image = da.from_zarr(str(options.folder / "volume.zarr"))
        begin, cpu = time.monotonic(), time.process_time()
        with dask.config.set(scheduler="threads", num_workers=2):
            fastmed.canny(image, **arguments).to_zarr(str(options.folder / f"{name}.zarr"), overwrite=True)
        report[name] = {"seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        np.ones(start + options.limit_mb * 2**20, np.uint8)
        raise AssertionError("the limit does not hold")
    except MemoryError:
        pass
    print(json.dumps({"runs": report, "peak": peak, "start": start}))


def _data_bytes() -> int:
    """What counts against RLIMIT_DATA."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmData"))
    return int(line.split()[1]) * 1024


def compare(folder: Path, part: int) -> dict[str, int]:
    """In memory: the edges of the first slices. Gives how many there are, and differ."""
    import dask.array as da

    import fastmed
    from fastmed.edges import _canny

    image = da.from_zarr(str(folder / "volume.zarr"))
    inner = np.asarray(image[: part + GAP])
    smoothed = _canny._chunked_smooth(image, None, QUANTILES["sigma"], "constant", 0.0, None)
    asked = (QUANTILES["low_threshold"], QUANTILES["high_threshold"])
    low, high = _canny._chunked_limits(smoothed, *asked, None).compute()
    found: dict[str, Any] = {}
    for name, low_high in (("given", (GIVEN["low_threshold"], GIVEN["high_threshold"])), ("quantiles", (low, high))):
        wanted = fastmed.canny(inner, GIVEN["sigma"], *low_high)[:part]
        edges = np.asarray(da.from_zarr(str(folder / f"{name}.zarr"))[:part])
        found[name] = {"edges": int(wanted.sum()), "differ": int(np.count_nonzero(edges != wanted))}
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=512)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--limit-mb", type=int, default=300)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.folder:
        limited(options)
        return 0
    shape = (options.slices, options.side, options.side)
    part = min(2 * options.chunk + 5, options.slices // 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(folder / "volume.zarr", shape, (options.chunk,) * 3, part)
        command = [sys.executable, __file__, "--folder", str(folder), "--limit-mb", str(options.limit_mb)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            print(f"the child ended with {run.returncode}", run.stderr[-3000:])
            return 1
        report = json.loads(run.stdout)
        compared = compare(folder, part)
    size = 4 * np.prod(shape) / 2**20
    print(f"volume {shape} float32: {size:.0f} MB, limit {options.limit_mb} MB, {size / options.limit_mb:.1f} times it")
    print(f"peak resident {report['peak'] / 2**20:.0f} MB, of all; counted before {report['start'] / 2**20:.0f} MB")
    for name, how in report["runs"].items():
        print(f"{name}: {how['seconds']:.0f} s, cpu {how['cpu']:.0f} s; first {part} slices: {compared[name]}")
    good = all(c["edges"] > 0 and c["differ"] == 0 for c in compared.values())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
