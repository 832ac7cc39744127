"""scan: a folder tree -> the series in it, and a row for every file that is part of none."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import NoDicomError, SeriesError, UnsupportedImageError
from ._header import Slice, quiet, read_header
from ._series import Refusal, Series, build

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
    """

    path: str
    reason: str
    error: type[SeriesError] = field(default=SeriesError, repr=False)
    lost: bool = field(default=False, repr=False)
    key: str = field(default="", repr=False)


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


def scan(root: Any, *, progress: Progress | None = None) -> Index:
    """Find the series under a folder, reading headers only.

    Parameters
    ----------
    root : path_like
        A folder, searched with all its sub-folders, or one file. Links inside it are not followed, and FIFOs,
        devices and sockets not opened; each is a row in the failures.
    progress : callable, optional
        Called as ``progress(files_done, files_in_all)``.

    Returns
    -------
    Index
        Files are grouped by SeriesInstanceUID and then by what forbids one volume: rows and columns,
        orientation, pixel spacing, frame of reference, photometric interpretation, localizers; and where
        positions repeat by time, echo, b-value, acquisition and the like. What still is no regular volume is
        in `failures`. An empty folder gives an empty index.

    Raises
    ------
    FileNotFoundError
        If `root` does not exist.

    Examples
    --------
    >>> import fastmed, pydicom.data
    >>> index = fastmed.scan(pydicom.data.get_testdata_file("CT_small.dcm"))
    >>> index
    Index(1 series, 0 failures)
    >>> index.series[0].shape
    (1, 128, 128)
    """
    root = os.fspath(root)
    if not os.path.exists(root):
        raise FileNotFoundError(f"root must be a folder or a file: {root!r} does not exist")
    folder = root if os.path.isdir(root) else os.path.dirname(root)
    failures: list[Failure] = []
    slices: list[Slice] = []
    files = [os.path.realpath(root)] if folder != root else list(_files(folder, failures))
    with quiet():
        for done, path in enumerate(files):
            try:
                slices += read_header(path)[1]
            except SeriesError as error:
                failures.append(_file_failure(path, folder, error))
            if progress is not None:
                progress(done + 1, len(files))
        series, refusals = build(slices)
    for refusal in refusals:
        failures += _refusal_rows(refusal, folder)
    return Index(root, series, sorted(failures, key=lambda f: (f.path, f.reason)))


def _file_failure(path: str, folder: str, error: SeriesError) -> Failure:
    benign = isinstance(error, (NoDicomError, UnsupportedImageError))
    return Failure(os.path.relpath(path, folder), str(error), type(error), not benign)


def _refusal_rows(refusal: Refusal, folder: str) -> Iterator[Failure]:
    benign = not refusal.lost or isinstance(refusal.error, UnsupportedImageError)
    for path in sorted({s.image.path for s in refusal.slices}):
        key = refusal.slices[0].image.series[:16]
        yield Failure(os.path.relpath(path, folder), str(refusal.error), type(refusal.error), not benign, key)


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
