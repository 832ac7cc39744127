"""plan and apply: a volume of any size through an operation."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.files import sync_entry
from .._engine.keywords import check_same_place
from .._engine.threads import get_num_threads
from ..edges import _hysteresis
from ..errors import FastmedError, OutputError
from ..volume import Volume
from ._execute import Execute, on_cluster, on_threads
from ._job import Job, writing
from ._plan import Costs, Plan, as_bytes, make_plan
from ._sinks import Parts, Sink, check_sink, make_sink
from ._sources import Source, open_source
from ._steps import Step, named, step_of
from ._surveys import TOGETHER, Survey, Surveys

#: ``progress(phase, done, total)``: the phase 'unpack' in slices or MB, 'marks' and 'write' in voxels.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    out : str
        The path that was written.
    shape : tuple of int
    dtype : str
    n_blocks, n_reused : int
        Blocks, and how many of them an earlier run had done.
    seconds : float
    """

    out: str
    shape: tuple[int, ...]
    dtype: str
    n_blocks: int
    n_reused: int
    seconds: float


def plan(
    op: str, source: Any, out: Any, *, memory: int | str = "2GB", threads: int | None = None,
    shape: Sequence[int] | None = None, dtype: Any = None, key: str | None = None,
    spacing: Sequence[float] | None = None, block: Sequence[int] | None = None, mask: Any = None, **options: Any,
) -> Plan:  # fmt: skip
    """How :func:`apply` would work through a volume. Reads headers, writes nothing.

    Parameters and errors are those of :func:`apply`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import stream
    >>> volume = np.zeros((300, 400, 500), np.int16)
    >>> stream.plan("gaussian", volume, "smooth.zarr", sigma=3, threads=2).halo
    ((12, 12), (12, 12), (12, 12))
    """
    opened = open_source(source, shape=shape, dtype=dtype, key=key, spacing=spacing)
    step = _step(op, opened, options, _open_mask(mask, opened))
    target = Path(os.fspath(out))
    check_sink(target, step.dtype, opened.about)
    return _plan(opened, step, target, as_bytes(memory), threads or get_num_threads(), block)


