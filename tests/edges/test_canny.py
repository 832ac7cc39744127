"""canny equals scikit-image's on every pixel; each test below says where that could break."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import skimage.feature

import fastmed
from fastmed._engine import isa
from fastmed.edges import canny
from helpers import layouts

DTYPES = "?bBhHiIefd"
MODES = ["constant", "reflect", "mirror", "nearest", "wrap"]
peer = skimage.feature.canny


def picture(rng, shape, dtype="d", scale=1.5):
    """Smooth blobs with noise over the range of a dtype (floats: 0 to 1)."""
    image = scipy.ndimage.gaussian_filter(rng.random(shape), scale) + 0.02 * rng.random(shape)
    image = (image - image.min()) / max(np.ptp(image), 1e-9)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return image > 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return (info.min + image * (float(info.max) - info.min)).astype(dtype)
    return image.astype(dtype)


def assert_same(image, *args, **kwargs):
    found, wanted = canny(image, *args, **kwargs), peer(image, *args, **kwargs)
    assert found.dtype == bool and found.shape == image.shape
    differ = np.count_nonzero(found.view(np.uint8) != wanted.view(np.uint8))
    assert differ == 0, f"{differ} pixels differ"
    return found


# --- against scikit-image ----------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [0, 0.4, 1.0, 3.3, (0.0, 2.0), (1.5, 0)])
def test_agrees_for_every_dtype(dtype, sigma, build):
    image = picture(np.random.default_rng(1), (61, 70), dtype)
    assert_same(image, sigma)
    assert_same(image, sigma, mode="reflect")


@pytest.mark.parametrize("mode", [*MODES, ("reflect", "wrap")])
@pytest.mark.parametrize("dtype", "Bfd")
def test_agrees_for_every_mode(mode, dtype, build):
    rng = np.random.default_rng(2)
    for shape in [(33, 47), (4, 90), (90, 4), (7, 7)]:
        for cval in (0.0, 0.6, -3):
            assert_same(picture(rng, shape, dtype), 2.0, mode=mode, cval=cval)


@pytest.mark.parametrize("dtype", "Bhfd")
def test_agrees_where_the_blocks_of_rows_meet(dtype, build):
    rng = np.random.default_rng(3)
    with fastmed.num_threads(5):
        for shape in [(700, 211), (1031, 130)]:
            image = picture(rng, shape, dtype, scale=1)
            top = np.iinfo(dtype).max if dtype in "Bh" else 1.0
            for sigma, density in [(0.0, None), (1.0, 0.999), (4.0, None)]:
                mask = density and rng.random(shape) < density
                assert assert_same(image, sigma, 0.02 * top, 0.06 * top, mask).any()


@pytest.mark.parametrize("dtype", "BHfd")
@pytest.mark.parametrize("mode", MODES)
def test_agrees_with_a_mask(dtype, mode, build):
    rng = np.random.default_rng(4)
    image = picture(rng, (50, 41), dtype)
    for density in (0.0, 0.5, 0.97, 1.0):
        mask = rng.random(image.shape) < density
        assert_same(image, 1.3, mask=mask, mode=mode)
        assert_same(image, 0.7, mask=mask.astype(np.int8) * 2, mode=mode, cval=0.2)


@pytest.mark.parametrize("dtype", "?Bife")
def test_agrees_with_quantiles(dtype, build):
    rng = np.random.default_rng(5)
    image = picture(rng, (64, 53), dtype)
    for low, high in [(0, 0), (0.2, 0.9), (0.5, 0.5), (1, 1), (0, 1), (None, None), (None, 0.7)]:
        assert_same(image, 1.0, low, high, use_quantiles=True)
        assert_same(image, 1.0, low, high, rng.random(image.shape) > 0.03, True, mode="nearest")


@pytest.mark.parametrize("dtype", "Bhfd")
@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_agrees_for_every_threshold(dtype, kind, build):
    rng = np.random.default_rng(6)
    image = picture(rng, (64, 53), dtype)
    top = float(np.iinfo(dtype).max) if dtype in "Bh" else 1.0
    magnitudes = [0.0, 1e-50, 0.05, 0.1, 0.3, 1.0, -1.0, 1e300]
    for low in magnitudes:
        for high in [h for h in magnitudes if h >= low]:
            with np.errstate(over="ignore"):
                assert_same(image, 1.0, kind(low * top), kind(high * top))


@pytest.mark.parametrize("dtype", "fd")
def test_agrees_at_thresholds_that_are_magnitudes(dtype, build):
    """A threshold may equal a pixel's magnitude to the last bit; rounding decides there."""
    rng = np.random.default_rng(7)
    image = rng.integers(0, 4, (40, 40)).astype(dtype) / 8
    for threshold in np.unique(np.hypot(scipy.ndimage.sobel(image, 0), scipy.ndimage.sobel(image, 1)))[1::9]:
        assert_same(image, 0, threshold, threshold, mode="reflect")
        assert_same(image, 0, float(threshold), float(threshold), mode="reflect")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 30), (3, 3), (3, 40), (40, 3), (5, 5)])
