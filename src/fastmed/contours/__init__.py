"""Contours: mask -> borders as flat arrays of points."""

from ._isolines import Isolines, find_contours
from ._trace import Contours, trace_contours

__all__ = ["Contours", "Isolines", "find_contours", "trace_contours"]
