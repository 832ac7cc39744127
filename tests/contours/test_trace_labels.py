"""trace_labels: for each label what trace_contours gives of it alone."""

import itertools

import numpy as np
import pytest
import scipy.ndimage

from fastmed.contours import trace_contours, trace_labels
from fastmed.contours._trace import METHODS, MODES

every_way = pytest.mark.parametrize(("mode", "method"), list(itertools.product(MODES, METHODS)))


def assert_equals_each_alone(labels, mode, method):
    found = trace_labels(labels, mode, method)
    at = 0
    for label in np.unique(labels[labels != 0]):
        wanted = trace_contours(labels == label, mode, method)
        for i, border in enumerate(wanted):
            assert found.labels[at + i] == label
            np.testing.assert_array_equal(found[at + i], border)
        links = np.where(wanted.hierarchy < 0, -1, wanted.hierarchy + at)
        np.testing.assert_array_equal(found.hierarchy[at : at + len(wanted)], links)
        at += len(wanted)
    assert len(found) == at == len(found.labels)


def images(seed, count):
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(1, 90 if i % 10 == 0 else 20, 2))
        y, x = np.indices(shape)
        yield [
            lambda s=shape: rng.integers(0, rng.integers(2, 5), s),
            lambda s=shape: scipy.ndimage.label(rng.random(s) < 0.5)[0],
            lambda s=shape, y=y, x=x: np.maximum(abs(y - s[0] // 2), abs(x - s[1] // 2)) // rng.integers(1, 3) % 4,
            lambda s=shape: rng.integers(-2, 3, s).repeat(3, 0).repeat(3, 1),
            lambda y=y, x=x: (x + y) % 3,
            lambda s=shape: rng.integers(0, 2, s) * rng.integers(-(2**31), 2**31 - 1, s),
        ][i % 6]().astype(np.int32)


@every_way
def test_equals_each_label_alone(build, mode, method):
    for labels in images([MODES[mode], METHODS[method]], 90):
        assert_equals_each_alone(labels, mode, method)


def test_one_label_is_a_mask(build):
    mask = np.random.default_rng(1).random((200, 300)) < 0.6
    found, wanted = trace_labels(mask, "tree", "none"), trace_contours(mask, "tree", "none")
    for name in ("points", "offsets", "hierarchy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), strict=True)
    assert (found.labels == 1).all()


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 4)])
def test_no_labels_no_borders(build, shape):
    assert len(trace_labels(np.zeros(shape, np.int32))) == 0


@pytest.mark.parametrize("dtype", ["b", "B", "h", "H", "i", "I", "q", "Q", ">i4"])
def test_any_integers(dtype):
    labels = np.random.default_rng(2).integers(0, 4, (30, 40))
    found, wanted = trace_labels(labels.astype(dtype)[::-1]), trace_labels(labels[::-1])
    np.testing.assert_array_equal(found.points, wanted.points)
    np.testing.assert_array_equal(found.labels, wanted.labels)


def test_errors_say_what_is_wanted():
    with pytest.raises(ValueError, match="labels must fit into int32, found values from 0 to 2147483648"):
        trace_labels(np.array([[0, 2**31]]))
    with pytest.raises(TypeError, match="labels has dtype float64; integers or bool are wanted"):
        trace_labels(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"labels must have 2 axes \(row, column\), found 3"):
        trace_labels(np.zeros((2, 3, 4), int))
    with pytest.raises(ValueError, match="mode must be one of"):
        trace_labels(np.zeros((3, 4), int), "all")
