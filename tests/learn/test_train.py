"""Training: what is found, what is refused, what never leaks."""

import json

import numpy as np
import pandas as pd
import pytest

from fastmed import learn
from fastmed.errors import TableError
from fastmed.learn import feature_columns


def train(*args, permutations=9, folds=3, **kwargs):
    """learn.train with few folds and permutations, which most tests do not look at."""
    return learn.train(*args, permutations=permutations, folds=folds, **kwargs)


def make(n_groups=24, rows=2, gap=3.0, classes=2, seed=1, features=5):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), rows)
    y = group % classes
    x = rng.normal(size=(len(y), features)) + gap * np.eye(features)[y % features]
    table = pd.DataFrame(x, columns=[f"firstorder_f{i}" for i in range(features)])
    return table.assign(label=[f"c{c}" for c in y], patient=[f"p{g:03}" for g in group])


def test_separable_classes_are_told_apart():
    result = train(make(gap=8.0), "label", "patient", permutations=200, folds=5)
    assert result.balanced_accuracy == 1.0
    assert result.roc_auc == 1.0
    assert result.chance["p_value"] == pytest.approx(1 / 201)
    assert result.confusion.tolist() == [[12, 0], [0, 12]]
    assert any("no width" in note for note in result.notes)


def test_noise_stays_at_chance():
    result = train(make(n_groups=40, rows=1, gap=0.0), "label", "patient", permutations=39)
    low, high = result.interval
    assert low < 0.5 < high
    assert result.chance["p_value"] > 0.05
    assert 0.3 < result.chance["permutation_mean"] < 0.6


def test_a_patient_signature_does_not_help():
    """Rows that are near copies within a patient: held out by patient, chance; by row it would be perfect."""
    rng = np.random.default_rng(3)
    signature = np.repeat(rng.normal(size=(30, 4)), 6, axis=0)
    table = pd.DataFrame(signature + rng.normal(scale=0.01, size=signature.shape), columns=list("abcd"))
    group = np.repeat(np.arange(30), 6)
    labels = rng.permutation(np.arange(30) % 2)[group]
    table = table.assign(label=labels, patient=group, row=np.arange(180).astype(str))
    assert train(table, "label", "row").balanced_accuracy > 0.95
    assert train(table, "label", "patient").balanced_accuracy < 0.75


def test_groups_are_never_split():
    result = train(make(rows=4), "label", "patient", folds=5)
    assert (result.row_predictions.groupby("group")["fold"].nunique() == 1).all()
    assert len(result.row_predictions) == result.n_rows == 96
    assert len(result.group_predictions) == result.n_groups == 24
    assert set(result.row_predictions["fold"]) == set(range(5))


def test_same_seed_same_result():
    first, second = (train(make(classes=3), "label", "patient", seed=4).to_json() for _ in range(2))
    assert first == second
    json.loads(first)


def test_the_order_of_columns_and_extra_text_do_not_matter():
    table = make(classes=3)
    other = table.assign(note="x")
    first, second = (train(t, "label", "patient").confusion.tolist() for t in (table, other))
    assert first == second


def test_more_classes_than_two():
    result = train(make(n_groups=30, classes=3, gap=6.0), "label", "patient")
    assert result.roc_auc is None
    assert result.confusion.shape == (3, 3)
    assert result.balanced_accuracy > 0.9
    assert result.chance["majority_balanced_accuracy"] == pytest.approx(1 / 3)


def test_folds_are_lowered_with_a_note():
    result = train(make(n_groups=6), "label", "patient", folds=5)
    assert result.folds == 3
    assert any("3 folds instead of 5" in note for note in result.notes)


def test_two_groups_per_class_are_enough():
    result = train(make(n_groups=4, rows=3, gap=8.0), "label", "patient")
    assert result.folds == 2
    assert result.hyperparameters["folds"] == [{"C": 1.0, "gamma": "scale"}] * 2


def test_a_class_of_one_group_is_left_out_with_a_note():
    table = pd.concat([make(), make(n_groups=1).assign(label="rare", patient="other")], ignore_index=True)
    result = train(table, "label", "patient")
    assert result.classes == ["c0", "c1"]
    assert any("rare" in note for note in result.notes)


