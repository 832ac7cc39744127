"""fill_contours: the inverse of tracing; and any polygon by the centres of pixels."""

import doctest

import numpy as np
import pytest

import fastmed
from fastmed.contours import _fill, trace_contours


def masks(seed, count):
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(0, 100 if i % 20 == 0 else 16, 2))
        y, x = np.indices(shape)
        yield [
            lambda s=shape: rng.random(s) < rng.random(),
            lambda y=y, x=x: (x + y) % 2 == 0,
            lambda s=shape, y=y, x=x: np.maximum(abs(y - s[0] // 2), abs(x - s[1] // 2)) // rng.integers(1, 3) % 2 == 0,
            lambda y=y, x=x: (x % 3 == 0) ^ (y % 4 == 0),
        ][i % 4]()


@pytest.mark.parametrize("method", ["simple", "none"])
@pytest.mark.parametrize("mode", ["list", "ccomp", "tree"])
def test_filling_gives_every_mask_back(build, mode, method):
    for mask in masks([len(mode), len(method)], 200):
        filled = fastmed.fill_contours(trace_contours(mask, mode, method), mask.shape)
        np.testing.assert_array_equal(filled, mask, strict=True)


def test_filling_stacks_and_labels(build):
    rng = np.random.default_rng(8)
    stack = rng.random((5, 20, 30)) < 0.5
    stack[2] = False
    np.testing.assert_array_equal(fastmed.fill_contours(trace_contours(stack, "tree"), stack.shape), stack)
    labels = rng.integers(-2, 5, (40, 50)).repeat(2, 0).astype(np.int32)
    np.testing.assert_array_equal(fastmed.fill_contours(fastmed.trace_labels(labels, "list"), labels.shape), labels)


def test_external_contours_are_filled():
    mask = np.pad(np.zeros((3, 4), bool), 1, constant_values=True)
    mask[2, 2] = True
    assert fastmed.fill_contours(trace_contours(mask, "external"), mask.shape).all()


def test_any_polygon_by_its_centers(build):
    square = [[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]]
    found = fastmed.fill_contours([square], (4, 6), "centers")
    assert found.astype(int).tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]
    points = np.stack(np.meshgrid(np.arange(30), np.arange(25)), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(9)
    for _ in range(20):
        moved = rng.normal(size=(rng.integers(3, 12), 2)) * 20 + 10
        inside = fastmed.contour_distances([moved], points)[0].reshape(25, 30)
        filled = fastmed.fill_contours([moved], (25, 30), "centers")
        np.testing.assert_array_equal(filled[abs(inside) > 1e-9], inside[abs(inside) > 1e-9] > 0)


def test_no_contours():
    assert not fastmed.fill_contours(trace_contours(np.zeros((3, 4))), (3, 4)).any()


def test_errors_say_what_is_wanted():
    square = [[0, 0], [4, 0], [4, 4], [0, 4]]
    for arguments, message in [
        (([square], (4, 5)), r"must lie inside shape \(4, 5\)"),
        (([[[0, 0], [4, 1]]], (9, 9)), "along rows, columns and diagonals"),
        (([[[0.5, 0]]], (9, 9)), "whole numbers"),
        (([square], (9, 9, 9)), "shape must have 2 numbers"),
        (([square], (9, 9), "odd"), "rule must be one of 'pixels', 'centers'"),
        (([[[0, np.nan]]], (9, 9), "centers"), "must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastmed.fill_contours(*arguments)


def test_examples_run():
    outcome = doctest.testmod(_fill)
    assert outcome.attempted > 0 and outcome.failed == 0
