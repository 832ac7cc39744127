"""What earlier scans of a folder found, file by file, in an SQLite file.

A file is read again when its size, or a time of its last change, is another. Names of files are kept as hashes, values
as JSON: nothing in it names a patient, and reading it runs nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sqlite3
import time
from typing import Any

from .. import errors
from ..errors import TableError
from ._describe import Found
from ._limits import Limits
from ._model import Image, Slice, long_hash

#: Another version of the records makes a stored index void.
VERSION = 2
_SECONDS = 1.0
_IMAGE = [f.name for f in dataclasses.fields(Image)]
_SLICE = [f.name for f in dataclasses.fields(Slice) if f.name != "image"]
_ERRORS = {name: getattr(errors, name) for name in errors.__all__}

Stamp = tuple[int, int, int]


class Cache:
    """An open index file.

    Parameters
    ----------
    path : str
        Made when it is missing; readable by its owner only.
    root : str
        The folder that is scanned.
    limits : Limits
        Results hold for these.

    Raises
    ------
    TableError
        If the file is something else.
    """

    def __init__(self, path: str, root: str, limits: Limits) -> None:
        self.root, self._prefix = root, os.path.join(root, "")
        self._written = time.monotonic()
        created = not os.path.exists(path)
        try:
            self._db = sqlite3.connect(path)
            if created:
                os.chmod(path, 0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._prepare(_digest(limits))
            self._known = {
                name: (stamp, template, own)
                for name, *stamp, template, own in self._db.execute(
                    "SELECT name, size, mtime, ctime, template, own FROM files"
                )
            }
            self._templates = dict(self._db.execute("SELECT id, text FROM templates"))
        except sqlite3.DatabaseError as error:
            raise TableError(f"the index cannot be used ({type(error).__name__}): another file has its name?") from None
        self._ids = {text: number for number, text in self._templates.items()}
        self._parsed: dict[int, list[Any]] = {}
        self._met: set[bytes] = set()

    def _prepare(self, settings: str) -> None:
        db = self._db
        db.execute("CREATE TABLE IF NOT EXISTS settings (digest TEXT)")
        if db.execute("SELECT digest FROM settings").fetchall() != [(settings,)]:
            for table in ("files", "templates", "settings"):
                db.execute(f"DROP TABLE IF EXISTS {table}")
            db.execute("CREATE TABLE settings (digest TEXT)")
            db.execute("INSERT INTO settings VALUES (?)", (settings,))
        db.execute("CREATE TABLE IF NOT EXISTS templates (id INTEGER PRIMARY KEY, text TEXT)")
        db.execute(
            "CREATE TABLE IF NOT EXISTS files (name BLOB PRIMARY KEY, size INT, mtime INT, ctime INT, template INT,"
            " own TEXT) WITHOUT ROWID"
        )
        db.commit()

    def get(self, path: str) -> Found | None:
        """What is known of a file that has not changed."""
        name, stamp = self._name(path), stamp_of(path)
        self._met.add(name)
        known = self._known.get(name)
        if known is None or stamp is None or known[0] != list(stamp):
            return None
        return self._found(path, *known[1:])

    def put(self, path: str, found: Found, stamp: Stamp | None) -> None:
        """Note what is in a file; `stamp` is from before it was read."""
        if stamp is None:
            return
        shared, own = record(found)
        number = self._ids.get(shared)
        if number is None:
            number = self._ids[shared] = len(self._ids) + 1
            self._templates[number] = shared
            self._db.execute("INSERT INTO templates VALUES (?, ?)", (number, shared))
        row = (self._name(path), *stamp, number, own)
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
        if time.monotonic() - self._written > _SECONDS:  # a kill loses a second of work
            self._db.commit()
            self._written = time.monotonic()

    def close(self, complete: bool) -> None:
        """Write what is left; after a `complete` scan, forget files that are gone."""
        if complete:
            gone = [(name,) for name in self._known if name not in self._met]
            self._db.executemany("DELETE FROM files WHERE name = ?", gone)
        self._db.commit()
        self._db.close()

    def _name(self, path: str) -> bytes:
        within = path[len(self._prefix) :] if path.startswith(self._prefix) else os.path.relpath(path, self.root)
        return bytes.fromhex(long_hash(os.fsencode(within))[:32])

    def _found(self, path: str, template: int, own: str) -> Found:
        if template not in self._parsed:
            self._parsed[template] = parsed(self._templates[template])
        return restored(path, self._parsed[template], own)


_PATH, _FAULT, _PADDING, _FACTS = (_IMAGE.index(name) for name in ("path", "fault", "padding", "facts"))
_OWN_IMAGE = [_IMAGE.index(name) for name in ("instance", "number", "offset", "length", "size")]
_OWN_SLICE = [_SLICE.index(name) for name in ("frame", "position", "slope", "intercept", "splitters")]
_TUPLES = [_SLICE.index(name) for name in ("position", "orientation", "spacing", "splitters")]


def record(found: Found) -> tuple[str, str]:
    """What many files share, and what is a file's own, as JSON."""
    if found.error is not None or not found.slices:
        error = None if found.error is None else [type(found.error).__name__, str(found.error)]
        return json.dumps([found.series, error or ["NoDicomError", "no image"], None, None]), "{}"
    image, first = found.slices[0].image, found.slices[0]
    shared = [getattr(image, name) for name in _IMAGE]
    own = [shared[n] for n in _OWN_IMAGE]
    for n in (*_OWN_IMAGE, _PATH, _FAULT):
        shared[n] = None
    fault = None if image.fault is None else [type(image.fault).__name__, str(image.fault)]
    slice_values = [getattr(first, name) for name in _SLICE]
    rows = [[getattr(one, name) for name in _SLICE] for one in found.slices]
    same = all(row[n] == slice_values[n] for row in rows for n in range(len(_SLICE)) if n not in _OWN_SLICE)
    chosen = _OWN_SLICE if same else range(len(_SLICE))
    slices = [[row[n] for n in chosen] for row in rows]
    for n in _OWN_SLICE:
        slice_values[n] = None
    return json.dumps([found.series, None, shared, slice_values]), json.dumps([own, fault, slices])


