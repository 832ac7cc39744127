"""RT Structure Sets -> masks on the grid of a volume."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from ..errors import DecodeError, GeometryError, LimitExceeded
from ..volume import Volume
from . import _grid
from ._limits import DEFAULT, Limits
from ._model import short_hash
from ._source import guarded, quiet

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}


def read_structures(
    path: Any, *, like: Volume, crop: bool = False, labels: bool = False, limits: Limits = DEFAULT
) -> Volume:
    """Read the closed contours of an RT Structure Set as masks.

    Parameters
    ----------
    path : path_like
        The file.
    like : Volume
        Whose grid the masks get. A voxel belongs to a region where its centre lies inside an odd number of the
        region's contours in its slice.
    crop : bool, optional
        Leave out contours beyond the volume's ends, instead of refusing them.
    labels : bool, optional
        Add the regions' names to the metadata. They are free text, which can name a patient.
    limits : Limits, optional
        What the file may ask for.

    Returns
    -------
    Volume
        bool, axes (segment, z, y, x); ``meta['segments']`` holds a dict with the number of each region, and how many
        of its contours are no closed ones and were left out.

    Raises
    ------
    UnsupportedImageError
        If it is another object.
    GeometryError
        If contours do not lie in the slices of `like`, or beyond its ends, or in another frame of reference.
    DecodeError, LimitExceeded
        If it is broken, or the masks are too large.
    """
    from ._describe import read_dataset

    with quiet():
        dataset = read_dataset(os.fspath(path), limits, {STRUCTURE_SET})
        with guarded():
            regions = _regions(dataset, labels)
            _check_references(dataset, like)
    shape = tuple(like.shape[-3:])
    size = len(regions) * int(np.prod(shape, dtype=object))
    if size > limits.max_volume_bytes:
        raise LimitExceeded(f"masks of {size} bytes; at most {limits.max_volume_bytes} are read")
    inverse = np.linalg.inv(like.affine)
    masks = np.zeros((len(regions), *shape), bool)
    for mask, (about, contours) in zip(masks, regions, strict=True):
        for points in contours:
            _draw(mask, inverse[:3, :3] @ points.T + inverse[:3, 3:], about["number"], crop)
    meta = {"axes": "szyx", "segments": tuple(about for about, _ in regions), "geometry": "patient",
            "frame_of_reference": like.meta.get("frame_of_reference", "")}  # fmt: skip
    return Volume(masks, like.affine, modality="RTSTRUCT", meta=meta)


def _check_references(dataset: Dataset, like: Volume) -> None:
    for roi in dataset.get("StructureSetROISequence") or []:
        uid = str(roi.get("ReferencedFrameOfReferenceUID", ""))
        _grid.check_same_space(short_hash(uid) if uid else "", like.meta.get("frame_of_reference", ""))


def _regions(dataset: Dataset, labels: bool) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    names = {int(r.ROINumber): str(r.get("ROIName", "")) for r in dataset.get("StructureSetROISequence") or []}
    regions = []
    for item in dataset.get("ROIContourSequence") or []:
        about: dict[str, Any] = {"number": int(item.ReferencedROINumber), "left_out": 0}
        if labels:
            about["label"] = names.get(about["number"], "")
        contours = []
        for contour in item.get("ContourSequence") or []:
            points = np.array([float(v) for v in contour.get("ContourData") or ()])
            if str(contour.get("ContourGeometricType", "")) not in _CLOSED:
                about["left_out"] += 1
                continue
            if len(points) < 9 or len(points) % 3 or not np.isfinite(points).all():
                raise DecodeError(f"a contour of region {about['number']} is no polygon: {len(points)} numbers")
            contours.append(points.reshape(-1, 3))
        regions.append((about, contours))
    if not regions:
        raise DecodeError("the structure set has no contours")
    return regions


def _draw(mask: np.ndarray, index: np.ndarray, number: int, crop: bool) -> None:
    """Draw a contour, given in array indices (3, n), into the slice it lies in."""
    planes = index[0]
    if np.ptp(planes) > 0.5:
        raise GeometryError(
            f"a contour of region {number} spans {np.ptp(planes):.3g} slices: it does not lie in a slice of the volume"
        )
    k = round(float(planes.mean()))
    outside = not 0 <= k < len(mask) or _outside(index[1], mask.shape[1]) or _outside(index[2], mask.shape[2])
    if outside and not crop:
        raise GeometryError(f"a contour of region {number} reaches beyond the volume; crop=True leaves that out")
    if 0 <= k < len(mask):
        _grid.fill_polygon(mask[k], index[1], index[2])


def _outside(places: np.ndarray, length: int) -> bool:
    return bool(places.min() < -1 or places.max() > length)
