"""What several tests need: random arrays, and law 2 as a comparison."""

from __future__ import annotations

import dataclasses

import numpy as np

DTYPES = "?bBhHiIqQfd"


def random_array(rng, shape, dtype):
    """Values over the whole range of integers half of the time, small ones else."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if rng.random() < 0.5 else (0, 100)
        return rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    values = rng.normal(size=shape) * 100
    if dtype.kind == "c":
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def layouts(array):
    """The same values in every layout, by name."""
    spaced = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    steps = tuple(slice(None, None, 2) for _ in array.shape)
    spaced[steps] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    raw = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    back = tuple(slice(None, None, -1) for _ in array.shape)
    return {
        "C": array,
        "Fortran": np.asfortranarray(array),
        "strided": spaced[steps],
        "negative strides": array[back].copy()[back],
        "read-only": read_only,
        "unaligned": unaligned,
        "byte-swapped": array.astype(array.dtype.newbyteorder()),
    }


def same(found, wanted, scale=1.0, exact=False):
    """Law 2: integers equal; float64 within 1e-12, float32 within 1e-6 of `scale`, the input's largest value."""
    if dataclasses.is_dataclass(wanted):
        fields = [f.name for f in dataclasses.fields(wanted)]
        return all(same(getattr(found, f), getattr(wanted, f), scale, exact) for f in fields)
    if type(wanted) is tuple:
        return len(found) == len(wanted) and all(same(f, w, scale, exact) for f, w in zip(found, wanted, strict=True))
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return False
    if wanted.dtype.kind == "b":
        return np.array_equal(found.view(np.uint8), wanted.view(np.uint8))
    if exact or wanted.dtype.kind in "iu":
        return np.array_equal(found, wanted, equal_nan=wanted.dtype.kind in "fc")
    bound = {2: 1e-3, 4: 1e-6}.get(np.empty(0, wanted.dtype).real.dtype.itemsize, 1e-12) * scale
    return np.allclose(found, wanted, rtol=0, atol=bound, equal_nan=True)