def test_identifiers_and_geometry_are_not_features():
    table = make().assign(series=1, study=2, modality=3, n_slices=4, spacing_x=0.5, tile_row=3)
    assert feature_columns(table, "label", "patient") == [f"firstorder_f{i}" for i in range(5)]
    assert feature_columns(table, "label", "patient", ["spacing_x"]) == ["spacing_x"]


def test_missing_and_infinite_values_are_imputed():
    table = make(gap=8.0)
    table.loc[::3, "firstorder_f3"] = np.nan
    table.loc[::4, "firstorder_f4"] = np.inf
    table["firstorder_empty"] = np.nan
    table["firstorder_constant"] = 1.0
    assert train(table, "label", "patient").balanced_accuracy > 0.9


def test_rows_without_label_are_left_out_with_a_note():
    table = make()
    table.loc[:3, "label"] = None
    result = train(table, "label", "patient")
    assert result.n_rows == 44
    assert result.row_predictions["row"].min() == 4
    assert "4 rows" in result.notes[0]


def test_labels_that_differ_within_a_group_are_judged_each():
    table = make(n_groups=12, rows=2, gap=8.0)
    table["patient"] = [f"p{i // 4}" for i in range(24)]  # now every patient holds both classes
    result = train(table, "label", "patient")
    assert result.n_groups == 6
    assert result.confusion.sum() == 12


def test_large_tables_permute_without_training_anew():
    result = train(make(n_groups=30, rows=20, gap=2.0), "label", "patient", folds=2)
    assert result.n_rows == 600
    assert "held-out" in result.chance["method"]


def test_pca_is_told():
    result = train(make(features=5), "label", "patient", components=3)
    assert result.pca["scores"].shape == (48, 2)
    assert result.pca["loadings"].shape == (2, 5)
    assert len(result.pca["explained_variance_ratio"]) == 3
    np.testing.assert_allclose((result.pca["loadings"] ** 2).sum(axis=1), 1)


def test_one_feature():
    result = train(make(gap=8.0), "label", "patient", features=["firstorder_f0"], components=7)
    assert result.balanced_accuracy > 0.9
    assert not result.pca["loadings"][1].any()


@pytest.mark.parametrize(
    ("change", "label", "group", "message"),
    [
        (lambda t: t, "grade", "patient", "no label column 'grade'"),
        (lambda t: t, "label", "who", "no group column 'who'"),
        (lambda t: t.assign(label="a"), "label", "patient", "holds 1 class"),
        (lambda t: t.assign(patient=t["label"]), "label", "patient", "fewer than two groups"),
        (lambda t: t, "patient", "patient", "same column"),
        (lambda t: t[["label", "patient"]], "label", "patient", "no numeric feature"),
        (lambda t: t[["label", "patient"]].assign(f=1.0), "label", "patient", "varies"),
        (lambda t: t.assign(label=None), "label", "patient", "holds 0 class"),
    ],
)
def test_refusals(change, label, group, message):
    with pytest.raises(TableError, match=message):
        train(change(make()), label, group)


@pytest.mark.parametrize(
    ("key", "value"),
    [("folds", 1), ("folds", 2.5), ("components", 0), ("components", 1.5), ("permutations", 0)],
)
def test_bad_numbers(key, value):
    with pytest.raises(ValueError, match=key):
        train(make(), "label", "patient", **{key: value})


@pytest.mark.parametrize("kind", ["category", "Int64", "bool", "string", "float"])
def test_labels_of_any_kind(kind):
    table = make(gap=8.0, features=2)
    numbers = (table["label"] == "c1").astype(int)
    table["label"] = table["label"].astype(kind) if kind in ("category", "string") else numbers.astype(kind)
    result = train(table, "label", "patient", folds=2)
    assert result.balanced_accuracy == 1
    assert result.classes == sorted(table["label"].astype(object).unique())
    json.loads(result.to_json())


def test_progress_reaches_the_end():
    seen = []
    train(make(), "label", "patient", folds=5, progress=lambda *a: seen.append(a))
    assert seen[-1] == (7, 7, "done")
