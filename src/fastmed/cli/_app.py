"""The commands: what they take, what they say, how they end. The work is done in the stages that they call.

Every import that costs time stands inside its command, so that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import _archive, _filter
from ._terminal import (
    BAD_INPUT,
    BUG,
    EXIT_CODES,
    command,
    console,
    fail,
    folder,
    output_folder,
    print_json,
    steps,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # its frames show local variables, which can hold patients' names
    help="Medical images from archive to model: DICOM files become a feature table, a model and a report.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"fastmed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Exit codes: 0 no problems; 1 a problem was found (each is named under *problems*); 2 wrong usage.")
@command
def doctor(as_json: JsonOption = False) -> None:
    """Tell what this installation can do: kernel builds, processor, threads, DICOM codecs, versions.

    Reads nothing but the installation, writes nothing. Says loudly when fastmed runs without its C++ kernels.

    Example: `fastmed doctor --json`
    """
    from . import _doctor

    report = _doctor.examine()
    if as_json:
        print_json(report)
    else:
        from rich.console import Console

        _doctor.show(report, Console(highlight=False, soft_wrap=True))
    if report["problems"]:
        raise typer.Exit(BUG)


ArchiveArgument = Annotated[
    str, typer.Argument(metavar="ARCHIVE", help="Folder of DICOM files, searched to its end; or a URL.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-w", min=0, help="Processes; 0 takes as many as there are usable cores.")
]


def _workers(wanted: int) -> int:
    import os

    if wanted:
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command(epilog=EXIT_CODES)
@command
def extract(
    archive: ArchiveArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; made if it is not there.")],
    workers: WorkersOption = 0,
    tiles: Annotated[
        int | None,
        typer.Option(min=8, help="A row for each square tile of this many pixels instead of one for each series."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler (tcp://...), whose workers see the same files."),
    ] = None,
    on_fault: Annotated[
        str,
        typer.Option(help="Series that are no regular volume: raise (leave them out), split, regrid or keep."),
    ] = "raise",
    as_json: JsonOption = False,
) -> None:
    """Turn a folder of DICOM into a feature table.

    Reads every file under ARCHIVE and changes none. Writes to OUT: `features.parquet`, one row for each
    series (or tile): hashes of series, study and patient, modality, geometry, how many slices it lacks,
    features; `failures.parquet`, one row for each file that is in no series of the table, with its reason;
    `units/`, what is done, so that a run that was stopped goes on where it was. No patient identifier is
    written or shown, except that `failures.parquet` names files.

    Example: `fastmed extract /data/archive -o features`
    """
    from . import _run

    source = archive if "://" in archive else folder(Path(archive), "ARCHIVE")
    target = output_folder(out, source if isinstance(source, Path) else None)
    if workers and scheduler:
        fail("--workers starts processes here and --scheduler names a cluster; give one of them", BAD_INPUT)
    summary = _run.extract(source, target, _workers(workers), tiles, scheduler, on_fault)
    if as_json:
        print_json(summary)
        return
    say = console()
    rows = f" ({summary['n_rows']} tiles)" if tiles else ""
    say.print(
        f"{summary['n_series']} series in the table{rows}, {summary['n_reused']} of them from an earlier run"
        f"; {summary['n_failures']} files not used; {summary['seconds']:.1f} s"
    )
    for line in _run.reasons_in_lines(summary["reasons"]):
        say.print(line, markup=False)
    typer.echo(summary["features"])


@app.command(epilog=EXIT_CODES)
@command
def train(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="Parquet or CSV table, or the folder of `fastmed extract`."),
    ],
    label: Annotated[str, typer.Option(help="Column to predict.")],
    group: Annotated[
        str, typer.Option(help="Column whose values are never split between training and test.")
    ] = "patient",
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file with the label, by the hashes in its column series, study or patient."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results; by default that of the table.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same table and seed give the same model.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train on a feature table and judge the model on groups that it did not see.

    Reads TABLE. Trains imputer, scaler, PCA and SVM; tells the balanced accuracy with its interval and what
    chance would reach. Writes `evaluation.json` and `model.npz` to OUT.

    Example: `fastmed train features --label modality --group patient`
    """
    from ..learn import read_table
    from . import _run
    from ._labels import join_labels

    rows = read_table(table)
    if labels is not None:
        rows = join_labels(rows, labels, label)
    target = output_folder(out if out is not None else table if table.is_dir() else table.parent)
    evaluation = _run.train(rows, label, group, target, folds=folds, seed=seed)
    if as_json:
        print_json(evaluation.to_dict())
        return
    say = console()
    say.print(_run.score_in_words(evaluation), markup=False)
    for note in evaluation.notes:
        say.print(f"note: {note}", markup=False)
    typer.echo(str(target / "evaluation.json"))


