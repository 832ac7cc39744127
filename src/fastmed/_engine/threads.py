"""The thread budget: how many threads a kernel may use, wherever it is called from.

In order: ``with fastmed.num_threads(n)`` in this thread; one thread inside a Dask, joblib or ``ThreadPoolExecutor``
worker (the pool is the parallelism); one after a ``fork`` of a process whose pool of threads had run (the pool does not
exist in the child, and waiting for it would hang); else ``fastmed.set_num_threads``, ``FASTMED_NUM_THREADS``,
``OMP_NUM_THREADS``, the processor's affinity. threadpoolctl's limits lower any of these.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator

from . import isa

# Operations on elements below which one more thread costs more than it brings: waking one takes ~10 us on an idle
# machine, but on a busy one the others wait for it (a 0.25 ms Sobel of 512x512 was seen to take 20 ms on two).
WORTH_A_THREAD = 1 << 20

# Dask's workers put their own name before theirs: "0-Dask-Default-Threads-4711-0".
_WORKER = re.compile(r"ThreadPoolExecutor-|(.*-)?Dask-|.*\(worker\)$", re.DOTALL)

_process_limit: int | None = None
_here = threading.local()
_pool_ran = False
_pool_lost = False
_openmp_at_start: int | None = None


def _positive(n: object, name: str) -> int:
    try:
        value = int(n)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        value = 0
    if value < 1 or value != n:
        raise ValueError(f"{name} must be a whole number of at least 1, found {n!r}")
    return value


def set_num_threads(n: int) -> None:
    """Set how many threads the kernels of this process may use.

    Parameters
    ----------
    n : int
        At least 1.

    Examples
    --------
    >>> import fastmed
    >>> fastmed.set_num_threads(2)
    >>> fastmed.get_num_threads()
    2
    """
    global _process_limit
    _process_limit = _positive(n, "n")


def get_num_threads() -> int:
    """How many threads a large kernel called from here would use."""
    return _allowed()


@contextlib.contextmanager
def num_threads(n: int) -> Iterator[None]:
    """Limit the kernels called inside the ``with`` block, in this thread only, to `n` threads.

    Examples
    --------
    >>> import fastmed
    >>> with fastmed.num_threads(1):
    ...     fastmed.get_num_threads()
    1
    """
    before = getattr(_here, "limit", None)
    _here.limit = _positive(n, "n")
    try:
        yield
    finally:
        _here.limit = before


def _environment() -> int | None:
    text = os.environ.get("FASTMED_NUM_THREADS")
    if not text:
        return None
    return _positive(int(text) if text.isdigit() else text, "FASTMED_NUM_THREADS")


def _openmp() -> int:
    global _openmp_at_start
    name, level = isa.backend()
    if name != "cpp" or level is None:
        return 1
    now = isa.load(level).max_threads()
    if _openmp_at_start is None:
        _openmp_at_start = now
    return now


def _inside_a_pool() -> bool:
    return _WORKER.match(threading.current_thread().name) is not None


def _allowed() -> int:
    limit = getattr(_here, "limit", None)
    if _pool_lost:
        return 1
    if limit is None and _inside_a_pool():
        return 1
    openmp = _openmp()
    wanted = limit or _process_limit or _environment() or openmp
    lowered = openmp < (_openmp_at_start or openmp)  # by threadpoolctl or omp_set_num_threads
    return min(wanted, openmp) if lowered else wanted


def budget(elements: int, per_element: int = 1) -> int:
    """Threads for a kernel that does about `per_element` operations on each of `elements` elements."""
    global _pool_ran
    work = elements * per_element
    if work < 2 * WORTH_A_THREAD:
        return 1
    n = min(_allowed(), work // WORTH_A_THREAD)
    if n > 1:
        _pool_ran = True
    return n


def _after_fork() -> None:
    global _pool_lost
    _pool_lost = _pool_ran


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
