"""What a run has to do: files -> headers -> series, in an SQLite file of its own, so that memory holds none of it.

The file lives as long as the run. It names files, and is therefore private.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import pickle
import secrets
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..archive import Limits, Series
from ..archive._cache import parsed, record, restored, stamp_of
from ..archive._describe import Found, nameless, read_header
from ..archive._dicomweb import series_of
from ..archive._quick import Templates
from ..archive._remote import is_url
from ..archive._scan import Failure, index_of, relative_place
from ..archive._source import open_source, quiet
from ..errors import SeriesError, UnsupportedImageError

#: Files whose headers one task reads.
HEADERS = 512
#: Series that are taken from the file at a time.
_PAGE = 64

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
CREATE TABLE paths (n INTEGER PRIMARY KEY, path TEXT);
CREATE TABLE templates (id INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE headers (uid TEXT, n INT, path TEXT, template INT, own TEXT, stamp TEXT);
CREATE TABLE strays (folder TEXT, suffix TEXT, uid TEXT);
CREATE TABLE failures (file TEXT, reason TEXT);
CREATE TABLE known (stamp TEXT PRIMARY KEY, unit TEXT) WITHOUT ROWID;
CREATE TABLE series (
    id INTEGER PRIMARY KEY, key TEXT, stamp TEXT, voxels INT, packed BLOB, unit TEXT DEFAULT '',
    reason TEXT DEFAULT '', reused INT DEFAULT 0);
"""


@dataclass(frozen=True)
class Planned:
    """One series of the plan.

    Attributes
    ----------
    id : int
    key, stamp : str
        Of the series; of its files as they lie on the disk, empty where that is not known.
    voxels : int
    packed : bytes
        The series and what it lacks, see :func:`unpacked`.
    """

    id: int
    key: str
    stamp: str
    voxels: int
    packed: bytes


def unpacked(packed: bytes) -> tuple[Series, int]:
    """A series, and how many slices it lacks at least."""
    return pickle.loads(zlib.decompress(packed))


