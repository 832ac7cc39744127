"""extract: headers -> one unit per series -> tables."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._engine.files import atomically
from ..archive import Limits
from ..archive._faults import check_choice
from ..archive._remote import is_url
from ..archive._scan import Failure, walk
from ..errors import NoDicomError, SeriesError
from ._execute import Execute, here, in_parts, in_processes, on_cluster
from ._plan import Headers, Plan, Planned, headers_of, unpacked
from ._store import Known, Units, write_rows
from ._unit import ABOUT, TILE, Settings, unit_key, unit_rows

Progress = Callable[[int, int, str], None]

#: Smaller tiles hold less than two widths of the smoothing.
SMALLEST_TILE = 8
#: A task holds as many series as have so many voxels together, but one at least, and no more than that.
_TASK_VOXELS, _TASK_SERIES = 1 << 23, 64
#: So many headers are read by this process.
_FEW = 4096


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
class Outcome:
    """Of one unit: the key of its kept rows, or why there are none."""

    key: str = ""
    reused: bool = False
    reason: str = ""


def extract(
    archive_root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int = 1,
    client: Any = None,
    resume: bool = True,
    tiles: int | None = None,
    max_tiles: int = 32,
    on_fault: str = "raise",
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
    client : distributed.Client, optional
        Its workers do all the reading and computing instead; they must see `archive_root` and `out` under the same
        paths. They may come, go and die. (DICOMweb and other URLs are listed by this process.)
    resume : bool, optional
        Take the rows of series whose files, settings and code are those of an earlier run from there. Failed
        series are always tried again.
    tiles : int, optional
        One row per square tile of this edge in pixels, instead of one per series: tiles of the planes that do
        not overlap, leaving out those that are flat (air). Where a plane is smaller, its shorter side is the
        edge.
    max_tiles : int, optional
        At most so many tiles of a series, drawn by its key: every run draws the same.
    on_fault : {'raise', 'split', 'regrid', 'keep'}, optional
        What becomes of series that are no regular volume, or have slices that cannot be decoded, as in
        `fastmed.scan`. 'raise' leaves them out; rows of all others name what is wrong in ``fault``. ``n_missing``
        says how many slices a row's series lacks at least: gaps, files of it that cannot be decoded, and files
        beside its own, with the same ending, that cannot be read at all.
    progress : callable, optional
        Called as ``progress(done, total, name)``: with ``'scan'`` as headers are read, then once, with an empty
        name, for all series that an earlier run had done, and with its key for each that this one does.

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
        `workers`, `tiles` or `max_tiles` is too small, `on_fault` is none of these, or `out` is the archive itself.
    FastmedError
        The cluster went away.

    Notes
    -----
    A unit is one series. It is pure and named by the SHA-256 of its files' bytes, the settings and the code's
    version; its rows are written to a temporary file, flushed and renamed. Files whose sizes and times of change
    are those of an earlier run are not read again. A kill at any moment loses the units in flight; a series that
    fails, and even one whose process dies, costs its rows in `failures` and not the run. The tables hold no dates
    and are sorted, so that they are the same, byte for byte, for any number of workers and restarts. After Ctrl-C
    the units in flight end and are kept, and KeyboardInterrupt is raised. Memory does not grow with the archive:
    what is to be done stands in a file of the run's own in ``units``, a few hundred bytes per file of the archive.
    """
    start = time.perf_counter()
    root: Any = archive_root if is_url(os.fspath(archive_root)) else Path(archive_root)
    target = Path(out)
    settings = Settings(tiles, max_tiles, on_fault)
    _check(root, target, workers, settings)
    execute = on_cluster(client) if client is not None else here if workers == 1 else in_processes(workers)
    report: Progress = progress or (lambda done, total, name: None)
    failures: list[Failure] = []
    folder, files = walk(os.fspath(root), Limits(), failures)
    units = Units(target / "units")
    with _folders(units.folder) as put_back, Plan(units.folder, folder, on_fault) as plan:
        units.sweep()
        plan.add_paths(path for path in files if not _inside(path, root, target))
        few = client is None and plan.count_paths() <= _FEW  # processes take a second to start
        _read_headers(plan, here if few or is_url(os.fspath(root)) else execute, report)
        for failure in failures:
            plan.add_failure(failure.path, failure.reason)
        total = plan.build(settings.identity())
        if not total:
            put_back()
            raise _no_series(plan)
        known = Known(units.folder / "known.log")
        done = _take_known(plan, known, units) if resume else 0
        if done:
            report(done, total, "")
        if client is None and plan.count_missing() == 1:
            execute = here
        wide = 1 if execute is here else workers if client is None else max(sum(client.nthreads().values()), 1)
        for key in _compute(plan, known, units, settings, resume, execute, wide):
            done += 1
            report(done, total, key)
        n_rows, n_failures = _write_tables(plan, known, units, target, settings)
        n_series, n_reused = plan.counts()
    return Summary(
        n_series=n_series, n_rows=n_rows, n_failures=n_failures, n_reused=n_reused,
        seconds=time.perf_counter() - start, features=str(target / _FEATURES), failures=str(target / _FAILED),
    )  # fmt: skip


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
    check_choice(settings.on_fault)
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


