"""Masks from one grid onto another, and polygons onto a grid."""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError
from ..volume import Volume


def check_same_space(first: str, second: str) -> None:
    """Refuse two frames of reference, where both are known."""
    if first and second and first != second:
        raise GeometryError("the object and the volume have different frames of reference")


def nearest(array: np.ndarray, affine: np.ndarray, like: Volume) -> np.ndarray:
    """`array` (z, y, x) at the voxel centres of `like`, from the nearest voxel; 0 outside."""
    shape = like.shape[-3:]
    there = np.linalg.inv(affine) @ like.affine  # index in `like` -> index in `array`
    found = np.zeros(shape, array.dtype)
    rows, columns = np.indices(shape[1:]).reshape(2, -1)
    limits = np.array(array.shape)[:, None]
    for k in range(shape[0]):
        place = there[:3] @ np.vstack([np.full_like(rows, k), rows, columns, np.ones_like(rows)])
        index = np.floor(place + 0.5 + 1e-6).astype(np.intp)
        inside = ((index >= 0) & (index < limits)).all(axis=0)
        found[k].reshape(-1)[inside] = array[tuple(index[:, inside])]
    return found


def fill_polygon(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Invert the pixels of `mask` (y, x) whose centres lie inside a closed polygon, by the even-odd rule.

    A centre on the boundary belongs to the polygon where the inside lies to its right or below it, so that polygons
    with a common edge share no pixel. Parts outside the mask are cut off.
    """
    y0, x0 = rows, columns
    y1, x1 = np.roll(rows, -1), np.roll(columns, -1)
    first, last = max(0, int(np.ceil(y0.min()))), min(mask.shape[0] - 1, int(np.floor(y0.max())))
    for j in range(first, last + 1):
        crosses = (y0 <= j) != (y1 <= j)
        at = x0[crosses] + (j - y0[crosses]) / (y1[crosses] - y0[crosses]) * (x1[crosses] - x0[crosses])
        ends = np.clip(np.ceil(np.sort(at)), 0, mask.shape[1]).astype(np.intp)
        for a, b in zip(ends[::2], ends[1::2], strict=True):
            mask[j, a:b] ^= True
