"""fastmed.cv2 against OpenCV on random arguments."""

import doctest

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage

from fastmed import cv2 as ours
from fastmed import errors
from fastmed._opencv import contours as our_contours
from fastmed._opencv import edges as our_edges

cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference, is not installed")

BORDERS = ["BORDER_CONSTANT", "BORDER_REPLICATE", "BORDER_REFLECT", "BORDER_REFLECT_101", "BORDER_DEFAULT"]
DTYPES = ["u1", "u2", "i2", "f4", "f8"]
DEPTHS = {"u1": ["CV_8U", "CV_16S", "CV_32F", "CV_64F"], "u2": ["CV_16U", "CV_32F", "CV_64F"],
          "i2": ["CV_16S", "CV_32F", "CV_64F"], "f4": ["CV_32F"], "f8": ["CV_64F"]}


def random_image(rng, dtypes=DTYPES):
    dtype = np.dtype(str(rng.choice(dtypes)))
    shape = (*rng.integers(1, 40, 2).tolist(), *([], [3])[rng.random() < 0.3])
    if dtype.kind == "f":
        return (rng.normal(size=shape) * 100).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def masks(rng, count):
    for i in range(count):
        noise = rng.random(tuple(rng.integers(1, 50, 2)))
        yield ((scipy.ndimage.gaussian_filter(noise, 2) if i % 2 else noise) > 0.5).astype(np.uint8) * 255


def curves(seed, count):
    """Random and traced points, int32 and float32; the latter often hold a point twice."""
    rng = np.random.default_rng(seed)
    for mask in masks(rng, count):
        points = rng.integers(-1000, 1000, (rng.integers(1, 30), 2))
        yield rng, points.astype(np.int32)
        yield rng, (rng.normal(size=points.shape) * 100).astype(np.float32)
        yield from ((rng, border) for border in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0][:3])


def as_near(found, wanted, scale=1.0):
    """Law 2: bits for integers, 1e-6 and 1e-12 of `scale` for floats."""
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if wanted.dtype.kind in "iu":
        return np.array_equal(found, wanted)
    return np.abs(found.astype(float) - wanted).max(initial=0) <= scale * (1e-6 if wanted.dtype == "f4" else 1e-12)


def test_every_number_is_opencvs():
    names = [name for name in ours.__all__ if name.isupper()]
    assert len(names) > 20
    assert {name: getattr(ours, name) for name in names} == {name: getattr(cv2, name) for name in names}
    assert all(callable(getattr(cv2, name)) for name in set(ours.__all__) - set(names))


def test_canny():
    rng = np.random.default_rng(0)
    for _ in range(30):
        image = random_image(rng, ["u1"])
        edges = np.empty(image.shape[:2], np.uint8)
        assert ours.Canny(image, 100, 300, edges) is edges
        np.testing.assert_array_equal(edges, cv2.Canny(image, 100, 300))
        wanted = cv2.Canny(image, 900, 300, None, 5, True)
        np.testing.assert_array_equal(ours.Canny(image, 900, 300, None, 5, True), wanted)
        np.testing.assert_array_equal(
            ours.Canny(image=image, threshold2=300, threshold1=900, apertureSize=5, L2gradient=True), wanted
        )
        dx, dy = (ours.Sobel(image, ours.CV_16S, *order) for order in ((1, 0), (0, 1)))
        np.testing.assert_array_equal(ours.Canny(dx, dy, 100, 300, None, True), cv2.Canny(dx, dy, 100, 300, None, True))
        np.testing.assert_array_equal(ours.Canny(dx=dx, dy=dy, threshold1=9, threshold2=300), cv2.Canny(dx, dy, 9, 300))


def test_canny_of_chunks():
    image = np.random.default_rng(1).integers(0, 256, (30, 40), dtype=np.uint8)
    found = ours.Canny(da.from_array(image, chunks=(9, 17)), 300, 800)
    np.testing.assert_array_equal(found.compute(scheduler="synchronous"), cv2.Canny(image, 300, 800))


