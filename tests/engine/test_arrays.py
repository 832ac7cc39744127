"""What a call remembers of earlier calls changes nothing but its time."""

from __future__ import annotations

import numpy as np
import pytest

import fastmed
from fastmed._engine import isa
from fastmed._engine.arrays import remembered


@pytest.fixture
def counted():
    """A remembered function, and the calls that reached it."""
    calls = []

    @remembered
    def check(*args, **kwargs):
        calls.append((args, kwargs))
        if isinstance(args[-1], str) and args[-1] == "bad":
            raise ValueError("bad")
        return tuple(args)

    return check, calls


def test_plain_arguments_are_checked_once(counted):
    check, calls = counted
    for _ in range(3):
        assert check(2, "reflect", 1.5, None, True, (3, 4)) == (2, "reflect", 1.5, None, True, (3, 4))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "first, second", [(1, 1.0), (1, True), ((1, 2), (1.0, 2.0)), ((1, 0), (True, False)), (1, np.int64(1))]
)
def test_equal_arguments_of_other_types_are_other_calls(counted, first, second):
    check, _ = counted
    check(first)
    (found,) = check(second)
    assert repr(found) == repr(second)


@pytest.mark.parametrize("value", [[1, 2], np.ones(2), (1.0, 2.0), ([1],), {1}])
def test_what_can_change_is_checked_every_time(counted, value):
    check, calls = counted
    check(value)
    check(value)
    assert len(calls) == 2


def test_keywords_and_errors_are_not_kept(counted):
    check, calls = counted
    check(1, name=2)
    check(1, name=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="bad") as caught:
            check(1, "bad")
        assert caught.value.__context__ is None
    assert len(calls) == 4


def test_a_call_is_refused_whatever_went_before():
    image = np.arange(12.0).reshape(3, 4)
    for good, bad in ((1, 1.0), ((1, 0), (1.0, 0.0)), ([1, 0], [1.0, 0.0])):
        for function in (fastmed.uniform_filter, fastmed.minimum_filter, fastmed.median_filter):
            function(image, 3, origin=good)
            with pytest.raises(TypeError, match="origin must be an integer"):
                function(image, 3, origin=bad)


def test_a_window_that_is_shared_between_calls_cannot_be_changed():
    from fastmed.filters._window import as_window

    footprint, _ = as_window(2, 3, None, 0, None)
    assert as_window(2, 3, None, 0, None)[0] is footprint
    with pytest.raises(ValueError, match="read-only"):
        footprint[0, 0] = False


def test_the_environment_is_read_at_every_call(monkeypatch):
    monkeypatch.delenv("FASTMED_ISA", raising=False)
    monkeypatch.setenv("FASTMED_BACKEND", "numba")
    assert isa.backend() == ("numba", None)
    monkeypatch.setenv("FASTMED_BACKEND", "")
    for level in isa.runnable():
        monkeypatch.setenv("FASTMED_ISA", level)
        assert isa.backend() == ("cpp", level)
        assert fastmed.explain(fastmed.sobel, np.zeros((4, 4))).isa == level
