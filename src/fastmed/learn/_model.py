"""A fitted model as plain arrays: predicts without scikit-learn, and is saved without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .._engine.files import atomically
from ..errors import TableError
from ._table import matrix

FORMAT = 1

#: The arrays of a model file, in this order.
ARRAYS = (
    "median", "mean", "scale", "pca_mean", "pca_components", "support_vectors", "n_support", "dual_coef",
    "intercept",
)


@dataclass(frozen=True, eq=False)
class Model:
    """Imputer -> scaler -> PCA -> SVM with a Gaussian kernel, fitted.

    Attributes
    ----------
    features : list of str
        Names of the columns, in the order of the arrays.
    classes : list
        The labels.
    gamma : float
        Of the kernel ``exp(-gamma |a - b|^2)``.
    arrays : dict of str to array
        See :data:`ARRAYS`.
    label : str
        Name of the column that is predicted.
    """

    features: list[str]
    classes: list[Any]
    gamma: float
    arrays: dict[str, np.ndarray]
    label: str = ""

    @classmethod
    def from_pipeline(cls, pipeline: Any, features: Sequence[str], label: str = "") -> Model:
        """Take the arrays out of a fitted Pipeline of :func:`fastmed.learn.pipeline`'s steps."""
        impute, scale, pca, svm = (pipeline.named_steps[k] for k in ("impute", "scale", "pca", "svm"))
        arrays = {
            "median": impute.statistics_,
            "mean": scale.mean_,
            "scale": scale.scale_,
            "pca_mean": pca.mean_,
            "pca_components": pca.components_,
            "support_vectors": svm.support_vectors_,
            "n_support": svm.n_support_.astype(np.int64),
            "dual_coef": svm.dual_coef_,
            "intercept": svm.intercept_,
        }
        classes = [c.item() if isinstance(c, np.generic) else c for c in svm.classes_]
        return cls(list(features), classes, float(svm._gamma), arrays, label)

    def scores(self, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
        """PCA scores, array of shape (rows, components)."""
        values = self._matrix(rows)
        a = self.arrays
        values = (np.where(np.isnan(values), a["median"], values) - a["mean"]) / a["scale"]
        return (values - a["pca_mean"]) @ a["pca_components"].T

    def decision(self, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
        """scikit-learn's ``decision_function``: shape (rows,) for two classes, else (rows, classes)."""
        a = self.arrays
        points, vectors = self.scores(rows), a["support_vectors"]
        kernel = np.empty((len(points), len(vectors)))
        for i, point in enumerate(points):
            kernel[i] = np.exp(-self.gamma * ((vectors - point) ** 2).sum(axis=1))
        if len(self.classes) == 2:
            return kernel @ a["dual_coef"][0] + a["intercept"][0]
        return _one_against_rest(self._one_against_one(kernel), len(self.classes))

    def _one_against_one(self, kernel: np.ndarray) -> np.ndarray:
        """Decision per pair of classes; `dual_coef` holds a vector's weights against the other classes."""
        a = self.arrays
        edges = np.concatenate([[0], np.cumsum(a["n_support"])])
        parts = [slice(edges[c], edges[c + 1]) for c in range(len(self.classes))]
        pairs: list[np.ndarray] = []
        for i in range(len(self.classes)):
            for j in range(i + 1, len(self.classes)):
                mine = kernel[:, parts[i]] @ a["dual_coef"][j - 1, parts[i]]
                theirs = kernel[:, parts[j]] @ a["dual_coef"][i, parts[j]]
                pairs.append(mine + theirs + a["intercept"][len(pairs)])
        return np.stack(pairs, axis=1)

    def predict(self, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
        """The label of each row.

        Parameters
        ----------
        rows : DataFrame or array, shape (rows, features)
            A table with the columns of `features`, in any order, or their values in the model's order.

        Raises
        ------
        TableError
            A column is missing, or an array has another number of columns.
        """
        decision = self.decision(rows)
        which = (decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)
        return np.array(self.classes)[which]

    def _matrix(self, rows: pd.DataFrame | np.ndarray) -> np.ndarray:
        if isinstance(rows, pd.DataFrame):
            return matrix(rows, self.features)
        values = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise TableError(f"rows has shape {values.shape}; wanted are {len(self.features)} columns")
        return np.where(np.isfinite(values), values, np.nan)


def _one_against_rest(pairs: np.ndarray, n_classes: int) -> np.ndarray:
    """Votes per class; ties are settled by the summed confidences, squeezed into (-1/3, 1/3)."""
    votes = np.zeros((len(pairs), n_classes))
    confidence = np.zeros((len(pairs), n_classes))
    column = 0
    for i in range(n_classes):
        for j in range(i + 1, n_classes):
            value = pairs[:, column]
            confidence[:, i] += value
            confidence[:, j] -= value
            votes[:, i] += value >= 0
            votes[:, j] += value < 0
            column += 1
    return votes + confidence / (3 * (np.abs(confidence) + 1))


def _digest(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def save_model(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` as an ``.npz``: plain arrays and a JSON header with a SHA-256 over all; no pickle.

    The file appears whole or not at all, and is the same, byte for byte, for the same model.
    """
    arrays = {name: np.asarray(model.arrays[name]) for name in ARRAYS}
    header: dict[str, Any] = {
        "fastmed_model": FORMAT, "features": model.features, "classes": model.classes,
        "gamma": model.gamma.hex(), "label": model.label,
    }
    text = json.dumps({**header, "sha256": _digest(header, arrays)}, sort_keys=True).encode()
    with atomically(path) as stream:
        np.savez(stream, allow_pickle=False, header=np.frombuffer(text, np.uint8), **arrays)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that :func:`save_model` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    TableError
        It is not a model file, is of another format, or its SHA-256 does not match. Nothing in it is
        executed.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"no model at {file}")
    try:
        with np.load(file, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            arrays = {name: stored[name] for name in ARRAYS}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise TableError(f"{file} is not a fastmed model: {type(error).__name__}") from error
    if not isinstance(header, dict) or header.get("fastmed_model") != FORMAT:
        raise TableError(f"{file} is not a fastmed model of format {FORMAT}")
    wanted = header.pop("sha256", None)
    found = _digest(header, arrays)
    if found != wanted:
        raise TableError(f"{file} is damaged: its SHA-256 is {found}, its header says {wanted}")
    gamma = float.fromhex(header["gamma"])
    return Model(header["features"], header["classes"], gamma, arrays, header["label"])
