"""Kinds of trouble that no volume may come of: the refusal is typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from make import AXIAL, CORONAL, SAGITTAL, Truth, new_uid, ramp, save, set_pixels
from pydicom.uid import RLELossless
from truth_kinds import each, kind, no_rle

from fastmed import errors


@kind
def one_missing(t):
    del t.datasets[3]
    return errors.MissingSlices


@kind
def three_missing(t):
    del t.datasets[2], t.datasets[3:5]
    return errors.MissingSlices


@kind
def duplicate_with_other_pixels(t):
    t.datasets.append(Truth(ramp(seed=1), t.orientation, uid=t.uid, syntax=t.syntax).datasets[4])
    each(t, InstanceNumber=1)
    return errors.RepeatedPositions


@kind
def same_object_with_other_pixels(t):
    def post(folder: Path) -> None:
        t.datasets[2].file_meta.TransferSyntaxUID = t.syntax
        set_pixels(t.datasets[2], t.stored[2] + 1)
        save(t.datasets[2], folder / "other.dcm")

    return post, errors.RepeatedPositions


@kind
def phases_without_a_label(t):
    other = Truth(ramp(seed=1), t.orientation, uid=t.uid, syntax=t.syntax).datasets
    for k, (a, b) in enumerate(zip(t.datasets, other, strict=True)):
        a.InstanceNumber, b.InstanceNumber = 2 * k, 2 * k + 1
    t.datasets += other
    return errors.RepeatedPositions


def _at(t, places):
    for place, ds in zip(places, t.datasets, strict=True):
        ds.ImagePositionPatient = [f"{v:.9g}" for v in (t.affine @ (place, 0, 0, 1))[:3]]


@kind
def spacing_changes(t):
    _at(t, [0, 1, 2, 3, 4, 6.5, 9, 11.5])
    return errors.GeometryError


@kind
def spacing_wobbles(t):
    _at(t, [0, 1.1, 2, 3, 3.9, 5, 6, 7])
    return errors.GeometryError


@kind
def beside_the_line(t):
    away = np.array(t.orientation[:3]) * 5
    ds = t.datasets[4]
    ds.ImagePositionPatient = [f"{float(p) + a:.9g}" for p, a in zip(ds.ImagePositionPatient, away, strict=True)]
    return errors.GeometryError


@kind
def localizer(t):
    other = next(o for o in (AXIAL, CORONAL, SAGITTAL) if abs(np.cross(o[:3], o[3:]) @ t.normal) < 0.9)
    scout = Truth(ramp((1, 6, 5)), other, uid=t.uid).datasets[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    t.datasets.append(scout)
    return errors.MixedGeometry


@kind
def other_size(t):
    t.datasets[3].file_meta.TransferSyntaxUID = t.syntax
    set_pixels(t.datasets[3], np.zeros((9, 5), np.int16))
    return errors.GeometryError


@kind
def other_spacing(t):
    t.datasets[7].PixelSpacing = ["0.51", "0.75"]
    return errors.GeometryError


@kind
def other_orientation(t):
    t.datasets[3].ImageOrientationPatient = [f"{v:.9g}" for v in (*t.orientation[3:], *t.orientation[:3])]
    return errors.GeometryError


@kind
def other_frame_of_reference(t):
    t.datasets[0].FrameOfReferenceUID = "1.2.3.4"
    return errors.GeometryError


@kind
def two_series(t):
    t.datasets += Truth(ramp(seed=1), t.orientation, uid=new_uid(), syntax=t.syntax).datasets
    return errors.SeriesError


@kind
def cut_off(t):
    def post(folder: Path) -> None:
        file = sorted(folder.iterdir())[5]
        file.write_bytes(file.read_bytes()[: -(40 if t.syntax == RLELossless else 7)])

    return post, errors.DecodeError


@kind
def cut_off_header(t):
    def post(folder: Path) -> None:
        file = sorted(folder.iterdir())[5]
        file.write_bytes(file.read_bytes()[:600])

    return post, errors.SeriesError


@kind
def no_position(t):
    for ds in t.datasets:
        del ds.ImagePositionPatient
    return errors.NoGeometry


@kind
def one_without_position(t):
    del t.datasets[2].ImagePositionPatient
    return errors.GeometryError


@kind
def no_orientation(t):
    for ds in t.datasets:
        del ds.ImageOrientationPatient
    return errors.NoGeometry


@kind
def no_pixel_spacing(t):
    for ds in t.datasets:
        del ds.PixelSpacing
    return errors.NoGeometry


@kind
def spacing_zero(t):
    each(t, PixelSpacing=["0", "0"])
    return errors.NoGeometry


@kind
def spacing_of_almost_nothing(t):
    each(t, PixelSpacing=["1e-30", "0.5"])
    return errors.NoGeometry


@kind
def orientation_senseless(t):
    each(t, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    return errors.NoGeometry


@kind
def position_not_a_number(t):
    for ds in t.datasets:
        ds["ImagePositionPatient"]._value = "nan\\0\\0"
    return errors.GeometryError


@kind
def slope_zero(t):
    each(t, RescaleSlope="0")
    return errors.DecodeError


@kind
def slope_infinite(t):
    t.datasets[1]["RescaleSlope"]._value = "inf"
    return errors.DecodeError


@kind
def slope_no_number(t):
    t.datasets[1]["RescaleSlope"]._value = "1,5"
    return errors.DecodeError


@kind
def no_rows(t):
    t.datasets[1].Rows = 0
    return errors.DecodeError


@kind
def bits_impossible(t):
    t.datasets[1].BitsStored = 99
    return errors.DecodeError


@kind
def more_rows_than_pixels(t):
    no_rle(t)
    t.datasets[1].Rows = 7
    return errors.SeriesError


@kind
def no_pixel_data(t):
    del t.datasets[1].PixelData
    return errors.SeriesError


@kind
def units_differ(t):
    each(t, Units="BQML")
    t.datasets[1].Units = "GML"
    return errors.SeriesError


@kind
def colour_slices(t):
    no_rle(t)
    for ds in t.datasets:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation, ds.PixelData = 7, 0, bytes(6 * 5 * 3)
    return errors.UnsupportedImageError
