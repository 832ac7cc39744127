"""What the functions share: results into ``dst``, whole numbers, refusals."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import NotOfferedError


def into(target: Any, result: np.ndarray) -> np.ndarray:
    """`result`, in the caller's array where that has its shape and dtype, as OpenCV does it."""
    if isinstance(target, np.ndarray) and target.shape == result.shape and target.dtype == result.dtype:
        target[...] = result
        return target
    return result


def whole(value: Any, name: str) -> int:
    """`value` as an int."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, found {value!r}") from None


def pair(value: Any, name: str) -> tuple[int, int]:
    """(x, y) or (width, height)."""
    try:
        x, y = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two whole numbers, found {value!r}") from None
    return whole(x, name), whole(y, name)


def chosen(value: Any, choices: dict[int, Any], name: str, others: str = "") -> Any:
    """What one of OpenCV's numbers stands for."""
    number = whole(value, name)
    if number not in choices:
        raise NotOfferedError(f"{name} must be one of {sorted(choices)}, found {number}{others}")
    return choices[number]
