"""Reading tables."""

import pandas as pd
import pytest

from fastmed.errors import TableError
from fastmed.learn import read_table

TABLE = pd.DataFrame({"firstorder_mean": [1.5, 2.5], "label": ["a", "b"]})


def test_parquet_csv_and_folder_are_equal(tmp_path):
    TABLE.to_parquet(tmp_path / "features.parquet")
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    for path in (tmp_path, tmp_path / "features.parquet", str(tmp_path / "t.csv")):
        pd.testing.assert_frame_equal(read_table(path), TABLE)


def test_a_missing_column_is_named(tmp_path):
    TABLE.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="no column 'grade'; it has label"):
        read_table(tmp_path / "t.parquet", columns=["label", "grade"])


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no feature table"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00broken"])
def test_broken_files(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError):
        read_table(tmp_path / name)


def test_no_rows(tmp_path):
    TABLE[:0].to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="0 rows"):
        read_table(tmp_path / "t.parquet")
