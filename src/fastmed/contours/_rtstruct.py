"""Contours and DICOM RT Structure Sets, and from the patient back to voxels."""

from __future__ import annotations

import datetime
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeometryError, UnsupportedImageError
from ._exchange import as_contours, write_whole
from ._fill import fill_contours
from ._trace import Contours

if TYPE_CHECKING:
    from pydicom import Dataset

    from ..volume import Volume

RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
PLANAR = {"CLOSED_PLANAR", "CLOSED_PLANAR_XOR", "CLOSEDPLANAR_XOR"}

# How far, in slices, a contour's points may lie from the middle of a slice to be drawn there.
_OFF_SLICE = 0.5

#: What a structure set takes over from the series that it is drawn on.
_SHARED = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID",
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def read_rtstruct(path: Any) -> dict[str, Contours]:
    """Read the contours of a DICOM RT Structure Set.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to Contours
        By the name of the region as it stands in the file; of equal names the later ones get ' (2)', ' (3)'... Points
        are patient positions (x, y, z) in mm, DICOM's LPS. Closed planar contours only; points and open lines are left
        out.

    Raises
    ------
    fastmed.errors.UnsupportedImageError
        If the file is no RT Structure Set.

    Examples
    --------
    >>> import fastmed
    >>> regions = fastmed.read_rtstruct("RS.dcm")  # doctest: +SKIP
    >>> mask = fastmed.contours_to_volume(regions["GTV"], fastmed.read("ct-series"))  # doctest: +SKIP
    """
    import pydicom

    dataset = pydicom.dcmread(path)
    if dataset.get("SOPClassUID") != RT_STRUCTURE_SET:
        kind = getattr(dataset.get("SOPClassUID"), "name", "nothing")
        raise UnsupportedImageError(f"path must be an RT Structure Set, found {kind}")
    names = {int(roi.ROINumber): str(roi.get("ROIName", "")) for roi in dataset.get("StructureSetROISequence", [])}
    found: dict[str, Contours] = {}
    for roi in dataset.get("ROIContourSequence", []):
        base = name = names.get(int(roi.ReferencedROINumber), "")
        count = 1
        while name in found:
            count += 1
            name = f"{base} ({count})"
        found[name] = _in_mm([_points(c) for c in roi.get("ContourSequence", []) if c.ContourGeometricType in PLANAR])
    return found


def _points(contour: Dataset) -> np.ndarray:
    data = np.array(contour.ContourData, np.float64)
    if data.size % 3 or not data.size:
        raise GeometryError(f"a contour must have three coordinates per point, found {data.size} numbers")
    return data.reshape(-1, 3)


def _in_mm(parts: Sequence[np.ndarray]) -> Contours:
    points = np.concatenate(parts) if len(parts) else np.zeros((0, 3))
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return Contours(points, offsets, np.full((len(parts), 4), -1, np.int32))


def contours_to_volume(contours: Contours, volume: Volume) -> Volume:
    """Draw contours that lie in the patient into the voxels of a volume.

    Parameters
    ----------
    contours : Contours
        Points (x, y, z) in mm, as `read_rtstruct` has them. A voxel is in if its centre is, by the even-odd rule, so
        that a contour inside another is a hole.
    volume : Volume
        Whose voxels; contours must lie in its slices, each within half a slice of one.

    Returns
    -------
    Volume
        bool, with the geometry of `volume`.

    Raises
    ------
    fastmed.errors.GeometryError
        If a contour lies across slices or outside all of them.
    ValueError
        If the contours are not in mm, or the volume has not 3 axes.
    """
    if contours.points.shape[1] != 3:
        raise ValueError("contours must be patient positions (x, y, z) in mm, found points in a plane")
    if volume.ndim != 3:
        raise ValueError(f"volume must have 3 axes (z, y, x), found shape {volume.shape}")
    inverse = np.linalg.inv(volume.affine)
    index = contours.points @ inverse[:3, :3].T + inverse[:3, 3]
    planes = np.zeros(len(contours), np.int32)
    for i, (begin, end) in enumerate(itertools.pairwise(contours.offsets.tolist())):
        k = index[begin:end, 0]
        planes[i] = round(float(np.median(k)))
        if abs(k - planes[i]).max() > _OFF_SLICE:
            raise GeometryError(f"contour {i} must lie in one slice, found slices {k.min():.2f} to {k.max():.2f}")
        if not 0 <= planes[i] < volume.shape[0]:
            raise GeometryError(f"contour {i} lies in slice {planes[i]}, but the volume has {volume.shape[0]}")
    flat = Contours(np.ascontiguousarray(index[:, :0:-1]), contours.offsets, contours.hierarchy, planes)
    mask = fill_contours(flat, volume.shape, "centers") if len(flat) else np.zeros(volume.shape, bool)
    return replace(volume.with_array(mask), units="")


