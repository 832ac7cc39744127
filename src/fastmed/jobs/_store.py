"""The tables and the done units of a run."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from .._engine.files import atomically

#: Rows that are written at a time; where they are cut depends on their number alone.
_ROWS = 8192
_SECONDS = 1.0


class Units:
    """The folder of done units: ``ab/<key>.json``, one per unit, written by whoever computed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """In one of 256 folders: a million files in one is more than some file systems like."""
        return self.folder / key[:2] / f"{key}.json"

    def write(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a unit. JSON holds every float exactly, and NaN."""
        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        with atomically(path) as stream:
            stream.write(json.dumps({"key": key, "rows": rows}).encode())

    def read(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of a unit; None when it is not done, or its file was damaged since."""
        try:
            stored = json.loads(self.path(key).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return stored["rows"] if isinstance(stored, dict) and stored.get("key") == key else None

    def sweep(self) -> None:
        """Remove what a killed run left half-written."""
        for pattern in (".*.tmp", "??/.*.tmp"):
            for leftover in self.folder.glob(pattern):
                leftover.unlink(missing_ok=True)


class Known:
    """Which files, by size and times, gave which unit: a line each in ``known.log``. It names nothing.

    A line is lost where a kill finds it in memory; its unit is then found again by the bytes of its files.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._written = path, time.monotonic()
        self._lines: list[str] = []

    def read(self) -> Iterator[tuple[str, str]]:
        """(stamp, key) of what is known."""
        with contextlib.suppress(FileNotFoundError), open(self._path, encoding="ascii", errors="replace") as file:
            for line in file:
                stamp, _, key = line.rstrip("\n").partition(" ")
                if len(stamp) == len(key) == 64:
                    yield stamp, key

    def note(self, stamp: str, key: str) -> None:
        if stamp:
            self._lines.append(f"{stamp} {key}\n")
        if time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            with open(self._path, "a", encoding="ascii") as file:
                file.write("\n" + "".join(self._lines))  # the line before may have been cut by a kill
        self._lines, self._written = [], time.monotonic()

    def replace(self, rows: Iterable[tuple[str, str]]) -> None:
        """Forget all others."""
        with atomically(self._path) as stream:
            stream.writelines(f"{stamp} {key}\n".encode() for stamp, key in rows if stamp)
        self._lines = []


def write_rows(stream: IO[bytes], rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Write a table as its rows come; the same rows give the same bytes. How many there were."""
    count, waiting = 0, []
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for row in rows:
            waiting.append(row)
            if len(waiting) == _ROWS:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                count, waiting = count + len(waiting), []
        if waiting or not count:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
    return count + len(waiting)
