"""`_pixels.pyx` in NumPy: its definition in the tests, and what runs where the extension is not built."""

from __future__ import annotations

import itertools

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


def mark(
    raw: np.ndarray, flags: np.ndarray, size: int, shift: int, bits: int, signed: bool, low: int, high: int
) -> bool:
    """Set `flags`, which must hold zeros, to 1 where the stored value lies between the two; see `_pixels.pyx`."""
    values = np.empty(len(flags), np.int64)
    convert(raw, values, size, shift, bits, signed, 1, 0)
    flags[...] = (values >= low) & (values <= high)
    return bool(flags.any())


def unpack_rle(frame: np.ndarray, target: np.ndarray, size: int) -> int:
    """Decode one RLE frame; see `_pixels.pyx`."""
    data, n = frame.tobytes(), len(target) // size if size > 0 else 0
    if not 1 <= size <= 8 or n * size != len(target):
        raise ValueError(f"target must hold whole values of {size} bytes, found {len(target)}")
    if n == 0 or not data:
        return 0 if n == 0 else 1
    if len(data) < 64:
        return 2
    head = np.frombuffer(data[:64], "<u4")
    if head[0] != size:
        return 2
    bounds = [*map(int, head[1 : 1 + size]), len(data)]
    for s, (start, end) in enumerate(itertools.pairwise(bounds)):
        if start < 64 or end < start or end > len(data):
            return 1 if start >= len(data) or end > len(data) else 2
        plane = _unpack(data[start:end], n)
        if len(plane) < n:
            return 1
        target[size - 1 - s :: size] = np.frombuffer(plane, np.uint8)
    return 0


def _unpack(segment: bytes, n: int) -> bytes:
    plane, at = bytearray(), 0
    while at < len(segment) and len(plane) < n:
        head, at = segment[at], at + 1
        if head < 128:
            plane += segment[at : at + head + 1]
            at += head + 1
        elif head > 128:
            plane += segment[at : at + 1] * (257 - head)
            at += 1
    return bytes(plane[:n])