@app.command(epilog=EXIT_CODES)
@command
def report(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder that `fastmed extract` and `fastmed train` wrote.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The report; by default report.html in OUT.")
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(help="Draw slices of this archive with their contours. Without it no pixel leaves the archive."),
    ] = None,
    title: Annotated[str, typer.Option(help="Headline of the report.")] = "fastmed report",
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML file on what was extracted and trained.

    Reads `features.parquet`, and where they are there `failures.parquet` and `evaluation.json`, in OUT.
    Writes one HTML file that needs no network and no script: feature table, failures by reason, confusion
    matrix, score with interval and chance, principal components, slices with their traced contours.

    Example: `fastmed report features -o report.html`
    """
    from ..report import write_report
    from . import _content

    content = _content.content_of(folder(out, "OUT"), title)
    if archive is not None:
        from ..archive import scan

        with steps("finding series", "files") as bar:
            index = scan(folder(archive, "--archive"), progress=bar)
        content.slices = _content.slices_of(out, index)
    target = write_report(output or out / "report.html", content)
    if as_json:
        print_json(
            {
                "report": str(target),
                "rows": content.shape[0],
                "failures": len(content.failures),
                "trained": content.outcome is not None,
                "slices": len(content.slices),
            }
        )
    else:
        typer.echo(str(target))


@app.command(epilog=EXIT_CODES)
@command
def demo(
    archive: Annotated[
        Path | None, typer.Option(help="Your own folder of DICOM instead of the synthetic archive.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("fastmed-demo"),
    label: Annotated[
        str | None,
        typer.Option(help="Column to predict; by default the synthetic truth, or the modality of your series."),
    ] = None,
    group: Annotated[
        str, typer.Option(help="Column whose values are never split between training and test.")
    ] = "patient",
    quick: Annotated[
        bool, typer.Option("--quick", help="24 patients instead of 60, no timing beside other libraries.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Processes; 0: one per core.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Show the whole way: DICOM files to features, a model and a report. No network, under a minute.

    Without `--archive` it writes a synthetic archive (60 patients that never were: CT of a smooth or
    spiculated nodule) as true DICOM and runs on that; beside it, filters, edges and contours on real images
    that pydicom and nibabel ship. Writes everything to OUT, which can be deleted afterwards; open
    `report.html` there.

    Example: `fastmed demo`, or `fastmed demo --archive /data/archive --out mine`
    """
    from . import _demo

    if archive is None and label not in (None, "label"):
        fail(
            f"--label is {label!r}; the synthetic archive has 'label' only (--archive takes your own data)",
            BAD_INPUT,
        )
    if archive is not None:
        folder(archive, "--archive")
    result = _demo.run(
        output_folder(out, archive), archive, label=label, group=group, quick=quick, workers=_workers(workers)
    )
    evaluation = result.pop("evaluation")
    if as_json:
        score = (
            {}
            if evaluation is None
            else {
                "balanced_accuracy": evaluation.balanced_accuracy,
                "interval": evaluation.interval,
                "chance": evaluation.chance["permutation_mean"],
                "groups": evaluation.n_groups,
            }
        )
        print_json({**result, "score": score})
        return
    say = console()
    summary = result["extract"]
    kind = "synthetic archive" if result["synthetic"] else "archive"
    say.print(f"{kind}: {summary['n_series']} series in the table, {summary['n_failures']} files not used")
    say.print(result["note"] if evaluation is None else _score(evaluation, result["synthetic"]), markup=False)
    typer.echo(result["report"])


def _score(evaluation: Any, synthetic: bool) -> str:
    from . import _run

    return ("on synthetic data: " if synthetic else "") + _run.score_in_words(evaluation)


_archive.register(app)
_filter.register(app)
