"""A small archive of CT series, written as DICOM."""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.498.99"
CANARY = "CANARY"


def write_archive(folder: Path, n_series: int = 4, n_slices: int = 3, size: int = 48) -> Path:
    """`n_series` series, two per patient, one folder each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] - size / 2
    for series in range(n_series):
        where = folder / f"s{series}"
        where.mkdir(parents=True)
        for k in range(n_slices):
            disc = 1000 * (np.hypot(y, x) < size / 4 + series % 3 - k)
            pixels = (disc + rng.normal(0, 20, disc.shape)).astype(np.int16)
            write_slice(where / f"{k}.dcm", pixels, series, k)
    return folder


def write_slice(path: Path, pixels: np.ndarray, series: int, k: int, padding: int | None = None) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.{series}.{k}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID = f"{CANARY}^NAME", f"{CANARY}{series // 2}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.2.{series // 2}", f"{ROOT}.3.{series}"
    ds.FrameOfReferenceUID = f"{ROOT}.4.{series}"
    ds.Modality, ds.InstanceNumber, ds.SeriesNumber = "CT", k + 1, series
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 2.5 * k], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.8], 2.5
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    if padding is not None:
        ds.add_new(0x00280120, "SS", padding)
    ds.PixelData = pixels.tobytes()
    ds.save_as(path, enforce_file_format=True)
