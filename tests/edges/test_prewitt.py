"""prewitt against SciPy, bit for bit, and what a derivative is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from against_scipy import CVALS, MODES, REAL, WRITABLE, compare, examples, images, one_or_each
from fastmed import prewitt


@given(images(REAL + "FD", ndims=(1, 2, 3, 4)), st.data())
@examples(120)
def test_equals_scipy(build, image, data):
    compare(
        "prewitt", image, exact=True,
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)),
        mode=data.draw(one_or_each(st.sampled_from(MODES), image.ndim)),
        cval=data.draw(CVALS),
    )  # fmt: skip


@given(images(ndims=(1, 2, 3)), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE))
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into):
    compare("prewitt", image, exact=True, output=dtype, into=into)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_ramp_has_its_slope(ndim, build):
    ramp = np.add.outer(3.0 * np.arange(8), np.zeros((6, 5)[: ndim - 1]))
    assert np.all(prewitt(ramp, 0)[1:-1] == 3 * 2 * 3 ** (ndim - 1))
    for other in range(1, ndim):
        assert not prewitt(ramp, other).any()


def test_a_transpose_swaps_the_axes(build):
    image = np.random.default_rng(0).integers(-50, 50, (9, 8)).astype(float)
    assert np.array_equal(prewitt(image.T, 0).T, prewitt(image, 1))
