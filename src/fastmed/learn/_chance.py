"""How sure a score is, and what chance alone would reach. All of it resamples groups, never rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray, n_classes: int) -> float:
    """Mean recall over the classes that occur."""
    total = np.bincount(truth, minlength=n_classes)
    right = np.bincount(truth[truth == predicted], minlength=n_classes)
    return float((right[total > 0] / total[total > 0]).mean())


def interval(
    truth: np.ndarray, predicted: np.ndarray, group: np.ndarray, n_classes: int, rng: np.random.Generator,
    n: int = 2000, level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of the balanced accuracy: percentiles over `n` draws of groups, with replacement."""
    _, index = np.unique(group, return_inverse=True)
    n_groups = int(index.max()) + 1
    total = np.zeros((n_groups, n_classes))
    right = np.zeros_like(total)
    np.add.at(total, (index, truth), 1)
    np.add.at(right, (index, truth), truth == predicted)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n)
    with np.errstate(invalid="ignore"):
        scores = np.nanmean((drawn @ right) / (drawn @ total), axis=1)
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def permutation_scores(
    score: Callable[[np.ndarray], float], truth: np.ndarray, rng: np.random.Generator, n: int
) -> np.ndarray:
    """``score(labels)`` for `n` random orders of the labels among the groups."""
    return np.array([score(truth[rng.permutation(len(truth))]) for _ in range(n)])


def p_value(observed: float, scores: np.ndarray) -> float:
    """Share of permutations that reach `observed`, the observation itself counted in (never 0).

    B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39.
    """
    return float((1 + np.count_nonzero(scores >= observed - 1e-12)) / (1 + len(scores)))
