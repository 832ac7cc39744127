"""Numba twin of csrc/segment/label.cpp."""

import itertools

import numpy as np
from numba import njit


def label(input, structure, background, equal, output, threads):
    """Number the components of `input` in raster order in `output`; gives their count."""
    if equal:
        codes = np.unique(input, return_inverse=True, equal_nan=False)[1].reshape(input.shape) + 1
        codes[np.isin(input, background)] = 0
    else:
        codes = (input != 0).astype(np.int64)
    padded = np.pad(codes, 1)  # no neighbour lies outside
    strides = np.array(padded.strides) // padded.itemsize
    steps = [s for s in itertools.product((-1, 0, 1), repeat=input.ndim) if structure[tuple(i + 1 for i in s)]]
    earlier = np.array([strides @ s for s in steps if strides @ s < 0], np.int64)
    labels = np.zeros(padded.size, np.int64)
    count = number(padded.reshape(-1), earlier, labels)
    output[...] = labels.reshape(padded.shape)[(slice(1, -1),) * input.ndim]
    return count


@njit(nogil=True, cache=True)
def number(codes, earlier, links):
    """Links to earlier elements of the same code, then numbers in their order."""
    for i in range(codes.size):
        links[i] = i
        if codes[i] != 0:
            for offset in earlier:
                if codes[i + offset] == codes[i]:
                    a, b = root(links, i), root(links, i + offset)
                    links[max(a, b)] = min(a, b)
    count = 0
    for i in range(codes.size):
        if codes[i] == 0:
            links[i] = 0
        elif links[i] == i:
            count += 1
            links[i] = count
        else:
            links[i] = links[links[i]]
    return count


@njit(nogil=True, cache=True)
def root(links, i):
    """The first element of a component; the way to it is halved."""
    while links[i] != i:
        links[i] = links[links[i]]
        i = links[i]
    return i
