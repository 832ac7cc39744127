"""DICOM Segmentation objects -> masks on their own grid or on that of a volume."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ..errors import DecodeError, GeometryError, LimitExceeded, NoGeometry
from ..volume import Volume
from . import _decode, _geometry, _grid
from ._limits import DEFAULT, Limits
from ._model import Image, Slice
from ._source import guarded, quiet

SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"


def read_segmentation(
    path: Any, *, like: Volume | None = None, labels: bool = False, limits: Limits = DEFAULT
) -> Volume:
    """Read a DICOM Segmentation.

    Parameters
    ----------
    path : path_like
        The file.
    like : Volume, optional
        Give the masks on the grid of this volume, each voxel from the nearest of the segmentation, 0 outside it.
        By default the grid is that of the segmentation's own frames; planes between them that it leaves out are empty.
    labels : bool, optional
        Add the segments' own labels to the metadata. They are free text, which can name a patient.
    limits : Limits, optional
        What the file may ask for.

    Returns
    -------
    Volume
        Binary: bool, axes (segment, z, y, x), since segments may overlap. Fractional: float32 from 0 to 1, the same
        axes. Label map: unsigned integers (z, y, x). ``meta['segments']`` holds a dict for each segment: its number
        and the codes of its category and type.

    Raises
    ------
    UnsupportedImageError
        If it is another object.
    NoGeometry
        If its frames have no positions in the patient (microscopy, projections).
    GeometryError
        If its frames do not lie on one grid, or have another frame of reference than `like`.
    DecodeError, LimitExceeded
        If it is broken, or too large.
    """
    from ._describe import describe_object

    with quiet():
        image, slices, dataset = describe_object(os.fspath(path), limits, {SEGMENTATION, LABEL_MAP})
        affine, heights = _frame_grid(slices)
        with guarded():
            numbers, about = _segments(dataset, slices, labels)
        if like is not None:
            _grid.check_same_space(image.frame_of_reference, like.meta.get("frame_of_reference", ""))
        frames = _frames(image, slices, limits)
    kind = "LABELMAP" if image.sop_class == LABEL_MAP else str(dataset.get("SegmentationType", "")).upper()
    if kind == "FRACTIONAL":
        frames = _fractions(frames, dataset)
    elif kind == "BINARY":
        frames = frames.astype(bool)
    elif kind != "LABELMAP":
        raise DecodeError("the segmentation is neither BINARY, FRACTIONAL nor LABELMAP")
    planes = max(heights) + 1
    whole = kind == "LABELMAP"
    order = [0] if whole else [one["number"] for one in about]
    shape = (planes, *frames.shape[1:])
    _check_size(shape, len(order), frames.dtype.itemsize, like, limits)
    parts = [
        _place(frames, shape, heights, None if whole else [n == number for n in numbers]) for number in order
    ]
    if like is not None:
        parts = [_grid.nearest(part, affine, like) for part in parts]
    meta = {"axes": "zyx" if whole else "szyx", "segments": tuple(about), "geometry": "patient",
            "frame_of_reference": image.frame_of_reference, "study": image.study, "patient": image.patient}  # fmt: skip
    array = parts[0] if whole else np.stack(parts)
    return Volume(array, affine if like is None else like.affine, modality="SEG", meta=meta)


def _segments(dataset: Dataset, slices: list[Slice], labels: bool) -> tuple[list[int], list[dict[str, Any]]]:
    """The segment of each frame; number and codes of each segment."""
    about = []
    for item in dataset.get("SegmentSequence") or []:
        one: dict[str, Any] = {"number": int(item.SegmentNumber)}
        for name in ("category", "type"):
            codes = item.get(f"SegmentedProperty{name.title()}CodeSequence")
            if codes:
                one[name] = f"{codes[0].get('CodingSchemeDesignator', '')}:{codes[0].get('CodeValue', '')}"[:64]
        if labels:
            one["label"] = str(item.get("SegmentLabel", ""))
        about.append(one)
    known = [one["number"] for one in about]
    if not known or len(set(known)) < len(known):
        raise DecodeError(f"a segmentation of {len(known)} segments with {len(set(known))} different numbers")
    if str(dataset.get("SOPClassUID", "")) == LABEL_MAP:
        return [], about
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    numbers = []
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or []:
        item = (frame.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence") or [None])[0]
        numbers.append(known[0] if item is None and len(known) == 1 else int(item.ReferencedSegmentNumber))
    if len(numbers) != len(slices) or not set(numbers) <= set(known):
        raise DecodeError("the frames of the segmentation do not name segments that it has")
    return numbers, about


def _frame_grid(slices: list[Slice]) -> tuple[np.ndarray, list[int]]:
    """The affine of the grid of all frames, and the plane of each on it."""
    first = slices[0]
    if any(s.position is None or s.orientation is None or s.spacing is None for s in slices):
        raise NoGeometry("the frames of the segmentation have no positions, orientations or spacings in the patient")
    orientations = np.array([s.orientation for s in slices])
    spacings = np.array([s.spacing for s in slices])
    if np.ptp(orientations, axis=0).max() > 1e-4 or np.ptp(spacings, axis=0).max() > 1e-3 * spacings.min():
        raise GeometryError("the frames of the segmentation have several orientations or spacings")
    positions, normal = _geometry.line_of(slices)
    along = positions @ normal
    start = positions[int(along.argmin())]
    heights = (positions - start) @ normal
    gaps = np.diff(np.unique(np.round(heights, 3)))
    step = float(gaps.min()) if len(gaps) else float(first.between or 1.0)
    if first.between and len(gaps) and _whole(heights / first.between):
        step = first.between
    planes = np.rint(heights / step)
    if not _whole(heights / step):
        raise GeometryError("the frames of the segmentation do not lie at multiples of one distance")
    line = (positions - start)[int(along.argmax())]
    direction = line / planes.max() if planes.max() else normal * step
    beside = positions - start - planes[:, None] * direction
    if np.abs(beside).max() > max(_geometry.ROUNDING, _geometry.POSITION_TOLERANCE * step):
        raise GeometryError("the frames of the segmentation do not stand on one straight line")
    affine = _geometry.affine_with(first, direction)
    affine[:3, 3] = start
    return affine, planes.astype(int).tolist()


def _whole(values: np.ndarray) -> bool:
    return bool(np.abs(values - np.rint(values)).max() <= 0.02 * max(1.0, float(values.max()) * 0.05))


def _frames(image: Image, slices: list[Slice], limits: Limits) -> np.ndarray:
    size = image.rows * image.columns * image.frames * (1 if image.allocated <= 8 else 2)
    if size > limits.max_volume_bytes:
        raise LimitExceeded(f"a segmentation of {size} bytes; at most {limits.max_volume_bytes} are read")
    frames = np.empty((image.frames, image.rows, image.columns), np.uint8 if image.allocated <= 8 else np.uint16)
    try:
        _decode.fill(slices, list(frames), [None] * len(frames), limits)
    except _decode.Overflow:
        raise DecodeError("the segmentation holds values that are no labels") from None
    return frames


def _fractions(frames: np.ndarray, dataset: Dataset) -> np.ndarray:
    most = int(dataset.get("MaximumFractionalValue") or 0)
    if not most or frames.max(initial=0) > most:
        raise DecodeError("the fractions of the segmentation exceed its MaximumFractionalValue, or it has none")
    return frames.astype(np.float32) / np.float32(most)


def _check_size(
    shape: tuple[int, ...], count: int, itemsize: int, like: Volume | None, limits: Limits
) -> None:
    largest = max(int(np.prod(shape, dtype=object)), 0 if like is None else int(np.prod(like.shape[-3:], dtype=object)))
    if largest * count * itemsize > limits.max_volume_bytes:
        raise LimitExceeded(f"masks of {largest * count * itemsize} bytes; at most {limits.max_volume_bytes} are read")


def _place(frames: np.ndarray, shape: tuple[int, ...], heights: list[int], chosen: list[bool] | None) -> np.ndarray:
    """The chosen frames on the planes that they belong to."""
    array = np.zeros(shape, frames.dtype)
    filled: set[int] = set()
    for n, plane in enumerate(heights):
        if chosen is None or chosen[n]:
            if plane in filled:
                raise GeometryError("two frames of one segment lie in one plane")
            filled.add(plane)
            array[plane] = frames[n]
    return array
