"""Polygons: what OpenCV measures of one contour, of all at once."""

import doctest

import numpy as np
import pytest

import fastmed
from fastmed.contours import _polygons, trace_contours

cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference of polygons, is not installed")


def traced(seed, count=6, method="simple"):
    """Contours of random masks: noise of several densities and blobs."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        mask = rng.random((40, 50)) < (0.2, 0.5, 0.7, 0.4)[i % 4]
        if i % 2:
            mask = mask.repeat(3, 0).repeat(3, 1)
        yield trace_contours(mask, "tree", method)


def polygons(seed, count=60):
    """Random polygons with float32 corners, which cross themselves, and a shift."""
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(rng.integers(1, 12), 2)) * 20 + 100).astype(np.float32) for _ in range(count)]


CASES = [pytest.param(c, id=f"traced {i}") for i, c in enumerate(traced(0))]
CASES.append(pytest.param(polygons(1), id="polygons"))
every_case = pytest.mark.parametrize("contours", CASES)


@every_case
def test_areas_and_lengths(contours):
    np.testing.assert_allclose(fastmed.areas(contours), [cv2.contourArea(c) for c in contours], rtol=1e-5, atol=1e-3)
    signed = [cv2.contourArea(c, oriented=True) for c in contours]
    np.testing.assert_allclose(fastmed.areas(contours, oriented=True), signed, rtol=1e-5, atol=1e-3)
    for closed in (True, False):
        wanted = [cv2.arcLength(c, closed) for c in contours]
        np.testing.assert_allclose(fastmed.arc_lengths(contours, closed), wanted, rtol=1e-5, atol=1e-3)


def test_bounding_rects():
    for contours in traced(2):
        wanted = [cv2.boundingRect(c) for c in contours]
        np.testing.assert_array_equal(fastmed.bounding_rects(contours), wanted)
    np.testing.assert_array_equal(fastmed.bounding_rects([[[0.5, 1], [2, 4.5]]]), [[0.5, 1, 1.5, 3.5]])


@every_case
def test_moments(contours):
    found = fastmed.polygon_moments(contours)
    for i, contour in enumerate(contours):
        wanted = cv2.moments(contour)
        assert set(wanted) == set(found)
        # OpenCV's central moments are differences of large numbers.
        scale = {k: max(1.0, 200.0 ** (int(k[-1]) + int(k[-2]))) * max(wanted["m00"], 1) for k in wanted}
        for name, value in wanted.items():
            if name[0] == "m":
                assert found[name][i] == pytest.approx(value, rel=1e-4, abs=1e-8 * scale[name]), name


def test_hu_moments():
    for contours in traced(3):
        solid = [c for c in contours if cv2.contourArea(c) > 2]
        wanted = [cv2.HuMoments(cv2.moments(c.astype(np.float32))).ravel() for c in solid]
        np.testing.assert_allclose(fastmed.hu_moments(solid), np.reshape(wanted, (-1, 7)), rtol=1e-4, atol=1e-7)


def test_hu_moments_do_not_change_with_the_place():
    shape = np.array([[0, 0], [7, 1], [5, 6], [2, 3]], float)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    near, far, turned = fastmed.hu_moments([shape, shape + 1e6, 3 * shape @ turn])
    np.testing.assert_allclose(far, near, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(turned, near, rtol=1e-10, atol=1e-18)


@every_case
def test_hulls(contours, build):
    hulls = fastmed.convex_hulls(contours)
    for contour, hull in zip(contours, hulls, strict=True):
        assert hull.dtype == contour.dtype
        wanted = cv2.convexHull(contour)[:, 0]
        assert sorted(map(tuple, hull.tolist())) == sorted(map(tuple, wanted.tolist()))
    assert (fastmed.areas(hulls, oriented=True) >= 0).all()
    wanted = [cv2.contourArea(c) / max(cv2.contourArea(cv2.convexHull(c)), 1e-9) for c in contours]
    found = fastmed.solidities(contours)
    np.testing.assert_allclose(found[~np.isnan(found)], np.array(wanted)[~np.isnan(found)], rtol=1e-4)


@every_case
def test_smallest_rectangles(contours):
    for contour, (x, y, w, h, angle) in zip(contours, fastmed.min_area_rects(contours), strict=True):
        _, (cw, ch), _ = cv2.minAreaRect(contour)
        assert w * h <= cw * ch * (1 + 1e-4) + 1e-3
        assert w * h >= cw * ch * (1 - 1e-4) - 1e-3
        u = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        a, b = (contour - (x, y)) @ u, (contour - (x, y)) @ (-u[1], u[0])
        assert abs(a).max() <= w / 2 + 1e-5 and abs(b).max() <= h / 2 + 1e-5 and 0 <= angle < 90


@pytest.mark.parametrize("tolerance", [0, 0.5, 1, 1.5, 2.3, 5, 40])
@pytest.mark.parametrize("closed", [True, False])
def test_simplify_equals_opencv(build, tolerance, closed):
    compared = 0
    for contours in (*traced(4, 4), *traced(5, 2, "none"), polygons(6)):
        for contour, found in zip(contours, fastmed.simplify_contours(contours, tolerance, closed), strict=True):
            try:
                wanted = cv2.approxPolyDP(contour, tolerance, closed)[:, 0]
            except cv2.error:  # OpenCV gives up on parts that begin and end in one place
                continue
            np.testing.assert_array_equal(found, wanted, strict=True)
            compared += 1
    assert compared > 500


@every_case
def test_distances(contours, build):
    points = np.random.default_rng(7).integers(-5, 150, (40, 2)).astype(float)
    few = list(contours)[:25]
    found, inside = fastmed.contour_distances(few, points), fastmed.contains_points(few, points)
    for i, contour in enumerate(few):
        wanted = [cv2.pointPolygonTest(contour, tuple(p), True) for p in points]
        np.testing.assert_allclose(found[i], wanted, rtol=1e-6, atol=1e-6)
        assert inside[i].tolist() == [d >= 0 for d in wanted]


def test_no_contours():
    none = trace_contours(np.zeros((3, 4)))
    for function in (fastmed.areas, fastmed.arc_lengths, fastmed.solidities):
        assert function(none).shape == function([]).shape == (0,)
    assert fastmed.bounding_rects(none).shape == (0, 4)
    assert fastmed.hu_moments(none).shape == (0, 7)
    assert fastmed.min_area_rects(none).shape == (0, 5)
    assert fastmed.convex_hulls(none) == fastmed.simplify_contours(none, 1) == []
    assert fastmed.contour_distances(none, [[1, 2]]).shape == (0, 1)


def test_errors_say_what_is_wanted():
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    for call, message in [
        (lambda: fastmed.areas([[1, 2, 3]]), r"numbers of shape \(n, 2\), found int64 of shape \(3,\)"),
        (lambda: fastmed.areas([np.zeros((0, 2))]), "at least one point each"),
        (lambda: fastmed.simplify_contours([square], -1), "tolerance must be a finite number of at least 0, found -1"),
        (lambda: fastmed.contains_points([square], [1, 2]), r"points must have shape \(m, 2\), found \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_examples_run():
    outcome = doctest.testmod(_polygons)
    assert outcome.attempted > 0 and outcome.failed == 0
