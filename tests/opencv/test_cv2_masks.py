"""fastmed.cv2 against OpenCV: components, thresholds, erosion and dilation, means of bytes, smallest rectangles."""

import doctest

import numpy as np
import pytest
from test_cv2 import BORDERS, curves, random_image

from fastmed import cv2 as ours
from fastmed import errors
from fastmed._opencv import components, levels, rectangles

cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference, is not installed")


def noise(rng):
    return (rng.random(tuple(rng.integers(1, 70, 2))) < rng.choice([0.1, 0.3, 0.5, 0.6, 0.8])).astype(np.uint8) * 7


@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_are_numbered_as_opencvs(connectivity):
    rng = np.random.default_rng(connectivity)
    for _ in range(150):
        image = noise(rng)
        for ltype in (ours.CV_32S, ours.CV_16U):
            found, wanted = (m.connectedComponents(image, None, connectivity, ltype) for m in (ours, cv2))
            assert found[0] == wanted[0]
            np.testing.assert_array_equal(found[1], wanted[1], strict=True)
        if (image == 0).any():
            found, wanted = (m.connectedComponentsWithStats(image, connectivity=connectivity) for m in (ours, cv2))
            assert found[0] == wanted[0]
            for a, b in zip(found[1:], wanted[1:], strict=True):
                np.testing.assert_array_equal(a, b, strict=True)


def test_components_of_a_large_image():
    image = (np.random.default_rng(1).random((700, 900)) < 0.4).astype(np.uint8)  # OpenCV cuts it for its threads
    for connectivity in (4, 8):
        found, wanted = (m.connectedComponents(image, connectivity=connectivity)[1] for m in (ours, cv2))
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", [n for n in ours.__all__ if n.startswith("THRESH_")])
def test_threshold(kind):
    rng = np.random.default_rng(2)
    for _ in range(80):
        image = random_image(rng)
        level = float(rng.choice([rng.choice(image.ravel()), rng.normal() * 100, -1e5, 1e5, 255, -1, 254.5]))
        top = float(rng.choice([255, 1, 99.5, 100.5, -7, 1e6]))
        found, wanted = (m.threshold(image, level, top, getattr(cv2, kind)) for m in (ours, cv2))
        assert found[0] == wanted[0]
        np.testing.assert_array_equal(found[1], wanted[1], strict=True)


@pytest.mark.parametrize("border", [None, *BORDERS])
@pytest.mark.parametrize("name", ["erode", "dilate"])
def test_morphology(name, border):
    rng = np.random.default_rng(3)
    more = {} if border is None else {"borderType": getattr(cv2, border)}
    for _ in range(60):
        image = random_image(rng)
        kernel = (rng.random(tuple(rng.integers(1, 7, 2))) < 0.7).astype(np.uint8)
        kernel[tuple(rng.integers(0, n) for n in kernel.shape)] = 1
        if rng.random() < 0.3:
            kernel[...] = 1
        anchor = tuple(int(rng.integers(-1, n)) for n in kernel.shape[::-1])
        found, wanted = (getattr(m, name)(image, kernel, anchor=anchor, **more) for m in (ours, cv2))
        np.testing.assert_array_equal(found, wanted, strict=True)
        if border in (None, "BORDER_CONSTANT"):
            times = int(rng.integers(0, 4))
            found, wanted = (getattr(m, name)(image, None, iterations=times, **more) for m in (ours, cv2))
            np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.parametrize("border", BORDERS)
def test_means_of_bytes(border):
    rng = np.random.default_rng(4)
    for _ in range(120):
        image = random_image(rng, ["u1"]) // np.uint8(rng.choice([1, 50]))
        size = tuple(rng.integers(1, 17, 2).tolist())
        count = size[0] * size[1]
        if count > 1 and count & (count - 1) == 0:
            continue
        more = {"anchor": tuple(int(rng.integers(-1, n)) for n in size), "borderType": getattr(cv2, border)}
        np.testing.assert_array_equal(ours.blur(image, size, **more), cv2.blur(image, size, **more), strict=True)
        found, wanted = (m.boxFilter(image, -1, size, normalize=False, **more) for m in (ours, cv2))
        np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.parametrize("size", [(3, 1), (5, 3), (7, 7), (11, 13)])
