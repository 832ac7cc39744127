"""canny in three dimensions: against its definition in NumPy, on surfaces that are known, and under symmetries."""

from __future__ import annotations

import itertools

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed._engine import threads
from fastmed.edges import canny


def picture(seed=0, shape=(17, 22, 26), dtype="d", scale=1.5):
    """Smooth blobs over the range of a dtype, floats from 0 to 1."""
    image = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), scale)
    image = (image - image.min()) / max(np.ptp(image), 1e-9)
    if np.dtype(dtype).kind in "iu":
        image *= np.iinfo(dtype).max
    return image > 0.5 if dtype == "?" else image.astype(dtype)


def smoothed(image, sigma, mode, cval, mask):
    """What the detector differentiates, by SciPy's Gaussian."""

    def gaussian(a):
        return scipy.ndimage.gaussian_filter(a, sigma, mode=mode, cval=cval)

    if image.dtype.kind in "iu":
        image = image * (1.0 / np.iinfo(image.dtype).max)
    image = image.astype(float)
    if mask is not None:
        return gaussian(np.where(mask, image, 0)) / (gaussian(mask.astype(float)) + np.finfo(float).eps)
    if mode != "constant":
        return gaussian(image)
    return gaussian(image) / (gaussian(np.ones(image.shape)) + np.finfo(float).eps)


def defined(image, sigma=1.0, low=0.1, high=0.2, mask=None, mode="constant", cval=0.0, spacing=(1.0, 1.0, 1.0)):
    """Edges straight from the definition."""
    smooth = smoothed(image, np.array(sigma) / (spacing if spacing != (1.0, 1.0, 1.0) else 1.0), mode, cval, mask)
    mm = np.array(spacing).reshape(3, 1, 1, 1)
    gradient = np.stack([scipy.ndimage.sobel(smooth, axis) / 4 for axis in range(3)]) / mm
    magnitude = np.sqrt((gradient**2).sum(axis=0))
    direction = gradient / mm  # in elements
    share = np.abs(direction)
    order = np.argsort(-share, axis=0, kind="stable")
    share = np.take_along_axis(share, order, 0)
    toward = np.where(np.take_along_axis(direction, order, 0) > 0, 1, -1)
    weights = [share[0] - share[1], share[1] - share[2], share[2]]
    highest = np.ones(image.shape, bool)
    for sign in (1, -1):
        at = np.indices(image.shape)
        total = np.zeros(image.shape)
        for k in range(3):
            for axis in range(3):
                at[axis] += sign * toward[k] * (order[k] == axis)
            total += weights[k] * magnitude[tuple(np.clip(at[d], 0, image.shape[d] - 1) for d in range(3))]
        highest &= total <= magnitude * share[0] * (1 + 1e-9)
    inside = np.ones(image.shape, bool) if mask is None else mask
    highest &= scipy.ndimage.binary_erosion(inside, np.ones((3, 3, 3)), border_value=0)
    labels, count = scipy.ndimage.label(highest & (magnitude >= low), np.ones((3, 3, 3)))
    good = np.zeros(count + 1, bool)
    good[np.unique(labels[highest & (magnitude >= high)])] = True
    good[0] = False
    return good[labels]


SETTINGS = [
    {},
    {"mode": "reflect", "low": 0.4, "high": 0.7},
    {"mode": "wrap", "sigma": 2.0, "low": 0.02, "high": 0.3},
    {"mode": "mirror", "sigma": (0, 1.5, 0.7)},
    {"cval": 0.4, "sigma": 1.5},
    {"spacing": (2.0, 0.8, 1.1), "sigma": 1.2, "mode": "nearest"},
    {"masked": True},
    {"masked": True, "mode": "reflect", "spacing": (1.0, 3.0, 2.0), "sigma": 2.0},
]


def arguments_of(settings, shape):
    """The arguments of `defined`, and those of canny."""
    mine = dict(settings)
    if mine.pop("masked", False):
        mine["mask"] = np.random.default_rng(5).random(shape) > 0.004
    names = {"low": "low_threshold", "high": "high_threshold"}
    return mine, {names.get(k, k): v for k, v in mine.items()}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", "?BHfd")
def test_agrees_with_the_definition(settings, dtype, build):
    image = picture(dtype=dtype)
    mine, ours = arguments_of(settings, image.shape)
    top = np.iinfo(dtype).max if dtype in "BH" else 1.0
    for name in ("low_threshold", "high_threshold"):
        if name in ours:
            ours[name] *= top
    found = canny(image, **ours)
    assert found.dtype == bool and 0 < found.sum() < found.size / 2
    assert np.array_equal(found, defined(image, **mine))


