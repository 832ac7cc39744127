"""Training and honest evaluation: groups (patients, series) are never split between training and test."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.metrics import confusion_matrix, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ..errors import TableError
from . import _chance
from ._evaluation import Evaluation
from ._model import Model
from ._table import feature_columns, matrix, require

#: Candidates, the smoothest first: of equal scores the first is taken.
GRID: list[dict[str, Any]] = [
    {"svm__C": c, "svm__gamma": gamma} for c in (0.1, 1.0, 10.0, 100.0) for gamma in ("scale", "auto")
]
FALLBACK: dict[str, Any] = {"svm__C": 1.0, "svm__gamma": "scale"}
INNER_FOLDS = 3

#: (training rows, test rows) of each fold.
Splits = list[tuple[np.ndarray, np.ndarray]]

#: The inner search sees at most this many rows, as many of each group as fit: SVM training grows with their
#: square.
SEARCH_ROWS = 1500

#: Up to this many rows the chance level is found by training anew on permuted labels.
REFIT_ROWS = 400


def pipeline(components: float | int = 0.95) -> Pipeline:
    """Imputer (median) -> scaler -> PCA -> SVM with a Gaussian kernel and balanced class weights, not fitted.

    `components` is PCA's: a share of the variance in (0, 1), or a number of components.
    """
    return Pipeline([
        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
        ("scale", StandardScaler()),
        ("pca", PCA(n_components=components, svd_solver="full")),
        ("svm", _svm()),
    ])


def _svm() -> SVC:
    return SVC(class_weight="balanced", break_ties=True)


@dataclass
class _Data:
    x: np.ndarray
    y: np.ndarray  # class numbers
    group: np.ndarray  # group numbers
    classes: list[Any]
    groups: list[Any]
    features: list[str]
    rows: np.ndarray  # positions in the caller's table
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What is judged: all rows of one group that carry one label. One per patient, unless labels differ
        # within.
        pairs, self.unit = np.unique(np.stack([self.group, self.y], 1), axis=0, return_inverse=True)
        self.unit = self.unit.reshape(-1)
        self.unit_group, self.unit_y = pairs[:, 0], pairs[:, 1]


def train(
    table: pd.DataFrame,
    label: str,
    group: str,
    *,
    features: Sequence[str] | None = None,
    folds: int = 5,
    components: float | int = 0.95,
    seed: int = 0,
    permutations: int = 200,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Train on a feature table and evaluate group by group.

    Parameters
    ----------
    table : DataFrame
        One row per image or tile, see :func:`read_table`.
    label : str
        Column of classes: text, whole numbers or bool.
    group : str
        Column whose values are never split between training and test: the patient, or the series.
    features : sequence of str, optional
        Columns to learn from. By default all numeric ones except `label`, `group`, identifiers (series,
        patient, study, modality, file) and geometry (spacing, number of slices, position of a tile): a model
        that sees these recognises the scanner or the patient instead of what the image shows.
    folds : int, optional
        Outer folds; lowered, with a note in the result, when a class has fewer groups.
    components : float or int, optional
        PCA's: share of the variance kept, or how many components.
    seed : int, optional
        The same table and seed give the same result.
    permutations : int, optional
        Of the labels, for the chance level.
    progress : callable, optional
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Evaluation
        Scores, their interval, the chance level, predictions, PCA and the model fitted on all rows.

    Raises
    ------
    TableError
        A column is missing, there is one class only, fewer than two classes have two groups, label and group
        are the same, no column can be a feature, or none varies.
    ValueError
        `folds` below 2, `permutations` below 1, or `components` neither in (0, 1) nor a positive whole
        number.

    Notes
    -----
    Outer and inner cross-validation are stratified by class and split by group; C and gamma are chosen by the
    inner one, inside each training part. The pipeline is imputer -> scaler -> PCA -> SVM, each fitted on the
    training part alone. A group's prediction is the class with the highest mean decision over its rows.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> y = np.arange(40) % 2
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 4 * y[:, None]
    >>> table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(label=y, patient=np.arange(40) // 2 * 2 + y)
    >>> result = train(table, "label", "patient")
    >>> result.balanced_accuracy, result.n_groups
    (1.0, 40)
    """
    _check_numbers(folds, components, permutations)
    data = _prepare(table, label, group, features)
    splits = _outer_splits(data, folds, seed)
    report = progress or (lambda done, total, name: None)
    steps = len(splits) + 2
    decision, fold_of, chosen = np.zeros((len(data.y), len(data.classes))), np.zeros(len(data.y), int), []
    for number, (training, test) in enumerate(splits):
        report(number, steps, f"fold {number + 1} of {len(splits)}")
        best = _search(data, training, components, seed)
        fitted = _fit(data, training, components, best)
        decision[test], fold_of[test] = _decision(fitted, data.x[test]), number
        chosen.append(best)
    report(len(splits), steps, "final model")
    everything = np.arange(len(data.y))
    best = _search(data, everything, components, seed)
    fitted = _fit(data, everything, components, best)
    report(len(splits) + 1, steps, "chance level")
    result = _evaluate(data, decision, fold_of, splits, best, components, permutations, seed)
    # The pipeline is fitted on class numbers; the model answers with the labels themselves.
    model = replace(Model.from_pipeline(fitted, data.features, label), classes=data.classes)
    report(steps, steps, "done")
    return Evaluation(
        label=label, group=group, seed=seed, folds=len(splits), components=components, features=data.features,
        classes=data.classes, n_rows=len(data.y), n_groups=len(data.groups), model=model,
        hyperparameters={"final": _plain(best), "folds": [_plain(b) for b in chosen]},
        pca=_pca(fitted, data), notes=data.notes, **result,
    )


