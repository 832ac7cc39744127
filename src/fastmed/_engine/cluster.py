"""Many calls on the workers of a Dask cluster: some ahead of each worker, through deaths of workers, with named ends.

No graph is built: what is sent is bounded by the workers that there are, and not by the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from ..errors import FastmedError

Item = tuple[Any, ...]

#: Calls that wait at each thread of the cluster while one is at work.
AHEAD = 2
#: A call is given up when so often (each time four, by Dask's own count) workers died that held it: it may only have
#: waited at workers that others took down.
_TRIES = 3
#: Seconds without any worker before that is an error.
PATIENCE = 300.0
_LOOK = 2.0  # seconds between looks at who is there
_GONE = "the cluster went away; the same call goes on where this one stopped"


def each(
    client: Any,
    function: Callable[..., Any],
    items: Iterable[Item],
    *,
    shared: Any = None,
    died: Callable[[Item], Any] | None = None,
) -> Iterator[tuple[Item, Any]]:
    """``function(shared, *item)`` for all items, as they are done.

    Parameters
    ----------
    client : distributed.Client
        Of any cluster; workers may come and go.
    function : callable
        A function of a module, as it is pickled. It may run twice for one item.
    items : iterable of tuple
        Taken as workers get free.
    shared : object, optional
        Sent once, not with every call, and again to whoever comes later.
    died : callable, optional
        What takes the place of the result of an item at which workers die again and again.

    Raises
    ------
    FastmedError
        The cluster went away, or has no workers for `PATIENCE` seconds; or workers died, and `died` is not given.
    """
    run = _Run(client, function, shared)
    try:
        yield from run.results(iter(items), died)
    finally:
        run.stop()


class _Run:
    def __init__(self, client: Any, function: Callable[..., Any], shared: Any) -> None:
        self.client, self.function = client, function
        self.waiting: dict[str, tuple[Any, Item, int]] = {}
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.seen, self.looked, self.window = time.monotonic(), 0.0, 1
        with _named():
            # The result of a task and not scattered data: what a dead worker held is made again.
            self.sent = client.submit(_itself, shared, pure=False)

    def results(self, left: Iterator[Item], died: Callable[[Item], Any] | None) -> Iterator[tuple[Item, Any]]:
        self._fill(left)
        while self.waiting:
            future = self._next()
            if future is None:
                continue
            _, item, tries = self.waiting.pop(future.key)
            try:
                result = _result(future)
            except _Died:
                if tries < _TRIES:
                    self._submit(item, tries + 1)
                    continue
                if died is None:
                    raise FastmedError(
                        "the workers of the cluster died on a part, again and again (out of memory?); the same call "
                        "goes on where this one stopped"
                    ) from None
                result = died(item)
            yield item, result
            self._fill(left)

    def _submit(self, item: Item, tries: int = 1) -> None:
        with _named():
            future = self.client.submit(self.function, self.sent, *item, pure=False)
            self.waiting[future.key] = (future, item, tries)
            future.add_done_callback(self.done.put)

    def _fill(self, left: Iterator[Item]) -> None:
        self._look()
        while len(self.waiting) < self.window:
            item = next(left, None)
            if item is None:
                return
            self._submit(item)

    def _next(self) -> Any:
        """A future that is done, or None after a while."""
        with contextlib.suppress(queue.Empty):
            return self.done.get(timeout=_LOOK / 4)
        self._look()
        return None

    def _look(self) -> None:
        """Who is there, now and then."""
        now = time.monotonic()
        if now - self.looked < _LOOK:
            return
        with _named():
            threads = sum(self.client.nthreads().values())
        self.looked, self.window = now, max(threads, 1) * AHEAD
        if threads:
            self.seen = now
        elif now - self.seen > PATIENCE:
            raise FastmedError(f"the cluster has had no workers for {PATIENCE:.0f} s; {_GONE.partition('; ')[2]}")

    def stop(self) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone
            self.client.cancel([future for future, _, _ in self.waiting.values()])
        self.waiting.clear()


class _Died(Exception):
    """Workers died with this call."""


def _result(future: Any) -> Any:
    from distributed.scheduler import KilledWorker

    try:
        with _named():
            error = future.exception(timeout=PATIENCE) if future.status == "error" else None
            if error is None:
                return future.result(timeout=PATIENCE)
    except KilledWorker:
        raise _Died from None
    if isinstance(error, KilledWorker):
        raise _Died
    raise error


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """What Dask raises when there is nobody to talk to any more, as one error."""
    try:
        yield
    except FastmedError:
        raise
    except (CancelledError, asyncio.CancelledError, OSError):  # Dask's own errors of connections are OSErrors
        raise FastmedError(_GONE) from None
    except Exception as error:
        if type(error).__name__ != "ClosedClientError":
            raise
        raise FastmedError(_GONE) from None


def _itself(value: Any) -> Any:
    return value
