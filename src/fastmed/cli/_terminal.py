"""What all commands share: messages, exit codes, progress bars, JSON."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console

from ..errors import BackendError, FastmedError, NoDicomError, SeriesError

DONE, BUG, BAD_INPUT, NOTHING_USABLE, INTERRUPTED = 0, 1, 2, 3, 130

#: The end of every command's help.
EXIT_CODES = (
    "Exit codes: 0 done (files that could not be read are counted, not fatal); 2 wrong usage or input that "
    "cannot be used; 3 nothing usable in it; 130 stopped with Ctrl-C."
)

#: A bar appears only when a step lasts longer than this many seconds.
PATIENCE = 2.0


def console() -> Console:
    """Messages and bars go to stderr: stdout is for results."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str, code: int) -> NoReturn:
    """Say in one line what is wrong, and end with `code`."""
    line = " ".join(str(message).split())
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(f"fastmed: {line}")
    raise typer.Exit(code)


_interrupted = False


@contextlib.contextmanager
def noting_interrupts() -> Iterator[None]:
    """Remember Ctrl-C while a command runs.

    Python raises KeyboardInterrupt wherever the main thread is, and where that is a destructor or a callback from C
    it is printed and lost. Progress and the command's end look at the note and raise it again.
    """
    global _interrupted
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        global _interrupted
        _interrupted = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that was lost on its way."""
    if _interrupted:
        raise KeyboardInterrupt


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn expected errors of a command into one line and an exit code; all others stay visible as bugs."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            with noting_interrupts():
                result = function(*args, **kwargs)
                raise_if_interrupted()
                return result
        except KeyboardInterrupt:
            fail("stopped; what was finished is kept", INTERRUPTED)
        except NoDicomError as error:
            fail(str(error), NOTHING_USABLE)
        except (FastmedError, SeriesError, BackendError) as error:
            fail(str(error), BAD_INPUT)
        except OSError as error:
            name = f": {error.filename}" if error.filename else ""
            fail(f"{error.strerror or error}{name}", BAD_INPUT)

    return call


def folder(path: Path, name: str) -> Path:
    """`path` if it is a folder that can be listed; ends the command otherwise."""
    if not path.exists():
        fail(f"{name} {path} does not exist; a folder is wanted", BAD_INPUT)
    if not path.is_dir():
        fail(f"{name} {path} is a file; a folder is wanted", BAD_INPUT)
    return path


def output_folder(path: Path, archive: Path | None = None) -> Path:
    """`path` if it is, or can become, a folder that is not the archive; ends the command otherwise."""
    if path.exists() and not path.is_dir():
        fail(f"--out {path} is a file; a folder is wanted", BAD_INPUT)
    if archive is not None and path.exists() and path.samefile(archive):
        fail(f"--out {path} is the archive itself; another folder is wanted", BAD_INPUT)
    path.mkdir(parents=True, exist_ok=True)
    return path


def print_json(document: Any) -> None:
    """One JSON document on stdout. What is not finite becomes null: NaN is not JSON."""
    sys.stdout.write(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """`value` in the types that JSON knows."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


class Steps:
    """A progress bar that waits until a step turns out to be long, with rate and time left."""

    def __init__(self, title: str, unit: str, target: Console) -> None:
        self._title, self._unit, self._console = title, unit, target
        self._began = time.monotonic()
        self._first = -1  # what was done at the first call
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int | None = None) -> None:
        """Note that `done` of `total` are done."""
        raise_if_interrupted()
        if not self._console.is_terminal:
            return
        if self._first < 0:
            self._began, self._first = time.monotonic(), done
        if self._bar is None:
            if time.monotonic() - self._began < PATIENCE:
                return
            self._start(done)
        self._bar.update(self._task, completed=done, total=total, rate=self._rate(done))

    def _rate(self, done: int) -> str:
        """Of this run: what an earlier one had done when the step began is not this one's speed."""
        return f"{(done - self._first) / max(time.monotonic() - self._began, 1e-9):.1f} {self._unit}/s"

    def _start(self, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(self._title, total=None, completed=done, rate="")
        self._bar.start()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


@contextlib.contextmanager
def steps(title: str, unit: str) -> Iterator[Steps]:
    """A :class:`Steps` for a ``with`` block, quiet where stderr is not a terminal."""
    bar = Steps(title, unit, console())
    try:
        yield bar
    finally:
        bar.stop()


@contextlib.contextmanager
def extraction() -> Iterator[Callable[[int, int, str], None]]:
    """What `fastmed.jobs.extract` wants as `progress`: a bar for the scan, then one for the series."""
    bars: dict[str, Steps] = {}

    def show(done: int, total: int, name: str) -> None:
        phase, unit = ("finding series", "files") if name == "scan" else ("extracting features", "series")
        if phase not in bars:
            for bar in bars.values():
                bar.stop()
            bars[phase] = Steps(phase, unit, console())
        bars[phase](done, total)

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.stop()
