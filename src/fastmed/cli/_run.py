"""The steps that commands share: extract, train and report on folders, with bars on stderr."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FastmedError, NoDicomError
from . import _content
from ._cluster import cluster
from ._terminal import BAD_INPUT, extraction, fail, steps

if TYPE_CHECKING:
    import pandas as pd

    from ..learn import Evaluation

#: So many different reasons of failures are told on screen; all of them are in the table of failures.
REASONS = 8


def extract(
    archive: Path | str, out: Path, workers: int = 1, tiles: int | None = None, scheduler: str | None = None,
    on_fault: str = "raise",
) -> dict[str, Any]:  # fmt: skip
    """Run `fastmed.jobs.extract`; its summary, and how often each reason of failure came up."""
    from ..jobs import extract as run

    try:
        with cluster(0, scheduler) as client, extraction() as progress:
            summary = run(archive, out, workers=workers, client=client, tiles=tiles, on_fault=on_fault,
                          progress=progress)  # fmt: skip
    except ValueError as error:
        if isinstance(error, FastmedError):
            raise
        fail(str(error), BAD_INPUT)
    failures = _content.read_failures(Path(summary.failures))
    reasons = dict(Counter(reason for _, reason in failures).most_common())
    if not summary.n_series:
        raise NoDicomError(f"none of the series could be read; {summary.failures} says why, file by file")
    return {**asdict(summary), "reasons": reasons}


def train(table: pd.DataFrame, label: str, group: str, out: Path, **options: Any) -> Evaluation:
    """Run `fastmed.learn.train`; leave evaluation.json and model.npz in `out`."""
    from .._engine.files import atomically
    from ..learn import save_model
    from ..learn import train as run

    with steps("training", "steps") as bar:
        evaluation = run(table, label, group, progress=lambda done, total, name: bar(done, total), **options)
    save_model(evaluation.model, out / _content.MODEL)
    with atomically(out / _content.EVALUATION) as file:
        file.write(evaluation.to_json().encode())
    return evaluation


def reasons_in_lines(reasons: Mapping[str, int]) -> list[str]:
    """The commonest reasons of failure, one a line, with their counts."""
    lines = [f"{count:>6} x {reason}" for reason, count in list(reasons.items())[:REASONS]]
    return lines + [f"       ... and {len(reasons) - REASONS} other reasons"] * (len(reasons) > REASONS)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def score_in_words(evaluation: Evaluation) -> str:
    """The score, always with its interval and what chance would reach."""
    low, high = evaluation.interval
    chance = percent(evaluation.chance["permutation_mean"])
    return (
        f"balanced accuracy {percent(evaluation.balanced_accuracy)} (95 % interval {percent(low)} to "
        f"{percent(high)}, chance {chance}), {evaluation.n_groups} groups held out by {evaluation.group!r}"
    )
