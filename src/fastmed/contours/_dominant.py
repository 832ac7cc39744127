"""Dominant points of digital curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._engine import threads
from .._engine.operation import kernel
from ._trace import DOMINANT, Contours, _choice


def dominant_points(contours: Contours, method: str = "tc89_l1") -> Contours:
    """Keep the points at which borders bend, after Teh and Chin.

    Parameters
    ----------
    contours : Contours
        In pixels and with all points: of ``trace_contours(mask, mode, 'none')``.
    method : {'tc89_l1', 'tc89_kcos'}, optional
        Curvature as the turn between two steps, or as the largest cosine over the support of a point.

    Returns
    -------
    Contours
        The same borders with fewer points: OpenCV's of ``CHAIN_APPROX_TC89_L1`` and ``CHAIN_APPROX_TC89_KCOS``.

    Raises
    ------
    ValueError
        If points of a border are not neighbours of each other; unknown `method`.

    References
    ----------
    .. [1] C.-H. Teh and R. T. Chin, "On the detection of dominant points on digital curves", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 11 (1989) 859-872.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> square = np.pad(np.ones((5, 5), bool), 1)
    >>> fastmed.dominant_points(fastmed.trace_contours(square, method="none")).points.tolist()
    [[1, 1], [1, 5], [5, 5], [5, 1]]
    """
    cosine = _choice(method, DOMINANT, "method")
    points, offsets = contours.points, contours.offsets
    following = np.arange(1, len(points) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    single = np.repeat(np.diff(offsets) == 1, np.diff(offsets))
    if points.dtype.kind not in "iu" or (abs(points[following] - points).max(axis=1, initial=0) + single != 1).any():
        raise ValueError("contours must have all points, in pixels, as trace_contours gives them with method='none'")
    xy = np.ascontiguousarray(points, np.int32)
    picked, ends = kernel("dominant_points", __name__)(xy, offsets, cosine, threads.budget(len(xy), 32))
    return replace(contours, points=points[picked], offsets=ends)
