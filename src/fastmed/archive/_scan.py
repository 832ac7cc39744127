"""scan: a folder tree -> the series in it, and a row for every file that is part of none."""

from __future__ import annotations

import math
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.request import url2pathname

import numpy as np

from ..errors import LimitExceeded, NoDicomError, SeriesError, UnsupportedImageError
from . import _faults
from ._cache import Cache, stamp_of
from ._describe import Found, read_header
from ._dicomweb import is_dicomweb, list_instances, name_of_instance, series_of
from ._limits import DEFAULT, Limits
from ._model import Slice, hashing_with
from ._quick import Templates
from ._remote import is_url, list_remote, stamp_of_url
from ._series import Refusal, Series, build
from ._source import is_zip, quiet, zip_members

if TYPE_CHECKING:
    import pandas

    from ..volume import Volume

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Failure:
    """A file that is not, or not wholly, part of a series that can be read.

    Attributes
    ----------
    path : str
        Relative to the folder that was scanned.
    reason : str
        Why, without quoting anything that could identify a patient.
    error : type
        The class of `fastmed.errors` that says the same.
    lost : bool
        Whether voxels are lost by it: False for files that are no images, no DICOM, or copies.
    key : str
        Key of the series that the file belongs to, without suffix; empty where that is not known.
    cause : bool
        Whether the file itself is at fault, and not only the series that it belongs to.
    """

    path: str
    reason: str
    error: type[SeriesError] = field(default=SeriesError, repr=False)
    lost: bool = field(default=False, repr=False)
    key: str = field(default="", repr=False)
    cause: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Index:
    """What `scan` found.

    Attributes
    ----------
    root : str
        The folder or file that was scanned.
    series : list of Series
        Each reads as one `fastmed.Volume`; time points and other parts of one series stand in order.
    failures : list of Failure
        One row per file that is not part of a series, in order of the paths.
    """

    root: str = field(repr=False)
    series: list[Series]
    failures: list[Failure]

    def __repr__(self) -> str:
        return f"Index({len(self.series)} series, {len(self.failures)} failures)"

    def read(self, series: str, *, dtype: Any = "auto", limits: Limits = DEFAULT) -> Volume:
        """Read a series by its key; see `read_series`.

        Raises
        ------
        KeyError
            If there is none.
        """
        from ._read import read_series

        found = {one.key: one for one in self.series}
        if series not in found:
            raise KeyError(f"no series {series!r} in the index of {len(found)}")
        return read_series(found[series], dtype=dtype, limits=limits)

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each series: key, hashes of patient and study, modality, geometry, counts, fault."""
        return [_row(one) for one in self.series]

    def to_frame(self) -> pandas.DataFrame:
        """The table of `rows`."""
        import pandas

        return pandas.DataFrame(self.rows(), columns=COLUMNS)


COLUMNS = [
    "series", "patient", "study", "modality", "axes", "n_slices", "rows", "columns", "spacing_z", "spacing_y",
    "spacing_x", "geometry", "units", "files", "split_by", "split_index", "fault",
]  # fmt: skip


def _row(one: Series) -> dict[str, Any]:
    sizes = [math.nan] * 3
    if one.meta["geometry"] != "none":
        sizes = [float(v) for v in np.linalg.norm(one.affine[:3, :3], axis=0)]
    values = (
        one.key, one.patient, one.study, one.modality, one.axes, one.n_slices, one.shape[1], one.shape[2], *sizes,
        one.meta["geometry"], one.meta["units"], len(one.paths), one.meta.get("split_by", ""),
        one.meta.get("split_index", 0), one.fault,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def scan(
    root: Any,
    *,
    on_fault: str = "raise",
    limits: Limits = DEFAULT,
    progress: Progress | None = None,
    index: Any = None,
    project_key: bytes = b"",
) -> Index:
    """Find the series under a folder, reading headers only.

    Parameters
    ----------
    root : path_like
        A folder, searched with all its sub-folders; a zip file, which is read in place; one file; or a URL of a
        folder or file that fsspec opens (``s3://``, ``https://``, ``memory://``..., also ``zip://::https://...``). Zip
        files inside a folder are searched too. Links inside it are not followed, and FIFOs, devices and sockets not
        opened; each is a row in the failures. ``dicomweb+https://host/path`` asks a DICOMweb server; of one study or
        series with ``/studies/UID/series/UID``, of some with ``?Modality=CT`` or other search terms.
    on_fault : {'raise', 'split', 'regrid', 'keep'}, optional
        What becomes of series that are no regular volume, or have slices that cannot be decoded. 'raise': they
        are refused, each file with a row in the failures. 'split': regular runs of slices become series of their
        own. 'regrid': slices are interpolated linearly on a grid of the commonest distance. 'keep': the slices
        that are there become one volume of the mean distance. Series of the last three say so in ``fault``,
        and their volumes in ``meta['fault']``.
    limits : Limits, optional
        What one file may ask for.
    progress : callable, optional
        Called as ``progress(files_done, files_in_all)``.
    index : path_like, optional
        An SQLite file that keeps what was found; made when it is missing. The next scan reads only files that are
        new or have changed, and one that was killed goes on where it was. It holds no names, neither of patients
        nor of files. Members of zip files and URLs are always read.
    project_key : bytes, optional
        A secret with which the hashes of identifiers are made (HMAC). Without it they are plain SHA-256, and who
        knows a UID can tell whether it is there.

    Returns
    -------
    Index
        Files are grouped by SeriesInstanceUID and then by what forbids one volume: rows and columns,
        orientation, pixel spacing, frame of reference, photometric interpretation, localizers; and where
        positions repeat by time, echo, b-value, acquisition and the like. What still is no regular volume is
        in `failures`, and so is all of a series of which a file cannot be read. An empty folder gives an empty
        index.

    Raises
    ------
    FileNotFoundError
        If `root` does not exist.
    RemoteError
        If a store or server does not answer, or fsspec knows no such protocol.
    ValueError
        If `on_fault` is none of the above.

    Examples
    --------
    >>> import fastmed, pydicom.data
    >>> index = fastmed.scan(pydicom.data.get_testdata_file("CT_small.dcm"))
    >>> index
    Index(1 series, 0 failures)
    >>> index.series[0].shape
    (1, 128, 128)
    """
    _faults.check_choice(on_fault)
    root = os.fspath(root)
    if root.startswith("file://"):  # a path of this machine, with all that holds for those
        root = url2pathname(root.removeprefix("file://"))
    failures: list[Failure] = []
    folder, files = list_files(root, limits, failures)
    with hashing_with(project_key):
        if index is None:
            return index_of(root, folder, _headers(files, limits, progress), failures, on_fault, limits)
        cache, complete = Cache(os.fspath(index), folder, limits), False
        own = os.path.realpath(os.fspath(index))  # and the files that SQLite keeps beside it
        files = [path for path in files if not path.startswith(own)]
        try:
            made = index_of(root, folder, _headers(files, limits, progress, cache), failures, on_fault, limits)
            complete = True
        finally:
            cache.close(complete)
        return made


def _headers(
    files: list[str], limits: Limits, progress: Progress | None, cache: Cache | None = None
) -> Iterator[tuple[str, Found]]:
    templates = Templates()
    for done, path in enumerate(files):
        found = None if cache is None or is_url(path) else cache.get(path)
        if found is None:
            stamp = None if cache is None or is_url(path) else stamp_of(path)  # before it is read
            found = read_header(path, limits, templates)
            if found.error is not None and not found.series:
                found.series = series_of(path)  # a server's list says it of what cannot be retrieved
            if cache is not None:
                cache.put(path, found, stamp)
        yield path, found
        if progress is not None:
            progress(done + 1, len(files))


def index_of(
    root: str, folder: str, headers: Iterable[tuple[str, Found]], failures: list[Failure], on_fault: str, limits: Limits
) -> Index:
    """The index of what is in files, given as (path, what its header holds)."""
    slices: list[Slice] = []
    broken: dict[str, list[SeriesError]] = defaultdict(list)
    with quiet():
        for path, found in headers:
            slices += found.slices
            if found.error is not None:
                failures.append(_file_failure(path, folder, found))
                if failures[-1].lost and found.series:
                    broken[found.series].append(found.error)
        series, refusals = build(slices, broken, on_fault=on_fault, limits=limits)
    failures += [row for refusal in refusals for row in _refusal_rows(refusal, folder)]
    failures += _dropped_rows(slices, series, failures, folder)
    return Index(root, series, sorted(failures, key=lambda f: (f.path, f.reason)))


def _file_failure(path: str, folder: str, found: Found) -> Failure:
    error = found.error
    assert error is not None
    benign = isinstance(error, (NoDicomError, UnsupportedImageError))
    return Failure(relative_place(path, folder), str(error), type(error), not benign, found.series[:16], True)


def relative_place(path: str, folder: str) -> str:
    """A place as seen from the folder that was scanned."""
    if path.startswith("zip://"):
        member, _, outer = path.partition("::")
        inside = outer.removeprefix(folder).lstrip("/") if is_url(outer) else os.path.relpath(outer, folder)
        return f"{member}::{inside}"
    if is_dicomweb(path):
        return name_of_instance(path)
    if is_url(path):
        return path.removeprefix(folder).lstrip("/") or path
    return os.path.relpath(path, folder)


def _refusal_rows(refusal: Refusal, folder: str) -> Iterator[Failure]:
    """A row per file: what is wrong with it, or with the series that it belongs to."""
    for path, one in sorted({s.image.path: s for s in refusal.slices}.items()):
        error = one.image.fault or refusal.error
        benign = not refusal.lost or isinstance(error, UnsupportedImageError)
        key = one.image.series[:16]
        cause = one.image.fault is not None
        yield Failure(relative_place(path, folder), str(error), type(error), not benign, key, cause)


def _dropped_rows(
    slices: list[Slice], series: list[Series], failures: list[Failure], folder: str
) -> Iterator[Failure]:
    """A row for each broken file that `on_fault` left out of a series."""
    rows = {f.path for f in failures}
    for image in {s.image.path: s.image for s in slices if s.image.fault is not None}.values():
        path = relative_place(image.path, folder)
        if path not in rows:
            assert image.fault is not None
            yield Failure(path, str(image.fault), type(image.fault), True, image.series[:16], True)


# ------------------------------------------------------------------------------------------- what is to be read


def list_files(root: str, limits: Limits, failures: list[Failure]) -> tuple[str, list[str]]:
    """The folder that rows are relative to, and the places of all files in or under `root`; errors as of `walk`."""
    folder, files = walk(root, limits, failures)
    return folder, list(files)


def walk(root: str, limits: Limits, failures: list[Failure]) -> tuple[str, Iterable[str]]:
    """As `list_files`; files of a folder come as they are found, and its `failures` with them.

    Raises
    ------
    FileNotFoundError
        If `root` does not exist.
    RemoteError
        If a store or server cannot be asked.
    """
    with quiet():
        if root.startswith("zip://") and "::" in root:
            return _chained_zip(root, limits, failures)
        if is_url(root):
            return _remote_files(root, limits, failures)
    if not os.path.exists(root):
        raise FileNotFoundError(f"root must be a folder or a file: {root!r} does not exist")
    if os.path.isdir(root):
        return root, _with_members(_files(root, failures), root, limits, failures)
    path = os.path.realpath(root)
    folder = os.path.dirname(path)
    if not is_zip(path):
        return folder, [path]
    return folder, _members(path, folder, limits, failures)


def _remote_files(root: str, limits: Limits, failures: list[Failure]) -> tuple[str, list[str]]:
    if is_dicomweb(root):
        return list_instances(root, limits)
    folder, files = list_remote(root)
    return folder, list(_with_members(files, folder, limits, failures))


def _chained_zip(root: str, limits: Limits, failures: list[Failure]) -> tuple[str, list[str]]:
    """What ``zip://folder::file.zip`` holds under its folder; the file may be a URL itself."""
    below, _, outer = root.removeprefix("zip://").partition("::")
    if not is_url(outer) and not os.path.exists(outer):
        raise FileNotFoundError("root must be a folder or a file: the zip file of the URL does not exist")
    if is_url(outer):
        stamp_of_url(outer)  # raises where the store cannot be asked: that is no empty archive
    below = below.strip("/")
    found = [place for place in _members(outer, "", limits, failures)
             if not below or place.removeprefix("zip://").startswith((f"{below}/", f"{below}::"))]  # fmt: skip
    if below and not found:
        raise FileNotFoundError("root must be a folder or a file: the zip file has no such member")
    return outer.rpartition("/")[0], found


def _with_members(paths: Iterable[str], folder: str, limits: Limits, failures: list[Failure]) -> Iterator[str]:
    """The paths, with zip files (by their names, to open no file twice) replaced by what is in them."""
    for path in paths:
        if not path.lower().endswith(".zip") or not is_zip(path):
            yield path
        else:
            yield from _members(path, folder, limits, failures)


def _members(path: str, folder: str, limits: Limits, failures: list[Failure]) -> list[str]:
    try:
        return zip_members(path, limits)
    except SeriesError as error:
        lost = isinstance(error, LimitExceeded)
        failures.append(Failure(relative_place(path, folder), str(error), type(error), lost))
        return []


def _files(folder: str, failures: list[Failure]) -> Iterator[str]:
    """Regular files under a folder, sorted, without recursion and without following links."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda e: e.name, reverse=True)
        except OSError as error:
            failures.append(
                Failure(os.path.relpath(here, folder), f"the folder cannot be opened ({error.strerror})")
            )
            continue
        waiting += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        for entry in reversed(entries):
            if entry.is_file(follow_symlinks=False):
                yield entry.path
            elif not entry.is_dir(follow_symlinks=False):
                failures.append(Failure(os.path.relpath(entry.path, folder), _special(entry)))


def _special(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a link: not followed"
    mode = entry.stat(follow_symlinks=False).st_mode
    kinds = {stat.S_ISFIFO: "FIFO", stat.S_ISSOCK: "socket", stat.S_ISCHR: "device", stat.S_ISBLK: "device"}
    return (
        f"not a regular file ({next((name for test, name in kinds.items() if test(mode)), 'unknown kind')})"
    )
