"""``import fastmed`` loads nothing that it does not need yet."""

from __future__ import annotations

import ast

import pytest
from child import output_of

import fastmed
from fastmed._engine import isa

HEAVY = {
    "numba", "scipy", "sklearn", "dask", "distributed", "pydicom", "pandas", "pyarrow", "matplotlib", "jinja2",
    "skimage", "cv2", "SimpleITK", "nibabel", "typer", "rich", "threadpoolctl", "joblib",
}  # fmt: skip
LOADED = "; import sys; print(sorted({name.split('.')[0] for name in sys.modules}))"


def loaded_by(code):
    return set(ast.literal_eval(output_of(code + LOADED)))


def test_import_is_light():
    found = loaded_by("import fastmed")
    assert "fastmed" in found and not found & (HEAVY | {"numpy"})


@pytest.mark.skipif(not isa.runnable(), reason="no C++ build is installed")
@pytest.mark.parametrize("call", ["gaussian_filter(a, 1)", "median_filter(a, 3)", "uniform_filter(a, 3)", "sobel(a)"])
def test_a_call_on_a_numpy_array_loads_numpy_alone(call):
    heavy = HEAVY - {"scipy"} if call.startswith("sobel") else HEAVY  # canny stands beside sobel and asks SciPy
    assert not loaded_by(f"import numpy as np, fastmed; a = np.ones((9, 9)); fastmed.{call}") & heavy


@pytest.mark.parametrize("name", fastmed.__all__)
def test_every_name_is_there(name):
    assert getattr(fastmed, name) is not None
    assert name in dir(fastmed)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'gausian_filter'"):
        _ = fastmed.gausian_filter