def test_agrees_for_tiny_images(shape, build):
    rng = np.random.default_rng(8)
    for dtype in "?Bfd":
        for mode in MODES:
            assert_same(picture(rng, shape, dtype), 1.0, mode=mode)
            assert_same(picture(rng, shape, dtype), 0.3, mode=mode, mask=rng.random(shape) > 0.1)


@pytest.mark.parametrize("dtype", "Bfd")
def test_layout_does_not_matter(dtype, build):
    image = picture(np.random.default_rng(9), (40, 61), dtype)
    wanted = peer(image)
    assert wanted.any()
    for name, variant in layouts(image).items():
        assert np.array_equal(canny(variant), wanted), name
    mask = np.random.default_rng(9).random(image.shape) > 0.02
    for name, variant in layouts(mask.view(np.uint8)).items():
        assert np.array_equal(canny(image, mask=variant), peer(image, mask=mask)), name


@pytest.mark.parametrize("dtype", "fde")
def test_nan_and_infinity_leave_no_edges_where_they_spread(dtype, build):
    rng = np.random.default_rng(10)
    image = picture(rng, (60, 60), dtype)
    for value in (np.nan, np.inf, -np.inf):
        broken = image.copy()
        broken[30, 30] = value
        with np.errstate(invalid="ignore"):
            edges = assert_same(broken, 1.0)  # the window's radius is 4, Sobel's 1, a neighbour's 1
            assert edges.any() and not edges[25:36, 25:36].any()
            assert_same(broken, 0.0)
            assert_same(broken, 1.0, mask=np.isfinite(broken))
            assert not assert_same(broken, 1.0, 0.2, 0.8, use_quantiles=True).any()


def test_agrees_on_ties_and_extreme_values(build):
    """Few grey levels make equal gradients and equal neighbours; tiny and huge values under- and overflow."""
    rng = np.random.default_rng(11)
    for levels in (2, 3, 4):
        image = rng.integers(0, levels, (64, 64)).astype(float)
        assert_same(image, 0, mode="reflect")
        for factor in (1e-30, 1e-170, 1e30, 1e160):
            with np.errstate(all="ignore"):
                assert_same(image * factor, 0, 0, 0, mode="reflect")
                assert_same((image * factor).astype("f"), 0.5, 0, 0, mode="reflect")


def test_agrees_on_real_pictures(build):
    data = pytest.importorskip("skimage.data")
    for image in (data.camera(), data.coins(), data.moon()):
        for sigma in (1.0, 3.0):
            assert assert_same(image, sigma).any()


# --- what edges are ----------------------------------------------------------------------------------------
def test_a_flat_image_has_no_edges(build):
    assert not canny(np.zeros((20, 20)), 4, 0, 0).any()
    for value in (0.5, 1.0):
        flat = np.full((20, 20), value)
        assert not canny(flat, 4).any()
        assert not canny(flat, 4, mask=np.ones(flat.shape, bool), mode="reflect").any()


def disc(n=61, radius=20):
    y, x = np.mgrid[:n, :n] - n // 2
    return np.hypot(y, x) < radius


def test_the_edge_of_a_disc_is_one_closed_ring(build):
    noise = np.random.default_rng(12).uniform(size=(61, 61))
    edges = canny(disc() * 0.5 + noise * 0.05, 2.0, 0.2, 0.4)
    y, x = np.nonzero(edges)
    assert np.all(np.abs(np.hypot(y - 30, x - 30) - 19.5) < 2.5)
    assert scipy.ndimage.label(edges, np.ones((3, 3)))[1] == 1
    outside, count = scipy.ndimage.label(~edges)
    assert count >= 2 and outside[30, 30] != outside[0, 0], "the ring is closed"


def test_no_edge_touches_what_is_masked(build):
    mask = np.ones((61, 61), bool)
    mask[:, 31:] = False
    edges = canny(disc().astype(float), 1.0, mask=mask)
    assert edges[:, :30].any()
    assert not edges[:, 30:].any()


def test_what_is_masked_does_not_matter(build):
    rng = np.random.default_rng(13)
    image, mask = picture(rng, (50, 50)), rng.random((50, 50)) > 0.05
    other = np.where(mask, image, rng.normal(size=image.shape))
    assert np.array_equal(canny(image, mask=mask), canny(other, mask=mask))


def test_weak_edges_live_on_strong_ones(build):
    image = picture(np.random.default_rng(14), (90, 90))
    strong, both, weak = (canny(image, 1, low, high) for low, high in [(0.4, 0.4), (0.1, 0.4), (0.1, 0.1)])
    assert np.all(strong <= both) and np.all(both <= weak)
    labels, _ = scipy.ndimage.label(weak, np.ones((3, 3)))
    assert np.array_equal(both, np.isin(labels, np.unique(labels[strong])) & weak)
    assert strong.sum() < both.sum() < weak.sum()


def test_a_long_winding_edge_is_followed_to_its_end(build):
    """A spiral whose gradient fades along its way, so that only its first turn is strong."""
    y, x = np.mgrid[:501, :501] - 250.0
    turn = np.hypot(y, x) / 16 - np.arctan2(y, x) / (2 * np.pi)
    image = (turn % 1 < 0.5) * (0.2 + np.hypot(y, x) / 400)
    with fastmed.num_threads(3):
        edges = assert_same(image, 1.0, 0.01, 2.0)
    assert edges[200:300, 200:300].any(), "the weak middle hangs on the strong rim"


