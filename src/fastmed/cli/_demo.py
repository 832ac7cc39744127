"""`fastmed demo`: an archive to features, a model and a report; real images step by step; times beside the
peers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TableError
from . import _content, _run
from ._labels import join_labels
from ._terminal import steps

if TYPE_CHECKING:
    from ..archive import Index

PATIENTS, QUICK_PATIENTS = 60, 24
LABELS = "labels.csv"


def run(
    out: Path,
    archive: Path | None = None,
    *,
    label: str | None = None,
    group: str = "patient",
    quick: bool = False,
    workers: int = 1,
) -> dict[str, Any]:
    """Run the demo into `out`.

    Parameters
    ----------
    out : Path
        Gets ``report.html``; ``features``, a folder as `fastmed extract` and `fastmed train` leave it; and
        for the synthetic archive ``synthetic-archive-<patients>`` and ``features/labels.csv``.
    archive : Path, optional
        The user's own DICOM; without it the synthetic archive is written and used.
    label, group : str, optional
        Columns to predict and to hold out together; 'label' of the synthetic truth, else 'modality'.
    quick : bool, optional
        Fewer patients, no race.
    workers : int, optional
        Processes for the features.

    Returns
    -------
    dict
        What the command tells: counts, score, seconds of every stage, the report's path.
    """
    clock = _Clock()
    synthetic = archive is None
    truth = {}
    if archive is None:
        patients = QUICK_PATIENTS if quick else PATIENTS
        archive = out / f"synthetic-archive-{patients}"
        truth = _write_synthetic(archive, patients)
        clock.note("write the synthetic archive")
    results = out / "features"
    summary = _run.extract(archive, results, workers)
    clock.note("files to feature table")
    index = _index(archive)
    clock.note("index again, for the pictures")
    evaluation, note = _model(results, index, truth, label or ("label" if synthetic else "modality"), group)
    clock.note("train and evaluate")
    content = _content_of(results, index, "fastmed demo", note)
    content.synthetic = content.name_files = synthetic
    clock.note("slices")
    content.pictures = _real_images()
    clock.note("real images")
    races = [] if quick else _race(index if synthetic else None)
    clock.note("race with the peers")
    content.steps = [*races, *clock.as_steps()]
    content.facts = {**content.facts, "the whole run": clock.total()}
    from ..report import write_report

    report = write_report(out / "report.html", content)
    return {
        "synthetic": synthetic,
        "extract": summary,
        "evaluation": evaluation,
        "note": note,
        "seconds": clock.seconds,
        "report": str(report),
    }


class _Clock:
    """Seconds of each stage, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now

    def total(self) -> str:
        from ..report import duration

        return duration(sum(self.seconds.values()))

    def as_steps(self) -> list[Any]:
        from ..report import Step

        return [Step(stage, "the whole run", seconds) for stage, seconds in self.seconds.items()]


def _write_synthetic(folder: Path, patients: int) -> dict[str, str]:
    from ..demo import write_archive

    with steps("writing the synthetic archive", "patients") as bar:
        return write_archive(folder, patients, progress=bar)


def _index(archive: Path) -> Index:
    from ..archive import scan

    with steps("finding series", "files") as bar:
        return scan(archive, progress=bar)


def _model(out: Path, index: Index, truth: dict[str, str], label: str, group: str) -> tuple[Any, str]:
    """The evaluation, or None and why there is none: a small archive still deserves its table and report."""
    from ..learn import read_table

    table = read_table(out)
    for stale in (_content.EVALUATION, _content.MODEL):
        (out / stale).unlink(missing_ok=True)
    if truth:
        _write_truth(out / LABELS, index, truth)
        table = join_labels(table, out / LABELS, label)
    try:
        return _run.train(table, label, group, out), ""
    except TableError as error:
        return None, f"No model: {error}."


def _write_truth(path: Path, index: Index, truth: dict[str, str]) -> None:
    """The synthetic truth under the hashes that the feature table knows patients by."""
    import pydicom

    from ..demo import write_labels

    def patient_id(series: Any) -> str:
        return str(pydicom.dcmread(series.paths[0], stop_before_pixels=True, specific_tags=["PatientID"]).PatientID)

    write_labels(path, {s.patient: truth[patient_id(s)] for s in index.series})


def _content_of(out: Path, index: Index, title: str, note: str) -> Any:
    content = _content.content_of(out, title)
    content.slices = _content.slices_of(out, index)
    content.notes = [note] if note else []
    return content


def _real_images() -> list[Any]:
    from ..demo import pictures

    return _counted(pictures(), "real images", "images")


def _race(index: Index | None) -> list[Any]:
    """The times beside the peers; that of reading only on the synthetic archive, where a folder is one series."""
    from ..demo import steps as race

    folder = Path(index.series[0].paths[0]).parent if index else None
    return _counted(race(folder), "timing beside the peers", "steps")


def _counted(items: Iterable[Any], title: str, unit: str) -> list[Any]:
    found = []
    with steps(title, unit) as bar:
        for item in items:
            found.append(item)
            bar(len(found))
    return found
