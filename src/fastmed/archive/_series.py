"""Headers -> series: what can be one volume together, and why the rest cannot."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import NoGeometry, RepeatedPositions, SeriesError, UnsupportedImageError
from . import _faults, _geometry
from ._limits import DEFAULT, Limits
from ._model import SPLITTERS, Slice
from ._parse import read_pixel_digest
from ._source import name_of

#: Pixel spacings further apart than this part belong to different volumes (0.1 pixel at the rim of 512).
SPACING_TOLERANCE = 2e-4
#: Directions whose components differ by more belong to different volumes.
ORIENTATION_TOLERANCE = 1e-3
#: Times of acquisition, which order the visits to one position.
CLOCKS = (
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "FrameReferenceTime",
    "FrameReferenceDateTime",
    "FrameAcquisitionDateTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
)
#: Of these a series without positions is a lost volume; of others it is a set of single pictures.
_TOMOGRAPHIC = {"CT", "MR", "PT"}


@dataclass(frozen=True, eq=False)
class Series:
    """Files, or frames of files, that form one volume; from `fastmed.archive.scan`.

    Attributes
    ----------
    key : str
        16 hexadecimal digits, a hash of the SeriesInstanceUID; with a suffix where one UID holds several
        volumes.
    modality : str
        'CT', 'MR', 'PT'...; empty where it is not a known code.
    paths : tuple of str
        The files, in the order of the slices.
    shape : tuple of int
        Of the volume: (z, y, x), or as `axes` says.
    axes : str
        'zyx', 'tyx' (frames without positions) or 'tyxc' (colour).
    affine : (4, 4) array
        See `fastmed.Volume`.
    patient, study : str
        Hashes, for grouping.
    meta : dict
        What the volume will carry.
    fault : str
        What is wrong with the series and was accepted by `on_fault`; empty for a series that is right.
    """

    key: str
    modality: str
    paths: tuple[str, ...]
    shape: tuple[int, ...]
    axes: str
    affine: np.ndarray
    patient: str
    study: str
    meta: dict[str, Any]
    slices: tuple[Slice, ...] = field(repr=False)
    fault: str = ""
    places: tuple[float, ...] | None = field(default=None, repr=False)

    @property
    def n_slices(self) -> int:
        """Slices or frames."""
        return self.shape[0]

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        kind = self.modality or "unknown modality"
        return f"Series({self.key}, {kind}, {size} ({self.axes}), {len(self.paths)} files)"


@dataclass(frozen=True)
class Refusal:
    """Slices that are no volume, and why. `lost` where they hold voxels that a volume would have needed."""

    slices: Sequence[Slice]
    error: SeriesError
    lost: bool = True


def build(
    slices: Iterable[Slice],
    broken: Mapping[str, Sequence[SeriesError]] | None = None,
    *,
    on_fault: str = "raise",
    limits: Limits = DEFAULT,
) -> tuple[list[Series], list[Refusal]]:
    """All the series in the slices of any number of files.

    `broken` holds, by series, the errors of files whose slices are not known: with 'raise' their series are refused,
    since nobody can say what they lack.
    """
    by_uid: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        by_uid[one.image.series].append(one)
    series: list[Series] = []
    refusals: list[Refusal] = []
    for uid in sorted(by_uid):
        lost = (broken or {}).get(uid, ())
        _build_one(uid, by_uid[uid], lost, on_fault, limits, series, refusals)
    return series, refusals


def _build_one(
    uid: str,
    slices: list[Slice],
    lost: Sequence[SeriesError],
    on_fault: str,
    limits: Limits,
    series: list[Series],
    refusals: list[Refusal],
) -> None:
    slices, copies = _without_copies(slices, limits)
    refusals += copies
    groups = _by_geometry(slices)
    for identity, group in groups:
        suffix = "" if len(groups) == 1 else _suffix(uid, identity)
        try:
            parts, by, twins = _parts_of(group, on_fault, limits)
            refusals += twins
        except SeriesError as error:
            refusals.append(Refusal(group, _of_several(error, len(groups))))
            continue
        for index, (value, part) in enumerate(parts):
            split = (
                {"split_by": by, "split_index": index, "split_count": len(parts)} if len(parts) > 1 else {}
            )
            end = suffix if not split else _suffix(uid, (identity, value))
            try:
                series += _of_part(uid, end, part, split, lost, on_fault)
            except SeriesError as error:
                refusals.append(Refusal(part, _of_several(error, len(groups))))


_Labelled = list[tuple[Hashable, list[Slice]]]


def _parts_of(group: list[Slice], on_fault: str, limits: Limits) -> tuple[_Labelled, str, list[Refusal]]:
    """The parts of a group, what tells them apart, and slices that are another's twins."""
    if not _placed(group):
        return *_single_images(group, on_fault, limits), []
    try:
        return *_by_time(group, on_fault), []
    except RepeatedPositions:
        single, twins = _without_twins(group, limits)
        if not twins:
            raise
        return *_by_time(single, on_fault), twins