@pytest.mark.parametrize("mode", ["RETR_EXTERNAL", "RETR_LIST", "RETR_CCOMP", "RETR_TREE"])
@pytest.mark.parametrize("method", ["CHAIN_APPROX_NONE", "CHAIN_APPROX_SIMPLE", "CHAIN_APPROX_TC89_L1"])
def test_find_contours(mode, method):
    rng = np.random.default_rng(2)
    for mask in masks(rng, 40):
        offset = tuple(rng.integers(-9, 9, 2).tolist())
        arguments = mask, getattr(cv2, mode), getattr(cv2, method)
        found, tree = ours.findContours(*arguments, offset=offset)
        wanted, wanted_tree = cv2.findContours(*arguments, offset=offset)
        assert isinstance(found, tuple) and len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
        np.testing.assert_array_equal(tree, wanted_tree)
    assert ours.findContours(np.zeros((4, 4), np.uint8), 3, 2) == ((), None)


def test_measures_of_contours():
    for rng, points in curves(3, 120):
        scale = float(np.abs(points).max()) + 1
        for flag in (False, True):
            exact = points.dtype.kind == "i"
            found, wanted = ours.contourArea(points, flag), cv2.contourArea(points, flag)
            assert found == wanted if exact else abs(found - wanted) <= 1e-12 * scale**2
            found, wanted = ours.arcLength(points, flag), cv2.arcLength(points, flag)
            assert abs(found - wanted) <= 1e-6 * max(wanted, 1)
            epsilon = float(rng.choice([0, 0.5, 2, 30]))
            simple = ours.approxPolyDP(points, epsilon, flag)
            np.testing.assert_array_equal(simple, cv2.approxPolyDP(points, epsilon, flag), strict=True)
            point = tuple((rng.choice(points.reshape(-1, 2)) + rng.choice([-3, -0.5, 0, 0.5], 2)).tolist())
            found, wanted = (module.pointPolygonTest(points, point, flag) for module in (ours, cv2))
            assert abs(found - wanted) <= 1e-6 * scale * flag
        assert ours.boundingRect(points) == cv2.boundingRect(points)


def test_moments():
    for _, points in curves(4, 120):
        found, wanted = ours.moments(points), cv2.moments(points)
        assert list(found) == list(wanted)
        scale = float(np.abs(points).max()) + 1
        for name in wanted:
            order = int(name[-1]) + int(name[-2])
            bound = scale ** (2 + order)
            if name.startswith("nu"):
                bound /= max(wanted["m00"], 1e-9) ** (1 + order / 2)
            assert abs(found[name] - wanted[name]) <= 1e-12 * max(bound, abs(wanted[name])), name
        hu, wanted_hu = ours.HuMoments(wanted), cv2.HuMoments(wanted)
        assert hu.shape == wanted_hu.shape
        assert np.abs(hu - wanted_hu).max() <= 1e-12 * max(1, np.abs(wanted_hu).max())


def test_convex_hull():
    for _, points in curves(5, 150):
        for clockwise in (False, True):
            found, wanted = (module.convexHull(points, clockwise=clockwise) for module in (ours, cv2))
            assert found.dtype == wanted.dtype and found.shape == wanted.shape
            if len(np.unique(points, axis=0)) == len(points):
                np.testing.assert_array_equal(found, wanted)
            else:
                turns = [np.array_equal(np.roll(found, i, axis=0), wanted) for i in range(len(wanted))]
                assert any(turns)


@pytest.mark.parametrize("size", [1, 3, 5, 7, 11])
def test_median_blur(size):
    rng = np.random.default_rng(size)
    for _ in range(25):
        image = random_image(rng, ["u1", "u2", "i2", "f4"] if size <= 5 else ["u1"])
        np.testing.assert_array_equal(ours.medianBlur(image, size), cv2.medianBlur(image, size), strict=True)


