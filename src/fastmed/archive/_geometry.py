"""Slices with positions -> their order and the affine of the volume, or a typed refusal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GeometryError, MissingSlices, NoGeometry, RepeatedPositions
from ._model import Slice, Vector

#: A slice may lie this part of the spacing off its place...
POSITION_TOLERANCE = 1e-2
#: ...or this many mm, since positions are often rounded to two decimals; but not more than 5 % of the
#: spacing.
ROUNDING = 0.01
#: Directions of rows and columns may be this far from unit length and from perpendicular.
DIRECTION_TOLERANCE = 1e-3
#: Closer than this (mm) along the normal is the same position.
SAME_POSITION = 1e-4


def axes_of(orientation: Vector) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along a row, along a column, and the normal.

    Raises
    ------
    NoGeometry
        If the directions are not unit vectors perpendicular to each other.
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if (
        max(abs(length - 1) for length in lengths) > DIRECTION_TOLERANCE
        or abs(row @ column) > DIRECTION_TOLERANCE
    ):
        raise NoGeometry(
            f"the directions of rows and columns must be perpendicular unit vectors; found lengths "
            f"{lengths[0]:.4g} and {lengths[1]:.4g}, scalar product {row @ column:.4g}"
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return row, column, np.cross(row, column)


def order(slices: Sequence[Slice]) -> list[Slice]:
    """The slices by their position along the normal of the first one's plane."""
    assert slices[0].orientation is not None
    normal = axes_of(slices[0].orientation)[2]
    heights = np.array([s.position for s in slices]) @ normal
    return [slices[i] for i in np.argsort(heights, kind="stable")]


def place_keys(slices: Sequence[Slice]) -> list[int]:
    """A number per slice, the same for slices at the same height along the normal."""
    assert slices[0].orientation is not None
    normal = axes_of(slices[0].orientation)[2]
    heights = np.array([s.position for s in slices]) @ normal
    ranks = np.argsort(heights, kind="stable")
    places = np.concatenate([[0], np.cumsum(np.diff(heights[ranks]) > SAME_POSITION)])
    keys = np.empty(len(slices), np.intp)
    keys[ranks] = places
    return keys.tolist()


def affine_of(slices: Sequence[Slice]) -> np.ndarray:
    """The affine of slices that are in order; see `fastmed.Volume`.

    Raises
    ------
    RepeatedPositions, MissingSlices, GeometryError
        If the slices do not stand on one straight, regular line.
    """
    first = slices[0]
    assert first.orientation is not None and first.spacing is not None
    normal = axes_of(first.orientation)[2]
    positions = np.array([s.position for s in slices], dtype=np.float64)
    if len(slices) == 1:
        step = normal * (first.between or 1.0)
    else:
        step = _checked_step(positions, normal, first.spacing)
    return affine_with(first, step)


def affine_with(first: Slice, step: np.ndarray) -> np.ndarray:
    """The affine of the plane of `first` with a given step between slices."""
    assert first.orientation is not None and first.spacing is not None
    row, column, _ = axes_of(first.orientation)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = row * first.spacing[1]
    affine[:3, 3] = first.position
    return affine


def line_of(slices: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the slices, and the normal of the first one's plane."""
    assert slices[0].orientation is not None
    return np.array([s.position for s in slices], dtype=np.float64), axes_of(slices[0].orientation)[2]


def flat_affine(one: Slice) -> np.ndarray:
    """For images that have no place in the patient: pixel spacing where known, else 1, at the origin."""
    rows, columns = one.spacing or (1.0, 1.0)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = one.between or 1.0, rows, columns, 1.0
    return affine


def _checked_step(positions: np.ndarray, normal: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    heights = positions @ normal
    gaps = np.diff(heights)
    if gaps.min() <= SAME_POSITION:
        again = heights[1:][gaps <= SAME_POSITION]
        raise RepeatedPositions(
            f"{len(again)} of {len(heights)} slices repeat a position ({_some(again)} mm along the normal) "
            "and no tag tells which belong together"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    height = float(step @ normal)
    off = positions - (positions[0] + np.arange(len(positions))[:, None] * step)
    along = np.abs(off @ normal)
    tolerance = max(POSITION_TOLERANCE * height, min(ROUNDING, 0.05 * height))
    if along.max() > tolerance:
        raise _irregular(heights, gaps)
    across = np.linalg.norm(off - np.outer(off @ normal, normal), axis=1)
    if across.max() > max(POSITION_TOLERANCE * max(height, *spacing), min(ROUNDING, 0.05 * min(spacing))):
        raise GeometryError(
            f"the slices do not stand on one straight line: slice {int(across.argmax())} lies "
            f"{across.max():.4g} mm beside it"
        )
    return step


def _irregular(heights: np.ndarray, gaps: np.ndarray) -> GeometryError:
    unit = float(np.median(gaps[gaps <= 1.1 * gaps.min()]))
    steps = gaps / unit
    whole = np.rint(steps)
    if np.abs(steps - whole).max() <= 0.02 * whole.max() and whole.max() > 1:
        lost = [
            heights[i] + k * unit for i in np.flatnonzero(whole > 1) for k in range(1, int(min(whole[i], 9)))
        ]
        count = int((whole - 1).sum())
        return MissingSlices(
            f"{count} slice{'s' * (count > 1)} missing at {_some(np.array(lost), count)} mm along the normal "
            f"(spacing {unit:.6g} mm)"
        )
    return GeometryError(
        f"the distance between slices varies from {gaps.min():.6g} to {gaps.max():.6g} mm; "
        "one volume needs one spacing"
    )


def _some(values: np.ndarray, count: int | None = None) -> str:
    shown = ", ".join(f"{v:.6g}" for v in values[:5])
    return shown + ("..." if (count or len(values)) > 5 else "")
