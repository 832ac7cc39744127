"""The twin of csrc/edges/canny_integer.cpp: one whole-image step after the other."""

import numpy as np
from numba import njit

from ._hysteresis_numba import hysteresis

# Smoothing and derivative of each aperture. What the largest gives is divided by 16.
_SMOOTH = {3: (1, 2, 1), 5: (1, 4, 6, 4, 1), 7: (1, 6, 15, 20, 15, 6, 1)}
_DERIVE = {3: (-1, 0, 1), 5: (-1, -2, 0, 2, 1), 7: (-1, -4, -5, 0, 5, 4, 1)}


def canny_integer(image, dx, dy, aperture, squared, low, high, link, output, threads):
    """Marks (0, 1 weak, 2 strong) of uint8 images or int16 gradients, or 255 where they are edges."""
    if aperture:
        smooth, derive = (np.array(taps[aperture]) for taps in (_SMOOTH, _DERIVE))
        dx, dy = _gradient(image, derive, smooth), _gradient(image, smooth, derive)
    dx, dy = _strongest(dx.astype(np.int64), dy.astype(np.int64), squared)
    marks = _marks(dx, dy, _magnitude(dx, dy, squared), low, high)
    if link:
        hysteresis(marks, 2, threads)
        marks *= 255
    output[...] = marks


@njit(nogil=True, cache=True)
def _gradient(image, along_x, along_y):
    ny, nx, channels = image.shape
    n = len(along_x)
    result = np.zeros((ny, nx, channels), np.int64)
    for y in range(ny):
        for x in range(nx):
            for c in range(channels):
                for j in range(n):
                    for i in range(n):
                        v, u = min(max(y + j - n // 2, 0), ny - 1), min(max(x + i - n // 2, 0), nx - 1)
                        result[y, x, c] += along_y[j] * along_x[i] * image[v, u, c]
                if n == 7:  # halves go to the even neighbour
                    result[y, x, c] = np.rint(result[y, x, c] / 16)
    return result


def _magnitude(dx, dy, squared):
    """As an integer of 32 bits, which overflows for two derivatives of -32768 only."""
    return (dx * dx + dy * dy if squared else abs(dx) + abs(dy)).astype(np.int32)


def _strongest(dx, dy, squared):
    """The gradient of the channel in which it is longest, of the first of several."""
    channel = _magnitude(dx, dy, squared).argmax(axis=2)[..., None]
    return np.take_along_axis(dx, channel, 2)[..., 0], np.take_along_axis(dy, channel, 2)[..., 0]


@njit(nogil=True, cache=True)
def _marks(dx, dy, magnitude, low, high):
    """Where the magnitude is above `low` and highest across the edge, in one of four directions."""
    ny, nx = magnitude.shape
    framed = np.zeros((ny + 2, nx + 2), np.int32)  # outside there is no gradient
    framed[1:-1, 1:-1] = magnitude
    marks = np.zeros((ny, nx), np.uint8)
    for y in range(ny):
        for x in range(nx):
            top = magnitude[y, x]
            a, b = abs(dx[y, x]), abs(dy[y, x])
            if b << 15 < 13573 * a:  # the tangent of 22.5 degrees in 15 binary places
                highest = top > framed[y + 1, x] and top >= framed[y + 1, x + 2]
            elif b << 15 > np.int32(13573 * a + (a << 16)):
                highest = top > framed[y, x + 1] and top >= framed[y + 2, x + 1]
            else:
                s = -1 if (dx[y, x] < 0) != (dy[y, x] < 0) else 1
                highest = top > framed[y, x + 1 - s] and top > framed[y + 2, x + 1 + s]
            if highest and top > low:
                marks[y, x] = 2 if top > high else 1
    return marks
