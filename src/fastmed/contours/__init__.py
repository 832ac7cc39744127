"""Contours: mask -> borders as flat arrays of points."""

from ._trace import Contours, trace_contours

__all__ = ["Contours", "trace_contours"]