@pytest.mark.parametrize("border", BORDERS)
def test_smoothing_of_floats(border):
    rng = np.random.default_rng(7)
    number = getattr(cv2, border)
    for _ in range(40):
        image = random_image(rng, ["f4", "f8"])
        scale = float(np.abs(image).max())
        size = tuple(rng.integers(1, 9, 2).tolist())
        anchor = tuple(int(rng.integers(-1, n)) for n in size)
        arguments = {"borderType": number, "anchor": anchor}
        assert as_near(ours.blur(image, size, **arguments), cv2.blur(image, size, **arguments), scale)
        found, wanted = (m.boxFilter(image, -1, size, normalize=False, **arguments) for m in (ours, cv2))
        assert as_near(found, wanted, scale * size[0] * size[1])
        for odd, sigmas in (((5, 3), (1.3, 0)), ((0, 0), (0.9, 2.1)), ((7, 9), (0, 0)), ((11, 1), (0, 1.5))):
            found, wanted = (m.GaussianBlur(image, odd, sigmas[0], None, sigmas[1], number) for m in (ours, cv2))
            assert as_near(found, wanted, scale)


@pytest.mark.parametrize("border", BORDERS)
def test_derivatives(border):
    rng = np.random.default_rng(8)
    for _ in range(60):
        image = random_image(rng)
        depth = str(rng.choice(DEPTHS[image.dtype.str[1:]]))
        size, order = int(rng.choice([1, 3, 5, 7])), [(1, 0), (0, 1), (1, 1), (2, 0), (0, 2)][rng.integers(5)]
        scale, delta = (1, 0) if rng.random() < 0.7 else (2, 5)
        more = {"scale": scale, "delta": delta, "borderType": getattr(cv2, border)}
        range_ = float(np.abs(image.astype(float)).max()) * scale + delta
        number = getattr(cv2, depth)
        found, wanted = (m.Sobel(image, number, *order, ksize=size, **more) for m in (ours, cv2))
        assert as_near(found, wanted, range_ * 4 ** max(size, 3)), (image.dtype, depth, size, order)
        found, wanted = (m.Scharr(image, number, int(order[0] > 0), int(order[0] == 0), **more) for m in (ours, cv2))
        assert as_near(found, wanted, range_ * 32), (image.dtype, depth)
        found, wanted = (m.Laplacian(image, number, ksize=size, **more) for m in (ours, cv2))
        single = 1e6 if depth == "CV_64F" and image.dtype != np.float64 else 1  # OpenCV sums integers in float32
        assert as_near(found, wanted, single * range_ * 4 ** max(size, 2)), (image.dtype, depth, size)


@pytest.mark.parametrize("border", BORDERS)
def test_own_kernels(border):
    rng = np.random.default_rng(9)
    for _ in range(60):
        image = random_image(rng)
        depth = str(rng.choice(DEPTHS[image.dtype.str[1:]]))
        if depth == "CV_16S" and image.dtype == np.uint8:
            depth = "CV_32F"
        shape = tuple(rng.integers(1, 8, 2).tolist())
        kernel = rng.integers(-4, 5, shape).astype(float)
        if depth[-1] == "F":
            kernel *= 0.3
        arguments = {"anchor": tuple(int(rng.integers(-1, n)) for n in shape[::-1]), "delta": 2,
                     "borderType": getattr(cv2, border)}
        range_ = float(np.abs(image.astype(float)).max())
        found, wanted = (m.filter2D(image, getattr(cv2, depth), kernel, **arguments) for m in (ours, cv2))
        assert as_near(found, wanted, range_ * np.abs(kernel).sum() + 2), (image.dtype, depth, shape)
        kx, ky = kernel[0], kernel[:, :1]
        found, wanted = (m.sepFilter2D(image, getattr(cv2, depth), kx, ky, **arguments) for m in (ours, cv2))
        assert as_near(found, wanted, range_ * np.abs(kx).sum() * np.abs(ky).sum() + 2), (image.dtype, depth, shape)


