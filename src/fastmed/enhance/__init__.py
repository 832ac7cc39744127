"""Contrast: array -> array. One line per operation."""

from ._rescale import rescale_intensity as rescale_intensity

__all__ = [name for name in dir() if not name.startswith("_")]
