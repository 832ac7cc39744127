"""The numbers behind the charts."""

import numpy as np
import pytest

from fastmed.report import _svg


def test_a_lone_pixel_is_a_dot_and_nothing_is_nothing():
    assert _svg.outline(np.array([[3, 4]])) == "M3.5 4.5h.01"
    assert _svg.outline(np.empty((0, 2))) == ""


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.7, 12.2), (1e-9, 3e-9), (-1e6, 1e6)])
def test_ticks_are_round_few_and_inside(low, high):
    found = _svg.ticks(low, high)
    assert 2 <= len(found) <= 11
    assert low <= found[0] and found[-1] <= high
    assert np.allclose(np.diff(found), found[1] - found[0])


def test_an_axis_without_extent_has_one_tick():
    assert _svg.ticks(2, 2) == [2.0]


def test_points_lie_inside_and_keep_their_order():
    chart = _svg.scatter([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], ["b", "a", "b"], [False, True, False])
    xs = [p["x"] for p in chart["points"]]
    assert xs == sorted(xs) and xs[0] > 0 and xs[-1] < chart["width"]
    assert [p["class"] for p in chart["points"]] == [1, 0, 1]
    assert [p["wrong"] for p in chart["points"]] == [False, True, False]


def test_a_point_far_out_does_not_press_the_others_into_a_line():
    chart = _svg.scatter([*np.linspace(0, 1, 50), 1e4], np.zeros(51), ["a"] * 51)
    assert [p["outside"] for p in chart["points"]] == [False] * 50 + [True] and chart["outside"] == 1
    assert chart["points"][49]["x"] - chart["points"][0]["x"] > 300
    assert chart["points"][50]["x"] == chart["width"] - 12


def test_points_that_are_not_finite_are_left_out():
    assert len(_svg.scatter([np.nan, 1.0], [0.0, 1.0], ["a", "a"])["points"]) == 1
    assert _svg.scatter([np.nan], [np.nan], ["a"])["points"] == []


def test_shares_are_of_the_true_class():
    rows = _svg.confusion([[3, 1], [0, 0]], ["a", "b"])["rows"]
    assert [c["share"] for c in rows[0]["cells"]] == [0.75, 0.25]
    assert [c["share"] for c in rows[1]["cells"]] == [0.0, 0.0]
