"""find_contours: scikit-image's lines, points and order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastmed
from fastmed.contours import Isolines, find_contours

measure = pytest.importorskip("skimage.measure", reason="scikit-image, the reference of iso-lines, is not installed")

CHOICES = ("low", "high")


def assert_equals_skimage(image, level, *choices, mask=None):
    found = find_contours(image, level, *choices, mask=mask)
    wanted = measure.find_contours(image, level, *choices, mask=mask)
    assert len(found) == len(wanted)
    for line, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(line, other, strict=True)


def images(seed, count):
    """Noise, masks, few grey levels, checkerboards, nested rings, NaN and infinities; sides from 2 on."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(2, 120 if i % 40 == 0 else 20, 2))
        y, x = np.indices(shape)
        yield [
            lambda s=shape: rng.random(s),
            lambda s=shape: rng.normal(size=s).astype(np.float32),
            lambda s=shape: (rng.random(s) < rng.random()).astype(np.uint8),
            lambda s=shape: rng.integers(0, rng.integers(2, 5), s),
            lambda y=y, x=x: (y + x) % 2 * 1.0,
            lambda s=shape, y=y, x=x: np.maximum(abs(y - s[0] // 2), abs(x - s[1] // 2)) // rng.integers(1, 4) % 2,
            lambda s=shape: rng.choice([0, 1, 2, 3, np.nan, np.inf, -np.inf], s),
        ][i % 7]()


@pytest.mark.parametrize("level", [None, 0.5, 1, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_scikit_image_on_random_images(build, level, masked):
    rng = np.random.default_rng(int(masked))
    for i, image in enumerate(images([int(masked), int(10 * (level or 0))], 140)):
        if level is None and not np.isfinite(image).all():
            continue
        mask = rng.random(image.shape) < 0.9 if masked else None
        assert_equals_skimage(image, level, CHOICES[i % 2], CHOICES[i // 2 % 2], mask=mask)


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
        elements=st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, float("nan"), float("inf"), float("-inf")]),
    ),
    st.sampled_from([0.0, 0.5, 1.0, 1e-300, -1.0]),
    st.sampled_from(CHOICES),
    st.sampled_from(CHOICES),
)
def test_equals_scikit_image(image, level, connected, orientation):
    assert_equals_skimage(image, level, connected, orientation)


@pytest.mark.parametrize("n", [2, 63, 64, 65, 127, 128, 129, 130])
def test_every_word_boundary(n):
    assert_equals_skimage(np.random.default_rng(n).random((5, n)), 0.5)


@pytest.mark.parametrize("dtype", ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d", ">i2", ">f4"])
@pytest.mark.parametrize("level", [-3, 0, 0.5, 1.5, 127, 300.25, 1e300, -1e300, float("inf"), float("nan")])
def test_any_dtype_and_level(dtype, level):
    image = np.random.default_rng(1).integers(0, 2 if dtype == "?" else 128, (20, 30)).astype(dtype)
    assert_equals_skimage(image, level)


def test_float16_is_taken():
    image = np.random.default_rng(2).random((20, 30)).astype(np.float16)
    assert_equals_skimage(image, 0.5)


def test_the_default_level_of_integers_does_not_wrap_around():
    image = np.full((4, 4), 100, np.uint8)
    image[1:3, 1:3] = 200
    assert len(find_contours(image)) == 1
    np.testing.assert_array_equal(find_contours(image)[0], find_contours(image, 150)[0])


def test_a_circle_is_found_where_it_is():
    y, x = np.mgrid[:101, :101]
    (line,) = find_contours(np.hypot(y - 50, x - 50), 30.0)
    assert np.array_equal(line[0], line[-1])
    assert abs(np.hypot(*(line - 50).T) - 30).max() < 0.01


def test_the_result_is_a_sequence():
    lines = find_contours(np.eye(3), 0.5)
    assert isinstance(lines, Isolines)
    assert [line.tolist() for line in lines] == [lines[i].tolist() for i in range(len(lines))]
    assert lines[-1].tolist() == lines[len(lines) - 1].tolist()
    assert np.shares_memory(lines[0], lines.points)
    assert repr(lines) == f"Isolines({len(lines)} lines, {len(lines.points)} points)"
    with pytest.raises(IndexError, match="line 9 was asked for"):
        lines[9]


def test_all_nan_gives_no_lines():
    assert len(find_contours(np.full((3, 3), np.nan))) == 0


def test_errors_say_what_is_wanted():
    image = np.eye(4)
    with pytest.raises(ValueError, match=r"at least 2x2, found shape \(1, 4\)"):
        find_contours(image[:1], 0.5)
    with pytest.raises(ValueError, match='either "high" or "low"; found fully_connected=\'middle\''):
        find_contours(image, 0.5, "middle")
    with pytest.raises(ValueError, match="found positive_orientation=None"):
        find_contours(image, 0.5, "low", None)
    with pytest.raises(ValueError, match="same shape"):
        find_contours(image, 0.5, mask=np.ones((3, 4), bool))
    with pytest.raises(TypeError, match="binary array"):
        find_contours(image, 0.5, mask=np.ones((4, 4)))
    with pytest.raises(TypeError, match="level must be a real number"):
        find_contours(image, "0.5")


def test_dask_is_computed_first():
    da = pytest.importorskip("dask.array")
    image = np.random.default_rng(3).random((30, 31))
    found, wanted = find_contours(da.from_array(image, chunks=7), 0.5), find_contours(image, 0.5)
    np.testing.assert_array_equal(found.points, wanted.points)
    assert fastmed.explain(find_contours, image).kernels == ("find_contours",)
