"""correlate, convolve and their one-axis forms against SciPy, NumPy and a plain sum over windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from against_scipy import (
    CVALS,
    MODES,
    REAL,
    SEEDS,
    WRITABLE,
    compare,
    examples,
    images,
    refused_alike,
    some_axes,
    windows,
)
from fastmed import convolve1d, correlate, correlate1d

IMAGE = np.arange(12.0).reshape(3, 4)
PLAIN = st.sampled_from(["correlate", "convolve"])
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


@st.composite
def boxes(draw, ndim, complex_too=False):
    """Weights over `ndim` axes: whole, mean-like or any, some of them 0."""
    shape = draw(st.lists(st.integers(1, [1, 9, 6, 4, 3][ndim]), min_size=ndim, max_size=ndim))
    rng = np.random.default_rng(draw(SEEDS))
    weights = rng.normal(size=shape)
    kind = draw(st.sampled_from(["whole", "mean", "any"]))
    if kind == "whole":
        return rng.integers(-3, 4, shape)
    if kind == "mean":
        return np.abs(weights) / np.abs(weights).sum()
    weights = np.where(rng.random(shape) < 0.3, 0, weights / max(1, np.abs(weights).max()))
    return weights + 1j * rng.normal(size=shape) if complex_too else weights


@given(PLAIN, images(REAL + "FD"), st.data())
@examples(150)
def test_several_axes_equal_scipy(build, name, image, data):
    axes = data.draw(some_axes(image.ndim))
    weights = data.draw(boxes(image.ndim if axes is None else len(axes)))
    # With axes, weights are in the array's order and origins in that of the axes: see the next test.
    shifts = 0 if axes is not None else [data.draw(origins(range(n))) for n in weights.shape]
    compare(
        name, image, weights=weights, mode=data.draw(st.sampled_from(MODES)), cval=data.draw(CVALS), origin=shifts,
        axes=axes,
    )  # fmt: skip


def test_origins_follow_the_axes_and_weights_the_array(build):
    image, weights = np.random.default_rng(0).normal(size=(5, 6, 7)), np.arange(6.0).reshape(2, 3)
    for axes in [(0, 2), (2, 0), (-1, 1)]:
        for origin in [(0, 0), (0, -1), (-1, 0)]:
            compare("correlate", image, weights=weights, axes=axes, origin=origin)
        compare("convolve", image, weights=weights, axes=axes)


@given(images(ndims=(1, 2, 3)), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE), st.data())
@examples(60)
def test_several_axes_to_output_of_any_dtype_and_layout(image, dtype, into, data):
    compare("correlate", image, weights=data.draw(boxes(image.ndim)), output=dtype, into=into)


@given(PLAIN, images("bhifdFD", ndims=(1, 2), small=True), st.sampled_from(MODES), CVALS, st.data())
@examples(60)
def test_complex_weights_over_several_axes(name, image, mode, cval, data):
    weights = data.draw(boxes(image.ndim, complex_too=True)) / 4
    compare(name, image, weights=weights + 0j, mode=mode, cval=cval)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "shape, size", [((3, 2), (7, 9)), ((1, 1, 5), (3, 5, 2)), ((300, 3), (41, 2)), ((2, 5000), (3, 3))]
)
def test_is_the_sum_over_the_window(mode, shape, size, build):
    rng = np.random.default_rng(4)
    image, weights = rng.normal(size=shape), rng.normal(size=size)
    wanted = (windows(image, size, [0] * len(shape), mode, 2.0) * weights).sum(tuple(range(-len(size), 0)))
    assert np.allclose(correlate(image, weights, mode=mode, cval=2.0), wanted, rtol=0, atol=1e-11)


def test_nothing_is_seen_through_a_weight_of_zero(build):
    image = np.zeros((20, 30))
    image[8, 9] = np.nan
    seen = np.argwhere(np.isnan(correlate(image, [[0, 1, 0], [1, 0, 1], [0, 1e-17, 0]])))
    assert seen.tolist() == [[8, 8], [8, 10], [9, 9]]
    assert not correlate(image, np.zeros((3, 3))).any()


@pytest.mark.parametrize("name", ["correlate", "convolve"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"weights": [[]]}, {"weights": [1, 2]}, {"weights": 3.0}, {"weights": [["x"]]},
        {"weights": [1, 2], "axes": (0, 1)},
        {"axes": 0}, {"axes": (0, 2)}, {"axes": (0, 0)}, {"mode": "x"}, {"mode": ["wrap", "wrap"]}, {"cval": "1"},
        {"cval": 1j}, {"origin": 2}, {"origin": [0, -2]}, {"origin": [0]}, {"origin": 0.5}, {"origin": "x"},
        {"output": "nope"}, {"output": 3}, {"output": np.zeros(3)}, {"weights": [[1j]], "output": "d"},
        {"weights": [[1j]], "cval": 1j},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_over_several_axes(name, arguments):
    refused_alike(name, IMAGE, **{"weights": np.ones((3, 3)), **arguments})
