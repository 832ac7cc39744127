"""Reading a series, on one thread and from a warm cache: SimpleITK, pydicom's usual loop, and the bytes alone."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

import fastmed
from data import tissue
from race import Peer, Workload, race

SYNTAXES = {"raw": ExplicitVRLittleEndian, "RLE": RLELossless}


def series(image: np.ndarray, syntax: str = "raw") -> list[str]:
    """The files of a CT series of these stored values, with the header of a real scanner's; written once."""
    return _written(image.shape, syntax) or _write(image, syntax)


_KNOWN: dict[tuple[tuple[int, ...], str], list[str]] = {}


def _written(shape, syntax):
    return _KNOWN.get((shape, syntax))


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="fastmed-race-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _write(image: np.ndarray, syntax: str) -> list[str]:
    folder = _folder() / f"{syntax}-{'x'.join(map(str, image.shape))}"
    folder.mkdir()
    paths = []
    for k, plane in enumerate(image):
        dataset = _header(k, plane)
        if syntax == "RLE":
            dataset.compress(RLELossless, plane, generate_instance_uid=False)
        paths.append(str(folder / f"{k:04d}.dcm"))
        dataset.save_as(paths[-1], enforce_file_format=True)
    return _KNOWN.setdefault((image.shape, syntax), paths)


def _header(k: int, plane: np.ndarray) -> pydicom.Dataset:
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{k + 1}"
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = [-150, -150, 2.5 * k]
    dataset.SliceThickness = 2.5
    dataset.Rows, dataset.Columns = plane.shape
    dataset.PixelData = plane.tobytes()
    del dataset.DataSetTrailingPadding
    return dataset


def read(image, syntax="raw", to="auto"):
    """What is raced: folder -> array, headers included."""
    with fastmed.num_threads(1):
        return fastmed.read(os.path.dirname(series(image, syntax)[0]), dtype=to).array


def _bytes(image, syntax="raw", to="auto"):
    paths = series(image, syntax)

    def call():
        whole = np.empty(sum(os.path.getsize(p) for p in paths), np.uint8)
        at = 0
        for path in paths:
            with open(path, "rb") as file:
                at += file.readinto(memoryview(whole)[at:])
        return whole

    return call


def _simpleitk(image, syntax="raw", to="auto"):
    import SimpleITK

    folder = os.path.dirname(series(image, syntax)[0])
    reader = SimpleITK.ImageSeriesReader()

    def call():
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
        return SimpleITK.GetArrayFromImage(reader.Execute())

    return call


def _pydicom(image, syntax="raw", to="auto"):
    paths = series(image, syntax)
    if syntax == "RLE":
        import rle  # noqa: F401  pylibjpeg-rle; without it pydicom decodes in Python

    def call():
        slices = [pydicom.dcmread(path) for path in paths]
        slices.sort(key=lambda s: s.ImagePositionPatient[2])
        return np.stack([s.pixel_array * s.RescaleSlope + s.RescaleIntercept for s in slices])

    return call


READERS = {
    "the bytes": Peer(_bytes, "only reads the files into one fresh array"),
    "SimpleITK": Peer(_simpleitk, "reads headers and pixels, GDCM's order; voxels compared", tolerance=0.0),
    "pydicom": Peer(_pydicom, "the usual loop: dcmread, sort, stack, rescale", tolerance=0.0),
}
SERIES = (200, 512, 512)
test_read = race(
    read, READERS,
    [
        Workload(tissue, SERIES, "int16", headline=True),
        Workload(tissue, SERIES, "int16", to="float32"),
        Workload(tissue, SERIES, "int16", part=64, headline=True, syntax="RLE"),
    ],
)


# --- headers alone ---------------------------------------------------------------------------------------------------
def scan(image):
    """What is raced: the index of a folder."""
    return len(fastmed.scan(os.path.dirname(series(image)[0])).series)


def _headers(image):
    paths = series(image)
    return lambda: [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]


def _gdcm(image):
    import SimpleITK

    folder = os.path.dirname(series(image)[0])
    return lambda: SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(folder)


test_scan = race(
    scan,
    {
        "pydicom": Peer(_headers, "only parses each header: dcmread(stop_before_pixels=True)"),
        "SimpleITK": Peer(_gdcm, "only lists the files of one series in order"),
    },
    [Workload(tissue, SERIES, "int16")],
)