def _check_numbers(folds: int, components: float | int, permutations: int) -> None:
    for name, value, least in (("folds", folds, 2), ("permutations", permutations, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} is {value!r}; wanted is a whole number of at least {least}")
    whole = isinstance(components, int | np.integer) and not isinstance(components, bool) and components >= 1
    if not whole and not (isinstance(components, float | np.floating) and 0 < components < 1):
        raise ValueError(f"components is {components!r}; wanted is a share in (0, 1) or a number from 1 on")


# --- the table as arrays ------------------------------------------------------------------------------------


def _prepare(table: pd.DataFrame, label: str, group: str, features: Sequence[str] | None) -> _Data:
    require(table, label, "label column")
    require(table, group, "group column")
    if label == group:
        raise TableError(f"label and group are the same column, {label!r}: no class could be learned")
    columns = feature_columns(table, label, group, features)
    notes: list[str] = []
    pair = table[[label, group]]
    known = (pair.notna() & (pair != "")).all(axis=1).to_numpy()
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without label or group are left out")
    keep = known & _common_classes(table[known], label, group, notes, known)
    kept = table[keep]
    y, classes = _numbered(kept[label])
    g, groups = _numbered(kept[group])
    x = matrix(kept, columns)
    if not any(np.nanmin(c) < np.nanmax(c) for c in x.T if not np.isnan(c).all()):
        raise TableError(f"none of the {len(columns)} feature columns varies")
    return _Data(x, y, g, classes, groups, columns, np.flatnonzero(keep), notes)


def _common_classes(
    table: pd.DataFrame, label: str, group: str, notes: list[str], known: np.ndarray
) -> np.ndarray:
    """Rows of the classes that occur in at least two groups: one to train on, one to test."""
    per_class = table.groupby(label, observed=True)[group].nunique()
    if len(per_class) < 2:
        raise TableError(f"label column {label!r} holds {len(per_class)} class; at least two are wanted")
    rare = [str(c) for c in per_class.index[per_class < 2]]
    if len(per_class) - len(rare) < 2:
        raise TableError(
            f"of the {len(per_class)} classes of {label!r}, {len(rare)} occur in fewer than two groups of "
            f"{group!r}; two classes with two groups each are wanted"
        )
    if rare:
        shown = ", ".join(rare[:8]) + (", ..." if len(rare) > 8 else "")
        notes.append(f"classes of fewer than two groups are left out: {shown}")
    keep = np.zeros(len(known), bool)
    keep[known] = table[label].map(per_class).to_numpy() >= 2
    return keep


def _numbered(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Numbers 0, 1, ... in the sorted order of the values, and the values."""
    values = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    try:
        unique, index = np.unique(values.to_numpy(), return_inverse=True)
    except TypeError:  # mixed types have no order
        unique, index = np.unique(values.astype(str).to_numpy(dtype=object), return_inverse=True)
    return index.reshape(-1), [v.item() if isinstance(v, np.generic) else v for v in unique]


# --- splits -------------------------------------------------------------------------------------------------


def _outer_splits(data: _Data, folds: int, seed: int) -> Splits:
    fewest = _fewest_groups(data.y, data.group)
    if fewest < folds:
        data.notes.append(f"{fewest} folds instead of {folds}: the rarest class has {fewest} groups")
    splits = _splits(data.y, data.group, min(folds, fewest), seed)
    if splits is None:
        raise TableError("no split by group leaves each class in each training part; more groups are wanted")
    return splits


def _fewest_groups(y: np.ndarray, group: np.ndarray) -> int:
    return min(len(np.unique(group[y == c])) for c in np.unique(y))


def _splits(y: np.ndarray, group: np.ndarray, folds: int, seed: int) -> Splits | None:
    """Stratified splits by group whose training parts hold every class; None when 50 draws found none."""
    n_classes = len(np.unique(y))
    for attempt in range(50):
        with _quiet():
            cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + attempt)
            splits = list(cutter.split(y, y, group))
        if all(len(np.unique(y[a])) == n_classes and len(b) for a, b in splits):
            return splits
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """scikit-learn warns of classes with fewer rows than folds, and the like: the result's notes say it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


# --- fitting ------------------------------------------------------------------------------------------------


def _search(data: _Data, training: np.ndarray, components: float | int, seed: int) -> dict[str, Any]:
    """C and gamma by cross-validation inside `training`; fixed ones where a class has one group only."""
    rows = _thinned(training, data.group[training])
    y, group = data.y[rows], data.group[rows]
    fewest = _fewest_groups(y, group)
    splits = _splits(y, group, min(INNER_FOLDS, fewest), seed) if fewest > 1 else None
    if splits is None:
        return dict(FALLBACK)
    # Imputer, scaler and PCA do not depend on C and gamma: fitted once per split, not once per candidate.
    parts = [_transformed(data, rows[training], rows[test], components) for training, test in splits]
    scores = [np.mean([_svm_score(data, p, candidate) for p in parts]) for candidate in GRID]
    return dict(GRID[int(np.argmax(np.round(scores, 12)))])


@dataclass(frozen=True)
class _Part:
    """One split, up to the SVM: row numbers, and their PCA scores."""

    training: np.ndarray
    test: np.ndarray
    inside: np.ndarray
    outside: np.ndarray


def _transformed(data: _Data, training: np.ndarray, test: np.ndarray, components: float | int) -> _Part:
    front = _pipeline(components, len(training), data)[:-1]
    with _quiet():
        inside = front.fit_transform(data.x[training])
        return _Part(training, test, inside, front.transform(data.x[test]))


def _svm_score(data: _Data, part: _Part, parameters: dict[str, Any]) -> float:
    svm = _svm().set_params(**_plain(parameters)).fit(part.inside, data.y[part.training])
    return _chance.balanced_accuracy(data.y[part.test], svm.predict(part.outside), len(data.classes))


def _thinned(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """At most SEARCH_ROWS of `rows`: of each group its share, evenly spaced."""
    if len(rows) <= SEARCH_ROWS:
        return rows
    _, index = np.unique(group, return_inverse=True)
    share = max(SEARCH_ROWS // (int(index.max()) + 1), 1)
    parts = []
    for g in range(int(index.max()) + 1):
        mine = rows[index == g]
        parts.append(mine if len(mine) <= share else mine[np.linspace(0, len(mine) - 1, share).astype(int)])
    return np.sort(np.concatenate(parts))


def _pipeline(components: float | int, n_rows: int, data: _Data) -> Pipeline:
    limit = min(n_rows, data.x.shape[1])
    return pipeline(min(components, limit) if isinstance(components, int | np.integer) else components)


def _fit(data: _Data, rows: np.ndarray, components: float | int, parameters: dict[str, Any]) -> Pipeline:
    with _quiet():
        return _pipeline(components, len(rows), data).set_params(**parameters).fit(data.x[rows], data.y[rows])


def _decision(fitted: Pipeline, x: np.ndarray) -> np.ndarray:
    return _two_sided(fitted.decision_function(x))


def _two_sided(decision: np.ndarray) -> np.ndarray:
    """One column per class, also for two classes."""
    return np.stack([-decision, decision], axis=1) if decision.ndim == 1 else decision


# --- judging ------------------------------------------------------------------------------------------------


def _evaluate(
    data: _Data, decision: np.ndarray, fold_of: np.ndarray, splits: Splits,
    best: dict[str, Any], components: float | int, permutations: int, seed: int,
) -> dict[str, Any]:
    n_classes = len(data.classes)
    truth, mean = data.unit_y, _by_unit(data, decision)
    predicted = mean.argmax(axis=1)
    score = _chance.balanced_accuracy(truth, predicted, n_classes)
    rng = np.random.default_rng(seed)
    low, high = _chance.interval(truth, predicted, data.unit_group, n_classes, rng)
    if low == high:
        data.notes.append("the bootstrap interval has no width: with so few groups it says little")
    return {
        "balanced_accuracy": score,
        "interval": (low, high),
        "accuracy": float((truth == predicted).mean()),
        "roc_auc": float(roc_auc_score(truth, mean[:, 1])) if n_classes == 2 else None,
        "row_balanced_accuracy": _chance.balanced_accuracy(data.y, decision.argmax(axis=1), n_classes),
        "chance": _chance_level(data, decision, score, splits, best, components, permutations, rng),
        "confusion": confusion_matrix(truth, predicted, labels=range(n_classes)),
        "group_predictions": _group_frame(data, mean, predicted, fold_of),
        "row_predictions": _row_frame(data, decision, fold_of),
    }


def _by_unit(data: _Data, decision: np.ndarray) -> np.ndarray:
    total = np.zeros((len(data.unit_y), decision.shape[1]))
    np.add.at(total, data.unit, decision)
    return total / np.bincount(data.unit)[:, None]


def _chance_level(
    data: _Data, decision: np.ndarray, observed: float, splits: Splits,
    best: dict[str, Any], components: float | int, permutations: int, rng: np.random.Generator,
) -> dict[str, Any]:
    """The majority class, and the score's distribution when labels are dealt to the groups at random."""
    n_classes = len(data.classes)
    counts = np.bincount(data.unit_y, minlength=n_classes)
    refit = len(data.y) <= REFIT_ROWS
    if refit:
        score = _refitting_score(data, splits, best, components)
    else:
        predicted = _by_unit(data, decision).argmax(axis=1)

        def score(labels: np.ndarray) -> float:
            return _chance.balanced_accuracy(labels, predicted, n_classes)

    scores = _chance.permutation_scores(score, data.unit_y, rng, permutations)
    return {
        "majority_class": data.classes[int(counts.argmax())],
        "majority_accuracy": float(counts.max() / counts.sum()),
        "majority_balanced_accuracy": 1 / n_classes,
        "permutation_mean": float(scores.mean()),
        "permutation_p95": float(np.quantile(scores, 0.95)),
        "p_value": _chance.p_value(observed, scores),
        "permutations": permutations,
        "method": "trained anew on permuted labels" if refit else "permuted against the held-out predictions",
    }


def _refitting_score(
    data: _Data, splits: Splits, best: dict[str, Any], components: float | int
) -> Callable[[np.ndarray], float]:
    """Cross-validated score for other labels of the units, with C and gamma of the final model.

    Imputer, scaler and PCA see no labels, so each fold is transformed once.
    """
    parts = [_transformed(data, training, test, components) for training, test in splits]
    svm = _svm().set_params(**_plain(best))
    n_classes = len(data.classes)

    def score(labels: np.ndarray) -> float:
        y = labels[data.unit]
        decision = np.zeros((len(y), n_classes))
        for part in parts:
            present = np.unique(y[part.training])
            if len(present) == 1:
                decision[np.ix_(part.test, present)] = 1
                continue
            # A class that chance left out of the training part cannot be predicted.
            decision[part.test] = -np.inf
            svm.fit(part.inside, y[part.training])
            decision[np.ix_(part.test, present)] = _two_sided(svm.decision_function(part.outside))
        return _chance.balanced_accuracy(labels, _by_unit(data, decision).argmax(axis=1), n_classes)

    return score


# --- what is told -------------------------------------------------------------------------------------------


def _group_frame(data: _Data, mean: np.ndarray, predicted: np.ndarray, fold_of: np.ndarray) -> pd.DataFrame:
    first = np.unique(data.unit, return_index=True)[1]
    return pd.DataFrame({
        "group": [data.groups[g] for g in data.unit_group],
        "label": [data.classes[c] for c in data.unit_y],
        "predicted": [data.classes[c] for c in predicted],
        "rows": np.bincount(data.unit),
        "fold": fold_of[first],
        **{f"decision_{data.classes[c]}": mean[:, c] for c in range(len(data.classes))},
    })


def _row_frame(data: _Data, decision: np.ndarray, fold_of: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({
        "row": data.rows,
        "group": [data.groups[g] for g in data.group],
        "label": [data.classes[c] for c in data.y],
        "predicted": [data.classes[c] for c in decision.argmax(axis=1)],
        "fold": fold_of,
    })


def _pca(fitted: Pipeline, data: _Data) -> dict[str, Any]:
    """Scores and loadings of the final model's first two components; zeros where there is no second."""
    pca = fitted.named_steps["pca"]
    scores, loadings = np.zeros((len(data.y), 2)), np.zeros((2, len(data.features)))
    n = min(2, len(pca.components_))
    scores[:, :n] = fitted[:-1].transform(data.x)[:, :n]
    loadings[:n] = pca.components_[:n]
    return {
        "scores": scores,
        "labels": [data.classes[c] for c in data.y],
        "explained_variance_ratio": pca.explained_variance_ratio_.copy(),
        "loadings": loadings,
    }


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("svm__"): value for name, value in parameters.items()}
