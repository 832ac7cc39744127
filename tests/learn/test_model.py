"""The saved model predicts what scikit-learn predicts; a damaged file is refused."""

import numpy as np
import pandas as pd
import pytest

from fastmed.errors import TableError
from fastmed.learn import Model, load_model, pipeline, save_model


def fitted(classes, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(120, 6)) * [1, 10, 100, 1, 1, 1]
    y = np.array([f"c{i}" for i in np.arange(120) % classes])
    x[np.arange(120), np.arange(120) % classes] += 2
    x[::7, 2] = np.nan
    x[:, 5] = np.nan
    return pipeline().fit(x, y), x, rng.normal(size=(200, 6)) * 3


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_equals_scikit_learn(classes, tmp_path):
    sklearn_pipeline, x, unseen = fitted(classes)
    names = [f"f{i}" for i in range(6)]
    save_model(Model.from_pipeline(sklearn_pipeline, names, "label"), tmp_path / "m.npz")
    model = load_model(tmp_path / "m.npz")
    for rows in (x, unseen):
        np.testing.assert_allclose(model.decision(rows), sklearn_pipeline.decision_function(rows), atol=1e-9)
        assert (model.predict(rows) == sklearn_pipeline.predict(rows)).all()
        np.testing.assert_allclose(model.scores(rows), sklearn_pipeline[:-1].transform(rows), atol=1e-9)
    table = pd.DataFrame(unseen, columns=names)[names[::-1]]
    assert (model.predict(table) == sklearn_pipeline.predict(unseen)).all()
    assert (model.label, model.features) == ("label", names)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    model = Model.from_pipeline(fitted(3)[0], list("abcdef"))
    save_model(model, tmp_path / "a.npz")
    save_model(model, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_damage_is_found(tmp_path):
    path = tmp_path / "m.npz"
    model = Model.from_pipeline(fitted(2)[0], list("abcdef"))
    save_model(model, path)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["intercept"] = arrays["intercept"] + 1e-9
    np.savez(path, **arrays)
    with pytest.raises(TableError, match="SHA-256"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(content)
    with pytest.raises(TableError, match="not a fastmed model"):
        load_model(path)


def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path / "m.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(TableError, match="not a fastmed model"):
        load_model(tmp_path / "m.npz")


def test_a_missing_column_is_named():
    model = Model.from_pipeline(fitted(2)[0], list("abcdef"))
    with pytest.raises(TableError, match="'f'"):
        model.predict(pd.DataFrame(np.zeros((2, 5)), columns=list("abcde")))
    with pytest.raises(TableError, match="6 columns"):
        model.predict(np.zeros((2, 5)))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.npz")