def _without_twins(group: list[Slice], limits: Limits) -> tuple[list[Slice], list[Refusal]]:
    """Drop slices with the place and the pixels of another: whichever is taken, the voxels are the same."""
    places = _geometry.place_keys(group)
    count = Counter(places)
    single: list[Slice] = []
    twins: list[Refusal] = []
    seen: set[Hashable] = set()
    for place, one in sorted(zip(places, group, strict=True), key=lambda entry: entry[1].image.path):
        image = one.image
        if count[place] > 1:
            what = (place, one.frame, one.position, one.slope, one.intercept, image.kind, image.stored, image.shift,
                    image.padding, image.syntax, image.units, read_pixel_digest(image, limits))  # fmt: skip
            if what in seen:
                twins.append(Refusal([one], SeriesError("the pixels of another file, at its place"), lost=False))
                continue
            seen.add(what)
        single.append(one)
    return single, twins


def _of_part(
    uid: str, end: str, part: list[Slice], split: dict[str, Any], lost: Sequence[SeriesError], on_fault: str
) -> list[Series]:
    """The series in one part: one, or more where a fault splits it."""
    key = uid[:16] + end
    if not _placed(part):
        return [_flat_series(key, part, split)]
    missing = _lost_fault(lost)
    if missing is not None and on_fault == "raise":
        raise missing
    found = _faults.stacks(part, on_fault)
    note = f"{type(missing).__name__}: {missing}" if missing is not None else ""
    made = []
    for n, stack in enumerate(found):
        run = {} if len(found) == 1 else {"run_index": n, "run_count": len(found)}
        name = key if len(found) == 1 else uid[:16] + _suffix(uid, (end, "run", stack.slices[0].image.instance))
        fault = "; ".join(text for text in (stack.fault, note) if text)
        made.append(_placed_series(name, stack, {**split, **run}, fault))
    return made


def _lost_fault(lost: Sequence[SeriesError]) -> SeriesError | None:
    if not lost:
        return None
    return type(lost[0])(f"{len(lost)} of its files cannot be read ({name_of(lost[0].paths[0])}: {lost[0]})")


def _of_several(error: SeriesError, groups: int) -> SeriesError:
    if groups == 1:
        return error
    return type(error)(f"{error}; the series holds {groups} geometries, which were set apart")


def _suffix(uid: str, identity: Hashable) -> str:
    return "-" + hashlib.sha256(f"{uid}{identity!r}".encode()).hexdigest()[:8]


# -------------------------------------------------------------------------------------------------- set apart


def _without_copies(slices: list[Slice], limits: Limits) -> tuple[list[Slice], list[Refusal]]:
    """Drop files that are the same object with the same pixels a second time."""
    count = Counter((s.image.instance, s.image.syntax, s.frame) for s in slices)
    if not count or max(count.values()) == 1:
        return slices, []
    kept: list[Slice] = []
    copies: list[Refusal] = []
    seen: dict[Hashable, str] = {}
    for one in sorted(slices, key=lambda s: s.image.path):
        image = one.image
        if count[image.instance, image.syntax, one.frame] > 1:
            what = (image.instance, image.syntax, one.frame, one.position, read_pixel_digest(image, limits))
            if seen.setdefault(what, image.path) != image.path:
                copies.append(Refusal([one], SeriesError("a copy of another file of the series"), lost=False))
                continue
        kept.append(one)
    return kept, copies


