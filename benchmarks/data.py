"""What races are run on: arrays made anew from a fixed seed, ``maker(shape, dtype)``."""

from __future__ import annotations

import numpy as np
import scipy.ndimage


def tissue(shape, dtype):
    """Smooth structures with noise; for integers and floats from about -1000 to 1000 as in CT, unsigned: 0 to 255."""
    rng = np.random.default_rng(0)
    values = 40 * rng.standard_normal(shape, dtype=np.float32)
    waves = np.float32(900)
    for axis, n in enumerate(shape):
        line = np.sin(np.arange(n, dtype=np.float32) / (7 + 5 * axis))
        waves = waves * line.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    values += waves
    if np.dtype(dtype).kind == "u":
        values = np.clip(values / 8 + 128, 0, 255)
    return values.astype(dtype)


def noise(shape, dtype):
    """Uniform noise: the whole range of integers, half of a mask, floats from 0 to 1."""
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.random(shape) > 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return rng.random(shape).astype(dtype)


def blobs(shape, dtype):
    """Blobs some ten pixels wide with a little noise, over the range of the dtype; as a mask about a thousand."""
    rng = np.random.default_rng(0)
    image = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), 8 if np.dtype(dtype).kind == "b" else 4)
    if np.dtype(dtype).kind == "b":
        return image > 0
    image += 0.1 * image.std() * rng.random(shape)
    image = (image - image.min()) / np.ptp(image)
    return (image * np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else image).astype(dtype)


def speckles(shape, dtype):
    """A mask of small blobs."""
    return (scipy.ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 2) > 0).astype(dtype)


def disk(shape, dtype):
    """One disk in a mask."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2 < (0.4 * min(shape)) ** 2).astype(dtype)
