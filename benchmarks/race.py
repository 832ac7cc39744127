"""A race: a function of fastmed and its peers, on the same data, in the same session, round by round.

    PEERS = {"scipy": lambda image, sigma: lambda: scipy.ndimage.gaussian_filter(image, sigma)}
    WORKLOADS = [Workload(tissue, (128, 512, 512), "float32", sigma=1.0)]
    test_gaussian = race(fastmed.gaussian_filter, PEERS, WORKLOADS)

Outcomes are compared before anything is timed. Then every round runs every contender once, each round beginning with
another one, so that whatever slows the machine for a while slows all of them. A contender's ratio is the median over
the rounds of (its time / fastmed's time in that round).
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmed._engine import isa, threads

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers import same  # law 2, as the tests know it

OURS, COPY, ONE = "fastmed", "copy", "fastmed on one thread"

#: A sample lasts at least so long; shorter calls are repeated inside it.
SAMPLE_SECONDS = 2e-3
#: Fewer rounds say too little, however slow a contender is.
FEWEST_ROUNDS = 3


class CannotError(Exception):
    """A builder's way to say that its library has no such thing: the contender is left out, with this note."""


class Workload:
    """Data and arguments: ``data(shape, dtype)`` makes the array, ``arguments`` go to the function and the builders.

    `part`: so many slices of the first axis unless ``--race-full`` is given, for workloads that take a peer minutes.
    `headline`: a row of README's table.
    """

    def __init__(
        self, data: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: str, part: int = 0,
        headline: bool = False, **arguments: Any,
    ) -> None:
        self.data, self.shape, self.dtype = data, shape, dtype
        self.part, self.headline, self.arguments = part, headline, arguments

    def label(self, shape: tuple[int, ...] | None = None) -> str:
        """What is timed, in words."""
        size = "x".join(map(str, shape or self.shape))
        arguments = "".join(f", {k}={getattr(v, '__name__', v)}" for k, v in self.arguments.items())
        return f"{self.data.__name__} {size} {np.dtype(self.dtype)}{arguments}"

    def size(self, settings: Settings) -> tuple[int, ...]:
        """The shape under the options of this run."""
        if settings.small:
            return tuple(min(n, 128 if len(self.shape) < 3 else 32) for n in self.shape)
        if self.part and not settings.full:
            return (min(self.part, self.shape[0]), *self.shape[1:])
        return self.shape


@dataclass(frozen=True)
class Peer:
    """A builder whose outcome follows other conventions.

    Attributes
    ----------
    build : callable
        ``build(image, **arguments)`` -> the call that is timed.
    why : str
        How its outcome differs; printed below the table.
    tolerance : float or None
        The largest difference in the image's own units; None: outcomes are not compared at all.
    border : int
        So many elements at each edge are not compared.
    scale : float
        The outcome is multiplied by this first.
    """

    build: Callable[..., Callable[[], Any]]
    why: str
    tolerance: float | None = None
    border: int = 0
    scale: float = 1.0


@dataclass(frozen=True)
class Settings:
    """The command line: see conftest.py."""

    rounds: int = 10
    seconds: float = 30.0
    small: bool = False
    full: bool = False


