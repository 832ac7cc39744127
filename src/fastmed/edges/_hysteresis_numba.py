"""Numba twin of csrc/edges/hysteresis.cpp."""

import itertools

import numpy as np
from numba import njit


def hysteresis(marks, connectivity, threads):
    """Weak marks (1) that hang on a strong one (2) become 1, all others 0, in place."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=marks.ndim) if 0 < np.count_nonzero(s) <= connectivity]
    padded = np.pad(marks, 1)  # no neighbour lies outside
    strides = np.array(padded.strides)  # in elements: they are bytes
    follow(padded.reshape(-1), np.array([int(strides @ s) for s in steps]))
    marks[...] = padded[(slice(1, -1),) * marks.ndim] == 2


@njit(nogil=True, cache=True)
def follow(marks, offsets):
    """Weak marks that hang on a strong one become strong; the outermost elements hold none."""
    stack = [i for i in range(marks.size) if marks[i] == 2]
    while stack:
        at = stack.pop()
        for offset in offsets:
            if marks[at + offset] == 1:
                marks[at + offset] = 2
                stack.append(at + offset)
