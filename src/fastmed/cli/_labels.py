"""Labels that stand in a file of their own, joined to a feature table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TableError

if TYPE_CHECKING:
    import pandas as pd

#: Columns by which a row of the labels may find its rows of the table, the finest first.
KEYS = ("series", "study", "patient")


def join_labels(table: pd.DataFrame, path: str | Path, label: str) -> pd.DataFrame:
    """The table with the column `label` of the CSV or Parquet file `path` added.

    Parameters
    ----------
    table : DataFrame
        The feature table.
    path : path
        A file with the column `label` and one of ``series``, ``study``, ``patient``, which hold the hashes of
        the feature table.
    label : str

    Returns
    -------
    DataFrame
        Rows without a label hold NaN.

    Raises
    ------
    TableError
        A column is missing, a key is there twice with different labels, or no key fits.
    """
    from ..learn import read_table

    labels = read_table(path, columns=[label])
    key = next((k for k in KEYS if k in labels.columns and k in table.columns), None)
    if key is None:
        raise TableError(
            f"{path} has the columns {', '.join(map(str, labels.columns))}; wanted is one of {', '.join(KEYS)}"
        )
    pairs = labels[[key, label]].drop_duplicates()
    if pairs[key].duplicated().any():
        raise TableError(f"{path} gives different values of {label!r} to the same {key}")
    joined = table[key].map(pairs.set_index(key)[label])
    if joined.isna().all():
        raise TableError(f"no {key} of {path} is in the feature table; its hashes are wanted, not identifiers in clear")
    return table.assign(**{label: joined})