@dataclass
class Heat:
    """What one workload gave."""

    label: str
    shape: tuple[int, ...]
    headline: bool = False
    seconds: dict[str, list[float]] = field(default_factory=dict)  # per call, by contender, a value per round
    iterations: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    load: tuple[float, float] = (0.0, 0.0)  # of the machine over the last minute, before and after

    def ratio(self, contender: str) -> float:
        """How many times fastmed's time the contender takes, round against round."""
        pairs = zip(self.seconds[contender], self.seconds[OURS], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def race(
    function: Callable[..., Any],
    peers: dict[str, Callable[..., Any] | Peer],
    workloads: Sequence[Workload],
    *,
    agree: Callable[[Any, Any], bool] | None = None,
) -> Callable[..., None]:
    """The test that times `function`, every installed peer and a plain copy of the array on every workload.

    Parameters
    ----------
    function : callable
        ``function(image, **arguments)``.
    peers : dict of str to callable or Peer
        Name -> builder: ``build(image, **arguments)`` imports its library, converts what is no part of the work,
        and gives back the call. It raises ImportError or CannotError where there is nothing to call.
    workloads : sequence of Workload
    agree : callable, optional
        ``agree(ours, theirs)``, for outcomes that are not arrays. Arrays are compared as law 2 of the design says.

    Returns
    -------
    function
        A test per workload and contender; those of one workload are one group of pytest-benchmark. The first runs
        the whole race, each records its own rounds.
    """
    heats: dict[int, Heat] = {}
    cases = [(i, c) for i in range(len(workloads)) for c in (OURS, *peers, COPY)]

    @pytest.mark.parametrize(("index", "contender"), cases, ids=[f"{workloads[i].label()}-{c}" for i, c in cases])
    def test(index: int, contender: str, benchmark: Any, race_settings: Settings) -> None:
        benchmark._mode = "race"  # used, whatever follows
        if index not in heats:
            heats[index] = run(function, peers, workloads[index], race_settings, agree)
        heat = heats[index]
        if contender in heat.left_out:
            pytest.skip(f"{contender}: {heat.left_out[contender]}")
        assert contender not in heat.wrong, heat.wrong[contender]
        record(benchmark, heat, contender, race_settings)

    return test


def run(function: Any, peers: dict[str, Any], workload: Workload, settings: Settings, agree: Any = None) -> Heat:
    """One race: build, compare, then time in rounds."""
    shape = workload.size(settings)
    image = workload.data(shape, workload.dtype)
    heat = Heat(f"{function.__name__}: {workload.label(shape)}", shape, workload.headline)
    calls = {OURS: lambda: function(image, **workload.arguments)}
    wanted = calls[OURS]()
    for name, peer in peers.items():
        peer = peer if isinstance(peer, Peer) else Peer(peer, "", tolerance=0.0)
        try:
            call = peer.build(image, **workload.arguments)
            found = call()
        except (ImportError, CannotError) as error:
            heat.left_out[name] = f"not installed ({error})" if isinstance(error, ImportError) else str(error)
            continue
        difference = _difference(wanted, found, peer, image, agree)
        if difference:
            heat.wrong[name] = f"{heat.label}: {name} gives another outcome than {OURS}: {difference}"
            continue
        calls[name] = call
        if peer.why:
            heat.notes[name] = peer.why
        del found
    del wanted
    target = np.empty_like(image)
    calls[COPY] = lambda: np.copyto(target, image)
    if image.ndim > 2 and threads.get_num_threads() > 1:
        calls[ONE] = lambda: _on_one_thread(calls[OURS])
    before = _load()
    _time(calls, heat, settings)
    heat.load = (before, _load())
    return heat


def _on_one_thread(call: Callable[[], Any]) -> Any:
    with threads.num_threads(1):
        return call()


def _load() -> float:
    """How many processes ran or waited to run over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _difference(ours: Any, theirs: Any, peer: Peer, image: np.ndarray, agree: Any) -> str:
    """Why the outcomes are not the same; empty when they are."""
    if peer.tolerance is None:
        return ""
    if agree is not None:
        return "" if agree(ours, theirs) else "they do not agree"
    found, wanted = np.asarray(_as_array(theirs)), np.asarray(ours)
    if not peer.why:
        scale = float(np.abs(image.astype(np.float64)).max(initial=0.0))
        if same(found, wanted, max(scale, 1.0)):
            return ""
    if found.shape != wanted.shape:
        return f"shape {found.shape}, wanted {wanted.shape}"
    inside = tuple(slice(peer.border, n - peer.border) for n in wanted.shape)
    largest = float(np.abs(found[inside] * peer.scale - wanted[inside].astype(np.float64)).max(initial=0.0))
    if peer.why and largest <= peer.tolerance:
        return ""
    allowed = f"allowed {peer.tolerance:g}" if peer.why else "allowed by law 2 is less"
    return f"dtype {found.dtype}, wanted {wanted.dtype}; largest difference {largest:g}, {allowed}"


def _as_array(result: Any) -> Any:
    if type(result).__module__.startswith("SimpleITK"):
        import SimpleITK

        return SimpleITK.GetArrayViewFromImage(result)
    return result


def _time(calls: dict[str, Callable[[], Any]], heat: Heat, settings: Settings) -> None:
    names = list(calls)
    heat.iterations = {name: _iterations(calls[name]) for name in names}
    heat.seconds = {name: [] for name in names}
    started, done = time.perf_counter(), 0
    while done < settings.rounds:
        for shift in range(len(names)):
            name = names[(done + shift) % len(names)]
            heat.seconds[name].append(_sample(calls[name], heat.iterations[name]))
        done += 1
        passed = time.perf_counter() - started
        if done >= FEWEST_ROUNDS and passed + passed / done > settings.seconds:
            break


def _iterations(call: Callable[[], Any]) -> int:
    """How many calls make a sample. It doubles, so that the first calls' warming up does not decide."""
    count = 1
    while (seconds := count * _sample(call, count)) < SAMPLE_SECONDS:
        count = max(2 * count, int(count * SAMPLE_SECONDS / max(seconds, 1e-9) * 0.9))
    return count


def _sample(call: Callable[[], Any], iterations: int) -> float:
    """Seconds per call. What a call gives is freed inside the sample, as it would be in a pipeline."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(iterations):
            call()
        return (time.perf_counter() - start) / iterations
    finally:
        if collecting:
            gc.enable()


def record(benchmark: Any, heat: Heat, contender: str, settings: Settings) -> None:
    """Put the contender's rounds into pytest-benchmark's storage.

    pytest-benchmark times one callable after the other and has no public way to take rounds that were timed elsewhere:
    `_make_stats` is what its own `pedantic` calls before it times, `update` what it calls with each duration.
    """
    benchmark.group = heat.label
    if settings.small:  # not to be compared with the same workload at its full size
        benchmark.name += " (small)"
        benchmark.fullname += " (small)"
    backend, level = isa.backend()
    benchmark.extra_info.update(
        contender=contender, shape=list(heat.shape), ratio=heat.ratio(contender), note=heat.notes.get(contender, ""),
        small=settings.small,
    )
    if contender == OURS:
        ratios = {name: heat.ratio(name) for name in heat.seconds}
        medians = {name: statistics.median(values) for name, values in heat.seconds.items()}
        benchmark.extra_info.update(
            ratios=ratios, medians=medians, left_out=heat.left_out, headline=heat.headline, build=level or backend,
            threads=threads.get_num_threads(), load=heat.load,
        )
    if benchmark.disabled:
        return
    iterations = heat.iterations[contender]
    stats = benchmark._make_stats(iterations)
    for seconds in heat.seconds[contender]:
        stats.update(seconds * iterations)