def parsed(shared: str) -> list[Any]:
    """What :func:`restored` wants of what many files share."""
    values: list[Any] = json.loads(shared)
    _with_tuples(values[2])
    return values


def restored(path: str, shared: list[Any], own: str) -> Found:
    """What :func:`record` was given."""
    series, error, image_values, slice_values = shared
    if error is not None:
        refused = _ERRORS[error[0]](error[1])
        refused.paths = (path,)
        return Found([], refused, series)
    mine, fault, slices = json.loads(own)
    values = list(image_values)
    values[_PATH] = path
    for place, value in zip(_OWN_IMAGE, mine, strict=True):
        values[place] = value
    if fault is not None:
        values[_FAULT] = _ERRORS[fault[0]](fault[1])
    image = Image(*values)
    return Found([_slice(image, slice_values, one) for one in slices], None, series)


def _with_tuples(image_values: list[Any] | None) -> None:
    """JSON knows only lists."""
    if image_values is not None:
        if image_values[_PADDING] is not None:
            image_values[_PADDING] = tuple(image_values[_PADDING])
        image_values[_FACTS] = tuple((name, value) for name, value in image_values[_FACTS])


def _slice(image: Image, shared: list[Any], mine: list[Any]) -> Slice:
    values = list(shared)
    for place, value in zip(_OWN_SLICE if len(mine) == len(_OWN_SLICE) else range(len(_SLICE)), mine, strict=True):
        values[place] = value
    for place in _TUPLES:
        if values[place] is not None:
            values[place] = tuple(values[place])
    return Slice(image, *values)


def stamp_of(path: str) -> Stamp | None:
    """Size and times of a file of this machine; another says that it may have changed."""
    try:
        about = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _digest(limits: Limits) -> str:
    """Of all that a record depends on beside its file; the project's key enters by what it makes of a fixed text."""
    about = [VERSION, dataclasses.asdict(limits), _IMAGE, _SLICE, long_hash("fastmed index")]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