def test_a_fitting_dst_is_filled():
    image = np.random.default_rng(10).normal(size=(9, 8))
    target = np.empty_like(image)
    assert ours.blur(image, (3, 3), target) is target
    assert as_near(target, cv2.blur(image, (3, 3)), 4)
    assert ours.blur(image, (3, 3), np.empty((2, 2))).shape == image.shape


BYTES, FLOATS = np.zeros((5, 5), np.uint8), np.zeros((5, 5))
SQUARE = np.array([[0, 0], [4, 0], [4, 4]], np.int32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ours.blur(BYTES.astype("u2"), (3, 3)), errors.NotOfferedError, "src must be of uint8.*uint16"),
        (lambda: ours.GaussianBlur(BYTES, (3, 3), 1), errors.NotOfferedError, "found dtype uint8"),
        (lambda: ours.GaussianBlur(FLOATS, (4, 3), 1), ValueError, "ksize must be odd"),
        (lambda: ours.blur(FLOATS, (3, 3), borderType=3), errors.NotOfferedError, "borderType must be one of .* 3"),
        (lambda: ours.blur(FLOATS, (3, 3), anchor=(3, 0)), ValueError, "anchor must lie in the kernel"),
        (lambda: ours.blur(FLOATS, 3), TypeError, "ksize must be two whole numbers, found 3"),
        (lambda: ours.medianBlur(FLOATS, 3), errors.NotOfferedError, "found dtype float64"),
        (lambda: ours.medianBlur(BYTES, 4), ValueError, "ksize must be odd"),
        (lambda: ours.medianBlur(BYTES[:0], 3), ValueError, "src must have shape"),
        (lambda: ours.Sobel(BYTES, 3, 0, 0), ValueError, "dx and dy"),
        (lambda: ours.Sobel(BYTES, 3, 1, 0, scale=0.5), errors.NotOfferedError, "must be whole for results of int16"),
        (lambda: ours.Sobel(BYTES, 4, 1, 0), errors.NotOfferedError, "ddepth must be one of"),
        (lambda: ours.Sobel(FLOATS, 3, 1, 0), errors.NotOfferedError, "ddepth asks for int16 of float64"),
        (lambda: ours.filter2D(BYTES, -1, FLOATS + 0.5), errors.NotOfferedError, "whole"),
        (lambda: ours.filter2D(BYTES, -1, [1, 2]), ValueError, "kernel must be finite numbers over 2 axes"),
        (lambda: ours.Scharr(BYTES, 3, 1, 1), ValueError, "dx and dy must be 1 and 0"),
        (lambda: ours.findContours(BYTES.astype("i4"), 3, 2), errors.NotOfferedError, "found dtype int32"),
        (lambda: ours.findContours(BYTES, 4, 2), errors.NotOfferedError, "mode must be one of"),
        (lambda: ours.findContours(BYTES, 3, 5), errors.NotOfferedError, "method must be one of"),
        (lambda: ours.contourArea(SQUARE.astype("f8")), TypeError, "contour must be of int32 or float32"),
        (lambda: ours.boundingRect(BYTES), TypeError, "array must be of int32 or float32, found dtype uint8"),
        (lambda: ours.contourArea(SQUARE[:0]), ValueError, "at least one point"),
        (lambda: ours.convexHull(SQUARE, returnPoints=False), errors.NotOfferedError, "returnPoints"),
        (lambda: ours.HuMoments({"nu20": 1}), TypeError, "m must hold nu20, nu11"),
        (lambda: ours.pointPolygonTest(SQUARE, (1, 2, 3), True), ValueError, "pt must be"),
        (lambda: ours.Canny(BYTES, 1), TypeError, r"Canny takes \(image, threshold1, threshold2"),
        (lambda: ours.Canny(BYTES, 1, 2, aperture=3), TypeError, "Canny takes .*'aperture'"),
        (lambda: ours.Canny(FLOATS, 1, 2), TypeError, "image must be of uint8"),
    ],
)
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("module", [our_contours, our_edges])
def test_examples_run(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0 and outcome.failed == 0