def test_every_mean_of_bytes(size):
    """Each sum that a window of so many pixels can have."""
    count = size[0] * size[1]
    sums = np.arange(255 * count + 1)
    image = np.clip(sums[None] - 255 * np.arange(count)[:, None], 0, 255).astype(np.uint8)
    found, wanted = (m.blur(image, (1, count)) for m in (ours, cv2))
    np.testing.assert_array_equal(found, wanted)


def test_smallest_rectangles():
    tried = 0
    for _, points in curves(5, 250):
        found, wanted = ours.minAreaRect(points), cv2.minAreaRect(points)
        near = 1e-3 * max(1.0, float(np.abs(points).max()) / 1000)
        flat = [np.array([*r[0], *r[1], r[2]]) for r in (found, wanted)]
        assert np.abs(flat[0] - flat[1]).max() <= near, (points.tolist(), found, wanted)
        assert all(isinstance(n, float) for part in found[:2] for n in part)
        corners, theirs = ours.boxPoints(wanted), cv2.boxPoints(wanted)
        assert corners.dtype == np.float32
        assert np.abs(corners - theirs).max() <= 1e-6 * max(1.0, float(np.abs(theirs).max()))
        tried += 1
    assert tried > 700


def test_rectangles_of_round_things():
    """Many are equally small."""
    for radius in np.arange(1, 30, 0.5):
        y, x = np.ogrid[-30:31, -30:31]
        for mask in (np.hypot(x, y) <= radius, np.maximum(abs(x), abs(y)) <= radius, abs(x) + abs(y) <= radius):
            (border,) = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
            found, wanted = ours.minAreaRect(border), cv2.minAreaRect(border)
            np.testing.assert_allclose([*found[0], *found[1], found[2]], [*wanted[0], *wanted[1], wanted[2]], atol=1e-3)


BYTES = np.zeros((5, 5), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ours.blur(BYTES, (4, 2)), errors.NotOfferedError, r"no power of two.*found \(4, 2\)"),
        (lambda: ours.blur(BYTES, (17, 17)), errors.NotOfferedError, "at most 256 pixels"),
        (lambda: ours.connectedComponents(BYTES.astype("i4")), errors.NotOfferedError, "image must be of uint8"),
        (lambda: ours.connectedComponents(BYTES, connectivity=6), ValueError, "connectivity must be 4 or 8, found 6"),
        (lambda: ours.connectedComponents(BYTES, ltype=0), errors.NotOfferedError, "ltype must be one of"),
        (lambda: ours.connectedComponents(BYTES[None]), ValueError, "image must have 2 axes"),
        (lambda: ours.connectedComponentsWithStats(BYTES + 1), errors.NotOfferedError, "a pixel that is 0"),
        (lambda: ours.threshold(BYTES, 1, 2, 8), errors.NotOfferedError, "type must be one of"),
        (lambda: ours.threshold(BYTES, np.nan, 2, 0), ValueError, "thresh and maxval must be finite"),
        (lambda: ours.erode(BYTES, np.zeros((3, 3))), ValueError, "kernel must have 2 axes and an element"),
        (lambda: ours.erode(BYTES, None, borderValue=0), errors.NotOfferedError, "borderValue must be left out"),
        (lambda: ours.dilate(BYTES, None, iterations=2, borderType=2), errors.NotOfferedError, "iterations must be"),
        (lambda: ours.boxPoints((1, 2)), TypeError, "box must be"),
    ],
)
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("module", [components, levels, rectangles])
def test_examples_run(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0 and outcome.failed == 0
