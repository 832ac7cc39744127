"""Edges: array -> gradients and edge masks."""

from ._canny import canny
from ._sobel import sobel

__all__ = ["canny", "sobel"]
