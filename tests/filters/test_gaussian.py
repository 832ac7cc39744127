"""gaussian_filter against SciPy, and what a Gaussian is."""

from __future__ import annotations

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
from fastmed import gaussian_filter, gaussian_filter1d
from helpers import same

SIGMAS = st.sampled_from([0, 0.3, 0.7, 1, 2.5])
IMAGE = np.arange(12.0).reshape(3, 4)


@given(images(REAL + "FD"), st.data())
@examples(120)
def test_equals_scipy(build, image, data):
    axes = data.draw(some_axes(image.ndim))
    count = image.ndim if axes is None else len(axes)
    compare(
        "gaussian_filter", image,
        sigma=data.draw(one_or_each(SIGMAS, count)),
        order=data.draw(one_or_each(st.sampled_from([0, 0, 0, 1, 2, 3]), count)),
        mode=data.draw(one_or_each(st.sampled_from(MODES), count)),
        cval=data.draw(CVALS),
        axes=axes,
        truncate=data.draw(st.sampled_from([4.0, 4.0, 1.5, 0.0])),
        radius=data.draw(st.none() | one_or_each(st.integers(0, 6), count)),
    )  # fmt: skip


@given(images(), st.sampled_from("bBhHiqfd"), st.none() | st.sampled_from(WRITABLE))
@examples(60)
def test_output_of_any_dtype_and_layout(image, dtype, into):
    compare("gaussian_filter", image, sigma=1.3, output=dtype, into=into if image.ndim else None)


@given(images("FD", ndims=(1, 2)), st.sampled_from("FD"), st.sampled_from(MODES))
@examples(20)
def test_complex(image, dtype, mode):
    compare("gaussian_filter", image, sigma=1, output=dtype, mode=mode)