def apply(
    op: str, source: Any, out: Any, *, memory: int | str = "2GB", threads: int | None = None, overwrite: bool = False,
    shape: Sequence[int] | None = None, dtype: Any = None, key: str | None = None,
    spacing: Sequence[float] | None = None, block: Sequence[int] | None = None, mask: Any = None,
    client: Any = None, progress: Progress | None = None, **options: Any,
) -> Summary:  # fmt: skip
    """Run an operation over a volume that need not fit into memory, from a file into a file.

    Parameters
    ----------
    op : str
        Name of the operation: any filter, of the edges `sobel`, `prewitt`, `scharr`, `gradient_magnitude`, `canny` and
        `apply_hysteresis_threshold`..., `rescale_intensity`, and `threshold_otsu` for the mask of what is above that
        threshold. ``_filter`` at its end can be left out.
    source : path_like, array or Volume
        Zarr (v2, v3, OME), HDF5 (needs h5py), NIfTI, NPY, raw, or a DICOM series. Gzipped NIfTI and DICOM are unpacked
        slice by slice into a file beside `out` first. Of arrays, parts are read as they are needed.
    out : path_like
        Its suffix says the format: ``.zarr`` (OME-Zarr 0.5), ``.nii``, ``.npy``, or ``.raw`` (C order).
    memory : int or str, optional
        What the process may take, as ``'2GB'``. Sizes of blocks follow from it.
    threads : int, optional
        By default those of :func:`fastmed.get_num_threads`.
    overwrite : bool, optional
        Replace `out`, once its successor is whole.
    shape, dtype : optional
        Of a raw source (z, y, x).
    key : str, optional
        The array in a Zarr or HDF5 file that holds several.
    spacing : sequence of float, optional
        Millimetres along (z, y, x), where the source does not know them, or knows better.
    block : sequence of int, optional
        The blocks, instead of those that follow from the memory; enlarged to whole chunks of a Zarr that is written.
    mask : path_like, array or Volume, optional
        Which voxels count, for an operation that takes a mask: of the shape, and in the place, of `source`.
    client : distributed.Client, optional
        Runs the blocks on its workers instead, which must see `source` and `out` under the same paths. `memory` is
        then that of each worker.
    progress : callable, optional
        ``progress(phase, done, total)``.
    **options
        Of the operation. ``spacing_mm=True`` takes its sizes and sigmas in mm.

    Returns
    -------
    Summary

    Raises
    ------
    FileNotFoundError, FileExistsError
        There is no `source`; `out` exists and `overwrite` is False.
    ValueError, TypeError, RuntimeError
        Options that the operation refuses; `out` is the source; too little memory for one block.
    DecodeError
        A part of the source cannot be read.
    OutputError
        `out` cannot be written: disk full, read-only.

    Notes
    -----
    The values are those of the operation on the whole array in memory. Everything is made in a folder beside `out`,
    named ``.<name>.fastmed-work``, and renamed when it is whole: until then `out` is as it was. What is done is noted
    there block by block; the same call after a kill does what is missing, after comparing what is on the disk with
    what was noted. Two passes are made where blocks depend on all others (`canny`): marks, at two bits per voxel and
    deflated, wait in that folder. Ranges, thresholds and quantiles of the whole volume are found before, in one pass or
    two.

    Examples
    --------
    >>> import os, tempfile, numpy as np, fastmed
    >>> from fastmed import stream
    >>> volume = np.random.default_rng(0).integers(0, 1000, (20, 30, 40), np.int16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = os.path.join(folder, "smooth.npy")
    ...     summary = stream.apply("median", volume, out, size=3)
    ...     bool((np.load(out) == fastmed.median_filter(volume, 3)).all())
    True
    """
    begin = time.perf_counter()
    target = Path(os.fspath(out))
    report: Progress = progress or (lambda phase, done, total: None)
    open_it = functools.partial(open_source, source, shape=shape, dtype=dtype, key=key, spacing=spacing)
    described = open_it()
    inside = _open_mask(mask, described)
    step = _step(op, described, options, inside)
    check_sink(target, step.dtype, described.about)
    _check_places(source, target, overwrite)
    work = target.with_name(f".{target.name}.fastmed-work")
    with _work_folder(work):
        opened = open_it(work=work, progress=lambda done, total: report("unpack", done, total))
        if opened.dtype != described.dtype:  # the values did not fit what the headers promised
            step = _step(op, opened, options, inside)
        reopen: Any = functools.partial(open_it, work=work) if client is not None else lambda: opened
        threads = 1 if client is not None else threads or get_num_threads()
        chosen, sink, log = _resumed(opened, step, target, work, as_bytes(memory), threads, block)
        reopen_mask: Any = None
        if inside is not None:
            reopen_mask = functools.partial(_open_mask, mask, described) if client is not None else lambda: inside
        job = Job(reopen, sink, step, chosen, work, target.name, reopen_mask)
        execute: Execute = on_threads if client is None else on_cluster(client)
        reused = len(log.done("write"))
        _run(job, log, execute, report)
        with writing(target.name):
            sink.finish(log.done("write").values())
            _put(sink.path, target, work)
    seconds = time.perf_counter() - begin
    return Summary(str(target), chosen.shape, str(step.dtype), chosen.n_blocks, reused, seconds)


# --- before any work ----------------------------------------------------------------------------------------


def _open_mask(mask: Any, source: Source) -> Source | None:
    """The mask, which must be of the volume's shape and place."""
    if mask is None:
        return None
    found = open_source(mask)
    if found.dtype.kind not in "biu":
        raise TypeError(f"mask must be of bool, or integers 0 and 1, found dtype {found.dtype}")
    if found.shape != source.shape:
        raise ValueError(f"mask must have the shape of input: found {found.shape}, wanted {source.shape}")
    if found.about.placed and source.about.placed:
        check_same_place(*(one.about.volume(one.shape, np.uint8) for one in (found, source)))
    return found


