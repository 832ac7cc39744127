"""The Dask cluster that a command runs on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ._terminal import BAD_INPUT, fail


@contextlib.contextmanager
def cluster(workers: int, scheduler: str | None) -> Iterator[Any]:
    """A client of the cluster asked for, or None."""
    if not workers and scheduler is None:
        yield None
        return
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            fail(f"--scheduler {scheduler} cannot be reached ({type(error).__name__})", BAD_INPUT)
        with client:
            yield client
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address=None) as made,
        Client(made) as client,
    ):
        yield client
