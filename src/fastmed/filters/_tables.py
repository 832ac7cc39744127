"""generic_filter with a function that asks for nothing but extrema and ranks of its window: kernels find them ahead."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .._engine.arrays import as_mode
from . import _pieces
from ._known import kernel_window
from ._minmax import maximum_filter, minimum_filter
from ._pieces import Box, boxes
from ._rank import rank_filter
from ._user_filter import compiled_loop
from ._user_function import NotCompilableError, agrees

#: Elements of a box whose tables are held at a time: large enough that what its windows reach beyond it counts little.
BOX = 1 << 17
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
    parts = boxes(job.image.shape, BOX)
    if job.mode == as_mode("wrap") and len(parts) > 1:  # the other side of the image stands outside
        return False
    for box in parts:
        reached, inside = _places(job, box)
        source = job.image[reached]
        with np.errstate(invalid="ignore"):
            if source.dtype.kind == "f" and np.isnan(source.max()):
                return False
        tables = _tables(source, inside, ranks, count, window)
        out = np.empty(tables.shape[1:])
        if not _look_up(loop, ranks, tables, out, count, job.stop, arguments, workers):
            return False
        if new:
            _check(job, box, out, call)
            new = False
        job.put(box, out)
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


def _places(job: Any, box: Box) -> tuple[Box, Box]:
    """What of the image the windows of a box reach, and where the box lies in it.

    Where that ends inside the image, its own border makes wrong values, beyond the box. Where it ends with the image
    the border is the true one, as long as what the mode puts outside is in it: else the whole axis is taken.
    """
    reached, inside = [], []
    for part, (before, after), n in zip(box, job.halo, job.image.shape, strict=True):
        first, last = max(0, part.start - before), min(n, part.stop + after)
        at_edge = part.start < before or part.stop + after > n
        if at_edge and part.stop - part.start <= before + after:
            first, last = 0, n
        reached.append(slice(first, last))
        inside.append(slice(part.start - first, part.stop - first))
    return tuple(reached), tuple(inside)


def _tables(source: np.ndarray, inside: Box, ranks: list[int], count: int, window: dict[str, Any]) -> np.ndarray:
    """The value of each rank for every window of the box that lies `inside`, in float64."""
    tables = np.empty((len(ranks), *(part.stop - part.start for part in inside)))
    for table, rank in zip(tables, ranks, strict=True):
        # Straight into the table where that is the same dtype and shape.
        target = table if (source.dtype, source.shape) == (table.dtype, table.shape) else None
        if rank in (0, count - 1):
            found = (maximum_filter if rank else minimum_filter)(source, output=target, **window)
        else:
            found = rank_filter(source, rank, output=target, **window)
        if target is None:
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
        stop[0] = 0  # the windows themselves will tell
        return False
    return not any(head[MISSED] for head in heads)


def _check(job: Any, box: Box, out: np.ndarray, call: Any) -> None:
    """Compare with Python on the first, the middle and the last window of a box."""
    for place in {tuple(0 for _ in out.shape), tuple(n // 2 for n in out.shape), tuple(n - 1 for n in out.shape)}:
        at = tuple(slice(part.start + i, part.start + i + 1) for part, i in zip(box, place, strict=True))
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
