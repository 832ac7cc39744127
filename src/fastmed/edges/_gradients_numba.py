"""Numba twin of csrc/edges/gradients.cpp: one component after the other, one pass after the other."""

import numpy as np

from .._engine.separable_numba import one_pass


def gradients(input, axes, radii, smooth, derive, scales, modes, cval, scaled, root, output, threads):
    """A derivative along one axis with smoothing along the others, or the length of several."""
    image = _as_float(input, scaled, output.dtype)
    # One factor for all is taken behind the root, as scikit-image does: sqrt(1) / sqrt(2) is not sqrt(1 / 2).
    equal = root and len({scales[axis] for axis in axes}) == 1
    total = np.zeros(input.shape)
    for axis in axes:
        part = _component(image, axis, radii, smooth, derive, modes, cval)
        scale = 1.0 if equal else scales[axis]
        total += part * part * scale if root else part * scale
    output[...] = np.sqrt(total) * (1 / np.sqrt(1 / scales[axes[0]]) if equal else 1.0) if root else total


def _as_float(input, scaled, dtype):
    if scaled and input.dtype.kind in "iu":
        return np.maximum(input * (1.0 / np.iinfo(input.dtype).max), -1.0)
    return input.astype(np.float64)


def _component(image, axis, radii, smooth, derive, modes, cval):
    """Outside stands what the mode says of the image itself, also for the later passes: hence the padding."""
    begins = np.cumsum([0, *(2 * r + 1 for r in radii)])
    padded = _padded(image, radii, modes, cval)
    for d, radius in enumerate(radii):
        weights = (derive if d == axis else smooth)[begins[d] : begins[d + 1]]
        out = np.empty_like(padded)
        one_pass(padded, out, d, 2 * radius + 1, radius, tuple(weights), 0, 0.0)
        padded = out
    return padded[tuple(slice(r, r + n) for r, n in zip(radii, image.shape, strict=True))]


def _padded(image, radii, modes, cval):
    names: dict = {0: "edge", 1: "wrap", 2: "symmetric", 3: "reflect"}
    for axis, (radius, mode) in enumerate(zip(radii, modes, strict=True)):
        width = [(radius, radius) if d == axis else (0, 0) for d in range(image.ndim)]
        image = np.pad(image, width, names[mode]) if mode in names else np.pad(image, width, constant_values=cval)
    return image
