"""A synthetic archive, written as true DICOM: small CT volumes around one smooth or spiculated nodule.

Nothing in it was ever a patient. It is there so that the whole way from files to a model can be run and
judged anywhere, without a network and without anybody's data: the truth is known, two classes overlap on
purpose, and noise, spacing, pixel encoding and slice order vary as they do between scanners.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

CLASSES = ("smooth", "spiculated")

#: What stands in the archive beside the images; like every file that is no image it ends in the failures
#: table.
NOTICE = (
    "SYNTHETIC ARCHIVE, made by `fastmed demo`.\n"
    "No image here is of a patient: every voxel is computed from a seed. The folder `damaged` holds one\n"
    "file that is cut short on purpose. It may be deleted at any time.\n"
)

_LUNG_HU, _NODULE_HU = -850.0, 40.0
_ROWS = _COLUMNS = 64
#: Rescale intercept, signed, bits stored: three ways in which scanners store the same Hounsfield units.
_ENCODINGS = ((-1024, False, 12), (0, True, 16), (-1000, True, 16))


@dataclass(frozen=True)
class Case:
    """One synthetic patient: what is put into the files.

    Attributes
    ----------
    number : int
        From 1.
    label : str
        'smooth' or 'spiculated', the truth.
    voxels : numpy.ndarray
        Hounsfield units, int16, axes (z, y, x).
    spacing : tuple of float
        Distance between slices, rows and columns in mm.
    encoding : tuple
        Rescale intercept, whether stored values are signed, bits stored.
    """

    number: int
    label: str
    voxels: np.ndarray
    spacing: tuple[float, float, float]
    encoding: tuple[int, bool, int]

    @property
    def patient_id(self) -> str:
        return f"SYNTHETIC-{self.number:04d}"


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    points = rng.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _spikes(rng: np.random.Generator, label: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions, heights (in radii) and sharpness of the bumps on a nodule's surface.

    The heights of the two classes overlap (lobulated smooth nodules, faint spicules), so that no feature can
    tell them apart without error.
    """
    if label == "smooth":
        count = int(rng.integers(0, 7))
        return _directions(rng, count), rng.uniform(0.05, 0.30, count), rng.uniform(8, 20, count)
    count = int(rng.integers(8, 22))
    return (
        _directions(rng, count),
        rng.uniform(0.25, 1.1) * rng.uniform(0.4, 1.0, count),
        rng.uniform(20, 60, count),
    )


def _nodule(points: np.ndarray, rng: np.random.Generator, label: str) -> np.ndarray:
    """How far each point (mm from the centre, last axis 3) lies inside the nodule, in mm."""
    radius = rng.uniform(4.5, 8.0)
    axes = rng.uniform(0.8, 1.2, 3)
    distance = np.linalg.norm(points, axis=-1)
    unit = points / np.maximum(distance, 1e-6)[..., None]
    surface = radius / np.linalg.norm(unit / axes, axis=-1)
    bumps = np.ones(distance.shape)
    for direction, height, sharpness in zip(*_spikes(rng, label), strict=True):
        bumps += height * np.exp(sharpness * (unit @ direction - 1))
    return surface * bumps - distance


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int, int], width: float) -> np.ndarray:
    """Noise of unit variance whose grain is `width` voxels: scanners do not give white noise."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(size=shape).astype(np.float32), width, mode="wrap")
    return noise / noise.std()


def make_case(number: int, seed: int) -> Case:
    """The synthetic patient `number` (from 1) of the archive with this `seed`; always the same voxels."""
    rng = np.random.default_rng([seed, number])
    label = CLASSES[number % 2]
    between, within = round(float(rng.uniform(0.8, 1.4)), 4), round(float(rng.uniform(0.45, 0.65)), 4)
    spacing = between, within, within
    shape = (int(rng.integers(24, 33)), _ROWS, _COLUMNS)
    grid = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1) - rng.uniform(-1.5, 1.5, 3)
    # The edge is as soft as the scanner's point spread: half a voxel to a voxel.
    inside = 1 / (1 + np.exp(-_nodule(points, rng, label) / rng.uniform(0.2, 0.5)))
    hu = _LUNG_HU + rng.uniform(-40, 40) + (_NODULE_HU + rng.uniform(-60, 60) - _LUNG_HU) * inside
    hu = hu + rng.uniform(10, 45) * _smooth_noise(rng, shape, rng.uniform(0.4, 0.8))
    voxels = np.clip(np.rint(hu), -1000, 3000).astype(np.int16)
    return Case(number, label, voxels, spacing, _ENCODINGS[int(rng.integers(len(_ENCODINGS)))])


def _uid(*parts: object) -> UID:
    """A valid UID under 2.25 (a 128-bit number) that depends on nothing but `parts`."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    from pydicom.uid import UID

    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _slices(case: Case, seed: int) -> Iterator[bytes]:
    """The CT images of one patient, each as the bytes of a DICOM file."""
    rng = np.random.default_rng([seed, case.number, 1])
    flipped = bool(rng.integers(2))
    origin = rng.uniform(-150, 150, 3).round(2)
    dataset = _header(case, seed)
    intercept, signed, _ = case.encoding
    stored = (case.voxels.astype(np.int32) - intercept).astype("<i2" if signed else "<u2")
    count = len(stored)
    for k in range(count):
        dataset.SOPInstanceUID = _uid(seed, case.number, "image", k)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = count - k if flipped else k + 1
        dataset.ImagePositionPatient = [_ds(v) for v in origin + np.array([0, 0, k * case.spacing[0]])]
        dataset.PixelData = stored[k].tobytes()
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()


