"""Numba twin of csrc/enhance/rescale.cpp."""

import numpy as np
from numba import njit


def value_range(input, output, threads):
    """The least and highest value; NaN where there is one."""
    output[...] = extremes(np.ravel(input, order="K"))


@njit(nogil=True, cache=True)
def extremes(values):
    low = high = values[0]
    for v in values:
        if v != v:
            return v, v
        low, high = min(low, v), max(high, v)
    return low, high


def rescale(input, limits, flat, output, threads):
    """Clip to low..high, and stretch that to least..most; where it is flat, clip to least..most too."""
    kind = np.float32 if input.dtype == np.float32 else np.float64
    low, high, span, least, most, width = np.array(limits, kind)
    image = np.clip(input.astype(kind), low, high)
    result = np.clip(image, least, most) if flat else (image - low) / span * width + least
    with np.errstate(invalid="ignore"):
        output[...] = result.astype(output.dtype)
