"""What a report shows of an output folder: the table, the failures, the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TableError
from ..report import Content, Outcome, Picture

if TYPE_CHECKING:
    import pandas as pd

TABLE, FAILURES, EVALUATION, MODEL = "features.parquet", "failures.parquet", "evaluation.json", "model.npz"

#: So many slices are drawn in a report, and of each at most so many borders, the longest first.
SLICES, BORDERS = 12, 300

#: Pixels of other modalities often hold text about the patient.
DRAWN_MODALITIES = ("CT", "MR", "PT")


def content_of(out: Path, title: str, **more: Any) -> Content:
    """The content of a report on what `fastmed extract` and `fastmed train` left in `out`.

    Raises
    ------
    FileNotFoundError
        There is no feature table.
    TableError
        A file there cannot be read.
    """
    from ..learn import read_table

    table = read_table(out / TABLE)
    failures = read_failures(out / FAILURES)
    evaluation = read_evaluation(out / EVALUATION)
    columns = _first(table.columns)
    return Content(
        title=title,
        facts=_facts(table, failures),
        columns=columns,
        rows=table[columns].head(20).to_numpy(dtype=object).tolist(),
        shape=table.shape,
        failures=failures,
        outcome=outcome_of(evaluation) if evaluation else None,
        **more,
    )


def named(value: Any) -> str:
    """A class as text that can be seen."""
    return str(value) or "(empty)"


def _first(columns: Sequence[str]) -> list[str]:
    """Who and what first, then features; a model's label counts as that."""
    features = [c for c in columns if str(c).startswith(("firstorder_", "edge_", "contour_"))]
    named = [c for c in ("series", "patient", "modality", "label", "n_slices") if c in columns]
    picked = [c for c in features if c.startswith(("edge_", "contour_"))][:5] + features[:4]
    return named + picked + [c for c in columns if c not in named and c not in picked]


def read_failures(path: Path) -> list[tuple[str, str]]:
    """(file, reason) of every file that is not in the table; none where the run left no such table."""
    if not path.is_file():
        return []
    import pyarrow.parquet as parquet

    try:
        rows = parquet.read_table(path, columns=["file", "reason"])
    except Exception as error:
        raise TableError(f"{path} cannot be read as a table of failures: {type(error).__name__}") from error
    return list(zip(rows["file"].to_pylist(), rows["reason"].to_pylist(), strict=True))


