"""The table: reading it, and which of its columns may be features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import TableError

#: Columns that say which image a row is of, or how it was taken, and not what it shows. A model that sees
#: them learns the scanner's settings or the patient, so they are features only when asked for by name.
IDENTIFIERS = ("series", "patient", "study", "modality", "file", "path", "index")
GEOMETRY = (
    "n_slices", "n_missing", "fault", "rows", "columns", "spacing_z", "spacing_y", "spacing_x", "tile_slice",
    "tile_row", "tile_column", "tile_size",
)


def read_table(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a feature table.

    Parameters
    ----------
    path : path
        A Parquet or CSV file (``.csv``, ``.tsv``, also with ``.gz``), or the output folder of an extraction.
    columns : sequence of str, optional
        Columns that must be there.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    FileNotFoundError
        There is no such file.
    TableError
        It cannot be read as a table, holds no row, or lacks one of `columns`.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "table.csv")
    >>> _ = open(path, "w").write("a,b\\n1,2\\n")
    >>> read_table(path, columns=["a"]).shape
    (1, 2)
    """
    file = Path(path)
    if file.is_dir():
        file = file / "features.parquet"
    if not file.is_file():
        raise FileNotFoundError(f"no feature table at {file}")
    name = file.name.lower().removesuffix(".gz")
    csv = name.endswith((".csv", ".tsv"))
    try:
        separator = "\t" if name.endswith(".tsv") else ","
        table = pd.read_csv(file, sep=separator) if csv else pd.read_parquet(file)
    except Exception as error:
        kind = "CSV" if csv else "Parquet"
        raise TableError(f"{file} cannot be read as a {kind} table: {type(error).__name__}") from error
    if table.empty:
        raise TableError(f"{file} holds {len(table)} rows of {table.shape[1]} columns; at least 1 is wanted")
    for column in columns:
        require(table, column, "column")
    return table


def require(table: pd.DataFrame, column: str, role: str) -> None:
    """Raise TableError, with the names that come nearest, when `column` is missing."""
    if column in table.columns:
        return
    others = [str(c) for c in table.columns if not str(c).startswith(("firstorder_", "edge_", "contour_"))]
    shown = ", ".join(others[:12]) + (", ..." if len(others) > 12 else "")
    raise TableError(f"the table has no {role} {column!r}; it has {shown or 'only feature columns'}")


def feature_columns(
    table: pd.DataFrame, label: str, group: str, features: Sequence[str] | None = None
) -> list[str]:
    """`features`, or all numeric columns but label, group, identifiers and geometry."""
    if features is not None:
        for name in features:
            require(table, name, "feature column")
            if name in (label, group) or not _numeric(table[name]):
                raise TableError(f"column {name!r} is no feature: it is not numeric, or is label or group")
        chosen = list(features)
    else:
        left_out = {label, group, *IDENTIFIERS, *GEOMETRY}
        chosen = [c for c in table.columns if c not in left_out and _numeric(table[c])]
    if not chosen:
        raise TableError(
            f"the table has no numeric feature column; {label!r} (label), {group!r} (group), identifiers and "
            "geometry are not features"
        )
    return chosen


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def matrix(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """The columns as float64; infinities become NaN, which the imputer replaces."""
    for name in columns:
        require(table, name, "feature column")
    values = table[list(columns)].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)
