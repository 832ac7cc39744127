"""Edges: array -> gradients and edge masks. One line per operation."""

from ._canny import canny as canny
from ._prewitt import prewitt as prewitt
from ._sobel import sobel as sobel

__all__ = [name for name in dir() if not name.startswith("_")]
