"""Looking: contours over an image, with matplotlib (``pip install fastmed[plot]``)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from .contours import Contours, Isolines
from .contours._polygons import flat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["contours"]


def contours(
    image: Any,
    contours: Any,
    *,
    slice: int | None = None,
    ax: Axes | None = None,
    colors: Any = None,
    linewidth: float = 1.0,
    **imshow: Any,
) -> Axes:
    """Draw contours over an image.

    Parameters
    ----------
    image : array_like, shape (rows, columns) or, with `slice`, (slices, rows, columns)
        Of a `Volume`, its array; contours must then be in pixels, too, not in mm.
    contours : Contours, Isolines or sequence of arrays of shape (n, 2)
        `Contours` and arrays hold (x, y), `Isolines` of `find_contours` (row, column). Contours are drawn closed,
        lines as they are.
    slice : int, optional
        Of a stack, the slice that is shown, with the contours that lie in it.
    ax : matplotlib Axes, optional
        Where to draw; default: new ones.
    colors : colour or sequence of colours, optional
        Of the contours, repeated as needed. Default: matplotlib's own, one per label of `trace_labels`.
    linewidth : float, optional
        In points.
    **imshow
        Further arguments of matplotlib's ``imshow``; `cmap` is 'gray' without it.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the image has not 2 axes (3 with `slice`), or the contours are in mm.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.collections import LineCollection
    except ImportError as error:
        raise ImportError("fastmed.plot needs matplotlib: pip install 'fastmed[plot]'") from error
    shown = np.asarray(image)
    if shown.ndim != (2 if slice is None else 3):
        wanted = "2 axes (row, column), or 3 together with slice=" if slice is None else "3 axes together with slice="
        raise ValueError(f"image must have {wanted}; found shape {shown.shape}")
    lines, kinds = _lines(contours, slice)
    if ax is None:
        ax = pyplot.subplots()[1]
    ax.imshow(shown if slice is None else shown[slice], **{"cmap": "gray", **imshow})
    if colors is None:
        colors = [f"C{kind % 10}" for kind in kinds]
    ax.add_collection(LineCollection(lines, colors=colors, linewidths=linewidth))
    return ax


def _lines(contours: Any, slice: int | None) -> tuple[list[np.ndarray], list[int]]:
    """Lines of (x, y), closed where they are contours, and a number that decides the colour of each."""
    points, offsets = flat(contours)
    parts = [points[a:b] for a, b in itertools.pairwise(offsets.tolist())]
    if isinstance(contours, Isolines):
        return [part[:, ::-1] for part in parts], [0] * len(parts)
    kinds = [0] * len(parts)
    if isinstance(contours, Contours):
        if len(contours.labels):
            kinds = contours.labels.tolist()
        if slice is not None and len(contours.slices):
            chosen = np.flatnonzero(contours.slices == slice)
            parts, kinds = [parts[i] for i in chosen], [kinds[i] for i in chosen]
    return [np.concatenate([part, part[:1]]) for part in parts], kinds
