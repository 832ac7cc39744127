"""canny_integer: OpenCV's Canny, bit for bit."""

import doctest

import dask.array as da
import numpy as np
import pytest

import fastmed
from fastmed._engine import isa, threads
from fastmed.edges import _canny_integer
from helpers import layouts
from peers import canny_opencv

SETTINGS = [(aperture, squared) for aperture in (3, 5, 7) for squared in (False, True)]


def images(seed, count):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield canny_opencv.random_image(rng), *canny_opencv.random_thresholds(rng)


def test_equals_opencv(build):
    pytest.importorskip("cv2", reason="OpenCV, the reference, is not installed")
    rng = np.random.default_rng(1)
    assert [text for _ in range(300) for text in canny_opencv.different(rng)] == []


def test_equals_opencv_on_several_threads_and_blocks(monkeypatch):
    cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference, is not installed")
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    noise = np.random.default_rng(2).integers(0, 256, (700, 90), dtype=np.uint8)
    weak = cv2.GaussianBlur(noise, (0, 0), 2)  # long chains of weak marks over many blocks
    for image, low, high in ((noise, 300, 1100), (weak, 2, 170), (weak, 2, 1e9)):
        for count in (1, 2, 3, 7):
            with fastmed.num_threads(count):
                found = fastmed.canny_integer(image, low, high)
            np.testing.assert_array_equal(found, cv2.Canny(image, low, high))


@pytest.mark.parametrize(("aperture", "squared"), SETTINGS)
def test_twin_equals_kernel(aperture, squared):
    for image, *limits in images(3, 25):
        found = fastmed.canny_integer(image, *limits, aperture_size=aperture, l2_gradient=squared)
        with isa.using("numba"):
            twin = fastmed.canny_integer(image, *limits, aperture_size=aperture, l2_gradient=squared)
        np.testing.assert_array_equal(found, twin, strict=True)


def test_twin_equals_kernel_for_all_derivatives():
    dx, dy = np.random.default_rng(4).choice([-32768, -32767, 0, 5, 27146, 27147, 32767], (2, 60, 60)).astype(np.int16)
    for squared in (False, True):
        found = fastmed.canny_of_gradients(dx, dy, 10, 40000, l2_gradient=squared)
        with isa.using("numba"):
            np.testing.assert_array_equal(found, fastmed.canny_of_gradients(dx, dy, 10, 40000, l2_gradient=squared))


@pytest.mark.parametrize("chunks", [(64, 64), (7, 5), (1, 9), (30, 1)])
@pytest.mark.parametrize(("aperture", "squared"), SETTINGS)
def test_chunks_equal_the_whole(chunks, aperture, squared):
    rng = np.random.default_rng(5)
    for channels in ((), (3,)):
        image = rng.integers(0, 256, (30, 41, *channels), dtype=np.uint8)
        limits = {3: (300, 700), 5: (1500, 4000), 7: (15000, 40000)}[aperture]
        chosen = {"aperture_size": aperture, "l2_gradient": squared}
        lazy = fastmed.canny_integer(da.from_array(image, chunks=(*chunks, *channels)), *limits, **chosen)
        wanted = fastmed.canny_integer(image, *limits, **chosen)
        assert wanted.any() and lazy.dtype == wanted.dtype
        np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), wanted, strict=True)


def test_layout_does_not_matter_and_input_stays(build):
    image = np.random.default_rng(6).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    before, wanted = image.copy(), fastmed.canny_integer(image, 200, 600)
    for layout, variant in layouts(image).items():
        np.testing.assert_array_equal(fastmed.canny_integer(variant, 200, 600), wanted, layout)
    gradients = np.random.default_rng(7).integers(-500, 500, (2, 20, 30)).astype(np.int16)
    wanted = fastmed.canny_of_gradients(*gradients, 100, 300)
    for layout, variant in layouts(gradients[0]).items():
        np.testing.assert_array_equal(fastmed.canny_of_gradients(variant, gradients[1], 100, 300), wanted, layout)
    assert np.array_equal(image, before)


def test_a_step_is_one_line_and_thresholds_take_either_order():
    image = np.zeros((9, 12), np.uint8)
    image[:, 6:] = 50
    edges = fastmed.canny_integer(image, 20, 100)
    assert edges[:, 5].all() and np.count_nonzero(edges) == 9
    np.testing.assert_array_equal(fastmed.canny_integer(image, 100, 20), edges)
    assert not fastmed.canny_integer(image, 20, 200).any()  # a length has to exceed its threshold


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (0, 4, 3), (1, 1), (1, 1, 4)])
def test_empty_and_single(shape, build):
    assert fastmed.canny_integer(np.zeros(shape, np.uint8), 1, 2).tolist() == np.zeros(shape[:2]).tolist()


def test_what_is_refused():
    image = np.zeros((5, 5), np.uint8)
    for wrong, error, text in (
        (image.astype(float), TypeError, "image must be of uint8, found dtype float64"),
        (image > 0, TypeError, "image must be of uint8, found dtype bool"),
        (image[0], ValueError, r"image must have 2 axes \(row, column\).*found shape \(5,\)"),
        (image[..., None][..., :0], ValueError, r"at least one channel, found shape \(5, 5, 0\)"),
    ):
        with pytest.raises(error, match=text):
            fastmed.canny_integer(wrong, 1, 2)
        with pytest.raises(error, match=text):
            fastmed.canny_integer(da.from_array(wrong), 1, 2)
    for aperture in (1, 4, 9, None, True):
        with pytest.raises(ValueError, match="aperture_size must be 3, 5 or 7, found"):
            fastmed.canny_integer(image, 1, 2, aperture_size=aperture)
    for limit in (np.nan, np.inf, 2.0**31):
        with pytest.raises(ValueError, match="threshold2 must be a number below"):
            fastmed.canny_integer(image, 1, limit)
    with pytest.raises(TypeError, match="threshold1"):
        fastmed.canny_integer(image, "1", 2)
    gradient = image.astype(np.int16)
    with pytest.raises(TypeError, match="dy must be of int16, found dtype uint8"):
        fastmed.canny_of_gradients(gradient, image, 1, 2)
    with pytest.raises(ValueError, match="dx and dy must have one shape"):
        fastmed.canny_of_gradients(gradient, gradient[:4], 1, 2)
    with pytest.raises(TypeError, match="dx must be an array in memory, found a Dask array"):
        fastmed.canny_of_gradients(da.from_array(gradient), gradient, 1, 2)


def test_examples_run():
    outcome = doctest.testmod(_canny_integer)
    assert outcome.attempted > 0 and outcome.failed == 0