@pytest.mark.parametrize("shape", [(3, 3, 3), (3, 40, 5), (50, 4, 3), (5, 3, 90), (1, 9, 9), (9, 2, 9), (4, 70, 64)])
def test_agrees_on_thin_volumes_with_any_threads(shape, monkeypatch, build):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    image = picture(3, shape, scale=0.7)
    for count in (1, 3):
        with fastmed.num_threads(count):
            assert np.array_equal(canny(image, 1.3, mode="reflect"), defined(image, 1.3, mode="reflect"))


def test_agrees_where_bars_and_slabs_meet(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    image = picture(4, (90, 150, 40), scale=1)
    with fastmed.num_threads(4):
        assert np.array_equal(canny(image, 0.8, 0.3, 0.9), defined(image, 0.8, 0.3, 0.9))


# --- surfaces ----------------------------------------------------------------------------------------------
SPACINGS = [(1.0, 1.0, 1.0), (2.0, 0.8, 1.25), (0.5, 1.0, 1.5)]


def coverage(signed, width):
    """A step as a scanner sees it: the share of a voxel that is inside, about."""
    return np.clip(0.5 - signed / width, 0, 1)


def places(shape, spacing):
    return [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_sphere_lies_within_half_a_voxel(spacing, build):
    shape = tuple(int(34 / s) | 1 for s in spacing)
    z, y, x = np.meshgrid(*places(shape, spacing), indexing="ij")
    away = np.sqrt(z * z + y * y + x * x) - 11.3
    edges = canny(coverage(away, max(spacing)), 1.0, 0.2, 0.4, mode="nearest", spacing=spacing)
    # Half a voxel across the surface: how far a step of half an element can go along the normal.
    radius = away[edges] + 11.3
    half = 0.5 * (np.abs(np.stack([z, y, x]))[:, edges] * np.array(spacing)[:, None]).sum(axis=0) / radius
    # Smoothing of variance v moves the steepest surface of a sphere inward by about v / radius.
    inward = (1 + 0.5 * max(spacing) ** 2) / 11.3
    assert edges.sum() > 500
    assert np.all((away[edges] <= half + 1e-9) & (away[edges] >= -half - inward))
    outside, _ = scipy.ndimage.label(~edges)
    assert outside[tuple(n // 2 for n in shape)] != outside[0, 0, 0], "the surface is closed"


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("normal", [(1, 0, 0), (1, 2, 0), (3, 1, 2), (-1, 1, 1), (0.2, -0.5, 1)])
def test_a_slanted_step_lies_within_half_a_voxel(normal, spacing, build):
    shape = (25, 27, 31)
    z, y, x = np.meshgrid(*places(shape, spacing), indexing="ij")
    normal = np.array(normal) / np.linalg.norm(normal)
    away = normal[0] * z + normal[1] * y + normal[2] * x - 0.3
    edges = canny(coverage(away, max(spacing)), 1.0, 0.2, 0.4, mode="nearest", spacing=spacing)
    inner = tuple(slice(5, -5) for _ in shape)
    assert edges[inner].sum() > 100
    assert np.all(np.abs(away[inner][edges[inner]]) <= 0.5 * np.abs(normal * spacing).sum() + 1e-9)


def test_a_volume_of_equal_planes_has_their_magnitudes():
    plane = picture(6, (40, 44))
    wanted = canny(plane, 1.0, 0.5, 0.5, spacing=1.0)
    found = canny(np.stack([plane] * 9), (0, 1, 1), 0.5, 0.5, mode="constant")
    assert wanted.any() and np.array_equal(found[4], wanted)


def test_square_pixels_of_a_plane_change_almost_nothing():
    plane = picture(7, (60, 64))
    assert np.count_nonzero(canny(plane) != canny(plane, spacing=1.0)) <= 2, "ties only"
    assert np.array_equal(canny(plane, 2.0, 0.1, 0.2, spacing=2.0), canny(plane, 1.0, 0.2, 0.4, spacing=1.0))


@pytest.mark.parametrize("kind", ["random", "sphere", "steps"])
def test_swapped_and_reversed_axes_give_swapped_and_reversed_edges(kind, build):
    if kind == "random":
        image = picture(8, (14, 15, 17))
    else:
        z, y, x = np.indices((15, 15, 15)) - 7
        image = (z * z + y * y + x * x < 30) * 1.0 if kind == "sphere" else ((x + y > 3) + (z > 2) + (x - z > 1)) / 3
    for sigma in (0.0, 1.0):
        wanted = canny(image, sigma)
        assert wanted.any()
        for order in itertools.permutations(range(3)):
            for flips in itertools.product((1, -1), repeat=3):
                turn = tuple(slice(None, None, f) for f in flips)
                assert np.array_equal(canny(image.transpose(order)[turn], sigma), wanted.transpose(order)[turn])


def test_an_edge_is_followed_over_corners():
    """Marks that touch at corners only hang together; those of another part do not."""
    image = picture(9, (30, 30, 30))
    weak, both, strong = (canny(image, 1, *t) for t in [(0.6, 0.6), (0.6, 1.0), (1.0, 1.0)])
    labels, _ = scipy.ndimage.label(weak, np.ones((3, 3, 3)))
    assert strong.sum() < both.sum() < weak.sum()
    assert np.array_equal(both, np.isin(labels, np.unique(labels[strong])) & weak)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_and_infinity_leave_no_edges_where_they_spread(build):
    image = picture(10, (30, 30, 30))
    for value in (np.nan, np.inf, -np.inf):
        broken = image.copy()
        broken[15, 15, 15] = value
        edges = canny(broken, 1.0, mode="reflect")
        assert edges.any() and not edges[10:21, 10:21, 10:21].any()
        masked = canny(broken, 1.0, mask=np.isfinite(broken))
        assert masked.any()


def test_what_is_masked_does_not_matter(build):
    image, mask = picture(11), np.random.default_rng(12).random((17, 22, 26)) > 0.01
    other = np.where(mask, image, 1e6)
    edges = canny(image, mask=mask)
    assert edges.any() and np.array_equal(edges, canny(other, mask=mask))
    assert not (edges & ~scipy.ndimage.binary_erosion(mask, np.ones((3, 3, 3)))).any()


def test_most_edges_are_simpleitks():
    """Its derivatives and its thinning (zero crossings) are others: nearly all of its edges lie beside ours."""
    sitk = pytest.importorskip("SimpleITK")
    z, y, x = np.indices((48, 48, 48)) - 23.5
    image = 100.0 / (1 + np.exp(np.sqrt((z / 1.2) ** 2 + y * y + (x * 1.1) ** 2) - 14))
    theirs = sitk.GetArrayFromImage(sitk.CannyEdgeDetection(sitk.GetImageFromArray(image), 5.0, 10.0, [1.0] * 3)) > 0
    ours = canny(image, 1.0, 40.0, 80.0, mode="nearest")
    beside = scipy.ndimage.binary_dilation(ours, np.ones((3, 3, 3)))
    assert ours.sum() > 1000 and (theirs & beside).sum() > 0.99 * theirs.sum() > 1000


# --- chunks ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "chunks", [(17, 22, 26), (6, 8, 9), (1, 22, 26), ((3, 14), (1, 21), (25, 1)), (17, 3, 40)], ids=str
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mode": ("wrap", "reflect", "wrap"), "sigma": 2.0},
        {"use_quantiles": True, "low_threshold": 0.6, "high_threshold": 0.97},
        {"spacing": (2.0, 0.8, 1.1), "mode": "nearest"},
        {"masked": True, "high_threshold": 0.7},
    ],
    ids=str,
)
def test_dask_equals_memory(chunks, settings):
    image = picture(13, dtype="f")
    _, ours = arguments_of(settings, image.shape)
    lazy = canny(da.from_array(image, chunks=chunks), **ours)
    wanted = canny(image, **ours)
    assert wanted.any() and np.array_equal(lazy.compute(scheduler="sync"), wanted)


def test_dask_of_a_plane_with_a_spacing():
    image = picture(14, (40, 50), "f")
    for more in ({}, {"mask": image < 0.9}, {"use_quantiles": True}):
        wanted = canny(image, 2.0, spacing=(2.0, 1.0), **more)
        lazy = canny(da.from_array(image, chunks=(9, 20)), 2.0, spacing=(2.0, 1.0), **more)
        assert wanted.any() and np.array_equal(lazy.compute(scheduler="sync"), wanted)


@pytest.mark.parametrize(
    ("spacing", "message"), [(0.0, "positive"), ((1, 2), "one number per axis"), (np.nan, "finite"), ("mm", "mm")]
)
def test_bad_spacings_are_refused(spacing, message):
    for image in (np.zeros((4, 4, 4)), da.zeros((4, 4, 4))):
        with pytest.raises(ValueError, match=message):
            canny(image, spacing=spacing)
