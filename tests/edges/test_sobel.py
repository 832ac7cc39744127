"""sobel against SciPy, bit for bit, and what a derivative is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from against_scipy import CVALS, MODES, REAL, WRITABLE, compare, examples, images, one_or_each, refused_alike
from fastmed import sobel

IMAGE = np.arange(12.0).reshape(3, 4)


@given(images(REAL + "FD", ndims=(1, 2, 3, 4)), st.data())
@examples(120)
def test_equals_scipy(build, image, data):
    compare(
        "sobel", image, exact=True,
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)),
        mode=data.draw(one_or_each(st.sampled_from(MODES), image.ndim)),
        cval=data.draw(CVALS),
    )  # fmt: skip


@given(images(ndims=(1, 2, 3)), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE))
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into):
    compare("sobel", image, exact=True, output=dtype, into=into)


@pytest.mark.parametrize("mode", MODES)
def test_images_smaller_than_the_window(mode, build):
    for shape in [(1,), (2,), (1, 1), (2, 1, 3)]:
        image = np.random.default_rng(0).normal(size=shape)
        compare("sobel", image, exact=True, axis=0, mode=mode, cval=2)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_a_ramp_has_its_slope(ndim, build):
    ramp = np.add.outer(3.0 * np.arange(8), np.zeros((6, 5)[: ndim - 1]))
    assert np.all(sobel(ramp, 0)[1:-1] == 3 * 2 * 4 ** (ndim - 1))
    for other in range(1, ndim):
        assert not sobel(ramp, other).any()


@pytest.mark.parametrize("dtype", "bBhiqfd")
def test_a_constant_has_none(dtype, build):
    for axis in range(3):
        assert not sobel(np.full((5, 6, 7), 9, dtype), axis).any()


def test_a_horizontal_edge_is_a_horizontal_line(build):
    image = np.zeros((10, 12))
    image[5:] = 1
    found = sobel(image, 0)
    assert np.all(found[4:6] == 4) and not np.delete(found, [4, 5], 0).any()


def test_a_flip_changes_the_sign(build):
    image = np.random.default_rng(0).integers(-50, 50, (9, 8)).astype(float)
    assert np.array_equal(sobel(image[::-1], 0)[::-1], -sobel(image, 0))
    assert np.array_equal(sobel(image.T, 0).T, sobel(image, 1))


def test_unsigned_values_wrap_around_unless_a_signed_dtype_is_asked_for(build):
    image = np.array([9, 5, 1], "B")
    assert sobel(image).tolist() == [252, 248, 252]
    assert sobel(image, output=np.int16).tolist() == [-4, -8, -4]


def test_nan_and_infinity_as_in_scipy(build):
    image = np.random.default_rng(5).normal(size=(16, 33))
    image[3, 5], image[9, 20], image[10, 21] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        compare("sobel", image, exact=True)
    holds = np.zeros(image.shape, bool)
    holds[2:5, 4:7] = True
    image[9:11, 20:22] = 0
    assert np.array_equal(np.isnan(sobel(image)), holds)


@pytest.mark.parametrize(
    "arguments",
    [
        {"axis": 2}, {"axis": -3}, {"axis": 1.0}, {"axis": "x"}, {"axis": None}, {"axis": (0,)}, {"mode": "x"},
        {"mode": None}, {"mode": ["wrap"]}, {"mode": ["wrap", "x"]}, {"cval": "1"}, {"cval": None}, {"cval": 1j},
        {"output": "nope"}, {"output": 3}, {"output": object}, {"output": np.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_are_scipys_and_name_the_argument(arguments):
    message = refused_alike("sobel", IMAGE, **arguments)
    assert next(iter(arguments)) in message.lower() or "sequence argument" in message


@pytest.mark.parametrize("image", [3.0, ["a"], [[1, 2], [3]], np.zeros(3, "g"), np.zeros(3, "M8[s]")])
def test_refused_inputs(image):
    refused_alike("sobel", image)