def _by_geometry(slices: list[Slice]) -> list[tuple[Hashable, list[Slice]]]:
    """Groups that agree in everything that must be one in a volume, each with what it agrees in."""
    groups: list[tuple[Hashable, list[Slice]]] = [((), slices)]
    groups = _refine(groups, _patients)
    groups = _refine(groups, _exact)
    groups = _refine(groups, _clusters(lambda s: s.orientation or (), lambda v: ORIENTATION_TOLERANCE))
    return _refine(
        groups, _clusters(lambda s: s.spacing or (), lambda v: SPACING_TOLERANCE * max(v, default=0))
    )


def _refine(
    groups: list[tuple[Hashable, list[Slice]]], labels: Callable[[list[Slice]], list[Hashable]]
) -> list[tuple[Hashable, list[Slice]]]:
    finer: list[tuple[Hashable, list[Slice]]] = []
    for identity, group in groups:
        parts: dict[Hashable, list[Slice]] = defaultdict(list)
        for label, one in zip(labels(group), group, strict=True):
            parts[label].append(one)
        finer += [
            ((identity, label), part) for label, part in sorted(parts.items(), key=lambda p: repr(p[0]))
        ]
    return finer


def _patients(slices: list[Slice]) -> list[Hashable]:
    """Whom the slices are of, where that differs; those that do not say belong to whom there is."""
    named = {s.image.patient for s in slices if s.image.patient_from == "patient"}
    return [s.image.patient if len(named) > 1 and s.image.patient_from == "patient" else "" for s in slices]


def _exact(slices: list[Slice]) -> list[Hashable]:
    return [
        (
            s.image.modality, s.image.rows, s.image.columns, s.image.samples, s.image.photometric,
            s.image.frame_of_reference, s.image.localizer, s.image.kind == "f", s.position is not None,
            s.orientation is not None, s.spacing is not None,
        )
        for s in slices
    ]  # fmt: skip


def _clusters(
    value: Callable[[Slice], tuple[float, ...]], tolerance: Callable[[tuple[float, ...]], float]
) -> Callable[[list[Slice]], list[Hashable]]:
    """Labels slices by the smallest value within tolerance of theirs."""

    def labels(slices: list[Slice]) -> list[Hashable]:
        found: list[tuple[float, ...]] = []
        nearest: dict[tuple[float, ...], tuple[float, ...]] = {}
        for v in sorted({value(s) for s in slices}):
            near = (f for f in found if all(abs(a - b) <= tolerance(f) for a, b in zip(f, v, strict=True)))
            nearest[v] = next(near, v)
            if nearest[v] is v:
                found.append(v)
        return [nearest[value(s)] for s in slices]

    return labels


# --------------------------------------------------------------------------------------- one place, one slice


def _placed(group: list[Slice]) -> bool:
    return not group[0].image.colour and group[0].position is not None and group[0].orientation is not None


def _single_images(
    group: list[Slice], on_fault: str, limits: Limits
) -> tuple[list[tuple[Hashable, list[Slice]]], str]:
    """Images and sequences without a place: each file by itself."""
    files: dict[str, list[Slice]] = defaultdict(list)
    for one in group:
        files[one.image.path].append(one)
    if len(files) > 1 and group[0].image.modality in _TOMOGRAPHIC:
        if group[0].image.colour:
            raise UnsupportedImageError(f"{len(files)} colour slices: a volume holds one value per voxel")
        numbers = [one.image.number for one in group]
        if on_fault == "keep" and None not in numbers and len(set(numbers)) == len(group):
            return [((), sorted(group, key=lambda one: one.image.number or 0))], ""
        raise NoGeometry(
            f"{len(files)} slices without position and orientation: their order in space is unknown"
        )
    parts = sorted(files.values(), key=lambda part: (part[0].image.number or 0, part[0].image.instance))
    names: list[Hashable] = [part[0].image.instance for part in parts]
    if len(set(names)) < len(names):  # one object several times, with other pixels or in other encodings
        digests = [(part[0].image.syntax, read_pixel_digest(part[0].image, limits)) for part in parts]
        names = [(n, d, digests[:i].count(d)) for i, (n, d) in enumerate(zip(names, digests, strict=True))]
    return list(zip(names, parts, strict=True)), "image"


