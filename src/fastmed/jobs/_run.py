"""extract: scan -> one unit per series -> tables."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import archive
from ..archive import Series
from ..archive._remote import is_url
from ..archive._scan import relative_place
from ..errors import NoDicomError, SeriesError
from ._store import Units, write_parquet
from ._unit import ABOUT, TILE, Settings, unit_key, unit_rows

Progress = Callable[[int, int, str], None]

#: Smaller tiles hold less than two widths of the smoothing.
SMALLEST_TILE = 8


@dataclass(frozen=True)
class Summary:
    """What :func:`extract` did.

    Attributes
    ----------
    n_series : int
        Series in the table.
    n_rows : int
        Rows of the table: as `n_series`, or tiles.
    n_failures : int
        Rows of the table of failures: files that are in no series of the table.
    n_reused : int
        Series that an earlier run had done.
    seconds : float
        Of this run.
    features, failures : str
        Paths of the two tables.
    """

    n_series: int
    n_rows: int
    n_failures: int
    n_reused: int
    seconds: float
    features: str
    failures: str


@dataclass(frozen=True)
class _Outcome:
    """Of one unit: the key of its kept rows, or why there are none."""

    key: str = ""
    reused: bool = False
    reason: str = ""


def extract(
    archive_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    resume: bool = True,
    tiles: int | None = None,
    max_tiles: int = 32,
    progress: Progress | None = None,
) -> Summary:
    """Turn a folder of DICOM files into a feature table.

    Parameters
    ----------
    archive_root : path
        A folder, searched with all its sub-folders; or a URL, as `fastmed.scan` takes it.
    out : path
        Folder for the results, made when it is missing. ``features.parquet`` gets one row per series, or per
        tile: hashes of series, patient and study, modality, geometry, and
        :func:`fastmed.features.extract_features`. ``failures.parquet`` gets one row (``file``, relative to
        the archive; ``reason``) per file that is in no series of the table. ``units`` keeps what is done.
    workers : int, optional
        Processes. With 1 all happens in this one. A script that asks for more needs
        ``if __name__ == "__main__":`` around its call, as always where processes are spawned.
    resume : bool, optional
        Take the rows of series whose files, settings and code are those of an earlier run from there. Failed
        series are always tried again.
    tiles : int, optional
        One row per square tile of this edge in pixels, instead of one per series: tiles of the planes that do
        not overlap, leaving out those that are flat (air). Where a plane is smaller, its shorter side is the
        edge.
    max_tiles : int, optional
        At most so many tiles of a series, drawn by its key: every run draws the same.
    progress : callable, optional
        Called as ``progress(done, total, name)``: with ``'scan'`` per file, then with the series' key per
        series.

    Returns
    -------
    Summary

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        `archive_root` is not there or is no folder.
    NotADirectoryError, PermissionError
        `out` is no folder or cannot be written to.
    NoDicomError
        There is no series that could be read. Nothing is written then.
    ValueError
        `workers`, `tiles` or `max_tiles` is too small, or `out` is the archive itself.

    Notes
    -----
    A unit is one series. It is pure and named by the SHA-256 of its files' bytes, the settings and the code's
    version; its rows are written to a temporary file, flushed and renamed. A kill at any moment loses the
    units in flight; a series that fails, and even one whose process dies, costs its rows in `failures` and
    not the run. The tables hold no dates and are sorted, so that they are the same, byte for byte, for any
    number of workers and restarts. After Ctrl-C the units in flight end and are kept, and KeyboardInterrupt
    is raised.
    """
    start = time.perf_counter()
    root: Any = archive_root if is_url(os.fspath(archive_root)) else Path(archive_root)
    target = Path(out)
    settings = Settings(tiles, max_tiles)
    _check(root, target, workers, settings)
    report: Progress = progress or (lambda done, total, name: None)
    index = archive.scan(root, progress=lambda done, total: report(done, total, "scan"))
    others = [f for f in index.failures if not (isinstance(root, Path) and _inside(root / f.path, target))]
    failures = [{"file": f.path, "reason": f.reason} for f in others]
    if not index.series:
        raise _no_series(failures)
    units = Units(target / "units")
    units.folder.mkdir(parents=True, exist_ok=True)
    units.sweep()
    done: dict[str, _Outcome] = {}
    for series, outcome in _outcomes(index.series, units, settings, workers, resume):
        done[series.key] = outcome
        report(len(done), len(index.series), series.key)
    rows, failed = _rows(index.series, done, units)
    failures += [{"file": relative_place(path, index.root), "reason": reason} for path, reason in failed]
    features_path, failures_path = target / "features.parquet", target / "failures.parquet"
    write_parquet(failures_path, sorted(failures, key=lambda f: (f["file"], f["reason"])), _FAILURES)
    write_parquet(features_path, rows, _schema(settings))
    kept = [o for o in done.values() if o.key]
    return Summary(
        n_series=len(kept), n_rows=len(rows), n_failures=len(failures),
        n_reused=sum(o.reused for o in kept),
        seconds=time.perf_counter() - start, features=str(features_path), failures=str(failures_path),
    )


# --- before any work ----------------------------------------------------------------------------------------


def _check(root: Any, out: Path, workers: int, settings: Settings) -> None:
    for name, value, least in (
        ("workers", workers, 1),
        ("tiles", settings.tiles, SMALLEST_TILE),
        ("max_tiles", settings.max_tiles, 1),
    ):
        if name == "tiles" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}; wanted is a whole number of at least {least}")
    if isinstance(root, Path):
        _check_root(root, out)
    standing = out.absolute()
    while not os.path.lexists(standing):
        standing = standing.parent
    if not standing.is_dir():
        raise NotADirectoryError(f"out {str(out)!r} cannot be a folder: {str(standing)!r} is none")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise PermissionError(f"out {str(out)!r} cannot be written: no permission in {str(standing)!r}")


def _check_root(root: Path, out: Path) -> None:
    if not root.exists():
        raise FileNotFoundError(f"archive_root {str(root)!r} does not exist; a folder is wanted")
    if not root.is_dir():
        raise NotADirectoryError(f"archive_root {str(root)!r} is not a folder")
    if out.exists() and out.samefile(root):
        raise ValueError(f"out {str(out)!r} is the archive itself; another folder is wanted")


def _inside(path: Path, folder: Path) -> bool:
    """Whether `path` is a result of ours: `out` may lie inside the archive."""
    return path.absolute().is_relative_to(folder.absolute())


def _no_series(failures: list[dict[str, str]]) -> NoDicomError:
    if not failures:
        return NoDicomError("archive_root holds no files; DICOM images are wanted")
    first = failures[0]["reason"]
    return NoDicomError(
        f"none of the {len(failures)} files in archive_root is part of a series that can be read; "
        f"the first: {first}"
    )


# --- units --------------------------------------------------------------------------------------------------


def _outcomes(
    series: list[Series], units: Units, settings: Settings, workers: int, resume: bool
) -> Iterator[tuple[Series, _Outcome]]:
    if workers == 1 or len(series) == 1:
        for one in series:
            yield one, _work(one, units, settings, resume)
        return
    finished: set[str] = set()
    try:
        for one, outcome in _in_processes(series, units, settings, resume, min(workers, len(series))):
            finished.add(one.key)
            yield one, outcome
    except BrokenProcessPool:
        # One unit took its process down, and with it the pool: the rest one by one, so that the culprit
        # shows.
        for one in series:
            if one.key not in finished:
                yield one, _alone(one, units, settings, resume)


def _alone(one: Series, units: Units, settings: Settings, resume: bool) -> _Outcome:
    try:
        return next(iter(_in_processes([one], units, settings, resume, 1)))[1]
    except BrokenProcessPool:
        return _Outcome(reason="the process that computed it died (crashed, killed, or out of memory)")


def _in_processes(
    series: Iterable[Series], units: Units, settings: Settings, resume: bool, workers: int
) -> Iterator[tuple[Series, _Outcome]]:
    threads = max((os.cpu_count() or 1) // workers, 1)
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(threads,))
    try:
        futures = {pool.submit(_work, one, units, settings, resume): one for one in series}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # what is in flight ends and is kept


def _start_worker(threads: int) -> None:
    from .._engine.threads import set_num_threads

    set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker holds both ends of the pipe on which it waits for work: it would outlive a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(series: Series, units: Units, settings: Settings, resume: bool) -> _Outcome:
    """Do one unit, or find it done. What cannot be written ends the run; what cannot be computed does not."""
    try:
        key = unit_key(series, settings)
        if resume and units.read(key) is not None:
            return _Outcome(key, reused=True)
        rows = unit_rows(series, settings)
    except SeriesError as error:
        return _Outcome(reason=f"{type(error).__name__}: {error}")
    except Exception as error:
        # Messages of other libraries may quote what a header holds.
        return _Outcome(reason=f"{type(error).__name__} while the series was computed")
    units.write(key, rows)
    return _Outcome(key)


# --- tables -------------------------------------------------------------------------------------------------

_FAILURES = pa.schema([("file", pa.string()), ("reason", pa.string())])
_TEXT = ("series", "patient", "study", "modality")
_WHOLE = ("n_slices", "rows", "columns", *TILE)


def _schema(settings: Settings) -> pa.Schema:
    assert set(_TEXT) < set(ABOUT)
    kinds: dict[str, Any] = dict.fromkeys(_TEXT, pa.string()) | dict.fromkeys(_WHOLE, pa.int64())
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in settings.columns()])


def _rows(
    series: list[Series], done: dict[str, _Outcome], units: Units
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """All rows in the order of the series' keys, and (file, reason) of the series that have none."""
    rows: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    for one in sorted(series, key=lambda s: s.key):
        outcome = done[one.key]
        found = units.read(outcome.key) if outcome.key else None
        if found is None:
            reason = outcome.reason or "its result was removed while the run went on"
            failed += [(path, reason) for path in one.paths]
        else:
            rows += found
    return rows, failed