def _step(op: str, source: Source, options: dict[str, Any], mask: Source | None = None) -> Step:
    operation = named(op)
    options = dict(options)
    if options.pop("spacing_mm", False):
        if "spacing" not in operation.signature.parameters:
            raise ValueError(f"{operation.name} takes no sizes in mm")
        if not source.about.placed or source.about.axes != "zyx":
            raise ValueError("sizes in mm need a source with axes (z, y, x) that knows its spacing; or give spacing=")
        options["spacing"] = source.about.volume((1, 1, 1), np.uint8).spacing
    step = step_of(operation, source.shape, source.dtype, options, mask is not None)
    if mask is None:
        return step
    return replace(step, told=f"{step.told} mask {mask.identity}", mask_bytes=mask.dtype.itemsize)


def _plan(
    source: Source, step: Step, target: Path, memory: int, threads: int, block: Sequence[int] | None = None
) -> Plan:
    passes = (2 if step.connectivity else 1) + (len(step.surveys.trips) if step.surveys else 0)
    costs = Costs(
        source.shape, step.halo, step.wrap, source.chunks, source.dtype.itemsize, step.dtype.itemsize,
        step.scratch + step.mask_bytes, passes, target.suffix.lower() != ".zarr", source.sparse,
    )  # fmt: skip
    return make_plan(costs, memory, threads, block)


def _check_places(source: Any, target: Path, overwrite: bool) -> None:
    if not hasattr(source, "shape"):
        place, goal = Path(os.fspath(source)).resolve(), target.resolve()
        if place == goal or place in goal.parents or goal in place.parents:
            raise ValueError(f"the output {target} must not be the input, nor in it, nor around it")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; overwrite=True (--overwrite) replaces it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of the output, {target.parent}, does not exist")


@contextlib.contextmanager
def _work_folder(work: Path) -> Iterator[None]:
    """The folder, held by this process alone."""
    with writing(work.name):
        work.mkdir(exist_ok=True)
        held = open(work / "lock", "ab")  # noqa: SIM115
    try:
        with contextlib.suppress(ImportError):  # no fcntl elsewhere than on POSIX
            import fcntl

            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutputError(f"another run is writing this output (it holds {work.name})") from None
        yield
    finally:
        held.close()
    shutil.rmtree(work, ignore_errors=True)


# --- what is done -------------------------------------------------------------------------------------------


