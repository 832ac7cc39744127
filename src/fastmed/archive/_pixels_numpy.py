"""`_pixels.pyx` in NumPy: its definition in the tests, and what runs where the extension is not built."""

from __future__ import annotations

import numpy as np


def swap_bytes(raw: np.ndarray, size: int) -> None:
    """Reverse the bytes of each value of `size` bytes, in place."""
    raw.view(f"u{size}").byteswap(inplace=True)


def convert(
    raw: np.ndarray,
    target: np.ndarray,
    size: int,
    shift: int,
    bits: int,
    signed: bool,
    slope: float,
    intercept: float,
) -> tuple[int, int]:
    """Fill `target` with ``slope * stored + intercept``; see `_pixels.pyx`."""
    if len(raw) < len(target) * size:
        raise ValueError(f"raw must hold {len(target) * size} bytes, found {len(raw)}")
    if shift < 0 or not 1 <= bits <= 8 * size - shift:
        raise ValueError(f"{bits} bits from bit {shift} do not fit {size} bytes")
    if not len(target):
        return 0, 0
    unsigned = raw[: len(target) * size].view(f"u{size}").astype(np.uint64)
    unsigned = (unsigned >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
    sign = np.uint64(1 << (bits - 1) if signed else 0)
    values = ((unsigned ^ sign) - sign).view(np.int64)
    bounds = int(values.min()), int(values.max())
    if target.dtype.kind == "f":
        target[...] = (values if signed else unsigned) * slope + intercept
    else:
        target[...] = (values * int(slope) + int(intercept)).astype(target.dtype)
    return bounds
