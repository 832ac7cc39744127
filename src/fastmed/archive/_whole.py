"""Files that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_or_nothing(target: Path) -> Iterator[Path]:
    """A temporary path of the same name to write a file or folder to; it replaces `target` when the block ends well."""
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".fastmed-"))
    try:
        made = temporary / target.name
        yield made
        sync(made)
        if target.is_dir():
            os.replace(target, temporary / "before")
        os.replace(made, target)
        _sync_one(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file, or all in a folder, to the disk."""
    if path.is_dir():
        for inner in path.rglob("*"):
            _sync_one(inner)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    with contextlib.suppress(OSError):  # folders cannot be synced everywhere
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