class Plan:
    """The plan of one run. Use it in a ``with`` block.

    Parameters
    ----------
    folder : Path
        Where its file is made.
    root : str
        The folder that places in failures are relative to.
    on_fault : str
        As in :func:`fastmed.scan`.
    """

    def __init__(self, folder: Path, root: str, on_fault: str) -> None:
        self._root, self._on_fault, self._limits = root, on_fault, Limits()
        self.path = folder / f".plan.{secrets.token_hex(8)}.tmp"
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        # nolock: nobody else knows the file, and not every file system of a cluster has locks
        address = f"{self.path.absolute().as_uri()}?nolock=1"
        self._db = sqlite3.connect(address, uri=True, isolation_level=None)
        self._db.executescript(_TABLES + "BEGIN;")

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self.path.unlink(missing_ok=True)

    def _one(self, question: str, *values: Any) -> Any:
        return self._db.execute(question, values).fetchone()[0]

    # --- files and their headers ----------------------------------------------------------------------------

    def add_paths(self, paths: Iterable[str]) -> None:
        """Note the files of the archive, in order."""
        self._db.executemany("INSERT INTO paths (path) VALUES (?)", ((os.fsencode(p),) for p in paths))

    def count_paths(self) -> int:
        return int(self._one("SELECT count(*) FROM paths"))

    def batches(self) -> Iterator[tuple[int, list[str]]]:
        """The files, as (number of the first, paths)."""
        at = 0
        while True:
            found = self._db.execute(
                "SELECT n, path FROM paths WHERE n > ? ORDER BY n LIMIT ?", (at, HEADERS)
            ).fetchall()
            if not found:
                return
            yield found[0][0], [os.fsdecode(path) for _, path in found]
            at = found[-1][0]

    def add_headers(self, first: int, paths: Sequence[str], headers: Headers) -> None:
        """Note what :func:`headers_of` gave for a batch."""
        ids = [self._add_template(text) for text in headers.templates]
        self._db.executemany(
            "INSERT INTO headers VALUES (?, ?, ?, ?, ?, ?)",
            ((uid, first + at, os.fsencode(paths[at]), ids[n], own, stamp) for at, uid, n, own, stamp in headers.rows),
        )
        for at, reason in headers.failed:
            self.add_failure(relative_place(paths[at], self._root), reason)
        strays = ((*_kind(paths[at]), uid) for at, uid in headers.strays)
        self._db.executemany("INSERT INTO strays VALUES (?, ?, ?)", strays)

    def _add_template(self, text: str) -> int:
        return int(self._db.execute("INSERT INTO templates (text) VALUES (?)", (text,)).lastrowid or 0)

    def add_failure(self, file: str, reason: str) -> None:
        self._db.execute("INSERT INTO failures VALUES (?, ?)", (os.fsencode(file), reason))

    def failures(self) -> Iterator[dict[str, str]]:
        """All of them, in order."""
        for file, reason in self._db.execute("SELECT file, reason FROM failures ORDER BY file, reason"):
            yield {"file": file.decode("utf-8", "backslashreplace"), "reason": reason}

    # --- series ---------------------------------------------------------------------------------------------

    def build(self, settings: Any) -> int:
        """Put series together from the headers, one SeriesInstanceUID at a time; how many there are."""
        self._db.execute("DROP TABLE paths")
        self._db.execute("CREATE INDEX by_uid ON headers (uid, n)")
        # own is '{}' where a file holds no slice; of what others say more, a stray is no riddle
        self._db.execute("DELETE FROM strays WHERE uid IN (SELECT uid FROM headers WHERE own != '{}')")
        self._db.execute("CREATE INDEX by_place ON strays (folder, suffix)")
        rows = self._db.execute(
            "SELECT uid, path, text, own, stamp FROM headers JOIN templates ON template = id ORDER BY uid, n"
        )
        about = json.dumps(settings, sort_keys=True)
        for _, group in itertools.groupby(rows, key=lambda row: row[0]):
            self._build_one(list(group), about)
        self._db.execute("DROP TABLE headers")
        self._db.execute("DROP TABLE templates")
        self._db.execute("CREATE INDEX by_key ON series (key)")
        return int(self._one("SELECT count(*) FROM series"))

    def _build_one(self, rows: list[tuple[str, bytes, str, str, str]], about: str) -> None:
        shared: dict[str, Any] = {}
        headers, stamps = [], {}
        for _, name, text, own, stamp in rows:
            path = os.fsdecode(name)
            if text not in shared:
                shared[text] = parsed(text)
            headers.append((path, restored(path, shared[text], own)))
            stamps[path] = stamp
        index = index_of(self._root, self._root, headers, [], self._on_fault, self._limits)
        for failure in index.failures:
            self.add_failure(failure.path, failure.reason)
        for one in index.series:
            lacking = max(_gaps(one), _dropped(index.failures), self._strays(one))
            packed = zlib.compress(pickle.dumps((one, lacking), pickle.HIGHEST_PROTOCOL), 1)
            voxels = 1
            for n in one.shape:
                voxels *= n
            self._db.execute(
                "INSERT INTO series (key, stamp, voxels, packed) VALUES (?, ?, ?, ?)",
                (one.key, self._stamp(one, stamps, lacking, about), voxels, packed),
            )

    def _strays(self, one: Series) -> int:
        """Files beside those of a series, of the same ending, that cannot be read and do not say whose they are."""
        found = 0
        for kind in {_kind(path) for path in one.paths}:
            found += self._one("SELECT count(*) FROM strays WHERE folder = ? AND suffix = ?", *kind)
        return found

    def _stamp(self, one: Series, stamps: dict[str, str], lacking: int, about: str) -> str:
        """What says that nothing has changed since; empty where a file has no size and times."""
        if not all(stamps[path] for path in one.paths):
            return ""
        files = [(relative_place(path, self._root), stamps[path]) for path in one.paths]
        frames = [(s.image.instance, s.frame) for s in one.slices]
        text = repr((about, one.key, one.axes, lacking, files, frames))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    # --- what is done ---------------------------------------------------------------------------------------

    def add_known(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note the units of earlier runs, as (stamp, key)."""
        self._db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows)

    def known(self) -> Iterator[tuple[int, str]]:
        """Series that an earlier run has done, if its unit is still there: (id, key of the unit)."""
        at = 0
        while True:
            found = self._db.execute(
                "SELECT id, known.unit FROM series JOIN known USING (stamp) WHERE id > ? ORDER BY id LIMIT ?",
                (at, _PAGE),
            ).fetchall()
            if not found:
                return
            yield from found
            at = found[-1][0]

    def missing(self) -> Iterator[Planned]:
        """The series without an outcome."""
        at = 0
        while True:
            found = self._db.execute(
                "SELECT id, key, stamp, voxels, packed FROM series WHERE id > ? AND unit = '' AND reason = ''"
                " ORDER BY id LIMIT ?", (at, _PAGE),
            ).fetchall()  # fmt: skip
            if not found:
                return
            yield from (Planned(*row) for row in found)
            at = found[-1][0]

    def count_missing(self) -> int:
        return int(self._one("SELECT count(*) FROM series WHERE unit = '' AND reason = ''"))

    def note(self, number: int, unit: str, reason: str, reused: bool) -> tuple[str, str]:
        """Note the outcome of a series; its key and stamp."""
        question = "UPDATE series SET unit = ?, reason = ?, reused = ? WHERE id = ? RETURNING key, stamp"
        return self._db.execute(question, (unit, reason, reused, number)).fetchall()[0]

    def outcomes(self) -> Iterator[tuple[str, str, bytes]]:
        """(unit, reason, packed) of all series in the order of their keys."""
        yield from self._db.execute("SELECT unit, reason, packed FROM series ORDER BY key")

    def much_forgotten(self) -> bool:
        """Whether most of what earlier runs knew is not of this archive, or not of today's."""
        return bool(self._one("SELECT (SELECT count(*) FROM known) > 4 * (SELECT count(*) FROM series) + 1000"))

    def stamps(self) -> Iterator[tuple[str, str]]:
        """(stamp, unit) of all that is done."""
        yield from self._db.execute("SELECT stamp, unit FROM series WHERE unit != '' ORDER BY id")

    def counts(self) -> tuple[int, int]:
        """Series that are done, and those of them that an earlier run did."""
        done, reused = self._db.execute("SELECT count(*), sum(reused) FROM series WHERE unit != ''").fetchone()
        return int(done), int(reused or 0)

    def place(self, path: str) -> str:
        """A file as failures name it."""
        return relative_place(path, self._root)


def _gaps(one: Series) -> int:
    """Slices that a series which was accepted with a fault lacks between its first and its last."""
    heights = one.meta.get("heights_mm", ())
    if len(heights) < 3:
        return len(one.meta.get("interpolated", ()))
    steps = np.diff(heights)
    usual = float(np.median(steps))
    return int(np.maximum(np.rint(steps / usual) - 1, 0).sum()) if usual > 0 else 0


def _dropped(failures: Sequence[Failure]) -> int:
    """Files of a series that were left out of it."""
    return len({f.path for f in failures if f.cause})


def _kind(path: str) -> tuple[bytes, bytes]:
    folder, name = os.path.split(path)
    return os.fsencode(folder), os.fsencode(os.path.splitext(name)[1].lower())


# --- in any process -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Headers:
    """What is in a batch of files, in plain types.

    Attributes
    ----------
    templates : list of str
        What many of the files share.
    rows : list of (place in the batch, series, place of the template, what is the file's own, stamp)
    failed : list of (place in the batch, reason)
        Of files that are of no series.
    strays : list of (place in the batch, series)
        Of files that may be what is left of a slice; the series is what remains of its name.
    """

    templates: list[str]
    rows: list[tuple[int, str, int, str, str]]
    failed: list[tuple[int, str]]
    strays: list[tuple[int, str]]


def headers_of(first: int, paths: Sequence[str]) -> Headers:
    """Read the headers of files, of which `first` is the number of the first."""
    templates: dict[str, int] = {}
    rows, failed, strays, limits, quick = [], [], [], Limits(), Templates()
    with quiet():
        for at, path in enumerate(paths):
            stamp = None if is_url(path) else stamp_of(path)  # before it is read
            found = read_header(path, limits, quick)
            if found.error is not None and not found.series:
                found.series = series_of(path)  # a server's list says it of what cannot be retrieved
            uid = found.series or (found.slices[0].image.series if found.slices else "")
            if uid:
                shared, own = record(found)
                number = templates.setdefault(shared, len(templates))
                rows.append((at, uid, number, own, "" if stamp is None else repr(stamp)))
            elif found.error is not None:
                failed.append((at, str(found.error)))
            if found.error is not None and _may_be_cut(path, found, limits):
                strays.append((at, uid))
    return Headers(list(templates), rows, failed, strays)


def _may_be_cut(path: str, found: Found, limits: Limits) -> bool:
    """Whether a file that gave no slice may be what is left of one: no DICOM any more, no pixels, or no UIDs."""
    if not isinstance(found.error, UnsupportedImageError):
        return True
    if is_url(path):
        return False
    with contextlib.suppress(OSError, SeriesError), open_source(path, limits) as file:
        return found.series == nameless(file)
    return False