def _by_time(group: list[Slice], on_fault: str) -> tuple[list[tuple[Hashable, list[Slice]]], str]:
    """The slices as parts that hold every position once: time points, echoes, b-values, phases..."""
    places = _geometry.place_keys(group)
    if len(set(places)) == len(group):
        return [((), group)], ""
    for complete in (True, False):
        for names, labels in _label_sets(group):
            parts = _parts(group, places, labels, complete)
            if parts:
                return parts, "+".join(names)
    for name in CLOCKS:
        visits = _visits(group, places, SPLITTERS.index(name))
        if visits:
            return visits, f"{name} at each position"
    blocks = _instance_blocks(group, places)
    if blocks:
        return blocks, "InstanceNumber"
    if on_fault in ("split", "keep"):
        return [((), group)], ""
    raise RepeatedPositions(
        f"{len(group)} slices at {len(set(places))} positions, and no time, echo, acquisition or other tag "
        "tells which belong together"
    )


def _label_sets(group: list[Slice]) -> Iterable[tuple[tuple[str, ...], list[Hashable]]]:
    """One splitter, then two, of those that vary."""
    columns: dict[str, list[str]] = {}
    for number, name in enumerate(SPLITTERS):
        column = [s.splitters[number] for s in group]
        if len(set(column)) > 1:
            columns[name] = column
    syntaxes = [s.image.syntax for s in group]
    if len(set(syntaxes)) > 1:
        columns["TransferSyntaxUID"] = syntaxes
    for name, column in columns.items():
        yield (name,), list(column)
    for a, b in itertools.combinations(columns, 2):
        yield (a, b), list(zip(columns[a], columns[b], strict=True))


def _parts(
    group: list[Slice], places: list[int], labels: list[Hashable], complete: bool
) -> list[tuple[Hashable, list[Slice]]] | None:
    """The parts by label, if each holds every position once (`complete`) or as few parts as can be do so."""
    parts: dict[Hashable, list[Slice]] = defaultdict(list)
    held: dict[Hashable, list[int]] = defaultdict(list)
    for label, place, one in zip(labels, places, group, strict=True):
        parts[label].append(one)
        held[label].append(place)
    if any(len(set(p)) < len(p) for p in held.values()):
        return None
    if complete and len({frozenset(p) for p in held.values()}) > 1:
        return None
    if not complete and len(parts) != max(Counter(places).values()):
        return None
    return sorted(parts.items(), key=lambda part: _in_order(part[0]))


def _in_order(label: Hashable) -> list[tuple[float, str]]:
    keys = []
    for text in label if isinstance(label, tuple) else (label,):
        try:
            keys.append((float(str(text)), ""))
        except ValueError:
            keys.append((0.0, str(text)))
    return keys


def _visits(group: list[Slice], places: list[int], clock: int) -> list[tuple[Hashable, list[Slice]]] | None:
    """First, second... visit to every position, where each was visited equally often at times of its own.

    Triggered scans: the phases of one slice are not at quite the times of those of the next.
    """
    at_place: dict[int, list[tuple[float, Slice]]] = defaultdict(list)
    for place, one in zip(places, group, strict=True):
        try:
            at_place[place].append((float(one.splitters[clock]), one))
        except ValueError:
            return None
    count = len(next(iter(at_place.values())))
    for visits in at_place.values():
        if len(visits) != count or len({time for time, _ in visits}) < count:
            return None
        visits.sort(key=lambda visit: visit[0])
    return [(("visit", n), [visits[n][1] for visits in at_place.values()]) for n in range(count)]


