"""A volume larger than memory through median, Gaussian and Canny, under a memory limit of the kernel.

    python benchmarks/stream/larger_than_memory.py --gib 16 --memory 2GB

Makes an int16 Zarr of so many GiB, of which every `--every`-th slab of chunks holds texture and all others are absent;
runs each operation by `fastmed filter` in a process of its own under the limit; compares parts of the result with what
the operation gives in memory, and the rate with that of the same kernel in memory at the same number of threads.

The limit is RLIMIT_DATA: private writable memory, which is what arrays are. (RLIMIT_AS counts the reserved stacks of
threads and mapped files, too; a cgroup needs rights that not every machine gives.) The peak is VmHWM of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.ndimage
import zarr

import fastmed
from fastmed.stream._plan import as_bytes

CHUNK = 128
OPERATIONS = {
    "median": ("median_filter", {"size": 3}),
    "gaussian": ("gaussian_filter", {"sigma": 3}),
    "canny": ("canny", {"sigma": 1.0, "low_threshold": 3000, "high_threshold": 9000}),
}
CHILD = """
import json, sys
from fastmed.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"peak": peak}), file=sys.stderr)
"""


def shape_of(gib: float) -> tuple[int, int, int]:
    """Chunks in numbers that make an even volume of so many GiB of int16."""
    chunks = round(gib * 2**30 / 2 / CHUNK**3)
    z = max(round((chunks / 4) ** (1 / 3)), 1)
    while chunks % z:
        z -= 1
    y = max(round((chunks // z) ** 0.5), 1)
    while (chunks // z) % y:
        y -= 1
    return tuple(CHUNK * n for n in (z, y, chunks // z // y))


def make(path: Path, shape: tuple[int, ...], every: int) -> None:
    """Texture in one of `every` chunks, diagonally so that every block meets some."""
    smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(0).random((CHUNK,) * 3), 2)
    texture = ((smooth - smooth.min()) / np.ptp(smooth) * 30000).astype(np.int16)
    array = zarr.create_array(str(path), shape=shape, chunks=(CHUNK,) * 3, dtype="int16", fill_value=0)
    for index in np.ndindex(*(n // CHUNK for n in shape)):
        if sum(index) % every == 0:
            array[tuple(slice(i * CHUNK, i * CHUNK + CHUNK) for i in index)] = texture


def under_limit(limit: int, arguments: list[str]) -> tuple[dict, float, int]:
    """What `fastmed filter` says, its seconds of all processors and its peak."""

    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "filter", *arguments, "--json"],
        capture_output=True, text=True, preexec_fn=confine,
    )  # fmt: skip
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    if done.returncode:
        sys.exit(f"failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout), seconds, json.loads(done.stderr.strip().splitlines()[-1])["peak"]


def in_memory(name: str, options: dict, source: Path, threads: int, edge: int = 384) -> tuple[float, float]:
    """Voxels per second, and per second of all processors, of the operation on a part in memory: medians of seven.

    Medians and not the best: the run beside it has no best either, on a machine that others use.
    """
    part = np.asarray(zarr.open_array(str(source), mode="r")[:edge, :edge, :edge])
    fastmed.set_num_threads(threads)
    wall, processor = [], []
    for _ in range(7):
        begin, used = time.perf_counter(), time.process_time()
        getattr(fastmed, name)(part, **options)
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    return part.size / float(np.median(wall)), part.size / float(np.median(processor))


def sampled(name: str, options: dict, source: Path, result: Path, samples: int, margin: int = 40) -> int:
    """Voxels compared at random places; ends the script where one differs."""
    image, made = zarr.open_array(str(source), mode="r"), zarr.open_array(str(result / "0"), mode="r")
    rng, size, seen = np.random.default_rng(1), 160, 0
    for _ in range(samples):
        first = [int(rng.integers(0, max(n - size, 0) + 1)) for n in image.shape]
        box = [(f, min(f + size, n)) for f, n in zip(first, image.shape, strict=True)]
        wide = [(max(a - margin, 0), min(b + margin, n)) for (a, b), n in zip(box, image.shape, strict=True)]
        block = np.asarray(image[tuple(slice(*w) for w in wide)])
        wanted = getattr(fastmed, name)(block, **options)
        inner = tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(box, wide, strict=True))
        found = np.asarray(made[tuple(slice(*b) for b in box)])
        differ = np.count_nonzero(found != wanted[inner])
        if differ:
            # only an edge that hangs on something strong outside the part may differ
            if name != "canny" or np.count_nonzero(wanted[inner] & ~found.astype(bool)):
                sys.exit(f"{name}: {differ} of {found.size} voxels differ at {box}")
            print(f"  {name}: {differ} of {found.size} edges hang on what lies outside the sample")
        seen += found.size
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, nargs="+", default=[2.0])
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=12, help="one chunk in so many holds texture")
    parser.add_argument("--op", nargs="+", default=list(OPERATIONS), choices=list(OPERATIONS))
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print("| operation | GiB | s | Mvoxel/s | in memory | share | share by processor time | ns of a processor "
              "per voxel | peak MB | compared |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|---|---|")
        for gib in asked.gib:
            source, shape = Path(folder, "in.zarr"), shape_of(gib)
            make(source, shape, asked.every)
            for op in asked.op:
                name, options = OPERATIONS[op]
                out = Path(folder, "out.zarr")
                words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
                before = in_memory(name, options, source, asked.threads)
                arguments = [os.fspath(source), os.fspath(out), "--op", op, "--memory", asked.memory, "--threads",
                             str(asked.threads), *words]  # fmt: skip
                _, start, _ = under_limit(as_bytes(asked.memory), [*arguments, "--plan"])
                summary, seconds, peak = under_limit(as_bytes(asked.memory), arguments)
                seconds -= start  # Python and its libraries: some 1.5 s, whatever the size
                after = in_memory(name, options, source, asked.threads)
                rate, rate_processor = ((a + b) / 2 for a, b in zip(before, after, strict=True))
                seen = sampled(name, options, source, out, asked.samples)
                voxels = np.prod(shape, dtype=float)
                per_second = voxels / summary["seconds"]
                print(
                    f"| {op} | {gib:g} | {summary['seconds']:.0f} | {per_second / 1e6:.1f} | {rate / 1e6:.1f} | "
                    f"{100 * per_second / rate:.0f} % | {100 * voxels / seconds / rate_processor:.0f} % | "
                    f"{1e9 * seconds / voxels:.2f} | {peak / 1e6:.0f} | {seen:,} |",
                    flush=True,
                )
                shutil.rmtree(out)
            shutil.rmtree(source)


if __name__ == "__main__":
    main()
