"""What must be known of all blocks before values are made: ranges, thresholds, quantiles.

A survey is a trip over all blocks. Each gives a part, parts are joined, and the numbers that come out complete the
step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..edges import _canny, _quantiles
from ..enhance import _rescale
from ..segment import _histogram, _threshold

if TYPE_CHECKING:
    from ._steps import Step

#: Parts that wait until they are joined.
TOGETHER = 64


@dataclass(frozen=True)
class Survey:
    """One trip.

    Attributes
    ----------
    part : callable
        ``part(values, before)``: what a block gives; `before` is the outcome of the survey before.
    join : callable
        ``join(parts)``: a part again.
    outcome : callable
        ``outcome(joined, before)``.
    """

    part: Callable[[np.ndarray, Any], Any]
    join: Callable[[list[Any]], Any]
    outcome: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Surveys:
    """All trips of a step.

    Attributes
    ----------
    trips : sequence of Survey
    looked : Step
        Gives the values of a block that are looked at.
    numbers : callable
        ``numbers(outcome)``: what is noted, as numbers of JSON.
    settle : callable
        ``settle(step, numbers)``: the step that makes the values.
    """

    trips: Sequence[Survey]
    looked: Step
    numbers: Callable[[Any], list[Any]]
    settle: Callable[[Step, list[Any]], Step]


def _first(joined: Any, before: Any) -> Any:
    return joined


# --- rescale_intensity ----------------------------------------------------------------------------------------


def of_range(values: Step) -> Surveys:
    trip = Survey(_range, _rescale.joined_range, _first)
    return Surveys([trip], values, _two, _with_known)


def _range(values: np.ndarray, before: Any) -> Any:
    return _rescale.value_range(values)


def _two(found: Any) -> list[Any]:
    return [float(v) for v in found]


def _with_known(step: Step, numbers: list[Any]) -> Step:
    return replace(step, arguments={**step.arguments, "known": tuple(numbers)}, surveys=None)


# --- threshold_otsu -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Counting:
    """Parts of a histogram of images of this dtype; `before` is the range of all, where that comes first."""

    dtype: np.dtype
    nbins: int

    def at_once(self, values: np.ndarray, before: Any) -> _histogram.Counts:
        return _histogram.counted(values, self.nbins)

    def in_bins(self, values: np.ndarray, before: Any) -> _histogram.Counts:
        return _histogram.add_up(values, _histogram.empty_bins(self.dtype, before, self.nbins))

    def threshold(self, joined: Any, before: Any) -> Any:
        return _threshold.threshold_of(joined, self.dtype)


def of_threshold(values: Step, nbins: int) -> Surveys:
    counting = _Counting(values.dtype, nbins)
    last = Survey(counting.at_once, _histogram.joined, counting.threshold)
    if _histogram.one_by_one(values.dtype):
        return Surveys([last], values, _one, _with_threshold)
    trips = [Survey(_range, _rescale.joined_range, _first), replace(last, part=counting.in_bins)]
    return Surveys(trips, values, _one, _with_threshold)


def _one(found: Any) -> list[Any]:
    return [np.asarray(found).item()]


def _with_threshold(step: Step, numbers: list[Any]) -> Step:
    return replace(step, arguments={**step.arguments, "threshold": numbers[0]}, surveys=None)


# --- canny with quantiles -------------------------------------------------------------------------------------


def of_quantiles(magnitudes: Step, low: float, high: float) -> Surveys:
    count = Survey(_bins, _joined_bins, _Wanting((low, high)).wanted)
    take = Survey(_taken, _joined_bins, _quantiles_of)
    return Surveys([count, take], magnitudes, _two, _with_limits)


@dataclass(frozen=True)
class _Wanting:
    quantiles: tuple[float, float]

    def wanted(self, joined: Any, before: Any) -> _quantiles.Wanted:
        return _quantiles.Wanted([joined], self.quantiles)


def _bins(values: np.ndarray, before: Any) -> Any:
    return _quantiles.count(np.ascontiguousarray(values))


def _taken(values: np.ndarray, before: Any) -> Any:
    return before.take(np.ascontiguousarray(values))


def _joined_bins(parts: list[Any]) -> Any:
    """Pairs (what, how often) of parts as one."""
    what, where = np.unique(np.concatenate([w for w, _ in parts]), return_inverse=True, equal_nan=False)
    counts = np.zeros(what.size, np.int64)
    np.add.at(counts, where, np.concatenate([c for _, c in parts]))
    return what, counts


def _quantiles_of(joined: Any, before: Any) -> Any:
    return before.quantiles([joined])


def _with_limits(step: Step, numbers: list[Any]) -> Step:
    as_volume = len(step.halo) == 3 or step.arguments["spacing"] is not None
    assert step.surveys is not None
    low, high = numbers
    low, high = _canny._comparable(low, high, step.surveys.looked.dtype, as_volume)
    return replace(step, arguments={**step.arguments, "low": low, "high": high}, surveys=None)