def _instance_blocks(group: list[Slice], places: list[int]) -> list[tuple[Hashable, list[Slice]]] | None:
    """Runs of consecutive instance numbers that hold every position once: how scanners number time points.

    The last resort; the numbers only tell the runs apart, the order of the slices comes from their positions.
    """
    size = len(set(places))
    if size < 2 or any(s.image.number is None for s in group) or len(group) % size:
        return None
    ranks = sorted(range(len(group)), key=lambda i: (group[i].image.number, group[i].frame))
    numbers = [(group[i].image.number, group[i].frame) for i in ranks]
    if len(set(numbers)) < len(numbers):
        return None
    runs = [ranks[at : at + size] for at in range(0, len(ranks), size)]
    if any(len({places[i] for i in run}) < size for run in runs):
        return None
    return [(("block", n), [group[i] for i in run]) for n, run in enumerate(runs)]


# --------------------------------------------------------------------------------------------------- a series


def _placed_series(key: str, stack: _faults.Stack, extra: dict[str, Any], fault: str) -> Series:
    first = stack.slices[0].image
    shape = (stack.count, first.rows, first.columns)
    if fault:
        extra = {**extra, "fault": fault}
    if stack.heights is not None:
        extra = {**extra, "heights_mm": stack.heights}
    if stack.places is not None:
        extra = {**extra, "interpolated": _interpolated(stack.places)}
    return _series(key, stack.slices, shape, "zyx", stack.affine, "patient", extra, fault, stack.places)


def _interpolated(places: tuple[float, ...]) -> tuple[int, ...]:
    """The slices of the volume that no file holds."""
    held = {round(place) for place in places if abs(place - round(place)) <= _geometry.POSITION_TOLERANCE}
    return tuple(k for k in range(round(places[-1]) + 1) if k not in held)


def _flat_series(key: str, slices: list[Slice], extra: dict[str, Any]) -> Series:
    """Images and frames that have no place in the patient."""
    broken = _faults.broken_slices(slices)
    if broken is not None:
        raise broken
    image, fault = slices[0].image, ""
    several = len({one.image.path for one in slices}) > 1
    if not several:
        slices = sorted(slices, key=lambda s: s.frame)
        if image.modality in _TOMOGRAPHIC and len(slices) > 1 and not image.colour:
            raise NoGeometry(
                f"{len(slices)} frames without position and orientation: their order in space is unknown"
            )
    else:
        fault = "NoGeometry: slices without position, in the order of their instance numbers"
        extra = {**extra, "fault": fault}
    axes = "tyxc" if image.colour else "tyx" if len(slices) > 1 and not several else "zyx"
    shape: tuple[int, ...] = (len(slices), image.rows, image.columns, *((3,) if image.colour else ()))
    geometry = "pixel spacing" if slices[0].spacing else "none"
    return _series(key, slices, shape, axes, _geometry.flat_affine(slices[0]), geometry, extra, fault)


def _series(
    key: str,
    slices: list[Slice],
    shape: tuple[int, ...],
    axes: str,
    affine: np.ndarray,
    geometry: str,
    extra: dict[str, Any],
    fault: str,
    places: tuple[float, ...] | None = None,
) -> Series:
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise NoGeometry("pixel spacings and distances of slices that span no volume")
    image = slices[0].image
    meta = {
        "series": key,
        "patient": image.patient,
        "patient_from": image.patient_from,
        "study": image.study,
        "modality": image.modality,
        "units": _units(slices),
        "n_slices": shape[0],
        "axes": axes,
        "geometry": geometry,
        "frame_of_reference": image.frame_of_reference,
        "photometric": image.photometric,
        "transfer_syntax": image.syntax if image.known_syntax else "",
        **extra,
        **dict(image.facts),
    }
    paths = tuple(dict.fromkeys(s.image.path for s in slices))
    return Series(
        key, image.modality, paths, shape, axes, affine, image.patient, image.study, meta, tuple(slices), fault, places
    )


def _units(slices: list[Slice]) -> str:
    """The unit that all slices name; empty where some name none."""
    found = {s.image.units for s in slices}
    if len(found - {""}) > 1:
        raise SeriesError(f"the slices have values in several units: {', '.join(sorted(found))}")
    return found.pop() if len(found) == 1 else ""