def write_rtstruct(path: Any, regions: Mapping[str, Contours], images: Sequence[Any]) -> None:
    """Write contours as a DICOM RT Structure Set.

    Parameters
    ----------
    path : path-like
        Replaced if there; never left half-written.
    regions : mapping of str to Contours
        Contours in mm (`trace_contours` of a `Volume`, `read_rtstruct`) by the name of the region.
    images : sequence of path-like
        The files of the series that the contours are drawn on. The patient and the study are taken over from the
        first, so the file identifies the patient as they do.

    Raises
    ------
    ValueError
        If there are no images, or contours are not in mm.
    fastmed.errors.GeometryError
        If the images do not tell where they lie.
    """
    import pydicom

    if not len(images):
        raise ValueError("images must have at least one file of the series, found none")
    for name, contours in regions.items():
        if as_contours(contours).points.shape[1] != 3:
            raise ValueError(f"the contours of region {name!r} must be in mm (x, y, z), found points in a plane")
    headers = [pydicom.dcmread(image, stop_before_pixels=True) for image in images]
    wanted = ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID")
    missing = sorted({k for h in headers for k in wanted if k not in h})
    if missing:
        raise GeometryError(f"images must say where they lie; missing {', '.join(missing)}")
    dataset = _structure_set(headers)
    _add_regions(dataset, regions, headers)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    write_whole(path, buffer.getvalue())


def _item(**values: Any) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _structure_set(headers: Sequence[Dataset]) -> Dataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    first, now = headers[0], datetime.datetime.now()
    dataset = _item(
        SOPClassUID=RT_STRUCTURE_SET, SOPInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(),
        Modality="RTSTRUCT", SeriesNumber=None, Manufacturer="", OperatorsName="",
        FrameOfReferenceUID=first.FrameOfReferenceUID, PositionReferenceIndicator="",
        StructureSetLabel="fastmed", StructureSetDate=f"{now:%Y%m%d}",
        StructureSetTime=f"{now:%H%M%S}", ApprovalStatus="UNAPPROVED",
    )  # fmt: skip
    for keyword in _SHARED:
        if keyword in first:
            dataset[keyword] = first[keyword]
        elif keyword != "SpecificCharacterSet":
            setattr(dataset, keyword, "")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(RT_STRUCTURE_SET)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    series = _item(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=[_reference(h) for h in headers])
    study = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )  # fmt: skip
    frame = _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    return dataset


def _reference(header: Dataset) -> Dataset:
    return _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def _add_regions(dataset: Dataset, regions: Mapping[str, Contours], headers: Sequence[Dataset]) -> None:
    across = np.cross(*np.reshape(headers[0].ImageOrientationPatient, (2, 3)).astype(float))
    places = np.array([np.dot(across, np.array(h.ImagePositionPatient, float)) for h in headers])
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [], [], []
    for number, (name, contours) in enumerate(regions.items(), 1):
        dataset.StructureSetROISequence.append(
            _item(ROINumber=number, ReferencedFrameOfReferenceUID=headers[0].FrameOfReferenceUID, ROIName=name,
                  ROIGenerationAlgorithm="")
        )  # fmt: skip
        items = []
        for i, contour in enumerate(contours, 1):
            image = headers[int(np.argmin(abs(places - contour.mean(axis=0) @ across)))]
            items.append(
                _item(ContourNumber=i, ContourImageSequence=[_reference(image)], NumberOfContourPoints=len(contour),
                      ContourGeometricType="CLOSED_PLANAR", ContourData=[f"{v:.10g}" for v in contour.ravel()])
            )  # fmt: skip
        dataset.ROIContourSequence.append(_item(ReferencedROINumber=number, ContourSequence=items))
        dataset.RTROIObservationsSequence.append(
            _item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="", ROIInterpreter="")
        )
