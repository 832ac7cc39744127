"""Kinds of trouble in what a folder holds: other objects, other parts of the series, frames in one file."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from make import ENHANCED_MR, SC, Truth, base, new_uid, ramp, save, set_pixels
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from truth_kinds import Expect, each, kind, no_rle

from fastmed import errors


def again(t: Truth, seed: int = 1) -> Truth:
    """Another stack at the same places of the same series."""
    return Truth(ramp(t.stored.shape, seed=seed), t.orientation, uid=t.uid, syntax=t.syntax)


# -------------------------------------------------------------------------------------------------- identifiers


@kind
def instance_uids_missing(t):
    for ds in t.datasets:
        del ds.SOPInstanceUID


@kind
def instance_uids_all_one(t):
    each(t, SOPInstanceUID="1.2.3")


@kind
def study_uid_missing(t):
    for ds in t.datasets:
        del ds.StudyInstanceUID


@kind
def series_uid_missing(t):
    for ds in t.datasets:
        del ds.SeriesInstanceUID
    return errors.SeriesError


@kind
def object_class_missing(t):
    for ds in t.datasets:
        del ds.SOPClassUID


@kind
def modality_missing(t):
    for ds in t.datasets:
        del ds.Modality


@kind
def series_numbers_differ(t):
    for k, ds in enumerate(t.datasets):
        ds.SeriesNumber, ds.SeriesDescription = k, f"part {k}"


@kind
def two_patients_in_one_series(t):
    t.datasets[4].PatientID = "another"
    return errors.GeometryError


@kind
def two_modalities_in_one_series(t):
    t.datasets[4].Modality = "PT"
    return errors.GeometryError


# ----------------------------------------------------------------------------------------------------- geometry


@kind
def negative_spacing_between_slices(t):
    each(t, SpacingBetweenSlices="-2")


@kind
def slice_locations_lie(t):
    for k, ds in enumerate(t.datasets):
        ds.SliceLocation = str((k * 5) % 8)


@kind
def detector_spacing_differs(t):
    each(t, ImagerPixelSpacing=["0.1", "0.1"])


@kind
def positions_with_exponents(t):
    for ds in t.datasets:
        ds["ImagePositionPatient"]._value = "\\".join(f"{float(v):.9E}" for v in ds.ImagePositionPatient)


@kind
def orientation_of_three_decimals(t):
    for ds in t.datasets:
        ds.ImageOrientationPatient = [f"{v:.3f}" for v in t.orientation]
    found = np.round(np.array(t.orientation), 3)
    row = found[:3] / np.linalg.norm(found[:3])
    column = found[3:] - (found[3:] @ row) * row
    affine = t.affine
    affine[:3, 1], affine[:3, 2] = column / np.linalg.norm(column) * t.spacing[1], row * t.spacing[2]
    return Expect(affine=affine)


@kind
def orientation_not_perpendicular(t):
    skew = np.array(t.orientation[3:]) + 0.02 * np.array(t.orientation[:3])
    each(t, ImageOrientationPatient=[f"{v:.9g}" for v in (*t.orientation[:3], *(skew / np.linalg.norm(skew)))])
    return errors.NoGeometry


@kind
def micrometres(t):
    small = Truth(t.stored, t.orientation, (0.004, 0.002, 0.003), uid=t.uid, syntax=t.syntax)
    t.datasets, t.spacing = small.datasets, small.spacing


@kind
def all_at_one_position(t):
    for ds in t.datasets:
        ds.ImagePositionPatient = t.datasets[0].ImagePositionPatient
    return errors.RepeatedPositions


@kind
def every_second_step_is_half(t):
    for k, ds in enumerate(t.datasets):
        ds.ImagePositionPatient = [f"{v:.9g}" for v in (t.affine @ (k - 0.25 * (k % 2), 0, 0, 1))[:3]]
    return errors.GeometryError


@kind
def steps_grow_slowly(t):
    for k, ds in enumerate(t.datasets):
        ds.ImagePositionPatient = [f"{v:.9g}" for v in (t.affine @ (k * (1 + 0.01 * k), 0, 0, 1))[:3]]
    return errors.GeometryError


@kind
def mirrored_slice(t):
    flipped = -np.array(t.orientation[:3])
    t.datasets[3].ImageOrientationPatient = [f"{v:.9g}" for v in (*flipped, *t.orientation[3:])]
    return errors.GeometryError


# ------------------------------------------------------------------------------------------------ other objects


@kind
def secondary_capture_in_the_series(t):
    ds = base(SC, "CT", t.uid, t.syntax)
    set_pixels(ds, ramp((9, 9), np.uint8))
    t.datasets.append(ds)
    return errors.SeriesError


@kind
def reports_of_the_series(t):
    """A key object note, a presentation state and a structured report, with the UID of the series."""

    def post(folder: Path) -> None:
        for n, code in enumerate(("88.59", "11.1", "88.33", "104.1")):
            save(base(f"1.2.840.10008.5.1.4.1.1.{code}", "KO", t.uid), folder / f"other{n}.dcm")

    return post


@kind
def dose_sheet_in_a_series_of_its_own(t):
    ds = base(SC, "CT", new_uid(), t.syntax)
    set_pixels(ds, ramp((9, 9), np.uint8))
    t.datasets.append(ds)
    return errors.SeriesError


@kind
def mosaic(t):
    each(t, ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"], Modality="MR")
    return errors.UnsupportedImageError


@kind
def private_scale(t):
    """Philips keeps another slope in private elements; the standard's counts."""
    each(t, RescaleSlope="2", RescaleIntercept="-3")
    for ds in t.datasets:
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.00321)
        block.add_new(0x0D, "FL", 0.5)
    return t.stored * 2.0 - 3


