"""Laplace operators and gradient magnitudes against SciPy, with its derivatives and the caller's own."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

import fastmed
from against_scipy import (
    CVALS,
    MODES,
    REAL,
    WRITABLE,
    compare,
    examples,
    images,
    one_or_each,
    refused_alike,
    some_axes,
)
from fastmed._engine import threads
from helpers import random_array, same

IMAGE = np.arange(12.0).reshape(3, 4) ** 2
SIGMAS = st.sampled_from([0.5, 1, 2.5])
GAUSSIANS = ["gaussian_laplace", "gaussian_gradient_magnitude"]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def forward(input, axis, output, mode, cval, *extra, backend=scipy.ndimage, factor=1):
    """A derivative of the caller's own."""
    return backend.correlate1d(input, [0, -factor, factor], axis, output, mode, cval, *extra)


@given(images(REAL + "FD"), st.data())
@examples(100)
def test_laplace_equals_scipy(build, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    mode, cval = data.draw(one_or_each(st.sampled_from(MODES), count)), data.draw(CVALS)
    compare("laplace", image, exact=True, mode=mode, cval=cval, axes=axes)


@pytest.mark.parametrize("name", GAUSSIANS)
@given(images(REAL + "FD"), st.data())
@examples(60)
def test_gaussians_equal_scipy(build, name, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    compare(
        name, image,
        sigma=data.draw(one_or_each(SIGMAS, count if name == "gaussian_laplace" else image.ndim)),
        mode=data.draw(one_or_each(st.sampled_from(MODES), count)),
        cval=data.draw(CVALS),
        axes=axes,
        **data.draw(st.sampled_from([{}, {"truncate": 1.5}, {"radius": 3}])),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["laplace", *GAUSSIANS])
@given(images(ndims=(1, 2, 3)), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE))
@examples(40)
def test_output_of_any_dtype_and_layout(name, image, dtype, into):
    more = {} if name == "laplace" else {"sigma": 1.1}
    compare(name, image, output=dtype, into=into, **more)


@pytest.mark.parametrize("name", ["generic_laplace", "generic_gradient_magnitude"])
@given(images(ndims=(0, 1, 2, 3)), st.data())
@examples(40)
def test_the_callers_own_derivative(name, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    given = {
        "mode": data.draw(one_or_each(st.sampled_from(MODES), count)),
        "cval": data.draw(CVALS),
        "axes": axes,
        "output": data.draw(st.sampled_from([None, "h", "f", "d"])),
        "extra_arguments": (data.draw(st.integers(-1, 1)),),
    }
    wanted = getattr(scipy.ndimage, name)(image, forward, **given, extra_keywords={"factor": 3})
    for backend in (scipy.ndimage, fastmed):
        found = getattr(fastmed, name)(image, forward, **given, extra_keywords={"factor": 3, "backend": backend})
        assert same(found, wanted, exact=True)


@pytest.mark.parametrize("name", ["sobel", "prewitt"])
@given(images(REAL + "F", ndims=(0, 1, 2, 3, 4)), st.data())
@examples(80)
def test_magnitude_of_own_derivatives(build, name, image, data):
    axes = data.draw(some_axes(image.ndim))
    given = {
        "mode": data.draw(one_or_each(st.sampled_from(MODES), image.ndim if axes is None else len(axes))),
        "cval": data.draw(CVALS),
        "axes": axes,
        "output": data.draw(st.sampled_from([None, "h", "f", "d"])) if image.dtype.kind != "c" else None,
    }
    wanted = scipy.ndimage.generic_gradient_magnitude(image, getattr(scipy.ndimage, name), **given)
    assert same(fastmed.generic_gradient_magnitude(image, getattr(fastmed, name), **given), wanted, exact=True)


@pytest.mark.parametrize("name", ["laplace", "magnitude"])
@pytest.mark.parametrize("dtype", "BhfdI")
@pytest.mark.parametrize("shape", [(70, 150, 40), (3, 40, 1100), (300, 70)])
def test_images_of_several_tiles(build, name, dtype, shape, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    image = random_array(np.random.default_rng(1), shape, dtype)
    for mode in ("wrap", "constant", "mirror"):
        if name == "laplace":
            compare("laplace", image, exact=True, mode=mode, cval=2)
        else:
            wanted = scipy.ndimage.generic_gradient_magnitude(image, scipy.ndimage.sobel, "d", mode, 2)
            found = fastmed.generic_gradient_magnitude(image, fastmed.sobel, "d", mode, 2)
            assert same(found, wanted, exact=True)


@pytest.mark.parametrize("dtype", "fd")
def test_nan_and_infinity_spread_as_in_scipy(build, dtype):
    image = np.random.default_rng(5).normal(size=(9, 16, 33)).astype(dtype)
    image[3, 3, 5], image[4, 9, 20], image[5, 10, 21], image[8, 0, 32] = np.nan, np.inf, -np.inf, np.inf
    for name in ("laplace", "sobel", "prewitt"):
        compare(name, image, exact=True)


@pytest.mark.parametrize("name", ["generic_laplace", "generic_gradient_magnitude"])
def test_the_callers_errors_come_through(name):
    def fails(*args):
        raise KeyError("mine")

    for function, error in [(fails, KeyError), (lambda: None, TypeError), (3, TypeError)]:
        with pytest.raises(error):
            getattr(fastmed, name)(IMAGE, function)


@pytest.mark.parametrize("name", GAUSSIANS)
@pytest.mark.parametrize("mode", [["wrap", "constant", "reflect"], ["wrap"] * 3, "wrap"])
def test_modes_that_change_from_derivative_to_derivative_on_dask(name, mode):
    image = np.random.default_rng(0).normal(size=(11, 9, 13))
    function = getattr(fastmed, name)
    for more in ({"mode": mode}, {"mode": mode if isinstance(mode, str) else mode[:2], "axes": (2, 0), "truncate": 2}):
        found = function(da.from_array(image, chunks=(4, 5, 6)), 1.2, **more)
        assert found.chunks == ((4, 4, 3), (5, 4), (6, 6, 1))
        assert same(found.compute(), function(image, 1.2, **more), 3.0)


def test_a_parabola_and_a_ramp(build):
    y, x = np.mgrid[:9, :11].astype(float)
    assert np.all(fastmed.laplace(x**2 + 3 * y**2)[1:-1, 1:-1] == 8)
    assert np.allclose(fastmed.gaussian_gradient_magnitude(3 * x + 4 * y, 1, radius=4)[4:-4, 4:-4], 5, rtol=1e-2)
    assert not fastmed.laplace(np.full((4, 5), 7)).any()


@pytest.mark.parametrize("name", ["laplace", *GAUSSIANS])
@pytest.mark.parametrize(
    "arguments",
    [
        {"axes": 2}, {"axes": (0, 0)}, {"axes": 1.5}, {"mode": "x"}, {"mode": ["wrap"]}, {"cval": "x"},
        {"output": "nope"}, {"output": 3}, {"output": np.zeros(3)}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_are_scipys(name, arguments):
    refused_alike(name, IMAGE, **({} if name == "laplace" else {"sigma": 1}), **arguments)


def test_a_complex_image_needs_a_complex_output():
    for name, more in [("laplace", {}), ("gaussian_laplace", {"sigma": 1})]:
        refused_alike(name, IMAGE.astype("F"), output=np.zeros(IMAGE.shape), **more)


def test_a_derivative_that_would_gather_a_dask_array_is_refused():
    chunked = da.ones((6, 7), chunks=3)
    with pytest.raises(TypeError, match="must give a Dask array for a Dask array"):
        fastmed.generic_gradient_magnitude(chunked, scipy.ndimage.sobel)
    with pytest.raises(TypeError, match="found ndarray"):
        fastmed.generic_laplace(chunked, lambda image, axis, *rest: np.asarray(image))
