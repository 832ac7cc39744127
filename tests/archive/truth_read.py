"""Kinds of trouble that a reader must not mind: the volume is the right one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from make import base, ramp, save, set_pixels
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian
from truth_kinds import each, kind, no_rle, repixel


@kind
def plain(t):
    pass


@kind
def numbers_reversed(t):
    for k, ds in enumerate(t.datasets):
        ds.InstanceNumber = 100 - k


@kind
def numbers_all_one(t):
    each(t, InstanceNumber=1)


@kind
def numbers_missing(t):
    for ds in t.datasets:
        del ds.InstanceNumber


@kind
def numbers_no_numbers(t):
    for ds in t.datasets:
        ds["InstanceNumber"]._value = "x1"


@kind
def positions_off_by_a_millionth(t):
    for k, ds in enumerate(t.datasets):
        ds.ImagePositionPatient = [f"{float(v) + (-1) ** k * 1e-6:.9g}" for v in ds.ImagePositionPatient]


@kind
def positions_with_two_decimals(t):
    for ds in t.datasets:
        ds.ImagePositionPatient = [f"{float(v):.2f}" for v in ds.ImagePositionPatient]


@kind
def pixel_spacing_off_by_a_millionth(t):
    for k, ds in enumerate(t.datasets):
        ds.PixelSpacing = [f"{s + (k % 2) * 1e-6:.9g}" for s in t.spacing[1:]]


@kind
def orientation_off_by_a_millionth(t):
    for k, ds in enumerate(t.datasets):
        ds.ImageOrientationPatient = [f"{v + (k % 2) * 1e-6:.9f}" for v in t.orientation]


@kind
def unsigned(t):
    t.stored = ramp(t.stored.shape, np.uint16)
    repixel(t, t.stored)


@kind
def bytes_of_8_bits(t):
    t.stored = ramp(t.stored.shape, np.uint8)
    repixel(t, t.stored)


@kind
def signed_8_bits(t):
    t.stored = ramp(t.stored.shape, np.int8)
    repixel(t, t.stored)


@kind
def full_range_of_16_bits(t):
    t.stored = np.random.default_rng(1).integers(-32768, 32768, t.stored.shape).astype(np.int16)
    repixel(t, t.stored)


@kind
def words_of_32_bits(t):
    no_rle(t)
    t.stored = (ramp(t.stored.shape) * 70000.0).astype(np.int32)
    repixel(t, t.stored)


@kind
def unsigned_32_bits(t):
    no_rle(t)
    t.stored = np.random.default_rng(1).integers(0, 2**32, t.stored.shape).astype(np.uint32)
    repixel(t, t.stored)


@kind
def intercept(t):
    each(t, RescaleIntercept="-1024")
    return t.stored - 1024.0


@kind
def slope_negative(t):
    each(t, RescaleSlope="-2", RescaleIntercept="7")
    return t.stored * -2.0 + 7


@kind
def slope_tiny(t):
    each(t, RescaleSlope="0.000001", RescaleIntercept="0")
    return t.stored * 1e-6


@kind
def slope_per_slice(t):
    slopes = np.linspace(0.5, 3.1, len(t.datasets)).round(3)
    for ds, slope in zip(t.datasets, slopes, strict=True):
        ds.RescaleSlope = str(slope)
    return t.stored * slopes[:, None, None]


@kind
def slope_whole_then_fraction(t):
    slopes = np.where(np.arange(len(t.datasets)) < 4, 1, 0.5)
    for ds, slope in zip(t.datasets, slopes, strict=True):
        ds.RescaleSlope = str(slope)
    return t.stored * slopes[:, None, None]


@kind
def intercept_per_slice(t):
    for k, ds in enumerate(t.datasets):
        ds.RescaleIntercept = str(-10 * k)
    return t.stored - 10.0 * np.arange(len(t.datasets))[:, None, None]


@kind
def rescale_missing(t):
    for ds in t.datasets:
        del ds.RescaleSlope, ds.RescaleIntercept


@kind
def one_slice_unsigned(t):
    t.stored = np.abs(t.stored)
    repixel(t, t.stored)
    t.datasets[3].file_meta.TransferSyntaxUID = t.syntax
    set_pixels(t.datasets[3], t.stored[3].astype(np.uint16))


@kind
def one_slice_of_8_bits(t):
    t.stored = np.abs(t.stored) % 200
    repixel(t, t.stored)
    t.datasets[3].file_meta.TransferSyntaxUID = t.syntax
    set_pixels(t.datasets[3], t.stored[3].astype(np.uint8))


def _junk(t, signed):
    t.stored = ramp(t.stored.shape, np.int16 if signed else np.uint16, low=-1024)
    junk = np.random.default_rng(4).integers(0, 16, t.stored.shape).astype(np.uint16) << 12
    repixel(t, ((t.stored.view(np.uint16) & 0xFFF) | junk).view(t.stored.dtype), bits=12)


@kind
def twelve_bits_and_junk(t):
    _junk(t, False)


@kind
def twelve_signed_bits_and_junk(t):
    _junk(t, True)


@kind
def twelve_bits_high(t):
    t.stored = ramp(t.stored.shape, np.uint16)
    repixel(t, (t.stored << 4) | 5, bits=12)
    each(t, HighBit=15)


@kind
def ten_bits_in_the_middle(t):
    t.stored = ramp(t.stored.shape, np.uint16) & 0x3FF
    repixel(t, (t.stored << 3) | 0xE005, bits=10)
    each(t, HighBit=12)


@kind
def monochrome1(t):
    each(t, PhotometricInterpretation="MONOCHROME1")


@kind
def padding_value(t):
    for ds in t.datasets:
        ds.add_new("PixelPaddingValue", "SS", -2000)


@kind
def gantry_tilt(t):
    step = t.normal * 2.0 + np.array(t.orientation[3:]) * 0.5
    t.step = step
    for k, ds in enumerate(t.datasets):
        ds.ImagePositionPatient = [f"{v:.9g}" for v in (t.affine @ (k, 0, 0, 1))[:3]]


@kind
def thickness_unlike_distance(t):
    each(t, SliceThickness="9", SpacingBetweenSlices="0.1")


@kind
def thickness_missing(t):
    for ds in t.datasets:
        del ds.SliceThickness


@kind
def frame_of_reference_missing(t):
    for ds in t.datasets:
        del ds.FrameOfReferenceUID


@kind
def patient_missing(t):
    for ds in t.datasets:
        del ds.PatientID, ds.PatientName


@kind
def acquisition_number_per_slice(t):
    for k, ds in enumerate(t.datasets):
        ds.AcquisitionNumber, ds.AcquisitionTime = k, f"10{k:02d}00"


@kind
def study_per_slice(t):
    for k, ds in enumerate(t.datasets):
        ds.StudyInstanceUID = f"1.2.3.{k + 1}"


@kind
def odd_sizes(t):
    t.stored = ramp((8, 5, 7), np.uint8)
    repixel(t, t.stored)


@kind
def one_pixel(t):
    t.stored = ramp((8, 1, 1))
    repixel(t, t.stored)


@kind
def one_row(t):
    t.stored = ramp((8, 1, 9))
    repixel(t, t.stored)


@kind
def two_slices(t):
    t.stored, t.datasets = t.stored[:2], t.datasets[:2]


@kind
def slices_all_alike(t):
    t.stored = np.repeat(t.stored[:1], len(t.stored), axis=0)
    repixel(t, t.stored)


@kind
def all_zero(t):
    t.stored = np.zeros_like(t.stored)
    repixel(t, t.stored)


@kind
def bytes_after_the_pixels(t):
    no_rle(t)
    for ds in t.datasets:
        ds.PixelData = ds.PixelData + b"\7" * 10


@kind
def elements_after_the_pixels(t):
    for ds in t.datasets:
        ds.add_new(0xFFFCFFFC, "OB", bytes(100))


@kind
def private_block(t):
    for ds in t.datasets:
        ds.private_block(0x29, "CANARY", create=True).add_new(1, "OB", bytes(range(256)) * 40)


@kind
def nested_sequences(t):
    for ds in t.datasets:
        inner = Dataset()
        inner.ImagePositionPatient, inner.Rows = [1, 2, 3], 77  # of another image
        for _ in range(9):
            outer = Dataset()
            outer.ReferencedImageSequence = Sequence([inner, inner])
            inner = outer
        ds.ReferencedImageSequence = Sequence([inner])
        ds["ReferencedImageSequence"].is_undefined_length = True


@kind
def pixels_in_an_icon(t):
    for ds in t.datasets:
        icon = Dataset()
        icon.Rows, icon.Columns, icon.PixelData, icon.BitsAllocated = 2, 2, b"\1\2\3\4", 8
        ds.IconImageSequence = Sequence([icon])


@kind
def spaces_around_numbers(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "\\".join(f" {s} " for s in t.spacing[1:])


@kind
def exponents(t):
    for ds in t.datasets:
        ds["PixelSpacing"]._value = "\\".join(f"{s:.6E}" for s in t.spacing[1:])


@kind
def a_copy(t):
    return lambda folder: shutil.copy(next(folder.iterdir()), folder / "copy.dcm")


@kind
def other_files(t):
    def post(folder: Path) -> None:
        (folder / "README.txt").write_text("no image" * 99)
        (folder / "DICOMDIR").write_bytes(b"")
        save(base("1.2.840.10008.5.1.4.1.1.88.11", "SR", t.uid), folder / "report.dcm")

    return post


@kind
def no_preamble(t):
    def post(folder: Path) -> None:
        for file in folder.iterdir():
            file.write_bytes(file.read_bytes()[132:])

    if t.syntax != DeflatedExplicitVRLittleEndian:
        return post
    return None


@kind
def junk_in_the_preamble(t):
    def post(folder: Path) -> None:
        for file in folder.iterdir():
            file.write_bytes(b"II*\0" * 32 + file.read_bytes()[128:])

    return post


@kind
def unsigned_with_signed_result(t):
    t.stored = ramp(t.stored.shape, np.uint16)
    repixel(t, t.stored)
    each(t, RescaleIntercept="-32768")
    return t.stored - 32768.0
