"""generic_filter with a function that asks for nothing but extrema and ranks of its window: kernels find them ahead."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._engine.arrays import as_mode
from . import _pieces
from ._known import kernel_window
from ._minmax import maximum_filter, minimum_filter
from ._pieces import Box
from ._rank import rank_filter
from ._user_filter import compiled_loop
from ._user_function import NotCompilableError, agrees

#: Elements of a slab whose tables are held at a time.
SLAB = 1 << 18
#: Ranks between the extremes that a function may ask for: with more of them, sorting its windows is quicker.
MOST_RANKS = 2


def run_tables(job: Any, function: Any, arguments: tuple[Any, ...], call: Any, workers: int) -> bool:
    """Whether it was done: not where the function asks for something else, or an element is NaN.

    Raises
    ------
    NotCompilableError
        If the compiled function and `call`, its plain Python, disagree.
    """
    window = kernel_window(job.image, job.footprint, job.origins, job.mode, job.cval)
    if job.some or window is None or math.isnan(job.cval):
        return False
    loop, new = _compiled(function, job.stop, arguments)
    count = int(job.footprint.sum())
    ranks = _ranks_of(loop, count, job.stop, arguments) if loop is not None else None
    if ranks is None:
        return False
    for slab, source in _slabs(job):
        with np.errstate(invalid="ignore"):
            if source.dtype.kind == "f" and np.isnan(source.max()):
                return False
        tables = _tables(job, slab, source, ranks, count, window)
        out = np.empty(tables.shape[1:])
        if not _look_up(loop, ranks, tables, out, count, job.stop, arguments, workers):
            return False
        if new:
            _check(job, slab, out, call)
            new = False
        job.put(slab, out)
    return True


def _compiled(function: Any, stop: np.ndarray, arguments: tuple[Any, ...]) -> tuple[Any, bool]:
    try:
        return compiled_loop(
            function, (np.empty(1, np.int64), 1, np.empty(1), stop, arguments), "tabled_window_loop", plain=False
        )
    except NotCompilableError:
        return None, False


def _head(ranks: list[int], tables: np.ndarray) -> np.ndarray:
    from ._window_tables import HEAD, KNOWN, RANKS, TABLES

    head = np.zeros(HEAD, np.int64)
    head[KNOWN] = len(ranks)
    head[RANKS : RANKS + len(ranks)] = ranks
    head[TABLES : TABLES + len(ranks)] = [table.ctypes.data for table in tables]
    return head


def _ranks_of(loop: Any, count: int, stop: np.ndarray, arguments: tuple[Any, ...]) -> list[int] | None:
    """The ranks that the function asks for, of a window of zeros; None where they are too many."""
    from ._window_tables import MISSED, MOST

    ranks: list[int] = []
    while True:
        head = _head(ranks, np.zeros((len(ranks), 1)))
        try:
            loop(head, count, np.empty(1), stop, arguments)
        except Exception:
            return None  # the windows themselves will tell
        if not head[MISSED]:
            return ranks
        ranks.append(int(head[MISSED]) - 1)
        if len(ranks) > MOST or sum(0 < k < count - 1 for k in ranks) > MOST_RANKS:
            return None


def _slabs(job: Any) -> Iterator[tuple[Box, np.ndarray]]:
    """Slabs along the first axis, with what of the image their windows reach."""
    shape = job.image.shape
    before, after = job.halo[0]
    height = max(1, SLAB // math.prod(shape[1:]), 2 * (before + after))
    if job.mode == as_mode("wrap"):
        height = shape[0]
    rest = tuple(slice(0, n) for n in shape[1:])
    for first in range(0, shape[0], height):
        last = min(first + height, shape[0])
        if shape[0] - last < height // 2:  # what is left is not enough for a slab with its own border
            last = shape[0]
        yield (slice(first, last), *rest), job.image[max(0, first - before) : last + after]
        if last == shape[0]:
            return


def _tables(job: Any, slab: Box, source: np.ndarray, ranks: list[int], count: int, window: dict[str, Any]) -> np.ndarray:
    """The value of each rank for every window of the slab, in float64."""
    first = slab[0].start - max(0, slab[0].start - job.halo[0][0])
    inside = slice(first, first + slab[0].stop - slab[0].start)
    tables = np.empty((len(ranks), inside.stop - first, *source.shape[1:]))
    for table, rank in zip(tables, ranks, strict=True):
        if rank in (0, count - 1):
            found = (maximum_filter if rank else minimum_filter)(source, **window)
        else:
            found = rank_filter(source, rank, **window)
        table[...] = found[inside]
    return tables


def _look_up(loop, ranks, tables, out, count, stop, arguments, workers) -> bool:
    """Call the function for every window; False where it asks for another rank, or raises."""
    from ._window_tables import MISSED

    flat, tables = out.ravel(), tables.reshape(len(ranks), out.size)
    parts = np.linspace(0, flat.size, min(workers, 1 + flat.size // (4 * _pieces.PIECE)) + 1).astype(int)
    heads = [_head(ranks, tables[:, first:]) for first in parts[:-1]]

    def work(i: int) -> None:
        loop(heads[i], count, flat[parts[i] : parts[i + 1]], stop, arguments)

    work.stop = stop  # type: ignore[attr-defined]
    try:
        _pieces.share(work, len(heads), workers)
    except Exception:
        return False
    return not any(head[MISSED] for head in heads)


def _check(job: Any, slab: Box, out: np.ndarray, call: Any) -> None:
    """Compare with Python on the first, the middle and the last window of a slab."""
    for place in {tuple(0 for _ in out.shape), tuple(n // 2 for n in out.shape), tuple(n - 1 for n in out.shape)}:
        at = tuple(slice(part.start + i, part.start + i + 1) for part, i in zip(slab, place, strict=True))
        values, starts, offsets, _ = job.geometry(at)
        window = values[starts[0] + offsets]
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wanted = float(call(window.copy()))
        except Exception:
            continue
        if not agrees(out[place], wanted, window):
            raise NotCompilableError(f"gives {out[place]!r} for a window when compiled, and {wanted!r} in Python")
