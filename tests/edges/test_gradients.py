"""scharr, farid, roberts... equal scikit-image's; gradient_magnitude equals its definition."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters

import fastmed
from fastmed import skimage as ours
from fastmed._engine import threads
from helpers import layouts, same

NAMES = ["sobel", "prewitt", "scharr", "farid"]
DIAGONAL = ["roberts", "roberts_pos_diag", "roberts_neg_diag"]
MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]


def picture(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)


def assert_same(found, wanted, scale=3.0):
    assert same(found, wanted, scale), np.abs(found.astype(float) - wanted).max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", "?bBhHiIqQefd")
@pytest.mark.parametrize("shape", [(40,), (33, 47), (9, 12, 14), (5, 4, 6, 7), (1, 1), (3, 1, 40), (2, 90)], ids=str)
def test_agrees(name, dtype, shape, build):
    image = picture(dtype, shape)
    mine, theirs = getattr(ours, name), getattr(skimage.filters, name)
    assert_same(mine(image), theirs(image))
    for axis in range(len(shape)):
        assert_same(mine(image, axis=axis), theirs(image, axis=axis))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [*MODES, ("wrap", "constant", "nearest")])
def test_agrees_for_modes_axes_and_masks(name, mode, build):
    mine, theirs = getattr(ours, name), getattr(skimage.filters, name)
    for dtype in "fd":
        image = picture(dtype, (11, 13, 17))
        mask = np.random.default_rng(1).random(image.shape) > 0.01
        for more in ({}, {"cval": 0.7}, {"axis": (0, 2)}, {"axis": [1]}, {"axis": 2, "mask": mask}, {"mask": mask}):
            more = {"mode": mode, **more}
            if isinstance(mode, tuple):
                found = mine(image, **more)
                padded = image
                for axis, m in enumerate(mode):
                    width = [(4, 4) if d == axis else (0, 0) for d in range(3)]
                    fill = {"constant_values": more.get("cval", 0.0)} if m == "constant" else {}
                    padded = np.pad(padded, width, {"nearest": "edge"}.get(m, m), **fill)
                rest = {k: v for k, v in more.items() if k == "axis"}
                wanted = theirs(padded, **rest)[4:-4, 4:-4, 4:-4]
                if "mask" in more:
                    wanted = wanted * scipy.ndimage.binary_erosion(mask, np.ones((3, 3, 3)))
                assert_same(found, wanted)
            else:
                assert_same(mine(image, **more), theirs(image, **more))


@pytest.mark.parametrize("name", DIAGONAL)
@pytest.mark.parametrize("dtype", "?bBhHiIqQefd")
def test_roberts_agrees(name, dtype, build):
    for shape in [(33, 47), (1, 9), (2, 2)]:
        image = picture(dtype, shape)
        for more in ({}, {"mask": np.random.default_rng(2).random(shape) > 0.02}):
            assert_same(getattr(ours, name)(image, **more), getattr(skimage.filters, name)(image, **more))


def test_units_of_work_meet(monkeypatch, build):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    with fastmed.num_threads(3):
        for shape in [(700, 130), (40, 90, 70), (3, 2000, 40)]:
            image = picture("f", shape)
            for name in NAMES:
                assert_same(getattr(ours, name)(image), getattr(skimage.filters, name)(image))


def test_layout_does_not_matter():
    image = picture("f", (20, 25))
    wanted = fastmed.gradient_magnitude(image)
    for name, variant in layouts(image).items():
        assert np.array_equal(fastmed.gradient_magnitude(variant), wanted), name


@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_a_step_counts_exactly_one_over_the_root_of_two(name, build):
    step = (np.mgrid[-5:6, -5:6][1] >= 0).astype(float)
    for image in (step, step.T):
        found, wanted = getattr(ours, name)(image), getattr(skimage.filters, name)(image)
        assert (found * np.sqrt(2) == 1).sum() == (wanted * np.sqrt(2) == 1).sum() == 22


# --- gradient_magnitude ------------------------------------------------------------------------------------
@pytest.mark.parametrize("operator", ["sobel", "prewitt", "scharr", "farid"])
@pytest.mark.parametrize("dtype", "BhIfd")
def test_magnitude_is_that_of_the_components(operator, dtype, build):
    image = picture(dtype, (9, 12, 14))
    spacing = (2.0, 0.5, 0.8)
    gain = 1.0 if operator == "farid" else 0.5
    parts = [getattr(skimage.filters, operator)(image.astype(float), axis=a) * gain / spacing[a] for a in range(3)]
    found = fastmed.gradient_magnitude(image, operator, spacing=spacing)
    wanted = np.sqrt(sum(p * p for p in parts))
    assert found.dtype == (np.float64 if dtype in "Id" else np.float32)
    assert_same(found, wanted.astype(found.dtype), scale=2 * float(np.abs(image.astype(float)).max()))


@pytest.mark.parametrize("mode", ["reflect", "wrap", "nearest"])
def test_gaussian_magnitude_is_scipys(mode, build):
    image = picture("d", (15, 18, 21))
    found = fastmed.gradient_magnitude(image, "gaussian", 1.3, mode=mode)
    assert_same(found, scipy.ndimage.gaussian_gradient_magnitude(image, 1.3, mode=mode))
    spaced = fastmed.gradient_magnitude(image, "gaussian", 2.6, mode=mode, spacing=2.0)
    assert_same(spaced, found / 2)


def test_an_axis_counts_from_the_end():
    """scikit-image 0.26 smooths along such an axis, too, which shrinks its derivative."""
    image = picture("d", (9, 11))
    assert np.array_equal(ours.sobel(image, axis=-1), ours.sobel(image, axis=1))


@pytest.mark.parametrize("operator", ["sobel", "prewitt", "scharr", "farid"])
def test_a_ramp_has_its_slope(operator, build):
    z, y, x = np.indices((14, 15, 16)).astype(float)
    spacing = (3.0, 1.0, 0.5)
    image = 2 * z * spacing[0] - y * spacing[1] + 2 * x * spacing[2]
    inner = fastmed.gradient_magnitude(image, operator, spacing=spacing)[6:-6, 6:-6, 6:-6]
    assert np.allclose(inner, 3.0, rtol=0.01)


@pytest.mark.parametrize("chunks", [(4, 5, 6), (1, 12, 14), (9, 2, 3)], ids=str)
@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant"])
def test_dask_equals_memory(chunks, mode):
    image = picture("f", (9, 12, 14))
    mask = np.random.default_rng(3).random(image.shape) > 0.01
    lazy = da.from_array(image, chunks=chunks)
    for operator in ("sobel", "farid", "gaussian"):
        found = fastmed.gradient_magnitude(lazy, operator, mask=mask, mode=mode)
        wanted = fastmed.gradient_magnitude(image, operator, mask=mask, mode=mode)
        assert np.array_equal(found.compute(scheduler="sync"), wanted)
    found = ours.scharr(lazy, mask, mode=mode).compute(scheduler="sync")
    assert np.array_equal(found, ours.scharr(image, mask, mode=mode))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"operator": "canny"}, ValueError, "operator"),
        ({"operator": "gaussian", "sigma": 0}, ValueError, "sigma"),
        ({"operator": "gaussian", "sigma": (1, 2, 3)}, RuntimeError, "length 3"),
        ({"spacing": -1}, ValueError, "spacing"),
        ({"mode": "mirrored"}, RuntimeError, "mirrored"),
        ({"mask": np.ones((4, 5))}, ValueError, r"\(4, 5\)"),
    ],
)
def test_errors_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        fastmed.gradient_magnitude(np.zeros((4, 4)), **arguments)
