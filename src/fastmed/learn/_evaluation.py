"""The result of a training."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ._model import Model


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What :func:`fastmed.learn.train` found.

    Scores are over groups (patients or series): a group's prediction is the class with the highest mean
    decision over its rows, each predicted by a model that saw no row of the group. A group whose rows carry
    several labels counts once per label.

    Attributes
    ----------
    balanced_accuracy : float
        Mean recall over classes.
    interval : (float, float)
        95 % bootstrap interval of it, over groups.
    accuracy : float
    roc_auc : float or None
        By mean decision; None for more than two classes.
    row_balanced_accuracy : float
        The same over single rows.
    chance : dict
        ``majority_class``, ``majority_accuracy``, ``majority_balanced_accuracy``, ``permutation_mean``,
        ``permutation_p95``, ``p_value``, ``permutations``, ``method``.
    confusion : array of int, shape (classes, classes)
        Rows: truth; columns: predicted; over groups.
    group_predictions, row_predictions : DataFrame
        Held-out predictions: group, label, predicted, fold; decisions per class for groups.
    pca : dict
        ``scores`` (rows, 2) and their ``labels``, ``explained_variance_ratio`` (components), ``loadings``
        (2, features), of the model fitted on all rows.
    model : Model
        Fitted on all rows.
    notes : list of str
        What was done otherwise than asked: folds lowered, rows or classes left out.
    """

    label: str
    group: str
    seed: int
    folds: int
    components: float | int
    features: list[str]
    classes: list[Any]
    n_rows: int
    n_groups: int
    balanced_accuracy: float
    interval: tuple[float, float]
    accuracy: float
    roc_auc: float | None
    row_balanced_accuracy: float
    chance: dict[str, Any]
    confusion: np.ndarray
    group_predictions: pd.DataFrame
    row_predictions: pd.DataFrame
    hyperparameters: dict[str, Any]
    pca: dict[str, Any]
    model: Model
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the model, in plain Python types."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "model"}

    def to_json(self, indent: int | None = 2) -> str:
        """:meth:`to_dict` as JSON; numbers that are not finite become null."""
        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False, default=str)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Evaluation({self.label!r} by {self.group!r}: balanced accuracy {self.balanced_accuracy:.3f} "
            f"[{low:.3f}, {high:.3f}], chance {self.chance['permutation_mean']:.3f}, "
            f"p {self.chance['p_value']:.3f}, {self.n_groups} groups, {self.n_rows} rows)"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value
