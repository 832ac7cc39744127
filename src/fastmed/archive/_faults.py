"""What becomes of a part of a series that is no regular volume: refused, split, regridded, or kept as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DecodeError, GeometryError, NoGeometry, RepeatedPositions, SeriesError
from . import _geometry
from ._model import Slice

#: What `on_fault` may be.
CHOICES = ("raise", "split", "regrid", "keep")


@dataclass(frozen=True)
class Stack:
    """Slices in order and where they lie.

    `heights` are the positions along the normal, in mm from the first slice, where they are not the regular ones;
    `places` are the slices' positions in units of the grid's step, where the volume is to be interpolated on it.
    """

    slices: list[Slice]
    affine: np.ndarray
    fault: str = ""
    heights: tuple[float, ...] | None = None
    places: tuple[float, ...] | None = None

    @property
    def count(self) -> int:
        """Slices of the volume."""
        return len(self.slices) if self.places is None else round(self.places[-1]) + 1


def check_choice(on_fault: str) -> None:
    """Raise ValueError where it is none of :data:`CHOICES`."""
    if on_fault not in CHOICES:
        raise ValueError(f"on_fault must be one of {', '.join(map(repr, CHOICES))}; found {on_fault!r}")


def stacks(part: Sequence[Slice], on_fault: str) -> list[Stack]:
    """The volumes in slices that have positions; with 'raise', one that is right.

    Raises
    ------
    SeriesError
        What is wrong; with other choices than 'raise' only what they cannot mend.
    """
    if part[0].spacing is None:
        raise NoGeometry("the slices have positions but no pixel spacing")
    sound = [one for one in part if one.image.fault is None]
    broken = broken_slices(part)
    try:
        if broken is not None:
            raise broken
        ordered = _geometry.order(part)
        return [Stack(ordered, _geometry.affine_of(ordered))]
    except NoGeometry:
        raise
    except SeriesError as error:
        if on_fault == "raise" or not sound:
            raise
        ordered = _geometry.order(sound)
        return _MENDERS[on_fault](ordered, f"{type(error).__name__}: {error}")


def broken_slices(part: Sequence[Slice]) -> SeriesError | None:
    """The error of a part in which the pixels of some slices cannot be decoded."""
    faults = [one.image.fault for one in part if one.image.fault is not None]
    if not faults:
        return None
    if len(part) == 1:
        return faults[0]
    return type(faults[0])(f"{len(faults)} of {len(part)} slices cannot be decoded: {faults[0]}")


def _keep(ordered: list[Slice], fault: str) -> list[Stack]:
    """All slices in one volume whose step is the mean one."""
    if len(ordered) == 1:
        return [Stack(ordered, _geometry.affine_of(ordered), fault)]
    positions, normal = _geometry.line_of(ordered)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    if step @ normal <= _geometry.SAME_POSITION:  # all of them at one place
        step = normal * (ordered[0].between or 1.0)
    heights = (positions - positions[0]) @ normal
    return [Stack(ordered, _geometry.affine_with(ordered[0], step), fault, tuple(heights.tolist()))]


def _split(ordered: list[Slice], fault: str) -> list[Stack]:
    """Runs of regular spacing; where positions repeat, first the first slices of all, then the second..."""
    visits: dict[int, list[Slice]] = defaultdict(list)
    seen: dict[int, int] = defaultdict(int)
    by_number = sorted(
        zip(ordered, _geometry.place_keys(ordered), strict=True),
        key=lambda s: (s[0].image.number or 0, s[0].frame, s[0].image.instance),
    )
    for one, place in by_number:
        visits[seen[place]].append(one)
        seen[place] += 1
    runs = [run for visit in visits.values() for run in _runs(_geometry.order(visit))]
    return [Stack(run, _geometry.affine_of(run), fault) for run in runs]


def _runs(ordered: list[Slice]) -> list[list[Slice]]:
    """The longest regular runs, from the first slice on."""
    runs: list[list[Slice]] = []
    while ordered:
        end = 2
        while end < len(ordered) and _regular(ordered[: end + 1]):
            end += 1
        if len(ordered) > 1 and not _regular(ordered[:end]):
            end = 1
        elif end == 2 and len(ordered) > 3 and _regular(ordered[1:4]):
            end = 1  # the second belongs to the run that follows, rather than two slices to one another
        runs.append(ordered[:end])
        ordered = ordered[end:]
    return runs


def _regular(run: list[Slice]) -> bool:
    try:
        _geometry.affine_of(run)
    except GeometryError:
        return False
    return True


def _regrid(ordered: list[Slice], fault: str) -> list[Stack]:
    """A regular grid over the slices, of their commonest distance; what is between them is interpolated.

    Raises
    ------
    RepeatedPositions, GeometryError, DecodeError
        If slices repeat a position, lie beside one straight line, or are fewer than two.
    """
    if len(ordered) < 2:
        raise DecodeError(f"{fault}; one slice is not enough to interpolate")
    positions, normal = _geometry.line_of(ordered)
    heights = (positions - positions[0]) @ normal
    gaps = np.diff(heights)
    if gaps.min() <= _geometry.SAME_POSITION:
        raise RepeatedPositions(f"{fault}; which of them to interpolate is unknown")
    count = max(1, round(float(heights[-1] / np.median(gaps))))
    step = (positions[-1] - positions[0]) / count
    beside = positions - positions[0] - np.outer(heights / (step @ normal), step)
    if np.abs(beside).max() > max(_geometry.ROUNDING, _geometry.POSITION_TOLERANCE * float(np.linalg.norm(step))):
        raise GeometryError(f"{fault}; the slices do not stand on one straight line")
    places = tuple((heights / (step @ normal)).tolist())
    return [Stack(ordered, _geometry.affine_with(ordered[0], step), fault, None, places)]


_MENDERS = {"keep": _keep, "split": _split, "regrid": _regrid}