def test_complex_output_of_a_complex_image_is_promoted_or_refused():
    image = IMAGE.astype("F")
    for function in (gaussian_filter1d, scipy.ndimage.gaussian_filter1d):
        with pytest.warns(UserWarning, match="complex"):
            assert function(image, 1, output=np.float32).dtype == np.complex64
    refused_alike("gaussian_filter", image, 1, output=np.float32)
    refused_alike("gaussian_filter", image, 1, output="f")
    refused_alike("gaussian_filter", image, 1, output=np.zeros(image.shape, "f"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", "Bhfd")
def test_windows_longer_than_the_image(mode, dtype, build):
    image = np.random.default_rng(3).integers(0, 200, (5, 3)).astype(dtype)
    compare("gaussian_filter", image, sigma=[3, 12], mode=mode, cval=2)
    compare("gaussian_filter", image[:1], sigma=9, mode=mode)


@pytest.mark.parametrize("dtype", "hfd")
def test_long_windows(dtype, build):
    image = np.random.default_rng(4).normal(0, 100, (2, 700)).astype(dtype)
    compare("gaussian_filter", image, sigma=60, axes=1)


def _places(shape):
    return np.add.reduce(np.indices(shape), 0)


#: Integers whose sums lie at or next to whole numbers, or are as large as they get: where float sums cannot decide.
HARD = {
    "constant": lambda shape, low, high: np.full(shape, high - 7),
    "extremes": lambda shape, low, high: np.where(_places(shape) % 3 > 0, low, high),
    "ramp": lambda shape, low, high: low // 2 + _places(shape) * 3 % (high // 2),
    "step": lambda shape, low, high: np.where(np.indices(shape)[-1] > shape[-1] // 2, high, low),
    "mirrored": lambda shape, low, high: high // 2 * (np.sign(np.indices(shape)[-1] - shape[-1] // 2) + (low == 0)),
    "constants side by side": lambda shape, low, high: np.broadcast_to(np.linspace(low, high, shape[-1]), shape),
    "noise": lambda shape, low, high: np.random.default_rng(5).integers(low, high + 1, shape),
    "small noise": lambda shape, low, high: np.random.default_rng(6).integers(max(low, -2), 3, shape),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("dtype", "bBhH")
def test_integers_that_float_sums_do_not_decide(kind, dtype, build):
    info = np.iinfo(dtype)
    for shape in ((6, 19, 83), (7, 130), (300,)):
        image = HARD[kind](shape, info.min, info.max).astype(dtype)
        compare("gaussian_filter", image, sigma=1)
        compare("gaussian_filter", image, sigma=3, mode="constant", cval=1.5)
        compare("gaussian_filter", image, sigma=2, order=1)
        for axis in range(image.ndim):
            compare("gaussian_filter1d", image, sigma=1.7, axis=axis)


def test_rows_and_columns_do_not_change_a_sum(build):
    """Whatever block an element falls into, its float32 sum is the same to the last bit."""
    image = np.random.default_rng(7).normal(0, 100, (37, 45, 150)).astype(np.float32)
    whole = gaussian_filter(image, 1.5)
    reach = 6
    part = gaussian_filter(image[5:30, 3:41, 9:120], 1.5)
    inner = tuple(slice(reach, n - reach) for n in part.shape)
    assert np.array_equal(part[inner], whole[5:30, 3:41, 9:120][inner])
    assert np.array_equal(gaussian_filter(image.transpose(0, 2, 1).copy().transpose(0, 2, 1), 1.5), whole)


def test_large_outputs_of_any_layout():
    """Outputs above 8 MB go past the caches, those with gaps or at odd addresses too or not at all."""
    image = np.random.default_rng(8).integers(-2000, 2000, (3, 1500, 1001)).astype(np.int16)
    wanted = scipy.ndimage.gaussian_filter(image, 1)
    assert np.array_equal(gaussian_filter(image, 1), wanted)
    for places in (np.s_[..., :2002:2], np.s_[:, ::-1, 1:1002]):
        memory = np.full((3, 1500, 2004), 7, np.int16)
        layout = memory[places]
        gaussian_filter(image, 1, output=layout)
        assert np.array_equal(layout, wanted)
        layout[...] = 7
        assert (memory == 7).all()


def test_a_constant_stays(build):
    for value in (0.1, -7e8):
        found = gaussian_filter(np.full((9, 8, 7), value), [0.4, 3, 1])
        assert np.allclose(found, value, rtol=1e-14, atol=0)


def test_an_impulse_gives_the_bell(build):
    image = np.zeros((21, 17))
    image[10, 8] = 1
    x, y = np.arange(-10, 11), np.arange(-8, 9)
    bells = [np.where(abs(r) <= 6, np.exp(-(r**2) / (2 * 1.5**2)), 0) for r in (x, y)]
    wanted = np.multiply.outer(bells[0] / bells[0].sum(), bells[1] / bells[1].sum())
    assert same(gaussian_filter(image, 1.5), wanted)


def test_derivatives_of_polynomials(build):
    x = np.arange(60.0)
    inside = slice(20, 40)
    first, second = (lambda a, k=k: gaussian_filter(a, 3, order=k, truncate=6)[inside] for k in (1, 2))
    assert np.allclose(first(3 * x), 3)
    assert np.allclose(first(x**2), 2 * x[inside])
    assert np.allclose(second(x**2), 2, rtol=1e-5)


def test_axes_can_be_swapped_and_flipped(build):
    image = np.random.default_rng(0).normal(size=(19, 23))
    found = gaussian_filter(image, [1, 2])
    assert same(gaussian_filter(image.T, [2, 1]).T, found, 4)
    assert same(gaussian_filter(image[::-1], [1, 2])[::-1], found, 4)


def test_nan_spreads_over_the_windows_that_hold_it(build):
    image = np.random.default_rng(1).normal(size=(15, 17))
    image[6, 7] = np.nan
    holds = np.zeros(image.shape, bool)
    holds[4:9, 4:11] = True
    found = gaussian_filter(image, 1, radius=[2, 3])
    assert np.array_equal(np.isnan(found), holds)
    wanted = scipy.ndimage.gaussian_filter(image, 1, radius=[2, 3])
    assert same(found, wanted, 4)
    image[6, 7] = np.inf
    found = gaussian_filter(image, 1, radius=[2, 3])
    assert np.array_equal(found == np.inf, holds) and np.isfinite(found[~holds]).all()


def test_float16_is_rounded_once():
    image = np.random.default_rng(2).normal(size=(9, 9)).astype("e")
    wanted = scipy.ndimage.gaussian_filter(image.astype("d"), 1)
    found = gaussian_filter(image, 1)
    assert found.dtype == np.float16
    assert np.all(np.abs(found - wanted) <= np.spacing(np.abs(found)))


@pytest.mark.parametrize(
    "arguments",
    [
        {"sigma": "x"}, {"sigma": None}, {"sigma": 1j}, {"sigma": [1]}, {"sigma": [1, 2, 3]}, {"sigma": []},
        {"sigma": [1, "2"]}, {"sigma": np.inf}, {"order": -1}, {"order": 0.5}, {"order": [0, 1.0]}, {"order": "x"},
        {"order": None}, {"order": [0, -1]}, {"order": [1]}, {"radius": -1}, {"radius": 1.0}, {"radius": "x"},
        {"radius": [1, -1]}, {"radius": [1]}, {"truncate": "x"}, {"truncate": None}, {"truncate": np.inf},
        {"truncate": np.nan}, {"truncate": -9}, {"mode": "x"}, {"mode": None}, {"mode": ["wrap"]}, {"mode": []},
        {"mode": ["wrap", "x"]}, {"cval": "1"}, {"cval": None}, {"cval": 1j}, {"axes": 2}, {"axes": (0, 5)},
        {"axes": (0, 0)}, {"axes": (0, -2)}, {"axes": 1.0}, {"axes": "x"}, {"axes": NotImplemented},
        {"output": "nope"}, {"output": 3}, {"output": [1]}, {"output": object}, {"output": "S3"},
        {"output": np.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_are_scipys_and_name_the_argument(arguments):
    message = refused_alike("gaussian_filter", IMAGE, **{"sigma": 1, **arguments})
    name = next(iter(arguments))
    assert name in message.lower() or "sequence argument" in message or "axis" in message


@pytest.mark.parametrize("image", [["a"], [[1, 2], [3]], np.zeros(3, "g"), np.zeros(3, "M8[s]"), np.zeros(3, "O")])
def test_refused_inputs(image):
    refused_alike("gaussian_filter", image, 1)


def test_unfiltered_axes():
    for sigma in (0, -1, 1e-16, np.nan):
        compare("gaussian_filter", IMAGE, sigma=sigma)
        assert gaussian_filter(IMAGE, sigma) is not IMAGE


@given(images(REAL + "FD", ndims=(1, 2, 3, 4)), st.data())
@examples(60)
def test_one_axis_equals_scipy(build, image, data):
    compare(
        "gaussian_filter1d", image,
        sigma=data.draw(st.sampled_from([0.3, 0.7, 1, 2.5])),
        axis=data.draw(st.integers(-image.ndim, image.ndim - 1)),
        order=data.draw(st.integers(0, 3)),
        mode=data.draw(st.sampled_from(MODES)),
        cval=data.draw(CVALS),
        truncate=data.draw(st.sampled_from([4.0, 1.5])),
        radius=data.draw(st.none() | st.integers(0, 6)),
    )  # fmt: skip


def test_one_axis_is_a_part_of_all_axes(build):
    image = np.random.default_rng(0).normal(size=(20, 30))
    both = gaussian_filter1d(gaussian_filter1d(image, 1.5, 0), 1.5, 1)
    assert np.array_equal(both, gaussian_filter(image, 1.5))


@pytest.mark.parametrize(
    "arguments",
    [
        {"sigma": 0}, {"sigma": -1}, {"sigma": "x"}, {"sigma": None}, {"axis": 2}, {"order": -1}, {"radius": -1},
        {"radius": 1.5}, {"mode": "x"}, {"mode": ["wrap"]}, {"cval": "x"}, {"output": np.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_refusals_of_one_axis(arguments):
    refused_alike("gaussian_filter1d", IMAGE, **{"sigma": 1.0, **arguments})


@pytest.mark.parametrize("shape", [(9, 70, 200), (37, 21, 333), (5, 1, 17), (1, 90, 64), (2, 4, 30, 48)])
@pytest.mark.parametrize("mode", ["reflect", "wrap", "nearest", "constant", ["mirror", "constant", "wrap"]])
def test_floats_in_three_dimensions_have_one_result(shape, mode):
    """Whatever the tiles, the layout, the threads and the place of the output; and it is SciPy's."""
    image = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    options = {"sigma": (0.6, 1.3, 3), "mode": mode, "axes": (-3, -2, -1)}
    found = fastmed.gaussian_filter(image, **options)
    wanted = scipy.ndimage.gaussian_filter(image.astype(float), **options)
    assert np.allclose(found, wanted, rtol=0, atol=1e-6 * np.ptp(image))
    before = fastmed.get_num_threads()
    try:
        for threads in (1, 3):
            fastmed.set_num_threads(threads)
            assert np.array_equal(fastmed.gaussian_filter(np.asfortranarray(image), **options), found)
            assert np.array_equal(fastmed.gaussian_filter(image[..., ::-1].copy()[..., ::-1], **options), found)
            target = image.copy()
            fastmed.gaussian_filter(target, **options, output=target)
            assert np.array_equal(target, found)
    finally:
        fastmed.set_num_threads(before)


def test_large_floats_leave_past_the_caches_the_same():
    """Results of 8 MB and more are streamed: rows that begin at cache lines from registers, others by a buffer."""
    image = np.random.default_rng(4).random((35, 256, 256), np.float32)
    found = fastmed.gaussian_filter(image, 1.5)
    assert np.array_equal(fastmed.gaussian_filter(image[:, :96], 1.5)[:, :80], found[:, :80])
    room = np.empty(image.size + 64, np.float32)
    start = -room.ctypes.data % 64 // 4
    for offset in (0, 3):
        target = room[start + offset : start + offset + image.size].reshape(image.shape)
        fastmed.gaussian_filter(image, 1.5, output=target)
        assert np.array_equal(target, found)


def test_a_masked_gaussian_whose_weights_float32_cannot_hold():
    """With long windows a far element's weight is below the least float32: it counts all the same."""
    image, mask = np.full((1, 1, 61), 3, np.float32), np.zeros((1, 1, 61), bool)
    mask[..., 0] = True
    found = fastmed.gaussian_filter(image, 1, radius=30, mask=mask)
    assert np.allclose(found[..., :31], 3, rtol=0, atol=1e-6) and np.isnan(found[..., 31:]).all()