@kind
def real_world_values(t):
    for ds in t.datasets:
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = 0.25, 9.0
        item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 100
        item["RealWorldValueFirstValueMapped"].VR = item["RealWorldValueLastValueMapped"].VR = "US"
        ds.RealWorldValueMappingSequence = Sequence([item])


@kind
def decay_corrected_counts(t):
    slopes = np.linspace(0.9, 3.3, len(t.datasets)).round(4)
    each(t, Modality="PT", Units="CNTS", DecayCorrection="START")
    for ds, slope in zip(t.datasets, slopes, strict=True):
        ds.RescaleSlope, ds.DecayFactor = str(slope), "1.07"
    return Expect(values=t.stored * slopes[:, None, None], units="CNTS")


@kind
def becquerels(t):
    each(t, Modality="PT", Units="BQML", RescaleSlope="0.37")
    return Expect(values=t.stored * 0.37, units="BQML")


@kind
def rescale_types_differ(t):
    each(t, RescaleType="HU")
    t.datasets[2].RescaleType = "OD"
    return errors.SeriesError


# ------------------------------------------------------------------------------------------------- time and kind


def _stacks(t: Truth, count: int, label: Any, values: Any) -> Expect:
    """`count` stacks; `label(dataset, n, k)` says of each slice which it belongs to."""
    parts = [t, *(again(t, seed) for seed in range(1, count))]
    number = 0
    for k in range(len(t.stored)):  # at each position one after the other
        for n, part in enumerate(parts):
            number += 1
            part.datasets[k].InstanceNumber = number
            label(part.datasets[k], n, k)
    every = np.stack([part.stored for part in parts]).astype(float)
    t.datasets = [ds for part in parts for ds in part.datasets]
    return Expect(values=every if values is None else values(every))


@kind
def temporal_positions(t):
    return _stacks(t, 3, lambda ds, n, k: setattr(ds, "TemporalPositionIdentifier", n + 1), None)


@kind
def echoes(t):
    return _stacks(t, 2, lambda ds, n, k: setattr(ds, "EchoTime", str(60 - 25 * n)), lambda v: v[::-1])


@kind
def heart_phases(t):
    return _stacks(t, 3, lambda ds, n, k: setattr(ds, "TriggerTime", str(10.5 * n)), None)


@kind
def heart_phases_in_percent(t):
    return _stacks(t, 3, lambda ds, n, k: setattr(ds, "NominalPercentageOfCardiacPhase", 30.0 * n), None)


@kind
def b_values(t):
    return _stacks(t, 2, lambda ds, n, k: setattr(ds, "DiffusionBValue", 1000.0 * n), None)


@kind
def repetition_times(t):
    return _stacks(t, 2, lambda ds, n, k: setattr(ds, "RepetitionTime", str(500 + 900 * n)), None)