class _Log:
    """Blocks that are done, one JSON line each. A line that a kill has cut is not counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, dict[int, Any]] = {"mark": {}, "write": {}}
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text().split("\n"):
                with contextlib.suppress(ValueError, KeyError):
                    kind, number, found = json.loads(line)
                    self._done[kind][number] = found

    def done(self, kind: str) -> dict[int, Any]:
        return self._done[kind]

    def note(self, kind: str, number: int, found: Any) -> None:
        self._done[kind][number] = found
        with writing(self._path.name), open(self._path, "a") as file:
            # a newline before it, too: the line before may have been cut
            file.write("\n" + json.dumps([kind, number, found]))

    def keep(self, kind: str, wanted: Callable[[int, Any], bool]) -> None:
        """Forget those that are not as they were noted."""
        self._done[kind] = {n: found for n, found in self._done[kind].items() if wanted(n, found)}


def _settings(source: Source, step: Step) -> str:
    from .. import __version__

    facts = (__version__, source.identity, source.shape, str(source.dtype), source.about.affine.tolist(), step.name,
             step.halo, str(step.dtype), step.told,
             sorted((k, _told(v)) for k, v in step.arguments.items()))  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _told(value: Any) -> str:
    return repr(value.tolist() if isinstance(value, np.ndarray) else value)


def _resumed(
    source: Source, step: Step, target: Path, work: Path, memory: int, threads: int, block: Sequence[int] | None
) -> tuple[Plan, Sink, _Log]:
    """Plan, sink and log of an earlier run with the same settings, or new ones."""
    note, made = work / "job.json", work / f"made{target.suffix.lower()}"
    settings = _settings(source, step)
    before: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        before = json.loads(note.read_text())
    if before.get("settings") == settings and made.exists():
        with contextlib.suppress(ValueError):  # too little memory for the blocks of before
            chosen = _plan(source, step, target, memory, threads, block=before["block"])
            sink = make_sink(made, source.shape, step.dtype, source.about, chosen.chunks)
            log = _Log(work / "done.log")
            log.keep("write", lambda n, found: sink.digest(chosen.box(n)) == found)
            return chosen, sink, log
    chosen = _plan(source, step, target, memory, threads, block)
    sink = make_sink(made, source.shape, step.dtype, source.about, chosen.chunks)
    with writing(target.name):
        _clear(work)
        sink.create()
        note.write_text(json.dumps({"settings": settings, "block": chosen.block}))
    return chosen, sink, _Log(work / "done.log")


def _clear(work: Path) -> None:
    """Remove what an earlier run with other settings left."""
    for one in work.iterdir():
        if one.is_dir():
            shutil.rmtree(one)
        elif one.name != "lock" and not one.name.startswith("unpacked-"):
            one.unlink()


def _put(made: Path, target: Path, work: Path) -> None:
    """The new output in the place of the old one."""
    if target.is_dir():
        os.replace(target, work / "before")
    os.replace(made, target)
    sync_entry(target.parent)


# --- the run ------------------------------------------------------------------------------------------------


def _run(job: Job, log: _Log, execute: Execute, report: Progress) -> None:
    if job.step.surveys is not None and len(log.done("write")) < job.plan.n_blocks:
        job = _settled(job, job.step.surveys, execute, report)
    if not job.step.connectivity:
        _each(job, log, execute, report, "local", "write", [(n,) for n in job.plan.order()])
        return
    unwritten = [n for n in job.plan.order() if n not in log.done("write")]
    if not unwritten:
        return
    log.keep("mark", lambda n, count: not count or job.marks(n).exists())
    _each(job, log, execute, report, "mark", "mark", [(n,) for n in job.plan.order()])
    counts = log.done("mark")
    good = [np.arange(counts[n] + 1) == 1 for n in range(job.plan.n_blocks)]
    good = _hysteresis.join(job.plan.counts, job.step.connectivity, good, job.face)
    _each(job, log, execute, report, "resolve", "write", [(n, good[n]) for n in job.plan.order()])


def _settled(job: Job, surveys: Surveys, execute: Execute, report: Progress) -> Job:
    """The job with what must be known of all blocks: from an earlier run, or by looking at them."""
    note = job.work / "surveyed.json"
    numbers = None
    with contextlib.suppress(OSError, ValueError):
        numbers = json.loads(note.read_text())
    if numbers is None:
        looking, outcome = replace(job, step=surveys.looked), None
        for trip in surveys.trips:
            outcome = trip.outcome(_joined(looking, trip, outcome, execute, report), outcome)
        numbers = surveys.numbers(outcome)
        with writing(job.name):
            note.write_text(json.dumps(numbers))
    return replace(job, step=surveys.settle(job.step, numbers))


def _joined(job: Job, trip: Survey, before: Any, execute: Execute, report: Progress) -> Any:
    parts, done, total = [], 0, math.prod(job.plan.shape)
    for (number, *_), part in execute(job, "look", [(n, trip.part, before) for n in job.plan.order()]):
        parts.append(part)
        if len(parts) == TOGETHER:
            parts = [trip.join(parts)]
        done += _size(job, number)
        report("survey", done, total)
    return trip.join(parts)


def _each(
    job: Job, log: _Log, execute: Execute, report: Progress, method: str, kind: str, items: Sequence[tuple[Any, ...]]
) -> None:
    """Run a method of the job for all blocks that are not done; note each."""
    phase = "marks" if kind == "mark" else "write"
    total = int(np.prod([float(n) for n in job.plan.shape]))
    done = sum(_size(job, n) for n in log.done(kind))
    report(phase, done, total)
    missing = [item for item in items if item[0] not in log.done(kind)]
    try:
        for (number, *_), found in execute(job, method, missing):
            log.note(kind, number, found)
            done += _size(job, number)
            report(phase, done, total)
    except MemoryError:
        raise FastmedError("out of memory; give a smaller memory=, and the same call goes on") from None


def _size(job: Job, number: int) -> int:
    return int(np.prod([last - first for first, last in job.plan.box(number)]))


__all__ = ["Parts", "Summary", "Volume", "apply", "plan"]
