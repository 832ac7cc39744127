"""Boxes: which part of a volume, one (first, last) per axis."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Box = tuple[tuple[int, int], ...]


_held = threading.local()


def scratch(name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array of this thread that the next call with this name takes again.

    New pages for every block cost a Gaussian on two threads half as much again (5.9 for 3.8 ns per voxel).
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    held = getattr(_held, name, None)
    if held is None or held.nbytes < size:
        setattr(_held, name, None)
        held = np.empty(size, np.uint8)
        setattr(_held, name, held)
    return held[:size].view(dtype).reshape(tuple(shape))


def shape_of(box: Box) -> tuple[int, ...]:
    return tuple(last - first for first, last in box)


def slices_of(box: Box, origin: Sequence[int] | None = None) -> tuple[slice, ...]:
    """For indexing an array whose element 0 lies at `origin`."""
    origin = origin or (0,) * len(box)
    return tuple(slice(first - o, last - o) for (first, last), o in zip(box, origin, strict=True))


def merged(wanted: np.ndarray) -> Iterator[Box]:
    """Boxes of which the true elements of an array consist: each as long as it can be, along the last axis first."""
    left = wanted.copy()
    while left.any():
        begin = np.unravel_index(int(left.argmax()), left.shape)
        box = [(int(i), int(i) + 1) for i in begin]
        for axis in range(left.ndim - 1, -1, -1):
            while box[axis][1] < left.shape[axis]:
                more = [*box[:axis], (box[axis][1], box[axis][1] + 1), *box[axis + 1 :]]
                if not left[slices_of(tuple(more))].all():
                    break
                box[axis] = (box[axis][0], box[axis][1] + 1)
        left[slices_of(tuple(box))] = False
        yield tuple(box)


def sizes_along(n: int, block: int) -> list[int]:
    """Sizes of the blocks of an axis of `n`."""
    return [min(block, n - first) for first in range(0, n, block)]


def runs(shape: Sequence[int], box: Box) -> Iterator[tuple[int, int]]:
    """(first, count) of the stretches of a C-ordered array that a box covers, in its own order."""
    inner = len(shape) - 1
    while inner > 0 and box[inner] == (0, shape[inner]):
        inner -= 1
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    first, last = box[inner]
    for lead in itertools.product(*(range(*span) for span in box[:inner])):
        base = sum(i * step for i, step in zip(lead, steps, strict=False))
        yield base + first * steps[inner], (last - first) * steps[inner]
