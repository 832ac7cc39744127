"""JPEG lossless through imagecodecs: encoded, wrapped in DICOM, read back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLossless, JPEGLosslessSV1, SecondaryCaptureImageStorage, generate_uid

from fastmed import errors, read
from fastmed.archive import _jpeg_lossless

imagecodecs = pytest.importorskip("imagecodecs", reason="needs fastmed[archive]")


def write(path, frame, syntax, rows=None):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.PatientID = generate_uid(), generate_uid(), "p"
    image.Modality, image.PhotometricInterpretation, image.SamplesPerPixel = "OT", "MONOCHROME2", 1
    image.Rows, image.Columns = rows or frame.shape[0], frame.shape[1]
    image.BitsAllocated = image.BitsStored = 8 * frame.itemsize
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, 0
    image.PixelData = encapsulate([imagecodecs.ljpeg_encode(frame)])
    image["PixelData"].VR = "OB"
    dcmwrite(path, image, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reads_back_bit_for_bit(tmp_path, syntax, dtype):
    frame = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (37, 50), dtype, endpoint=True)
    assert np.array_equal(read(write(tmp_path / "a.dcm", frame, syntax)).array[0], frame)


def test_a_frame_of_another_size_is_refused(tmp_path):
    frame = np.zeros((8, 9), np.uint8)
    with pytest.raises(errors.DecodeError):
        read(write(tmp_path / "a.dcm", frame, JPEGLosslessSV1, rows=7))


def test_it_is_registered_once():
    _jpeg_lossless.register()
    _jpeg_lossless.register()
    assert _jpeg_lossless.is_available(JPEGLosslessSV1)
    assert _jpeg_lossless.LABEL in _jpeg_lossless.JPEGLosslessSV1Decoder.available_plugins
