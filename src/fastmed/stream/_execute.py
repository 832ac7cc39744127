"""Many blocks, on threads of this process or on a Dask cluster. No graph is built: a block is sent when one is done."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

from .._engine import cluster

#: Seconds after which Ctrl-C is looked for.
_PATIENCE = 0.2

Item = tuple[Any, ...]
Execute = Callable[[Any, str, Sequence[Item]], Iterator[tuple[Item, Any]]]


def on_threads(job: Any, method: str, items: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
    """``job.method(*item)`` for all items, as they are done."""
    run = getattr(job, method)
    stop = threading.Event()

    def unless_stopped(*item: Any) -> Any:
        return None if stop.is_set() else run(*item)

    pool = ThreadPoolExecutor(job.plan.workers, thread_name_prefix="fastmed-stream")
    left, waiting = iter(items), {}
    try:
        for item in _next(left, 2 * job.plan.workers):
            waiting[pool.submit(unless_stopped, *item)] = item
        while waiting:
            done, _ = wait(waiting, _PATIENCE, FIRST_COMPLETED)
            for future in done:
                item = waiting.pop(future)
                yield item, future.result()
                for more in _next(left, 1):
                    waiting[pool.submit(unless_stopped, *more)] = more
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _next(left: Iterator[Item], count: int) -> Iterator[Item]:
    for _ in range(count):
        with contextlib.suppress(StopIteration):
            yield next(left)


def on_cluster(client: Any) -> Execute:
    """The same on the workers of a `distributed.Client`. They must see the same files."""

    def run(job: Any, method: str, items: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
        for (_, item), result in cluster.each(client, _call, ((method, item) for item in items), shared=job):
            yield item, result

    return run


def _call(job: Any, method: str, item: Item) -> Any:
    return getattr(job, method)(*item)
