"""Bars, JSON and messages."""

import contextlib
import io
import itertools
import json
import signal

import numpy as np
import pytest
import typer
from rich.console import Console

from fastmed.cli import _terminal
from fastmed.cli._terminal import Steps, command, plain
from fastmed.errors import GeometryError, NoDicomError, TableError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoDicomError("x"), 3),
        (TableError("x"), 2),
        (GeometryError("x"), 2),
        (FileNotFoundError(2, "No such file", "f"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_expected_errors_end_with_their_code(error, code):
    def fails():
        raise error

    with pytest.raises(typer.Exit) as end:
        command(fails)()
    assert end.value.exit_code == code


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), ZeroDivisionError()])
def test_bugs_stay_visible(error):
    def fails():
        raise error

    with pytest.raises(type(error)):
        command(fails)()


def test_a_message_is_one_line_and_no_markup(capsys):
    with pytest.raises(typer.Exit):
        _terminal.fail("a [bold]b[/]\nc", 2)
    assert capsys.readouterr().err == "fastmed: a [bold]b[/] c\n"


def test_json_knows_numpy_and_has_no_nan():
    value = {
        "a": np.float32(0.5),
        2: np.array([1, 2]),
        "n": float("nan"),
        "t": (True, None),
        "i": np.int64(3),
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "a": 0.5,
        "2": [1, 2],
        "n": None,
        "t": [True, None],
        "i": 3,
    }


def _steps(monkeypatch, terminal, seconds):
    now = itertools.count(0, seconds)
    monkeypatch.setattr(_terminal.time, "monotonic", lambda: next(now))
    text = io.StringIO()
    return Steps("reading", "files", Console(file=text, force_terminal=terminal, width=100)), text


def test_a_short_step_shows_no_bar(monkeypatch):
    bar, text = _steps(monkeypatch, True, 0.01)
    for done in range(5):
        bar(done, 5)
    bar.stop()
    assert text.getvalue() == ""


def test_a_long_step_shows_rate_and_total(monkeypatch):
    bar, text = _steps(monkeypatch, True, 1.5)
    for done in range(1, 6):
        bar(done, 5)
    bar.stop()
    assert "reading" in text.getvalue() and "files/s" in text.getvalue() and "/5" in text.getvalue()


def test_nothing_is_shown_where_nobody_looks(monkeypatch):
    bar, text = _steps(monkeypatch, False, 10)
    for done in range(5):
        bar(done, 5)
    assert text.getvalue() == ""


def test_an_interrupt_that_was_lost_in_a_destructor_still_stops():
    class Loses:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # KeyboardInterrupt in a destructor is printed and dropped

    went_on = []

    @_terminal.command
    def work():
        with contextlib.redirect_stderr(io.StringIO()), _terminal.steps("x", "y") as bar:
            Loses()
            went_on.append("past the destructor")
            bar(1, 2)
            went_on.append("past the progress")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(typer.Exit) as end:
        work()
    assert signal.getsignal(signal.SIGINT) is before
    assert end.value.exit_code == 130
    assert went_on == ["past the destructor"]