@contextlib.contextmanager
def _folders(folder: Path) -> Iterator[Callable[[], None]]:
    """Make a folder; what the block is given takes it away at its end, with those around it that were made too."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    unwanted: list[Path] = []
    try:
        yield lambda: unwanted.extend(made)
    finally:
        for path in unwanted:
            with contextlib.suppress(OSError):
                path.rmdir()


def _inside(path: str, root: Any, target: Path) -> bool:
    """Whether a file is a result of ours: `out` may lie inside the archive."""
    return isinstance(root, Path) and os.path.abspath(path).startswith(os.path.join(target.absolute(), ""))


def _no_series(plan: Plan) -> NoDicomError:
    failures = plan.failures()
    first = next(failures, None)
    if first is None:
        return NoDicomError("archive_root holds no files; DICOM images are wanted")
    return NoDicomError(
        f"none of the {1 + sum(1 for _ in failures)} files in archive_root is part of a series that can be read; "
        f"the first: {first['reason']}"
    )


# --- headers ------------------------------------------------------------------------------------------------


def _read_headers(plan: Plan, execute: Execute, report: Progress) -> None:
    total, done = plan.count_paths(), 0
    results = in_parts(
        execute, headers_of, plan.batches(),
        split=lambda first, paths: [(first + at, [path]) for at, path in enumerate(paths)],
        died=lambda item: Headers([], [], [(0, "the process that read its header died")], [(0, "")]),
    )  # fmt: skip
    for (first, paths), headers in results:
        plan.add_headers(first, paths, headers)
        done += len(paths)
        report(done, total, "scan")


# --- units --------------------------------------------------------------------------------------------------


def _take_known(plan: Plan, known: Known, units: Units) -> int:
    """Note the series whose files have not changed since their unit was done; how many there are."""
    plan.add_known(known.read())
    count = 0
    for number, key in plan.known():
        if units.read(key) is not None:
            plan.note(number, key, "", True)
            count += 1
    return count


def _compute(
    plan: Plan, known: Known, units: Units, settings: Settings, resume: bool, execute: Execute, wide: int
) -> Iterator[str]:
    """All that is not done; the keys of the series, as they are done."""
    most = min(_TASK_SERIES, max(plan.count_missing() // (4 * wide), 1)) if wide > 1 else 1
    work = functools.partial(_work, units, settings, resume)
    results = in_parts(
        execute, work, _tasks(plan.missing(), most),
        split=lambda batch: [([one],) for one in batch],
        died=lambda item: [Outcome(reason="the process that computed it died (crashed, killed, or out of memory)")],
    )  # fmt: skip
    try:
        for (batch,), outcomes in results:
            for (number, _), outcome in zip(batch, outcomes, strict=True):
                key, stamp = plan.note(number, outcome.key, outcome.reason, outcome.reused)
                if outcome.key:
                    known.note(stamp, outcome.key)
                yield key
    finally:
        known.flush()


def _tasks(planned: Iterable[Planned], most: int) -> Iterator[tuple[list[tuple[int, bytes]]]]:
    """Series in batches, for one task each."""
    batch: list[tuple[int, bytes]] = []
    voxels = 0
    for one in planned:
        if batch and (len(batch) == most or voxels + one.voxels > _TASK_VOXELS):
            yield (batch,)
            batch, voxels = [], 0
        batch.append((one.id, one.packed))
        voxels += one.voxels
    if batch:
        yield (batch,)


def _work(units: Units, settings: Settings, resume: bool, batch: list[tuple[int, bytes]]) -> list[Outcome]:
    return [_work_one(packed, units, settings, resume) for _, packed in batch]


def _work_one(packed: bytes, units: Units, settings: Settings, resume: bool) -> Outcome:
    """Do one unit, or find it done. What cannot be written ends the run; what cannot be computed does not."""
    series, n_missing = unpacked(packed)
    try:
        key = unit_key(series, n_missing, settings)
        if resume and units.read(key) is not None:
            return Outcome(key, reused=True)
        rows = unit_rows(series, n_missing, settings)
    except SeriesError as error:
        return Outcome(reason=f"{type(error).__name__}: {error}")
    except Exception as error:
        # Messages of other libraries may quote what a header holds.
        return Outcome(reason=f"{type(error).__name__} while the series was computed")
    units.write(key, rows)
    return Outcome(key)


# --- tables -------------------------------------------------------------------------------------------------

_FEATURES, _FAILED = "features.parquet", "failures.parquet"
_FAILURES = pa.schema([("file", pa.string()), ("reason", pa.string())])
_TEXT = ("series", "patient", "study", "modality", "fault")
_WHOLE = ("n_slices", "n_missing", "rows", "columns", *TILE)


def _schema(settings: Settings) -> pa.Schema:
    assert set(_TEXT) < set(ABOUT)
    kinds: dict[str, Any] = dict.fromkeys(_TEXT, pa.string()) | dict.fromkeys(_WHOLE, pa.int64())
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in settings.columns()])


def _write_tables(plan: Plan, known: Known, units: Units, target: Path, settings: Settings) -> tuple[int, int]:
    """Both tables, that of the failures first in its place; how many rows they have."""
    with atomically(target / _FEATURES) as stream:
        n_rows = write_rows(stream, _rows(plan, units), _schema(settings))
        with atomically(target / _FAILED) as failed:
            n_failures = write_rows(failed, plan.failures(), _FAILURES)
    if plan.much_forgotten():
        known.replace(plan.stamps())
    return n_rows, n_failures


def _rows(plan: Plan, units: Units) -> Iterator[dict[str, Any]]:
    """All rows in the order of the series' keys; files of series that have none become failures."""
    for unit, reason, packed in plan.outcomes():
        found = units.read(unit) if unit else None
        if found is None:
            series, _ = unpacked(packed)
            for path in series.paths:
                plan.add_failure(plan.place(path), reason or "its result was removed while the run went on")
        else:
            yield from found
