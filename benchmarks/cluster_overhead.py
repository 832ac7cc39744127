"""What a Dask task costs beside the kernel in it, for a chunk of 64 MB: in a Dask graph and on a cluster.

``python benchmarks/cluster_overhead.py`` prints the table of docs/cluster.md. Times are seconds of a processor, so that
others on the machine matter less, and the least of the rounds is taken. What a task adds is the cost of one that does
nothing, in all processes. What the halo costs (more voxels; borders copied in, results cut out) stands apart.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable

import dask
import dask.array as da
import numpy as np
import psutil

import fastmed
from fastmed._engine import cluster
from fastmed._engine.threads import num_threads

#: int16: 64 MiB a chunk.
CHUNK = (256, 256, 512)
KERNELS: dict[str, tuple[Callable, int]] = {
    "median 3³": (functools.partial(fastmed.median_filter, size=3), 1),
    "Gaussian, sigma 1": (functools.partial(fastmed.gaussian_filter, sigma=1), 4),
    "Gaussian, sigma 3": (functools.partial(fastmed.gaussian_filter, sigma=3), 12),
}


@functools.lru_cache(maxsize=3)
def kept(shape: tuple[int, ...]) -> np.ndarray:
    """Texture, made once in every process: no voxel travels."""
    return np.random.default_rng(0).integers(0, 4000, shape, np.int16)


def spent(function: Callable[[], object], *others: psutil.Process) -> float:
    """Seconds of a processor, in this process and in others."""

    def now() -> float:
        return time.process_time() + sum(sum(other.cpu_times()[:2]) for other in others)

    begin = now()
    function()
    return now() - begin


def kernel_seconds(name: str, image: np.ndarray) -> float:
    """Of the thread that runs the kernel."""
    begin = time.thread_time()
    KERNELS[name][0](image)
    return time.thread_time() - begin


def empty_in_graph(count: int = 2000) -> float:
    """Of a task that does nothing, in a graph on Dask's threaded scheduler: to make the graph and to run it."""
    def go() -> None:
        da.zeros(count, chunks=1).map_blocks(_nothing, dtype=float).map_blocks(_nothing, dtype=float).compute()

    with dask.config.set({"scheduler": "threads", "num_workers": 1, "optimization.fuse.active": False}):
        return spent(go) / (2 * count)


def empty_on_cluster(client: object, worker: psutil.Process, count: int = 1000) -> tuple[float, float]:
    """The same on a cluster: of client and scheduler, and with the worker's."""
    items = [(n,) for n in range(count)]
    began = worker.cpu_times()
    here = spent(lambda: list(cluster.each(client, _echo, items)))
    ended = worker.cpu_times()
    return here / count, (here + ended.user + ended.system - began.user - began.system) / count


def idle(worker: psutil.Process, seconds: float = 5.0) -> float:
    """Share of a processor that client, scheduler and worker take while there is nothing to do."""
    return spent(lambda: time.sleep(seconds), worker) / seconds


def _nothing(values: np.ndarray) -> np.ndarray:
    return values


def _echo(_: object, number: int) -> int:
    return number


def with_halo(name: str, chunks: da.Array) -> float:
    """The same through fastmed's own chunking; results are looked at and dropped."""
    lazy = KERNELS[name][0](chunks).map_blocks(lambda result: result[:1, :1, :1], dtype=np.int16, chunks=(1, 1, 1))
    with dask.config.set(scheduler="threads", num_workers=1):
        return spent(lazy.compute) / chunks.npartitions


def in_memory(name: str, chunks: da.Array) -> float:
    """Without a halo: each chunk by itself."""
    lazy = chunks.map_blocks(KERNELS[name][0], dtype=np.int16).map_blocks(
        lambda result: result[:1, :1, :1], dtype=np.int16, chunks=(1, 1, 1))  # fmt: skip
    with dask.config.set(scheduler="threads", num_workers=1):
        return spent(lazy.compute) / chunks.npartitions


def one_kernel(name: str, rounds: int) -> tuple[float, float, float]:
    """Seconds of the kernel for a chunk; more with the halo's voxels; more with these and the copies."""
    halo = KERNELS[name][1]
    # 4 chunks, each with neighbours on two sides
    chunks = da.from_array(kept((2 * CHUNK[0], 2 * CHUNK[1], CHUNK[2])), chunks=CHUNK, name=False)
    wide = kept(tuple(n + (halo if axis < 2 else 0) for axis, n in enumerate(CHUNK)))
    rows = []
    with num_threads(1):
        for number in range(rounds + 1):
            row = (kernel_seconds(name, kept(CHUNK)), kernel_seconds(name, wide), in_memory(name, chunks),
                   with_halo(name, chunks))  # fmt: skip
            if number:  # the first one imports and fills caches
                rows.append(row)
    alone, more, apart, joined = np.min(rows, axis=0)
    return alone, more - alone, joined - apart


def main() -> None:
    from distributed import Client, LocalCluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=None, dashboard_address=None) as made,
        Client(made) as client,
    ):
        worker = psutil.Process(next(iter(made.workers.values())).pid)
        graph = min(empty_in_graph() for _ in range(rounds))
        main_part, task = np.min([empty_on_cluster(client, worker) for _ in range(rounds)], axis=0)
        still = idle(worker)
    print(
        f"A task that does nothing: {graph * 1e3:.2f} ms in a graph on threads; {task * 1e3:.2f} ms on a cluster, "
        f"{main_part * 1e3:.2f} ms of them client and scheduler. Idle: {100 * still:.1f} % of a processor.\n"
    )
    print("| kernel, 64 MB | ms | graph, threads | task, distributed | halo: its voxels | halo: with copies |")
    print("|---|---|---|---|---|---|")
    for name in KERNELS:
        alone, voxels, copies = one_kernel(name, rounds)
        shares = (f"{100 * share / alone:.1f} %" for share in (graph, task, voxels, copies))
        print(f"| {name} | {alone * 1e3:.0f} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
