"""generic_filter1d: SciPy's values from compiled functions of lines; what it shares is tested in test_generic.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmed
from against_scipy import CVALS, MODES, WRITABLE, compare, examples, images, origins
from fastmed.errors import NotCompiledWarning

IMAGE = np.random.default_rng(1).normal(size=(12, 13)) * 50


def running_mean(line, result):
    n = line.size - result.size + 1
    for i in range(result.size):
        result[i] = line[i : i + n].sum() / n


def difference(line, result, factor=1):
    result[:] = factor * (line[line.size - result.size :] - line[: result.size])


@pytest.mark.filterwarnings("error::fastmed.errors.NotCompiledWarning")
@examples(60)
@given(st.data(), images(small=True, ndims=(1, 2, 3)), st.integers(1, 9), st.sampled_from(MODES), CVALS)
def test_lines_equal_scipys(data, image, size, mode, cval):
    compare(
        "generic_filter1d", image, filter_size=size, mode=mode, cval=cval,
        function=data.draw(st.sampled_from([running_mean, difference])),
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)), origin=data.draw(origins([size]))[0],
        into=data.draw(st.sampled_from([None, *WRITABLE])),
    )  # fmt: skip


def test_a_line_function_that_cannot_be_compiled():
    calls = []

    def function(line, result):
        calls.append(line.size)
        result[:] = line[1:-1]

    with pytest.warns(NotCompiledWarning, match="calls"):
        assert np.array_equal(fastmed.generic_filter1d(IMAGE, function, 3), IMAGE)
    assert calls == [15] * 12
