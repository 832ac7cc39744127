"""Many calls in this process, in others, or on a Dask cluster. What is sent ahead is bounded, and not by the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from .._engine import cluster

Item = tuple[Any, ...]
#: ``execute(function, items, died)``: (item, function(*item)) for all items, as they are done; ``died(item)`` takes the
#: place of the result where processes die of it.
Execute = Callable[[Callable[..., Any], Iterable[Item], Callable[[Item], Any]], Iterator[tuple[Item, Any]]]

#: Calls that wait for each process.
_AHEAD = 2
#: Processes that a call may take down by itself before it is given up: one can be killed by chance.
_TRIES = 2
#: Seconds after which Ctrl-C is looked for.
_PATIENCE = 0.2


def here(
    function: Callable[..., Any], items: Iterable[Item], died: Callable[[Item], Any]
) -> Iterator[tuple[Item, Any]]:
    """In this process, one after the other."""
    for item in items:
        yield item, function(*item)


def in_processes(workers: int) -> Execute:
    """In processes of its own."""

    def run(
        function: Callable[..., Any], items: Iterable[Item], died: Callable[[Item], Any]
    ) -> Iterator[tuple[Item, Any]]:
        left = iter(items)
        while True:
            suspects: list[Item] = []
            yield from _pooled(function, left, workers, suspects)
            if not suspects:
                return
            # One of them took its process down, and with it the pool: each by itself, so that the culprit shows.
            yield from _one_by_one(function, suspects, died)

    return run


def _pooled(
    function: Callable[..., Any], left: Iterator[Item], workers: int, suspects: list[Item]
) -> Iterator[tuple[Item, Any]]:
    """Until all is done, or a process dies: then what was not done is in `suspects`."""
    pool = _pool(workers)
    waiting: dict[Future[Any], Item] = {}
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (item := next(left, None)) is not None:
                try:
                    waiting[pool.submit(function, *item)] = item
                except BrokenProcessPool:
                    suspects += [item, *waiting.values()]
                    return
            if not waiting:
                return
            done, _ = wait(waiting, _PATIENCE, FIRST_COMPLETED)
            for future in done:
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(waiting.pop(future))
                else:
                    yield waiting.pop(future), future.result()
            if suspects:
                suspects += waiting.values()
                return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # what is in flight ends and is kept


def _one_by_one(
    function: Callable[..., Any], items: Iterable[Item], died: Callable[[Item], Any]
) -> Iterator[tuple[Item, Any]]:
    """In one other process, which is started anew after an item that took it down."""
    pool = _pool(1)
    try:
        for item in items:
            for left in reversed(range(_TRIES)):
                try:
                    result = pool.submit(function, *item).result()
                    break
                except BrokenProcessPool:
                    pool.shutdown(wait=True)
                    pool = _pool(1)
                    if not left:
                        result = died(item)
            yield item, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    threads = max((os.cpu_count() or 1) // workers, 1)
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads,))


def _start_worker(threads: int) -> None:
    from .._engine.threads import set_num_threads

    set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker holds both ends of the pipe on which it waits for work: it would outlive a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def on_cluster(client: Any) -> Execute:
    """On the workers of a `distributed.Client`, which must see the same files."""

    def run(
        function: Callable[..., Any], items: Iterable[Item], died: Callable[[Item], Any]
    ) -> Iterator[tuple[Item, Any]]:
        return cluster.each(client, _call, items, shared=function, died=died)

    return run


def _call(function: Callable[..., Any], *item: Any) -> Any:
    from .._engine.threads import num_threads

    with num_threads(1):
        return function(*item)


def in_parts(
    execute: Execute,
    function: Callable[..., Any],
    items: Iterable[Item],
    *,
    split: Callable[..., list[Item]],
    died: Callable[[Item], Any],
) -> Iterator[tuple[Item, Any]]:
    """As `execute`; an item at which processes die is split, and its parts are tried by themselves."""
    again: list[Item] = []

    def note(item: Item) -> None:
        again.extend(split(*item))

    for item, result in execute(function, items, note):
        if result is not None:
            yield item, result
    yield from execute(function, again, died)
