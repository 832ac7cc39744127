"""Contours: mask -> borders as flat arrays of points."""

from ._isolines import Isolines, find_contours
from ._labels import trace_labels
from ._marching_cubes import Mesh, marching_cubes
from ._trace import Contours, trace_contours

__all__ = ["Contours", "Isolines", "Mesh", "find_contours", "marching_cubes", "trace_contours", "trace_labels"]
