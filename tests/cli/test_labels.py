"""Labels of a file of their own find their rows."""

import pandas as pd
import pytest

from fastmed.cli._labels import join_labels
from fastmed.errors import TableError

TABLE = pd.DataFrame({"series": ["s1", "s2", "s3"], "patient": ["p1", "p1", "p2"]})


def _file(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    return tmp_path / "labels.csv"


def test_by_patient_every_series_of_a_patient_gets_the_label(tmp_path):
    joined = join_labels(TABLE, _file(tmp_path, "patient,grade\np1,high\np2,low\n"), "grade")
    assert joined["grade"].tolist() == ["high", "high", "low"]
    assert "grade" not in TABLE


def test_the_finest_key_counts(tmp_path):
    joined = join_labels(TABLE, _file(tmp_path, "patient,series,grade\np1,s1,a\np1,s2,b\np2,s3,c\n"), "grade")
    assert joined["grade"].tolist() == ["a", "b", "c"]


def test_rows_without_a_label_hold_nothing(tmp_path):
    joined = join_labels(TABLE, _file(tmp_path, "patient,grade\np2,low\n"), "grade")
    assert joined["grade"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient,grade\np1,a\np1,b\n", "different values"),
        ("patient,grade\nDoe,a\nRoe,b\n", "hashes are wanted"),
        ("name,grade\nx,a\n", "wanted is one of series, study"),
        ("patient,other\np1,a\n", "grade"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path, text, words):
    with pytest.raises(TableError, match=words):
        join_labels(TABLE, _file(tmp_path, text), "grade")
