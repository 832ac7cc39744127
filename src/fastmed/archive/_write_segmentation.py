"""write_segmentation: masks, labels or fractions on the grid of a DICOM series -> a DICOM Segmentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from .. import __version__
from .._engine.files import whole_or_nothing
from ..errors import GeometryError, SeriesError, UnsupportedImageError
from ..volume import Volume, require_volume
from ._limits import DEFAULT, Limits
from ._scan import scan
from ._series import Series
from ._source import guarded, open_source, quiet

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

#: What `kind` may be.
KINDS = ("binary", "fractional", "labelmap")
#: SNOMED's 'Tissue' says no more of a segment than there is to know without being told.
_TISSUE = ("SCT", "85756007", "Tissue")
#: Corners further apart, in parts of the smallest spacing, are another grid.
_SAME_GRID = 0.01


def write_segmentation(
    volume: Volume,
    path: Any,
    *,
    source: Any,
    kind: str | None = None,
    segments: Mapping[int, Mapping[str, Any]] | None = None,
    algorithm: str = "fastmed",
    overwrite: bool = False,
    limits: Limits = DEFAULT,
) -> str:
    """Write masks, labels or fractions as a DICOM Segmentation of the series that they were drawn on.

    Parameters
    ----------
    volume : Volume
        On the grid of `source`. Labels: integers (z, y, x), 0 for none. Masks: bool, (z, y, x) or
        (segment, z, y, x), which may overlap. Fractions: floats from 0 to 1, the same axes.
    path : path_like
        Of the file, by custom ``name.dcm``.
    source : Series or path_like
        The series, from `scan`, or a file or folder that holds one.
    kind : {'binary', 'fractional', 'labelmap'}, optional
        By default 'fractional' for floats, else 'binary'. Fractions are stored in steps of 1/255; 'labelmap' (DICOM
        2024) takes labels, or masks that do not overlap, in one plane each.
    segments : mapping, optional
        For a segment's number (a label, or 1 for the first mask) a mapping with any of ``label`` (text), ``category``
        and ``type`` (each a tuple: coding scheme, code, meaning). Without it a segment is 'Segment n', tissue.
    algorithm : str, optional
        Name of what drew the segments; '' says that they were drawn by hand.
    overwrite : bool, optional
        Replace what is there.
    limits : Limits, optional
        What reading the source may cost.

    Returns
    -------
    str
        The path.

    Raises
    ------
    TypeError
        If `volume` is a plain array, which does not say where its voxels lie.
    GeometryError
        If the volume is on another grid than `source`, or lies in no patient: resample it first. Frames keep the
        positions of the source's slices, so oblique and tilted series (a shear) are written as they are.
    SeriesError
        If `source` holds no series, or several.
    ValueError
        If the values, the axes, `kind` or `segments` do not go together.
    FileExistsError
        If `path` exists and `overwrite` is False.
    ImportError
        If highdicom is not installed.

    Notes
    -----
    The standard demands that a segmentation names the patient and study of its source: **the file identifies the
    patient as the source does**. It is written whole or not at all, as by `write`. Segments that are empty everywhere
    are described, but only planes with something in them are stored.

    Examples
    --------
    >>> import fastmed, numpy as np, os, pydicom.data, tempfile
    >>> source = pydicom.data.get_testdata_file("CT_small.dcm")
    >>> ct = fastmed.read(source)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = fastmed.archive.write_segmentation(
    ...         ct.with_array(np.asarray(ct) > 1000), os.path.join(folder, "bone.dcm"), source=source)
    ...     fastmed.archive.read_segmentation(made).shape
    (1, 1, 128, 128)
    """
    require_volume(volume)
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise ImportError("DICOM SEG needs highdicom: pip install 'fastmed[archive]'") from None
    kind = _kind_of(volume, kind)
    stack, numbers = _stack(volume, kind)
    descriptions = _descriptions(numbers, segments or {}, algorithm)
    target = Path(os.fspath(path))
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True replaces it")
    series = _series(source, limits)
    _check_grid(volume, series)
    images, stack = _in_order_of_files(series, stack, limits)
    with quiet(), guarded("segmentation"):
        made = _segmentation(images, stack, kind, descriptions)
    with whole_or_nothing(target) as temporary:
        made.save_as(temporary, enforce_file_format=True)
    return str(target)


# ------------------------------------------------------------------------------------------------------- values


def _kind_of(volume: Volume, kind: str | None) -> str:
    dtype = np.dtype(volume.dtype)
    if volume.axes not in ("zyx", "szyx") or dtype.kind not in "buif":
        raise ValueError(f"volume must have the axes zyx or szyx and real values, found {volume.axes!r} of {dtype}")
    kind = kind or ("fractional" if dtype.kind == "f" else "binary")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}; found {kind!r}")
    if dtype.kind == "f" and kind != "fractional":
        raise ValueError(f"kind {kind!r} takes bool or integers, found {dtype}: threshold the fractions first")
    if kind == "fractional" and dtype.kind in "ui":
        raise ValueError(f"kind 'fractional' takes floats from 0 to 1 or bool, found {dtype}")
    if volume.ndim == 4 and dtype.kind in "ui":
        raise ValueError(f"volumes with the axes szyx must be masks or fractions, found {dtype}")
    return kind


def _stack(volume: Volume, kind: str) -> tuple[np.ndarray, list[int]]:
    """Labels (z, y, x) for a label map, else (z, y, x, segment); and the number of each segment."""
    array = np.asarray(volume.array)
    if array.dtype.kind in "ui":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if low < 0 or high > 65535:
            raise ValueError(f"labels must be 0 to 65535, found {low} to {high}")
        numbers = [int(n) for n in np.unique(array) if n]
        if not numbers:
            raise ValueError("volume has no label but 0: there is no segment to write")
        if kind == "labelmap":
            return array.astype(np.uint8 if high < 256 else np.uint16), numbers
        return np.stack([array == n for n in numbers], axis=-1).astype(np.uint8), numbers
    if array.dtype.kind == "f" and not ((array >= 0) & (array <= 1)).all():
        raise ValueError("fractions must be 0 to 1; there are others, or NaN")
    stack = np.moveaxis(array if array.ndim == 4 else array[None], 0, -1)
    numbers = list(range(1, stack.shape[-1] + 1))
    if not numbers:
        raise ValueError("volume has no segment")
    if kind == "labelmap":
        if stack.sum(axis=-1, dtype=np.uint16).max(initial=0) > 1:
            raise ValueError("the masks overlap: a label map has one label for a voxel")
        return (stack * np.array(numbers, np.uint16)).sum(axis=-1, dtype=np.uint16), numbers
    return stack.astype(np.float32 if array.dtype.kind == "f" else np.uint8), numbers


def _descriptions(numbers: list[int], segments: Mapping[int, Mapping[str, Any]], algorithm: str) -> list[Any]:
    import highdicom
    from highdicom.seg import SegmentDescription
    from pydicom.sr.coding import Code

    unknown = sorted(set(segments) - set(numbers))
    if unknown:
        raise ValueError(f"segments must be among {numbers[:8]}; found {unknown[:8]}")
    drawn: dict[str, Any] = {"algorithm_type": "MANUAL"}
    if algorithm:
        drawn["algorithm_type"] = "AUTOMATIC"
        # The standard's families are of methods (edge detection, learning...): which of them is not known here.
        family = Code("1", "99FASTMED", "Image processing")
        drawn["algorithm_identification"] = highdicom.AlgorithmIdentificationSequence(algorithm, family, __version__)
    made = []
    for number in numbers:
        one = segments.get(number, {})
        other = set(one) - {"label", "category", "type"}
        if other:
            raise ValueError(f"a segment has label, category and type; found {', '.join(sorted(map(str, other)))}")
        category, kind = (_code(one.get(name, _TISSUE), name) for name in ("category", "type"))
        label = str(one.get("label", f"Segment {number}"))[:64]
        made.append(SegmentDescription(number, label, category, kind, **drawn))
    return made


def _code(found: Any, name: str) -> Code:
    from pydicom.sr.coding import Code  # loads all codes of the standard: 0.2 s

    if isinstance(found, str) or not isinstance(found, Sequence) or len(found) != 3:
        raise ValueError(f"{name} must be a tuple: coding scheme, code, meaning")
    scheme, value, meaning = found
    return Code(str(value), str(scheme), str(meaning))


# ------------------------------------------------------------------------------------------------------- source


def _series(source: Any, limits: Limits) -> Series:
    if isinstance(source, Series):
        return source
    found = scan(source, limits=limits).series
    if len(found) != 1:
        raise SeriesError(f"source must hold one series, found {len(found)}; give one of those that scan finds")
    return found[0]


def _check_grid(volume: Volume, series: Series) -> None:
    if series.axes != "zyx" or series.meta["geometry"] != "patient" or series.places is not None:
        raise GeometryError("source has no slices at regular places in a patient: nothing can be placed on it")
    shape = volume.shape[-3:]
    if shape != tuple(series.shape):
        raise GeometryError(f"volume has the grid {shape}, source {tuple(series.shape)}: resample it onto the source")
    corners = np.array([[*at, 1] for at in np.ndindex(2, 2, 2)]) * (*(max(n - 1, 1) for n in shape), 1)
    apart = np.abs((volume.affine - series.affine) @ corners.T).max()
    if apart > _SAME_GRID * min(np.linalg.norm(series.affine[:3, :3], axis=0)):
        raise GeometryError(f"volume lies up to {apart:.3g} mm beside source: resample it onto the source's grid")


def _in_order_of_files(series: Series, stack: np.ndarray, limits: Limits) -> tuple[list[Dataset], np.ndarray]:
    """The headers of the source, and the planes in the order that highdicom pairs with them."""
    paths = list(dict.fromkeys(series.paths))
    if len(paths) == len(series.slices):
        return [_header(one.image.path, limits) for one in series.slices], stack
    image = series.slices[0].image
    if len(paths) > 1 or image.frames != len(series.slices):
        raise UnsupportedImageError("source takes only some frames of its files: it cannot be the source of a SEG")
    places = np.argsort([one.frame for one in series.slices])
    return [_header(image.path, limits)], stack[places]


def _header(path: str, limits: Limits) -> Dataset:
    with open_source(path, limits) as file, guarded():
        header = pydicom.dcmread(file, stop_before_pixels=True)
    for name in _MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    return header


#: What a segmentation copies from its source, and the standard lets be empty; sources often leave it out.
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip


def _segmentation(images: list[Dataset], stack: np.ndarray, kind: str, descriptions: list[Any]) -> Dataset:
    from highdicom.seg import Segmentation

    # highdicom numbers stacked segments from 1 on; numbers of labels are put back below.
    numbers = [int(one.SegmentNumber) for one in descriptions]
    renumber = kind != "labelmap" and numbers != list(range(1, len(numbers) + 1))
    for n, one in enumerate(descriptions):
        if renumber:
            one.SegmentNumber = n + 1
    made = Segmentation(
        source_images=images,
        pixel_array=stack,
        segmentation_type=kind.upper(),
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=1000,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="fastmed",
        manufacturer_model_name="fastmed",
        software_versions=__version__,
        device_serial_number="0",
        transfer_syntax_uid=UID("1.2.840.10008.1.2.1"),
        fractional_type="OCCUPANCY",
        omit_empty_frames=bool(stack.any()),
    )
    if renumber:
        _put_numbers_back(made, numbers)
    return made


def _put_numbers_back(made: Dataset, numbers: list[int]) -> None:
    for item in made.SegmentSequence:
        item.SegmentNumber = numbers[int(item.SegmentNumber) - 1]
    for group in made.PerFrameFunctionalGroupsSequence:
        item = group.SegmentIdentificationSequence[0]
        old = int(item.ReferencedSegmentNumber)
        item.ReferencedSegmentNumber = numbers[old - 1]
        # The dimension index of a segment counts the segments' numbers in order: it stays.
