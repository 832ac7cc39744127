"""DICOM series of known truth: what the files hold, and the volume they must become."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

CT, MR, PT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"
SC = "1.2.840.10008.5.1.4.1.1.7"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
NAME, PATIENT = "CANARY^NAME", "CANARYID77"


_count = itertools.count(1)


def new_uid() -> str:
    """A UID that this process has not made before."""
    return f"1.2.826.0.1.3680043.8.498.77.{next(_count)}"


def oblique() -> tuple[float, ...]:
    """Rows and columns turned about two axes."""
    a, b = 0.3, -0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    return tuple(turn[:, 0]) + tuple(turn[:, 1])


@dataclass
class Truth:
    """A series: stored values, and where they lie. Change `datasets` before `write`."""

    stored: np.ndarray
    orientation: tuple[float, ...] = AXIAL
    spacing: tuple[float, float, float] = (2.0, 0.5, 0.75)
    origin: tuple[float, float, float] = (-10.0, 20.0, 30.0)
    step: np.ndarray | None = None  # between slices, where it is not along the normal
    sop_class: str = CT
    modality: str = "CT"
    slope: float = 1.0
    intercept: float = 0.0
    syntax: str = ExplicitVRLittleEndian
    uid: str = field(default_factory=new_uid)
    datasets: list[FileDataset] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.datasets = [self._dataset(k) for k in range(len(self.stored))]

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def values(self) -> np.ndarray:
        return self.stored.astype(np.float64) * self.slope + self.intercept

    @property
    def affine(self) -> np.ndarray:
        affine = np.eye(4)
        affine[:3, 0] = self.normal * self.spacing[0] if self.step is None else self.step
        affine[:3, 1] = np.array(self.orientation[3:]) * self.spacing[1]
        affine[:3, 2] = np.array(self.orientation[:3]) * self.spacing[2]
        affine[:3, 3] = self.origin
        return affine

    def _dataset(self, k: int) -> FileDataset:
        ds = base(self.sop_class, self.modality, self.uid, self.syntax)
        ds.InstanceNumber = k + 1
        ds.ImagePositionPatient = [f"{v:.9g}" for v in (self.affine @ (k, 0, 0, 1))[:3]]
        ds.ImageOrientationPatient = [f"{v:.12g}" for v in self.orientation]
        ds.PixelSpacing = [str(v) for v in self.spacing[1:]]
        ds.SliceThickness = str(self.spacing[0])
        ds.RescaleSlope, ds.RescaleIntercept = f"{self.slope:.10g}", f"{self.intercept:.10g}"
        set_pixels(ds, self.stored[k])
        return ds

    def write(self, folder: Path, *, seed: int = 0) -> Path:
        """Write the files under shuffled names."""
        folder.mkdir(parents=True, exist_ok=True)
        names = np.random.default_rng(seed).permutation(len(self.datasets))
        for ds, name in zip(self.datasets, names, strict=True):
            save(ds, folder / f"{name:04d}-{self.uid.rsplit('.')[-1]}.dcm")
        return folder


def base(sop_class: str, modality: str, uid: str, syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """A dataset with everything but geometry and pixels; its identifiers are canaries."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), new_uid()
    meta.TransferSyntaxUID = UID(syntax)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    ds = FileDataset(
        "", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=implicit, is_little_endian=little
    )
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = uid, uid + ".1", uid + ".2"
    ds.Modality, ds.PatientName, ds.PatientID = modality, NAME, PATIENT
    ds.StudyDate, ds.PatientBirthDate, ds.Manufacturer = "20010203", "19510607", "CANARYMAKER"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    return ds


def set_pixels(
    ds: Dataset, stored: np.ndarray, bits: int | None = None, photometric: str = "MONOCHROME2"
) -> None:
    """Pixel data and the elements that describe them."""
    ds.Rows, ds.Columns = stored.shape[-2:] if stored.ndim < 4 else stored.shape[1:3]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, photometric
    ds.BitsAllocated = stored.dtype.itemsize * 8
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    syntax = ds.file_meta.TransferSyntaxUID
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    if syntax == RLELossless:
        ds.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
        return
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"


def save(ds: FileDataset, path: Path) -> None:
    ds.save_as(path, enforce_file_format=True)


def ramp(
    shape: tuple[int, int, int] = (8, 6, 5), dtype: Any = np.int16, seed: int = 0, low: int = -500
) -> np.ndarray:
    """Random stored values, every voxel its own."""
    low = 0 if np.dtype(dtype).kind == "u" else max(low, np.iinfo(dtype).min)
    high = min(np.iinfo(dtype).max, 1500)
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)
