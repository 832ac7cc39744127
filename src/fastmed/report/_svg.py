"""The report's charts as numbers that the template draws: positions, ticks, paths. Text stays in the
template, so that Jinja2 escapes all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

#: Points further from the median than so many interquartile ranges are drawn at the edge of the frame.
FAR = 8.0


def outline(points: np.ndarray) -> str:
    """A closed SVG path through integer or half-integer points (x, y), in relative steps, which are the
    shortest.

    Examples
    --------
    >>> outline(np.array([[2, 3], [4, 3], [4, 6]]))
    'M2.5 3.5l2 0 0 3z'
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(points) == 0:
        return ""
    start = "M" + " ".join(_short(v + 0.5) for v in points[0])
    steps = np.diff(points, axis=0)
    if len(steps) == 0:
        return start + "h.01"  # a lone pixel: a dot, by the round line caps
    return start + "l" + " ".join(f"{_short(x)} {_short(y)}" for x, y in steps) + "z"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between `low` and `high`, about `count` of them.

    Examples
    --------
    >>> ticks(0, 1, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [float(low)]
    raw = (high - low) / count
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(k * step), 12) + 0.0 for k in np.arange(first, last + 1)]


def scatter(
    x: Sequence[float],
    y: Sequence[float],
    classes: Sequence[Any],
    wrong: Iterable[bool] | None = None,
    width: int = 460,
    height: int = 330,
) -> dict[str, Any]:
    """Positions of a scatter plot: one point per row, its class as a number, whether it was predicted
    wrongly."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    names = sorted({str(c) for c in classes})
    flags = list(wrong) if wrong is not None else [False] * len(xs)
    place_x, ticks_x = _axis(xs, 46, width - 12)
    place_y, ticks_y = _axis(ys, height - 40, 12)
    points = []
    for a, b, c, w in zip(xs, ys, classes, flags, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            (px, out_x), (py, out_y) = place_x(a), place_y(b)
            points.append(
                {"x": px, "y": py, "class": names.index(str(c)), "wrong": bool(w), "outside": out_x or out_y}
            )
    radius = 4.5 if len(points) <= 200 else 2.5
    return {
        "width": width,
        "height": height,
        "points": points,
        "names": names,
        "ticks_x": ticks_x,
        "ticks_y": ticks_y,
        "radius": radius,
        "outside": sum(p["outside"] for p in points),
    }


def _frame(values: np.ndarray) -> tuple[float, float]:
    """What an axis shows: all values, but for those so far out that they would press the others into a
    line."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    lower, middle, upper = np.percentile(finite, (25, 50, 75))
    reach = FAR * max(upper - lower, 1e-12 * abs(middle))
    near = finite[np.abs(finite - middle) <= reach] if reach > 0 else finite
    return float(near.min()), float(near.max())


def _axis(values: np.ndarray, start: float, end: float):
    """A function from value to (position, whether it lies outside the frame), and the ticks with their
    positions."""
    low, high = _frame(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    margin = 0.05 * (high - low)
    low, high = low - margin, high + margin

    def place(value: float) -> tuple[float, bool]:
        share = (value - low) / (high - low)
        return round(start + min(max(share, 0.0), 1.0) * (end - start), 1), not 0 <= share <= 1

    return place, [{"at": place(t)[0], "text": f"{t:g}"} for t in ticks(low, high)]


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Any]:
    """A confusion matrix as rows of cells, each with its count and its share of the true class (the
    shade)."""
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        {
            "name": str(name),
            "cells": [{"count": int(c), "share": float(s)} for c, s in zip(r, p, strict=True)],
        }
        for name, r, p in zip(names, counts, shares, strict=True)
    ]
    return {"names": [str(n) for n in names], "rows": rows}
