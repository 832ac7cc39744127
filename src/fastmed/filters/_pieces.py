"""An array cut into boxes with their halo, and several threads that work through them.

Each box is taken as float64, the border filled in, so that what runs over it sees plain memory, whatever dtype, layout
and mode the array has.
"""

from __future__ import annotations

import contextvars
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

#: Elements of a box: its values stay in the second-level cache, and a slow function still lets Ctrl-C through.
PIECE = 1 << 14

Box = tuple[slice, ...]


def boxes(shape: Sequence[int], limit: int, in_order: bool = False) -> list[Box]:
    """Boxes of at most `limit` elements that tile `shape`; `in_order`: one after the other as in memory."""
    sizes = list(shape)
    while math.prod(sizes) > limit:
        many = [a for a, n in enumerate(sizes[:-1]) if n > 1] or [len(sizes) - 1]
        longest = many[0] if in_order else max(many, key=lambda a: sizes[a])
        sizes[longest] = -(-sizes[longest] // 2)
    ranges = [[slice(i, min(i + k, n)) for i in range(0, n, k)] for n, k in zip(shape, sizes, strict=True)]
    return list(itertools.product(*ranges))


def border_indices(first: int, last: int, n: int, mode: int) -> np.ndarray:
    """Which of n elements stands at each of first..last-1; -1 where the constant does."""
    i = np.arange(first, last)
    if mode == 0:
        return np.clip(i, 0, n - 1)
    if mode == 1:
        return i % n
    if mode == 4:
        return np.where((i < 0) | (i >= n), -1, i)
    if n == 1:
        return i * 0
    period = 2 * n if mode == 2 else 2 * n - 2
    i %= period
    return np.minimum(i, (period - 1 if mode == 2 else period) - i)


def with_halo(image: np.ndarray, box: Box, halo: Sequence[tuple[int, int]], mode: int, cval: float) -> np.ndarray:
    """A box of the image with its halo, as float64 in C order, the border filled in."""
    source, outside = image, []
    for axis, (part, (before, after)) in enumerate(zip(box, halo, strict=True)):
        first, last, n = part.start - before, part.stop + after, image.shape[axis]
        at: Any = slice(first, last)
        if first < 0 or last > n:
            at = border_indices(first, last, n, mode)
            if mode == 4:
                outside.append((slice(None),) * axis + (at < 0,))
        source = source[(slice(None),) * axis + (at,)]
    room = np.zeros(source.size + 8)  # eight are copied where the last of a window may be one
    block = room[:-8].reshape(source.shape)
    block[...] = source
    for where in outside:
        block[where] = cval
    return block


def share(work: Callable[[int], None], count: int, workers: int) -> None:
    """``work(0) ... work(count - 1)`` by several threads, this one among them; raises what the first failure raised."""
    if workers <= 1 or count <= 1:
        for i in range(count):
            work(i)
        return
    pending, lock = iter(range(count)), threading.Lock()
    failures: dict[int, BaseException] = {}

    def run() -> None:
        while not failures:
            with lock:
                i = next(pending, None)
            if i is None:
                return
            try:
                work(i)
            except BaseException as error:
                failures[i] = error

    # Each thread in a copy of this one's context: np.errstate holds there, too.
    others = [
        threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True, name="fastmed-filter")
        for _ in range(min(workers, count) - 1)
    ]
    for thread in others:
        thread.start()
    try:
        run()
        for thread in others:
            thread.join()
    except BaseException as error:  # Ctrl-C between two pieces, or while waiting
        failures[-1] = error
    if failures:
        stop = getattr(work, "stop", None)
        if stop is not None:
            stop[0] = 1
        for thread in others:
            thread.join()
        raise failures[min(failures)]


def share_boxes(work: Any, job: Any, pieces: list[Box], budget: int) -> None:
    def one(i: int) -> None:
        work(pieces[i])

    one.stop = job.stop  # type: ignore[attr-defined]
    share(one, len(pieces), budget)
