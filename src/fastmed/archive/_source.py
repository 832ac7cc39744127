"""Where bytes come from: files, members of zip files, URLs; and how errors about them are put.

A place is a string: a path, ``zip://member::file.zip`` (the file a path or URL), an instance on a DICOMweb server, or
another URL that fsspec opens. A member's name is looked up in its zip file and never becomes a path. Nothing of a file
is ever quoted.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import os
import stat
import threading
import warnings
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import DecodeError, FastmedError, LimitExceeded, NoDicomError, RemoteError
from ._dicomweb import is_dicomweb, open_instance
from ._limits import DEFAULT, Limits
from ._remote import is_url, open_remote, stamp_of_url

_quiet_lock = threading.Lock()
#: Loggers whose lines hold values of files, or addresses with UIDs in them.
_LOUD = (
    "pydicom", "nibabel.global", "tifffile", "fsspec", "fsspec.http", "fsspec.memory", "aiohttp.client",
    "urllib3.connectionpool", "urllib3.util.retry", "dicomweb_client", "dicomweb_client.web", "highdicom",
    "highdicom.base", "highdicom.seg.sop",
)  # fmt: skip
_quiet_users: list[contextlib.ExitStack] = []


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and log lines of pydicom, its plugins and nibabel, which quote values of the file.

    Warning filters belong to the process: the first thread that comes sets them and the last that leaves
    restores them; otherwise two overlapping readers would restore each other's.
    """
    with _quiet_lock:
        if not _quiet_users:
            _quiet_users.append(_silence())
        _quiet_users.append(_quiet_users[0])
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users.pop()
            if len(_quiet_users) == 1:
                _quiet_users.pop().close()


def _silence() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.filterwarnings(
        "ignore", module=r"(pydicom|highdicom|dicognito|PIL|pylibjpeg|openjpeg|libjpeg|jpeg_ls|fastmed\.archive)\b"
    )
    for name in _LOUD:
        log = logging.getLogger(name)
        stack.callback(setattr, log, "disabled", log.disabled)
        log.disabled = True
    return stack


@contextlib.contextmanager
def guarded(what: str = "DICOM header") -> Iterator[None]:
    """Turn whatever the parser raises into a DecodeError that quotes nothing.

    MemoryError too: a header is small, unless a hostile length makes it seem large.
    """
    try:
        yield
    except (FastmedError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise DecodeError(f"the {what} cannot be read ({type(error).__name__})") from None


def name_of(path: str) -> str:
    """A file's name in messages: a hash, since names of files can be names of patients."""
    return f"file {hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def open_source(path: str, limits: Limits = DEFAULT, *, buffered: bool = True) -> BinaryIO:
    """Open a place for reading, at its first byte. What is read in one piece needs no buffer.

    Raises
    ------
    NoDicomError
        If it cannot be opened or is no regular file.
    RemoteError
        If a store or server does not give it.
    LimitExceeded
        If a zip member, or what can be had only whole, is larger than `limits` allow.
    """
    if not is_url(path):
        return open_regular(path, buffered)
    if path.startswith("zip://"):
        member, _, outer = path.removeprefix("zip://").partition("::")
        return io.BytesIO(_read_member(outer, member, limits))
    return open_instance(path, limits) if is_dicomweb(path) else open_remote(path, limits)


def open_regular(path: str, buffered: bool = True) -> BinaryIO:
    """Open a regular file and nothing else: no link, no FIFO that would wait for ever."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        handle = os.open(path, flags)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NoDicomError(f"the file cannot be opened ({reason})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NoDicomError("not a regular file")
    return os.fdopen(handle, "rb", -1 if buffered else 0)


# ------------------------------------------------------------------------------------------------- zip members


def is_zip(path: str) -> bool:
    """Whether a regular file starts as zip files do."""
    try:
        with open_remote(path, DEFAULT) if is_url(path) else open_regular(path) as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except (NoDicomError, RemoteError, LimitExceeded):
        return False


def zip_members(path: str, limits: Limits) -> list[str]:
    """The members of a zip file that hold bytes, as places.

    Raises
    ------
    NoDicomError
        If it is no zip file.
    LimitExceeded
        If it has too many members, or they claim to grow too much all together.
    """
    archive = _opened(path, _stamp(path))
    members = [m for m in archive.infolist() if not m.is_dir()]
    if len(members) > limits.max_members:
        raise LimitExceeded(f"a zip file of {len(members)} members; at most {limits.max_members} are read")
    limits.check_expansion(sum(m.file_size for m in members), _stamp(path)[0], limits.max_inflation, "a zip file")
    return list(dict.fromkeys(f"zip://{m.filename}::{path}" for m in members))


def _stamp(path: str) -> tuple[int, int]:
    if is_url(path):
        return stamp_of_url(path)
    try:
        about = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise NoDicomError(f"the file cannot be opened ({error.strerror})") from None
    return about.st_size, about.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _opened(path: str, stamp: tuple[int, int]) -> zipfile.ZipFile:
    """Kept open: a large zip file takes long to list. `stamp` makes a changed file another one."""
    try:
        return zipfile.ZipFile(open_remote(path, DEFAULT) if is_url(path) else open_regular(path))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError):
        raise NoDicomError("a zip file that cannot be read") from None


def _read_member(outer: str, name: str, limits: Limits) -> bytes:
    archive = _opened(outer, _stamp(outer))
    try:
        member = archive.getinfo(name)
        allowed = limits.inflated(member.compress_size)
        if member.file_size > allowed:
            raise LimitExceeded(f"a zip member of {member.file_size} bytes; at most {allowed} are read")
        with archive.open(member) as stream:
            data = stream.read(allowed + 1)
    except FastmedError:
        raise
    except Exception as error:  # encrypted, wrong checksum, unknown method, cut off
        raise DecodeError(f"the zip member cannot be read ({type(error).__name__})") from None
    if len(data) > allowed:
        raise LimitExceeded(f"a zip member of more than {allowed} bytes")
    return data