@kind
def two_energies(t):
    return _stacks(t, 2, lambda ds, n, k: setattr(ds, "KVP", str(80 + 60 * n)), None)


@kind
def times_of_day(t):
    return _stacks(t, 2, lambda ds, n, k: setattr(ds, "AcquisitionTime", f"{10 + n}0{k}00.5"), None)


@kind
def a_map_among_b_values(t):
    def label(ds, n, k):
        ds.Modality = "MR"
        ds.ImageType = ["DERIVED", "PRIMARY", "ADC"] if n == 2 else ["ORIGINAL", "PRIMARY", "DIFFUSION"]
        if n < 2:
            ds.DiffusionBValue = 1000.0 * n

    _stacks(t, 3, label, None)
    return errors.SeriesError


@kind
def magnitude_and_phase(t):
    _stacks(t, 2, lambda ds, n, k: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "MP"[n], "ND"]), None)
    return errors.SeriesError


@kind
def two_kernels(t):
    _stacks(t, 2, lambda ds, n, k: setattr(ds, "ConvolutionKernel", "BH"[n] + "30f"), None)
    return errors.SeriesError


@kind
def corrected_and_not(t):
    def label(ds, n, k):
        ds.Modality, ds.Units, ds.CorrectedImage = "PT", "BQML", ["NORM", "DTIM", "ATTN"][: 3 - n]

    _stacks(t, 2, label, None)
    return errors.SeriesError


@kind
def last_time_point_is_not_whole(t):
    _stacks(t, 3, lambda ds, n, k: setattr(ds, "TemporalPositionIdentifier", n + 1), None)
    t.datasets = t.datasets[:-3]
    return errors.SeriesError


@kind
def time_point_with_a_gap(t):
    _stacks(t, 3, lambda ds, n, k: setattr(ds, "TemporalPositionIdentifier", n + 1), None)
    del t.datasets[12]
    return errors.SeriesError


# ----------------------------------------------------------------------------------------------------- repeated


@kind
def everything_twice(t):
    def post(folder: Path) -> None:
        shutil.copytree(folder, folder / "copy")

    return post


@kind
def a_slice_under_another_uid(t):
    """The same pixels at the same place: which of the two is taken makes no difference."""
    twin = Truth(t.stored, t.orientation, uid=t.uid, syntax=t.syntax).datasets[4]
    twin.InstanceNumber = 99
    t.datasets.append(twin)


@kind
def a_slice_under_another_uid_and_slope(t):
    twin = Truth(t.stored, t.orientation, uid=t.uid, syntax=t.syntax, slope=2).datasets[4]
    t.datasets.append(twin)
    return errors.RepeatedPositions


# ------------------------------------------------------------------------------------------------ files, folders


@kind
def strange_names(t):
    def post(folder: Path) -> None:
        names = ["Bild ü.dcm", "影像", "-rf", "a\nb", "x.dcm.txt", ".hidden", "IM 1", "con"]
        for file, name in zip(sorted(folder.iterdir()), names, strict=True):
            file.rename(folder / name)
        os.rename(folder / "con", os.fsencode(folder) + b"/\xff\xfe.dcm")

    return post


@kind
def in_many_folders(t):
    def post(folder: Path) -> None:
        for n, file in enumerate(sorted(folder.iterdir())):
            below = folder / f"d{n % 3}" / "x.dcm" / str(n)
            below.mkdir(parents=True)
            file.rename(below / "same name")

    return post


@kind
def links_and_pipes(t):
    def post(folder: Path) -> None:
        os.symlink(folder, folder / "loop")
        os.symlink(next(f for f in folder.iterdir() if f.is_file()), folder / "again.dcm")
        os.symlink("nowhere", folder / "dead")
        os.mkfifo(folder / "pipe.dcm")
        (folder / "empty.dcm").write_bytes(b"")

    return post


@kind
def in_a_zip_file(t):
    def post(folder: Path) -> None:
        files = sorted(folder.iterdir())
        with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for n, file in enumerate(files):
                archive.write(file, f"../a/{n}")
                file.unlink()

    return post


@kind
def a_zip_file_in_a_zip_file(t):
    def post(folder: Path) -> None:
        files = sorted(folder.iterdir())
        with zipfile.ZipFile(folder / "inner.zip", "w") as archive:
            archive.write(files[0], "a")
        with zipfile.ZipFile(folder / "outer.zip", "w") as archive:
            archive.write(folder / "inner.zip", "inner.zip")
        for file in (*files, folder / "inner.zip"):
            file.unlink()

    return post, errors.NoDicomError


