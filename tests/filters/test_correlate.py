"""correlate1d and convolve1d against SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from against_scipy import CVALS, MODES, REAL, SEEDS, WRITABLE, compare, examples, images, refused_alike
from fastmed import convolve1d, correlate1d

IMAGE = np.arange(12.0).reshape(3, 4)
BOTH = st.sampled_from(["correlate1d", "convolve1d"])


@st.composite
def lines(draw, complex_too=False):
    """Weights of every kind that is computed apart: whole, mean-like, symmetric, antisymmetric, any."""
    size = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(SEEDS))
    weights = rng.normal(size=size)
    kind = draw(st.sampled_from(["whole", "mean", "even", "odd", "any"]))
    if kind == "whole":
        return rng.integers(-3, 4, size)
    if kind == "mean":
        return np.abs(weights) / np.abs(weights).sum()
    weights = {"even": weights + weights[::-1], "odd": weights - weights[::-1], "any": weights}[kind]
    weights /= max(1, np.abs(weights).max())
    return weights + 1j * rng.normal(size=size) if complex_too else weights


def origins(weights):
    return st.integers(-(len(weights) // 2), (len(weights) - 1) // 2)


@given(BOTH, images(REAL + "FD", ndims=(1, 2, 3, 4)), lines(), st.data())
@examples(150)
def test_equals_scipy(build, name, image, weights, data):
    compare(
        name, image,
        weights=weights,
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)),
        mode=data.draw(st.sampled_from(MODES)),
        cval=data.draw(CVALS),
        origin=data.draw(origins(weights)),
    )  # fmt: skip


@given(images(ndims=(1, 2, 3)), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE), lines())
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into, weights):
    compare("correlate1d", image, weights=weights, output=dtype, into=into)


@given(BOTH, images("bhiqfdFD", ndims=(1, 2), small=True), lines(complex_too=True), st.sampled_from(MODES), CVALS)
@examples(60)
def test_complex_weights(name, image, weights, mode, cval):
    compare(name, image, weights=weights + 0j, mode=mode, cval=cval)
    output = np.zeros(image.shape, np.complex128)
    compare(name, image.astype(np.complex128), weights=weights + 0j, mode=mode, cval=cval + 2j, output=output)


def test_complex_results_in_place():
    image = np.random.default_rng(1).normal(size=(2, 9)) + 1j
    wanted = correlate1d(image, [1, 2j, 3])
    assert correlate1d(image, [1, 2j, 3], output=image) is image
    assert np.array_equal(image, wanted)


@pytest.mark.parametrize("size", range(1, 9))
def test_origin_of_a_convolution(size, build):
    weights = np.arange(1.0, size + 1)
    for origin in range(-(size // 2), (size + 1) // 2):
        compare("convolve1d", IMAGE, weights=weights, origin=origin, axis=0)


@pytest.mark.parametrize("mode", MODES)
def test_weights_longer_than_the_image(mode, build):
    for shape in [(1,), (2,), (2, 3)]:
        compare("correlate1d", np.random.default_rng(0).normal(size=shape), weights=np.arange(11.0), mode=mode, cval=2)


def test_is_numpys_convolution(build):
    rng = np.random.default_rng(3)
    image, weights = rng.normal(size=200), rng.normal(size=9)
    assert np.allclose(convolve1d(image, weights, mode="constant"), np.convolve(image, weights, "same"), atol=1e-12)
    assert np.allclose(correlate1d(image, weights, mode="constant"), np.correlate(image, weights, "same"), atol=1e-12)


def test_nan_reaches_the_windows_that_hold_it(build):
    image = np.zeros(40, np.float32)
    image[20] = np.nan
    assert np.flatnonzero(np.isnan(correlate1d(image, [0.1, 0.2, 0.3, 0.1]))).tolist() == [19, 20, 21, 22]


@pytest.mark.parametrize("name", ["correlate1d", "convolve1d"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"weights": []}, {"weights": [[1, 2]]}, {"weights": 3.0}, {"weights": "x"}, {"weights": None}, {"axis": 2},
        {"axis": 1.0}, {"axis": "x"}, {"mode": "x"}, {"mode": ["wrap", "wrap"]}, {"cval": "1"}, {"cval": 1j},
        {"origin": 2}, {"origin": -2}, {"origin": 0.5}, {"origin": "x"}, {"output": "nope"}, {"output": 3},
        {"output": np.zeros(3)}, {"weights": [1j, 2], "output": "d"}, {"weights": [1j, 2], "cval": 1j},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_are_scipys_and_name_the_argument(name, arguments):
    message = refused_alike(name, IMAGE, **{"weights": [1, 2, 3], **arguments})
    assert next(iter(arguments)) in message.lower() or "complex" in message