def _facts(table: pd.DataFrame, failures: Sequence[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"rows in the table": len(table)}
    for column, name in (("series", "series"), ("patient", "patients")):
        if column in table:
            facts[name] = int(table[column].nunique())
    if "modality" in table:
        facts["modality"] = ", ".join(sorted({named(m) for m in table["modality"].dropna()}))
    return {**facts, "files not used": len(failures)}


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """What `fastmed train` wrote, or None where nothing was trained."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TableError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or "balanced_accuracy" not in document:
        raise TableError(f"{path} is not an evaluation that `fastmed train` wrote")
    return document


def outcome_of(evaluation: Mapping[str, Any]) -> Outcome:
    """An evaluation, as a dictionary, in the report's terms."""
    chance, pca = evaluation["chance"], evaluation["pca"]
    wrong = [row["label"] != row["predicted"] for row in evaluation["row_predictions"]]
    points = [
        (float(x), float(y), named(label), bool(w))
        for (x, y), label, w in zip(pca["scores"], pca["labels"], wrong, strict=True)
    ]
    low, high = evaluation["interval"]
    notes = [
        f"Chance: the mean over {chance['permutations']} random permutations of the labels among the groups "
        f"({chance['method']}); 95 % of them stay below {100 * chance['permutation_p95']:.1f} %; "
        f"p = {chance['p_value']:.3g}. Always guessing the most frequent class would have a balanced "
        f"accuracy of {100 * chance['majority_balanced_accuracy']:.1f} %.",
        f"{len(evaluation['features'])} features, {evaluation['folds']} folds, seed {evaluation['seed']}. "
        "The scatter is of the model fitted on all rows; whether a prediction is right is told by models "
        "that did not see it.",
        *evaluation["notes"],
    ]
    return Outcome(
        label=evaluation["label"],
        group=evaluation["group"],
        score=evaluation["balanced_accuracy"],
        low=low,
        high=high,
        chance=chance["permutation_mean"],
        rows=evaluation["n_rows"],
        groups=evaluation["n_groups"],
        classes=[named(c) for c in evaluation["classes"]],
        confusion=evaluation["confusion"],
        components=points,
        explained=tuple(pca["explained_variance_ratio"][:2]),
        notes=notes,
    )


def slices(series: Sequence[Any], captions: Mapping[str, tuple[str, bool]], limit: int = SLICES) -> list[Picture]:
    """The middle slice of some series, with the borders that the contour features are taken from.

    Parameters
    ----------
    series : sequence of Series
        Only those of `DRAWN_MODALITIES` are drawn, and one of each SeriesInstanceUID.
    captions : mapping
        Series key -> its caption and whether to mark it; other series are not drawn.
    limit : int, optional
        So many at most; up to a third of them marked ones.
    """
    first: dict[str, Any] = {}  # one of each SeriesInstanceUID: time points look alike
    for one in series:
        if one.key in captions and one.modality in DRAWN_MODALITIES and one.axes == "zyx":
            first.setdefault(one.key[:16], one)
    known = list(first.values())
    marked = [s for s in known if captions[s.key][1]][: limit // 3]
    others = _mixed([s for s in known if not captions[s.key][1]], captions)[: limit - len(marked)]
    return [_slice(s, *captions[s.key]) for s in sorted([*marked, *others], key=lambda s: s.key)]


def _mixed(series: Sequence[Any], captions: Mapping[str, tuple[str, bool]]) -> list[Any]:
    """The same series, those of different captions in turn."""
    turns: dict[str, int] = {}
    order = []
    for one in series:
        text = captions[one.key][0]
        turns[text] = turns.get(text, 0) + 1
        order.append((turns[text], text, one.key, one))
    return [one for *_, one in sorted(order, key=lambda row: row[:3])]


def _slice(series: Any, caption: str, marked: bool) -> Picture:
    import numpy as np

    from .. import trace_contours
    from ..archive import read_series
    from ..demo import borders
    from ..features import foreground
    from ..report import Panel

    volume = read_series(series)
    middle = volume.shape[0] // 2
    mask = foreground(volume, middle)
    outlines = borders(trace_contours(mask.astype(np.uint8), mode="ccomp", method="none")) if mask.any() else []
    outlines = sorted(outlines, key=len, reverse=True)[:BORDERS]
    _, dy, dx = volume.spacing
    title = f"{series.modality} {series.key[:8]}"
    image = np.asarray(volume.array[middle])
    # Some grey above the brightest, so that a line on it is still seen.
    window = float(image.min()), float(image.min() + 1.35 * max(np.percentile(image, 99) - image.min(), 1e-6))
    return Picture(title, caption, [Panel(title, image, outlines, window)], dy / dx, marked)


def captions_of(table: pd.DataFrame, evaluation: Mapping[str, Any] | None) -> dict[str, tuple[str, bool]]:
    """For each series of the table what stands under its slice: the truth and the held-out prediction, or how
    many of its tiles were predicted right; marked where that is wrong, or at most half of them."""
    captions = {str(key): ("", False) for key in table["series"]}
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in evaluation["row_predictions"] if evaluation else ():
        rows.setdefault(str(table["series"].iloc[row["row"]]), []).append(row)
    return captions | {key: _verdict(found) for key, found in rows.items()}


def _verdict(rows: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    right = sum(row["label"] == row["predicted"] for row in rows)
    label = named(rows[0]["label"])
    if len(rows) > 1:
        return f"{label}: {right} of {len(rows)} tiles right", 2 * right <= len(rows)
    return (f"{label}, predicted so", False) if right else (f"{label}, predicted {named(rows[0]['predicted'])}", True)


def slices_of(out: Path, index: Any) -> list[Picture]:
    """Slices of the archive that `index` is of, under which stands what the table and the model in `out`
    know."""
    from ..learn import read_table

    return slices(index.series, captions_of(read_table(out / TABLE, ["series"]), read_evaluation(out / EVALUATION)))