@kind
def starts_like_a_zip_file(t):
    def post(folder: Path) -> None:
        for file in folder.iterdir():
            file.write_bytes(b"PK\3\4" + file.read_bytes()[4:])

    return post


# --------------------------------------------------------------------------------------------------- many frames


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def group(**values: Any) -> Sequence:
    return Sequence([item(**values)])


ORDER = np.array([3, 0, 7, 5, 1, 2, 6, 4])


def enhanced(t: Truth, order: np.ndarray = ORDER, stored: np.ndarray | None = None) -> Dataset:
    """One object with the slices as frames, in another order; what is the same for all stands in the shared groups."""
    ds = base(ENHANCED_MR, "MR", t.uid, t.syntax)
    ds.NumberOfFrames = len(order)
    set_pixels(ds, (t.stored if stored is None else stored)[order])
    ds.SharedFunctionalGroupsSequence = group(
        PixelMeasuresSequence=group(PixelSpacing=[str(v) for v in t.spacing[1:]], SliceThickness=str(t.spacing[0])),
        PlaneOrientationSequence=group(ImageOrientationPatient=[f"{v:.12g}" for v in t.orientation]),
        PixelValueTransformationSequence=group(RescaleSlope="1", RescaleIntercept="0", RescaleType="US"),
    )
    frames = []
    for n, k in enumerate(order % len(t.stored)):
        position = [f"{v:.9g}" for v in (t.affine @ (k, 0, 0, 1))[:3]]
        frames.append(
            item(
                PlanePositionSequence=group(ImagePositionPatient=position),
                FrameContentSequence=group(StackID="1", InStackPositionNumber=int(k) + 1, DimensionIndexValues=[1, n]),
            )
        )
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    t.datasets = [ds]
    return ds


@kind
def frames(t):
    enhanced(t)


@kind
def frames_that_override_what_is_shared(t):
    ds = enhanced(t)
    slopes = np.arange(1, 9)
    for k, frame in zip(ORDER, ds.PerFrameFunctionalGroupsSequence, strict=True):
        frame.PixelValueTransformationSequence = group(RescaleSlope=str(slopes[k]), RescaleIntercept="-5")
    return t.stored * slopes[:, None, None] - 5.0


@kind
def frames_and_a_header_that_lies(t):
    ds = enhanced(t)
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [1, 2, 3], [0, 0, 1, 1, 0, 0]
    ds.PixelSpacing, ds.RescaleSlope = ["9", "9"], "77"


@kind
def frames_with_a_gap(t):
    enhanced(t, np.array([0, 1, 2, 4, 5, 6, 7]))
    return errors.MissingSlices


@kind
def frames_twice(t):
    stored = np.concatenate([t.stored, again(t).stored])
    enhanced(t, np.arange(16), stored)
    return errors.RepeatedPositions


@kind
def frames_in_time(t):
    stored = np.concatenate([t.stored, again(t).stored])
    ds = enhanced(t, np.arange(16), stored)
    for n, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].TemporalPositionIndex = 1 + n // 8
    return stored.reshape(2, *t.stored.shape).astype(float)


@kind
def frames_of_two_orientations(t):
    ds = enhanced(t)
    turned = [f"{v:.9g}" for v in (*t.orientation[3:], *t.orientation[:3])]
    ds.PerFrameFunctionalGroupsSequence[2].PlaneOrientationSequence = group(ImageOrientationPatient=turned)
    return errors.MixedGeometry


@kind
def more_frames_than_groups(t):
    del enhanced(t).PerFrameFunctionalGroupsSequence[-1]
    return errors.GeometryError


@kind
def frame_without_position(t):
    del enhanced(t).PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    return errors.GeometryError


@kind
def more_frames_than_pixels(t):
    no_rle(t)
    ds = enhanced(t)
    ds.PixelData = ds.PixelData[:-60]
    return errors.DecodeError


@kind
def frames_in_several_files(t):
    t.datasets = [enhanced(t, order) for order in (np.array([6, 0, 4, 2]), np.array([1, 7, 3, 5]))]
