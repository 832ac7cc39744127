"""Files that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomically(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Write to a temporary file beside `path`; then flush it to the disk and rename it, or remove it.

    The temporary file is named ``.<name>.<random>.tmp``. The file has the rights that any new file would have.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    # Not tempfile.mkstemp: its files are private, and asking for the umask means to change it for all threads.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_entry(path.parent)  # the rename itself must reach the disk too


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
        sync_entry(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file, or all in a folder, to the disk."""
    if path.is_dir():
        for inner in path.rglob("*"):
            sync_entry(inner)
    sync_entry(path)


def sync_entry(path: Path) -> None:
    """Flush one file or folder to the disk; systems that cannot sync a folder go without."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
