"""deidentify: DICOM images -> copies with pseudonyms, shifted dates, and only elements that are known to name nobody.

dicognito replaces names, numbers and UIDs, the same ones everywhere alike for one key. What it does not know is not
left to chance: of texts only those on a list are kept, and of these only words of the standard.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID

from .._engine.files import atomically
from ..errors import DecodeError, FastmedError, LimitExceeded, SeriesError, UnsupportedImageError
from ._describe import read_header
from ._labels import WORDS
from ._limits import DEFAULT, Limits
from ._model import hashing_with, long_hash
from ._scan import Failure, list_files, relative_place
from ._source import guarded, open_source, quiet

#: Another version of what is kept makes the copies of an earlier one void.
VERSION = 1
_PIXELS = {0x7FE00010, 0x7FE00008, 0x7FE00009}
#: Texts for which dicognito has pseudonyms, and whose absence breaks the standard.
_PSEUDONYMS = {0x00100010, 0x00100020, 0x00080050, 0x00200010}  # PatientName, PatientID, AccessionNumber, StudyID
_CODED = {  # of CS, beside those whose words are in WORDS or here
    "Modality", "ImageType", "FrameType", "PhotometricInterpretation", "PatientSex", "PatientPosition",
    "PatientOrientation", "Laterality", "ImageLaterality", "FrameLaterality", "BodyPartExamined", "ScanningSequence",
    "SequenceVariant", "ScanOptions", "MRAcquisitionType", "AngioFlag", "LossyImageCompression",
    "LossyImageCompressionMethod", "PixelIntensityRelationship", "Units", "CountsSource", "DecayCorrection",
    "AttenuationCorrectionMethod", "SeriesType", "CorrectedImage", "RandomsCorrectionMethod", "CollimatorType",
    "PresentationLUTShape", "DimensionOrganizationType", "VolumetricProperties", "VolumeBasedCalculationTechnique",
    "PixelPresentation", "BurnedInAnnotation", "RecognizableVisualFeatures", "RotationDirection",
    "ExposureModulationType", "FilterType", "ConversionType", "ViewPosition", "PhaseEncodingDirection",
    "InPlanePhaseEncodingDirection", "DiffusionDirectionality", "AcquisitionContrast", "ComplexImageComponent",
    "VOILUTFunction", "RescaleType",
}  # fmt: skip
_TERMS = WORDS | {
    "CT", "MR", "PT", "US", "NM", "CR", "DX", "MG", "XA", "RF", "OT", "IO", "PX", "ES", "SC", "RTDOSE", "RTIMAGE",
    "MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT",
    "YBR_PARTIAL_420", "O", "HFS", "HFP", "FFS", "FFP", "HFDR", "HFDL", "FFDR", "FFDL", "L", "A", "H", "B", "U", "RAO",
    "LAO", "AP", "PA", "LL", "RL", "CC", "MLO", "HEAD", "NECK", "CHEST", "ABDOMEN", "PELVIS", "BRAIN", "HEART", "LIVER",
    "LUNG", "KNEE", "SHOULDER", "HIP", "SPINE", "CSPINE", "TSPINE", "LSPINE", "BREAST", "PROSTATE", "SKULL",
    "EXTREMITY", "GR", "EP", "RM", "SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "PER", "RG", "CG", "PPG", "FC",
    "PFF", "PFP", "FS", "2D", "3D", "Y", "N", "YES", "NO", "00", "01", "ISO_10918_1", "ISO_14495_1", "ISO_15444_1",
    "LIN", "LOG", "DISP", "BQML", "CNTS", "PROPCNTS", "GML", "CM2", "START", "ADMIN", "DECY", "ATTN", "SCAT", "DTIM",
    "RAN", "NORM", "MOTN", "CAL", "ISOTOPE", "MEASURED", "CALCULATED", "DLYD", "SING", "IDENTITY", "INVERSE",
    "3D_TEMPORAL", "MONOCHROME", "COLOR", "TRUE_COLOR", "DISTORTED", "SAMPLED", "CW", "COL", "ROW", "ROWS", "COLUMN",
    "DIRECTIONAL", "ISOTROPIC", "BMATRIX", "LINEAR", "LINEAR_EXACT", "SIGMOID", "HU", "OD", "WSD", "DRW", "DI", "WEDGE",
    "BUTTERFLY", "FLAT", "BODY", "LARGE", "MEDIUM", "SMALL", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT",
}  # fmt: skip
#: Type 2 elements, which an image may not lack.
_EMPTY = ("ReferringPhysicianName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
          "StudyID", "SeriesNumber", "InstanceNumber", "Laterality")  # fmt: skip
_TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_BYTES = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}
#: Tables that decode pixels.
_TABLES = {0x00281201, 0x00281202, 0x00281203, 0x00281204, 0x00281221, 0x00281222, 0x00281223, 0x00283006}
_FORMS = {
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{8,14}(\.\d{1,6})?([+-]\d{4})?"),
    "TM": re.compile(r"\d{2,6}(\.\d{1,6})?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
    "AS": re.compile(r"\d{3}[DWMY]"),
}
#: Days by which dates of a patient go back: from, to.
_SHIFT = (62, 730)
#: Ages from this on are given as this: there are so few so old.
_OLD = 90


@dataclass(frozen=True)
class Deidentified:
    """What `deidentify` did.

    Attributes
    ----------
    n_written : int
        Copies that are new.
    n_kept : int
        Copies that an earlier run has made of the same bytes.
    failures : list of Failure
        Files of which there is no copy. Their paths may name patients: they are in no file of the output.
    """

    n_written: int
    n_kept: int
    failures: list[Failure] = field(repr=False)


def deidentify(
    root: Any,
    out: Any,
    *,
    key: bytes,
    limits: Limits = DEFAULT,
    progress: Callable[[int, int], None] | None = None,
) -> Deidentified:
    """Copy the images of an archive with pseudonyms in place of identifiers. **No conformance is claimed.**

    Parameters
    ----------
    root : path_like
        Folder, zip file, file or URL, as for `scan`.
    out : path_like
        Folder, made when it is missing: ``patient/study/series/instance.dcm``, all of them hashes.
    key : bytes
        A secret of at least 16 bytes. Pseudonyms, UIDs and the shifts of dates follow from it: the same key makes the
        copies of several runs fit together, and who has it can test whether a patient is among them.
    limits : Limits, optional
        What one file may ask for.
    progress : callable, optional
        Called as ``progress(files_done, files_in_all)``.

    Returns
    -------
    Deidentified

    Raises
    ------
    FileNotFoundError
        If `root` does not exist.
    ValueError
        If the key is short, or `out` lies in the archive.
    ImportError
        If dicognito is not installed.

    Notes
    -----
    Names, patient and study numbers and UIDs become others, consistently; all dates of a patient go back by one number
    of days, 2 to 24 months, and times of day stay. Private elements, overlays, curves, icons, signatures, comments,
    descriptions, names of people, places and devices are removed, and so is every text but words of the standard in
    elements on a list. Codes stay where the standard's own dictionary has them. Kept are numbers that describe the
    acquisition, and the patient's sex, size, weight and age (90 years at most).

    **Not handled**: text burned into the pixels (files that say that they have it are refused; most that have it do not
    say so), faces that can be rendered from a head scan, comments inside compressed pixel data. Only images are copied:
    reports, structure sets, segmentations and documents are failures. Have somebody look at the result.

    A copy appears whole or not at all, under a name that depends on the bytes of its original: a run that was stopped
    goes on where it was, and copies of files that changed get new names.

    Examples
    --------
    >>> import fastmed, os, pydicom.data, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = fastmed.archive.deidentify(
    ...         pydicom.data.get_testdata_file("CT_small.dcm"), os.path.join(folder, "out"), key=os.urandom(32))
    >>> done
    Deidentified(n_written=1, n_kept=0)
    """
    if not isinstance(key, bytes) or len(key) < 16:
        raise ValueError("key must be at least 16 secret bytes, for example secrets.token_bytes(32)")
    try:
        import dicognito  # noqa: F401
    except ImportError:
        raise ImportError("deidentify needs dicognito: pip install 'fastmed[deidentify]'") from None
    root, target = os.fspath(root), Path(os.fspath(out))
    if os.path.isdir(root) and target.absolute().resolve().is_relative_to(Path(root).resolve()):
        raise ValueError("out must not lie inside the archive: the next run would take its copies for originals")
    failures: list[Failure] = []
    folder, files = list_files(root, limits, failures)
    replacer = _Replacer(hashlib.sha256(b"fastmed pseudonyms" + key).hexdigest())
    written = kept = 0
    with hashing_with(hashlib.sha256(b"fastmed paths" + key).digest()), quiet():
        for done, path in enumerate(files):
            try:
                if _copy(path, target, replacer, limits):
                    written += 1
                else:
                    kept += 1
            except SeriesError as error:
                failures.append(Failure(relative_place(path, folder), str(error), type(error)))
            if progress is not None:
                progress(done + 1, len(files))
    return Deidentified(written, kept, sorted(failures, key=lambda f: (f.path, f.reason)))


def key_from(path: Any) -> bytes:
    """The key in a file; made, readable by its owner only, where there is none.

    Raises
    ------
    ValueError
        If the file holds less than 16 bytes.
    """
    place = Path(os.fspath(path))
    if not place.exists():
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
    key = place.read_bytes().strip()
    if len(key) < 16:
        raise ValueError(f"the key in {place} has {len(key)} bytes; at least 16 are wanted")
    return key


class _Replacer:
    """dicognito, but dates of each patient shift by whole days: times without a date, as in PET, stay right."""

    def __init__(self, seed: str) -> None:
        from dicognito.anonymizer import Anonymizer

        self._all, self._back = Anonymizer(seed=seed), datetime.timedelta()
        handler: Any = self._shift
        self._all.add_element_handler(handler)

    def __call__(self, dataset: Dataset, patient: str) -> None:
        days = _SHIFT[0] + int(long_hash(f"dates {patient}")[:12], 16) % (_SHIFT[1] - _SHIFT[0])
        self._back = datetime.timedelta(days=days)
        self._all.anonymize(dataset)

    def _shift(self, dataset: Dataset, element: DataElement) -> bool:
        if element.VR in ("DA", "DT"):
            element.value = [self._earlier(str(v)) for v in _values(element)]
        return element.VR in ("DA", "DT", "TM")

    def _earlier(self, moment: str) -> str:
        day = datetime.datetime.strptime(moment[:8], "%Y%m%d") - self._back
        return f"{day.year:04}{day.month:02}{day.day:02}{moment[8:]}"


def _copy(path: str, out: Path, replacer: _Replacer, limits: Limits) -> bool:
    """Whether a copy was written; False where there is one of the same bytes."""
    found = read_header(path, limits)  # everything that parsing must be safe from
    if found.error is not None:
        raise found.error
    data = _bytes(path, limits)
    image = found.slices[0].image
    folder = out / image.patient[:16] / image.study[:16] / image.series[:16]
    content = long_hash(hashlib.sha256(b"%d" % VERSION + data).digest())
    with guarded():
        dataset = pydicom.dcmread(io.BytesIO(data))
        name = f"{long_hash(str(dataset.get('SOPInstanceUID', '')))[:16]}-{content[:16]}.dcm"
        target = folder / name
        if target.exists():
            return False
        made = _replaced(dataset, replacer, image.patient)
        written = io.BytesIO()
        made.save_as(written, enforce_file_format=True)
    folder.mkdir(parents=True, exist_ok=True)
    with atomically(target) as file:
        file.write(written.getvalue())
    return True


def _bytes(path: str, limits: Limits) -> bytes:
    with open_source(path, limits) as file:
        size = file.seek(0, os.SEEK_END)
        if size > limits.max_volume_bytes:
            raise LimitExceeded(f"a file of {size} bytes; at most {limits.max_volume_bytes} are read")
        file.seek(0)
        return file.read()


# ------------------------------------------------------------------------------------------------ what is kept


def _replaced(dataset: Dataset, replacer: _Replacer, patient: str) -> Dataset:
    """A dataset without identifiers.

    Raises
    ------
    UnsupportedImageError
        If it has no pixels, says that there is text in them, or is of a class that is not the standard's.
    """
    if not _PIXELS & set(dataset.keys()):
        raise UnsupportedImageError("no image: only images are de-identified")
    if str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        raise UnsupportedImageError("the image says that text is burned into its pixels, which is not handled")
    sop_class, syntax = UID(str(dataset.SOPClassUID)), UID(str(dataset.file_meta.TransferSyntaxUID))
    if sop_class.name == sop_class or syntax.name == syntax:
        raise UnsupportedImageError("an object or transfer syntax that is not in the standard")
    _trim_pixels(dataset, syntax)
    kept = Dataset()
    _keep(dataset, kept)
    for name in _EMPTY:
        if name in dataset and name not in kept:
            setattr(kept, name, None)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, syntax
    made = FileDataset("", kept, b"\0" * 128, meta, syntax.is_implicit_VR, syntax.is_little_endian)
    replacer(made, patient)
    for name, empty in (("PatientName", None), ("PatientID", None)):
        if name not in made:
            setattr(made, name, empty)
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "fastmed with dicognito; no conformance is claimed"
    return made


def _trim_pixels(dataset: Dataset, syntax: UID) -> None:
    """Cut off what stands behind the last pixel of raw pixel data."""
    if syntax.is_encapsulated or "PixelData" not in dataset:
        return
    samples = int(dataset.get("SamplesPerPixel", 1))
    bits = int(dataset.Rows) * int(dataset.Columns) * samples * int(dataset.BitsAllocated)
    if str(dataset.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        bits = bits * 2 // 3
    size = (bits * int(dataset.get("NumberOfFrames") or 1) + 7) // 8
    data = dataset.PixelData
    if len(data) < size:
        raise DecodeError("the pixel data are truncated")
    if len(data) > size:
        dataset.PixelData = data[:size] + b"\0" * (size % 2)


def _keep(source: Dataset, target: Dataset) -> None:
    """Copy to `target` what is known to name nobody, or is replaced afterwards."""
    for tag in sorted(source.keys()):
        if tag.is_private or tag.group in (0x0002, 0x0004, 0xFFFA) or tag.group >> 8 in (0x50, 0x60):
            continue
        if tag in (0x00880200, 0x00081140) or tag.element == 0:  # icons, references, lengths of groups
            continue
        try:
            element = source[tag]
            good = _kept_element(element)
        except FastmedError:
            raise
        except Exception:  # a value that is none of its kind says nothing that is wanted
            continue
        if good is not None:
            target.add(good)
    _check_codes(target)


def _kept_element(element: DataElement) -> DataElement | None:
    tag, kind = int(element.tag), element.VR
    keyword = pydicom.datadict.keyword_for_tag(tag)
    if not keyword or (pydicom.datadict.dictionary_is_retired(tag) and kind in _TEXTS):
        return None
    if kind == "SQ":
        items = []
        for item in element.value:
            items.append(Dataset())
            _keep(item, items[-1])
        return DataElement(tag, "SQ", [item for item in items if len(item)]) if any(map(len, items)) else None
    if tag in _PIXELS:
        return element
    if kind in _BYTES or "OW" in kind:
        return element if tag in _TABLES else None
    if kind in _TEXTS:
        return _kept_text(element, keyword)
    if kind == "IS" or kind == "DS":
        return element if all(abs(float(v)) < 1e30 for v in _values(element)) and _short(element) else None
    if kind in _FORMS:
        return _kept_form(element, keyword)
    return element  # binary numbers, tags


def _values(element: DataElement) -> list[Any]:
    if element.value is None or element.value == "":
        return []
    return list(element.value) if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]


def _short(element: DataElement) -> bool:
    """Whole numbers of many digits could be those of a patient or an order."""
    texts = [str(v).strip() for v in _values(element)]
    return all(len(re.sub(r"[.eE].*", "", t).lstrip("+-")) <= 7 for t in texts)


def _kept_text(element: DataElement, keyword: str) -> DataElement | None:
    if element.tag in _PSEUDONYMS:
        return element
    if keyword in ("CodeValue", "CodingSchemeDesignator"):
        return element  # judged together by _check_codes
    if element.tag == 0x00080005:  # SpecificCharacterSet: what is left is ASCII
        return None
    if keyword not in _CODED:
        return None
    words = [str(v).strip() for v in _values(element)]
    if keyword == "ImageType":  # its first words tell what is compared; others may be anything
        words = [w if w in _TERMS else "OTHER" for w in words]
        return DataElement(element.tag, element.VR, words)
    return element if all(w in _TERMS or not w for w in words) else None


def _kept_form(element: DataElement, keyword: str) -> DataElement | None:
    values = [str(v).strip() for v in _values(element)]
    if not all(_FORMS[element.VR].fullmatch(v) for v in values):
        return None
    if element.VR == "AS":
        return DataElement(element.tag, "AS", [_age(v) for v in values])
    if element.VR == "UI" and keyword.endswith("ClassUID"):  # dicognito keeps those
        return element if all(UID(v).name != v for v in values) else None
    if element.VR == "TM" and not keyword.endswith("Time"):
        return None
    return element


def _age(text: str) -> str:
    return f"{_OLD:03}Y" if text[3] == "Y" and int(text[:3]) >= _OLD else text


def _check_codes(dataset: Dataset) -> None:
    """Remove a code that is not in the dictionaries of the standard; the meaning of others is the dictionary's."""
    value, scheme = dataset.get("CodeValue"), dataset.get("CodingSchemeDesignator")
    if value is None and scheme is None:
        return
    meaning = _meanings().get((str(scheme), str(value)))
    for name in ("CodeValue", "CodingSchemeDesignator"):
        if meaning is None and name in dataset:
            del dataset[name]
    if meaning is not None:
        dataset.CodeMeaning = meaning[:64]


def _meanings() -> dict[tuple[str, str], str]:
    if not _known_codes:
        from pydicom.sr._concepts_dict import concepts

        table: dict[str, Any] = concepts
        for scheme, names in table.items():
            for codes in names.values():
                for value, (meaning, _) in codes.items():
                    _known_codes[scheme, value] = meaning
    return _known_codes


_known_codes: dict[tuple[str, str], str] = {}