# --- Dask --------------------------------------------------------------------------------------------------
CHUNKS = [(100, 100), (32, 32), (17, 23), ((1, 2, 3, 34, 20), (1, 1, 57, 11)), (60, 1), (7, 70)]
SETTINGS = [
    {},
    {"sigma": 3.0, "mode": "wrap"},
    {"sigma": (2.0, 0.0), "mode": ("wrap", "reflect"), "low_threshold": 0.05},
    {"mode": "reflect", "low_threshold": 0.0, "high_threshold": 0.6},
    {"use_quantiles": True, "low_threshold": 0.3, "high_threshold": 0.97},
    {"cval": 0.5, "sigma": 5},
]


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_dask_equals_memory(chunks, settings, masked):
    rng = np.random.default_rng(15)
    image = picture(rng, (60, 70), rng.choice(list("Bfd")))
    mask = rng.random(image.shape) > 0.01 if masked else None
    lazy = da.from_array(image, chunks=chunks)
    found = canny(lazy, mask=mask, **settings)
    assert isinstance(found, da.Array) and found.chunks == lazy.chunks and found.dtype == bool
    assert np.array_equal(found.compute(scheduler="sync"), peer(image, mask=mask, **settings))


def test_dask_follows_an_edge_through_all_chunks():
    image = np.zeros((64, 64))
    for k in range(2, 62, 8):  # one line that winds up and down, faint but for its beginning
        image[2:62, k : k + 4] = 0.2
        image[2:6 if k % 16 == 2 else 62, k : k + 8] = 0.2
    image[:6, :6] *= 5
    edges = canny(da.from_array(image, chunks=(5, 9)), 0.0, 0.1, 1.0, mode="reflect")
    wanted = peer(image, 0.0, 0.1, 1.0, mode="reflect")
    assert wanted[40:, 40:].any()
    assert np.array_equal(edges.compute(scheduler="sync"), wanted)


def test_dask_takes_a_chunked_mask_and_is_lazy():
    image = picture(np.random.default_rng(16), (30, 40), "f")
    mask = image < 0.8

    def refuse(block):
        raise AssertionError("computed")

    lazy = da.from_array(image, chunks=7).map_blocks(refuse, dtype=image.dtype, meta=image[:0])
    assert canny(lazy, mask=da.from_array(mask, chunks=11)).shape == image.shape
    found = canny(da.from_array(image, chunks=7), mask=da.from_array(mask, chunks=11)).compute()
    assert np.array_equal(found, peer(image, mask=mask))


# --- errors ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrap", [np.asarray, lambda a: da.from_array(a, chunks=-1)], ids=["numpy", "dask"])
@pytest.mark.parametrize(
    ("image", "arguments", "error", "message"),
    [
        (np.zeros((2, 4, 4, 4)), {}, ValueError, "4 axes"),
        (np.zeros(4), {}, ValueError, "1 axes"),
        (np.zeros((0, 4)), {}, ValueError, "empty"),
        (np.zeros((4, 4), np.int64), {}, ValueError, "64-bit"),
        (np.zeros((4, 4), np.uint64), {}, ValueError, "64-bit"),
        (np.zeros((4, 4), ">i8"), {}, ValueError, "64-bit"),
        (np.zeros((4, 4)), {"low_threshold": 0.5, "high_threshold": 0.4}, ValueError, "low_threshold"),
        (np.zeros((4, 4)), {"low_threshold": 0.3}, ValueError, "low_threshold"),
        (np.zeros((4, 4)), {"use_quantiles": True, "low_threshold": -0.1}, ValueError, "low_threshold.*-0.1"),
        (np.zeros((4, 4)), {"use_quantiles": True, "high_threshold": 1.1}, ValueError, "high_threshold.*1.1"),
        (np.zeros((4, 4)), {"sigma": -1}, ValueError, "sigma"),
        (np.zeros((4, 4)), {"sigma": (1, -1)}, ValueError, "sigma"),
        (np.zeros((4, 4)), {"sigma": (1, 1, 1)}, RuntimeError, "length"),
        (np.zeros((4, 4)), {"mode": "mirrored"}, RuntimeError, "mirrored"),
        (np.zeros((4, 4)), {"mask": np.ones((4, 5), bool)}, IndexError, r"\(4, 5\)"),
    ],
)
def test_errors_are_those_of_scikit_image(image, arguments, error, message, wrap):
    with pytest.raises(error, match=message):
        canny(wrap(image), **arguments)
    with pytest.raises(error):
        peer(image, **arguments)


@pytest.mark.parametrize("dtype", ["F", "g", "O", "U3"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="dtype"):
        canny(np.zeros((4, 4)).astype(dtype))


def test_explain_names_the_kernel():
    said = fastmed.explain(canny, np.zeros((300, 300)), use_quantiles=True)
    assert "canny" in str(said) and said.backend == isa.backend()[0]
