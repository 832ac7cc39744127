"""Contours to masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_integer
from .._engine.operation import kernel
from ._polygons import ContoursLike, flat
from ._trace import Contours, _choice

#: What is inside; the values are what the kernel is told.
RULES = {"pixels": True, "centers": False}


def fill_contours(contours: ContoursLike, shape: Any, rule: str = "pixels") -> np.ndarray:
    """Make a mask of contours: the inverse of `trace_contours` and `trace_labels`.

    ``fill_contours(trace_contours(mask, mode), mask.shape)`` is `mask` again for every mask, with the modes 'list',
    'ccomp' and 'tree'; with 'external' holes are filled. The same holds for stacks and for labels.

    Parameters
    ----------
    contours : Contours or sequence of arrays of shape (n, 2)
        Points (x, y), which is (column, row), in pixels.
    shape : tuple of int
        (rows, columns); of contours of a stack (slices, rows, columns).
    rule : {'pixels', 'centers'}, optional
        'pixels': contours are borders as they are traced: their points are pixels of the mask, each step goes along a
        row, a column or a diagonal, and they run as `trace_contours` has them. 'centers': contours are any polygons; a
        pixel is in if its centre is in, by the even-odd rule. Of centres on the polygon itself those on its left and
        upper sides are in.

    Returns
    -------
    ndarray of bool, or of int32 with the labels of `trace_labels`

    Raises
    ------
    ValueError
        Points outside `shape` or steps in other directions with the rule 'pixels'; a shape that does not suit.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.fill_contours([[[1, 0], [0, 1], [1, 2], [2, 1]]], (3, 3)).astype(int).tolist()
    [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    pixels = _choice(rule, RULES, "rule")
    points, offsets = flat(contours)
    stack = isinstance(contours, Contours) and len(contours.slices) > 0
    size = tuple(as_integer(n, "shape") for n in shape)
    if len(size) != 2 + stack and not (len(size) == 3 and not len(offsets) - 1):
        raise ValueError(f"shape must have {2 + stack} numbers for these contours, found {size}")
    if min(size) < 0:
        raise ValueError(f"shape must not be negative, found {size}")
    if pixels:
        _check_pixels(points, offsets, size)
    elif not np.isfinite(points).all():
        raise ValueError("contours must be finite, found NaN or infinity")
    count = len(offsets) - 1
    labelled = isinstance(contours, Contours) and len(contours.labels) > 0
    planes = contours.slices if stack else np.zeros(count, np.int32)
    if stack and count and (planes.min() < 0 or planes.max() >= size[0]):
        raise ValueError(f"contours lie in slices {planes.min()} to {planes.max()}, but shape is {size}")
    values = contours.labels if labelled else np.ones(count, np.int32)
    output = np.zeros(size if len(size) == 3 else (1, *size), np.int32 if labelled else np.uint8)
    xy = np.ascontiguousarray(points, np.float64)
    budget = threads.budget(output.size)
    kernel("fill_contours", __name__)(xy, offsets, planes, values, pixels, output, budget)
    return (output if labelled else output.view(bool)).reshape(size)


def _check_pixels(points: np.ndarray, offsets: np.ndarray, shape: tuple[int, ...]) -> None:
    if points.dtype.kind not in "iu" and not (points == np.floor(points)).all():
        raise ValueError("contours must have whole numbers with the rule 'pixels'; 'centers' takes any")
    if not len(points):
        return
    low, high = points.min(axis=0), points.max(axis=0)
    if low.min() < 0 or high[0] >= shape[-1] or high[1] >= shape[-2]:
        raise ValueError(f"contours must lie inside shape {shape}, found x from {low[0]} to {high[0]} and y from "
                         f"{low[1]} to {high[1]}")
    following = np.arange(1, len(points) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    dx, dy = abs(points[following].astype(np.int64) - points.astype(np.int64)).T
    if ((dx != dy) & (dx != 0) & (dy != 0)).any():
        raise ValueError("contours must run along rows, columns and diagonals with the rule 'pixels'; 'centers' takes "
                         "any")
