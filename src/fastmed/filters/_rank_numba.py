"""Numba twin of csrc/filters/rank.cpp: the median's, which takes any rank."""

from ._median_numba import median_filter


def rank_filter(input, footprint, origins, rank, mode, cval, output, threads):
    """Sort each window, take the value of `rank`; a window with a NaN gives NaN."""
    median_filter(input, footprint, origins, rank, mode, cval, output, threads)
