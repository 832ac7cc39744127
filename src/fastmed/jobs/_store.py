"""The tables and the done units of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .._engine.files import atomically


class Units:
    """The folder of done units: ``<key>.json``, one per unit, written by whoever computed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def write(self, key: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a unit. JSON holds every float exactly, and NaN."""
        with atomically(self.path(key)) as stream:
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
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def write_parquet(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write the table; the same rows give the same bytes."""
    table = pa.Table.from_pylist(rows, schema=schema)
    with atomically(path) as stream:
        pq.write_table(table, stream, compression="zstd")
