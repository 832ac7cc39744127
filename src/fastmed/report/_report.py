"""One self-contained HTML file about an archive run: pictures, table, model, failures, times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.files import atomically
from . import _svg
from ._png import data_uri, to_grey

#: Rows and columns of the feature table that the report shows; the whole of it stands in features.parquet.
SHOWN_ROWS, SHOWN_COLUMNS = 8, 14
SHOWN_FAILURES = 40


@dataclass(frozen=True)
class Panel:
    """One image of the report.

    Attributes
    ----------
    title : str
    image : numpy.ndarray
        2-D, bool or real.
    outlines : sequence of numpy.ndarray
        Closed contours over it, each (n, 2): x (column), y (row), in elements.
    window : tuple of float, optional
        Values shown as black and white; default by percentiles.
    """

    title: str
    image: np.ndarray
    outlines: Sequence[np.ndarray] = ()
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """A row of panels under one title; or, without panels, the reason why there is nothing to show."""

    title: str
    caption: str
    panels: Sequence[Panel] = ()
    aspect: float = 1.0
    marked: bool = False


@dataclass(frozen=True)
class Step:
    """The time of one step, beside the same step elsewhere.

    Attributes
    ----------
    name, workload : str
    seconds : float
        Ours.
    peers : mapping
        Library -> its seconds on the same data.
    agreement : str
        How the results compare; said before any time.
    """

    name: str
    workload: str
    seconds: float
    peers: Mapping[str, float] = field(default_factory=dict)
    agreement: str = ""


@dataclass(frozen=True)
class Outcome:
    """What an evaluated model says, as the report shows it.

    Attributes
    ----------
    label, group : str
        The columns that were predicted and that were held out together.
    score, low, high, chance : float
        Balanced accuracy, its interval, and what guessing would reach.
    rows, groups : int
    classes : sequence of str
    confusion : sequence of sequence of int
        Rows are the truth, columns the prediction.
    components : sequence of tuple, optional
        (first, second principal component, class, predicted wrongly) of every row.
    explained : tuple of float
        Share of the variance in the two components.
    notes : sequence of str
    """

    label: str
    group: str
    score: float
    low: float
    high: float
    chance: float
    rows: int
    groups: int
    classes: Sequence[str]
    confusion: Sequence[Sequence[int]]
    components: Sequence[tuple[float, float, str, bool]] = ()
    explained: tuple[float, ...] = ()
    notes: Sequence[str] = ()


@dataclass
class Content:
    """Everything that a report can hold; what is missing is left out of the page.

    Attributes
    ----------
    title : str
    synthetic : bool
        Whether the archive is the synthetic one; then the page says so at its head.
    facts : mapping
        Short name -> value, shown as tiles.
    pictures, slices : sequence of Picture
        Real images step by step; slices of the archive with what was traced in them.
    columns, rows : sequences
        The head of the feature table. `shape` is that of the whole of it.
    failures : sequence of tuple
        (file, reason). File names can carry patient names: they are shown only where `name_files` is set.
    outcome : Outcome, optional
    steps : sequence of Step
    notes : sequence of str
    """

    title: str
    synthetic: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    slices: Sequence[Picture] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    shape: tuple[int, int] = (0, 0)
    failures: Sequence[tuple[str, str]] = ()
    name_files: bool = False
    outcome: Outcome | None = None
    steps: Sequence[Step] = ()
    notes: Sequence[str] = ()


def write_report(path: str | Path, content: Content) -> Path:
    """Write one self-contained HTML file: no script, no network, light and dark, phone and desktop.

    Every text is escaped: what stands in DICOM files is not trusted.

    Parameters
    ----------
    path : path
        Written at once (temporary file, then renamed): an interrupted call leaves the old report or none.
    content : Content

    Returns
    -------
    pathlib.Path
        `path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(f"{folder}/r.html", Content("<b>Archive</b>")).read_text()
    >>> "&lt;b&gt;Archive&lt;/b&gt;" in page
    True
    """
    page = _environment().get_template("report.html").render(**_variables(content))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomically(target) as stream:
        stream.write(page.encode())
    return target


def _environment():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fastmed.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cell=_cell, duration=duration, percent=_percent, ratio=_ratio)
    return environment


def _variables(content: Content) -> dict[str, Any]:
    from .. import __version__

    outcome = content.outcome
    return {
        "content": content,
        "version": __version__,
        "pictures": [_drawn(p) for p in content.pictures],
        "slices": [_drawn(p) for p in content.slices],
        "columns": list(content.columns)[:SHOWN_COLUMNS],
        "table": [list(row)[:SHOWN_COLUMNS] for row in list(content.rows)[:SHOWN_ROWS]],
        "failures": _failures(content),
        "confusion": _svg.confusion(outcome.confusion, outcome.classes) if outcome else None,
        "scatter": _scatter(outcome) if outcome and outcome.components else None,
    }


def _drawn(picture: Picture) -> dict[str, Any]:
    panels = [
        {
            "title": panel.title,
            "uri": data_uri(to_grey(np.asarray(panel.image), panel.window)),
            "width": panel.image.shape[1],
            "height": panel.image.shape[0],
            "path": "".join(_svg.outline(points) for points in panel.outlines),
        }
        for panel in picture.panels
    ]
    return {
        "title": picture.title,
        "caption": picture.caption,
        "panels": panels,
        "aspect": picture.aspect,
        "marked": picture.marked,
    }


def _failures(content: Content) -> dict[str, Any]:
    """Files by name where names are harmless, else only how many for each reason."""
    total = len(content.failures)
    if content.name_files:
        rows = [(file, reason) for file, reason in content.failures]
    else:
        counts = Counter(reason for _, reason in content.failures)
        rows = [(str(count), reason) for reason, count in counts.most_common()]
    return {"total": total, "rows": rows[:SHOWN_FAILURES], "more": max(0, len(rows) - SHOWN_FAILURES)}


def _scatter(outcome: Outcome) -> dict[str, Any]:
    x, y, classes, wrong = zip(*outcome.components, strict=True)
    return _svg.scatter(x, y, classes, wrong)


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds for people: ``850 µs``, ``12.3 ms``, ``4.5 s``, ``2 min 05 s``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _ratio(theirs: float, ours: float) -> str:
    quotient = theirs / max(ours, 1e-12)
    return f"{quotient:.0f}×" if quotient >= 10 else f"{quotient:.1f}×"