def _ds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _header(case: Case, seed: int) -> Dataset:
    """What all images of one patient share: every type 1 and type 2 attribute of a CT image."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    intercept, signed, bits = case.encoding
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("fastmed", "synthetic archive")
    meta.ImplementationVersionName = "FASTMED_DEMO"
    ds = Dataset()
    ds.file_meta = meta
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.Modality, ds.Manufacturer = "CT", "fastmed synthetic archive"
    ds.StudyDescription = ds.SeriesDescription = "SYNTHETIC: computed, not acquired"
    ds.BodyPartExamined = "CHEST"
    ds.PatientName, ds.PatientID = f"Synthetic^{case.number:04d}", case.patient_id
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "never a patient: computed from a seed"
    ds.SliceThickness, ds.KVP = _ds(case.spacing[0]), ""
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = _uid(seed, case.number, "study")
    ds.SeriesInstanceUID = _uid(seed, case.number, "series")
    ds.FrameOfReferenceUID = _uid(seed, case.number, "frame")
    ds.PositionReferenceIndicator = ds.AcquisitionNumber = ""
    ds.SeriesNumber = 1
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = case.voxels.shape[1:]
    ds.PixelSpacing = [_ds(s) for s in case.spacing[1:]]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = int(signed)
    ds.BurnedInAnnotation = "NO"
    ds.WindowCenter, ds.WindowWidth = -400, 1400
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = intercept, 1, "HU"
    return ds


def write_archive(
    folder: str | Path,
    patients: int = 60,
    seed: int = 20261122,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Write the synthetic archive: one folder of DICOM files per patient, in shuffled order and names.

    Parameters
    ----------
    folder : path
        Made if it is not there. Existing files of the same names are replaced, nothing is deleted.
    patients : int, optional
        At least 2; classes alternate. Each is one CT series of 24 to 32 slices of 64 x 64, 0.45 to 0.65 mm in
        plane and 0.8 to 1.4 mm between slices.
    seed : int, optional
        The same seed gives the same bytes in every file, whatever `patients` is.
    progress : callable, optional
        Called as ``progress(done, total)`` after each patient.

    Returns
    -------
    dict
        PatientID -> 'smooth' or 'spiculated', the truth.

    Raises
    ------
    ValueError
        If `patients` is below 2.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_archive(folder, patients=2)
    {'SYNTHETIC-0001': 'spiculated', 'SYNTHETIC-0002': 'smooth'}
    """
    if int(patients) != patients or patients < 2:
        raise ValueError(f"patients must be a whole number of at least 2, found {patients!r}")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    (root / "SYNTHETIC.txt").write_text(NOTICE, encoding="utf-8")
    truth = {}
    for number in range(1, patients + 1):
        case = make_case(number, seed)
        _write_case(root, case, seed)
        truth[case.patient_id] = case.label
        if progress:
            progress(number, patients)
    _write_damaged(root, seed)
    return truth


def _write_case(root: Path, case: Case, seed: int) -> None:
    target = root / _uid(seed, case.number, "folder")[5:15]
    target.mkdir(exist_ok=True)
    # Names that say nothing and sort in no useful order: position, not name, makes the volume.
    for k, content in enumerate(_slices(case, seed)):
        name = hashlib.sha256(f"{seed}/{case.number}/{k}".encode()).hexdigest()[:12]
        (target / name).write_bytes(content)


def _write_damaged(root: Path, seed: int) -> None:
    """One more series whose only file ends in the middle of its pixels: it must cost one row of failures."""
    target = root / "damaged"
    target.mkdir(exist_ok=True)
    content = next(_slices(make_case(0, seed), seed))
    (target / "cut-short").write_bytes(content[: len(content) // 2])


def write_labels(path: str | Path, labels: dict[str, str]) -> None:
    """Write labels.csv: the columns ``patient`` (the hash of the feature table) and ``label``."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["patient", "label"])
        writer.writerows(sorted(labels.items()))
