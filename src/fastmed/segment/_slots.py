"""Images and labels as the statistics take them: labels become slots of tables."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._engine.arrays import native


class Slots(NamedTuple):
    """Labels as slots of tables.

    ``labels - low`` is an element's slot, if it is from 0 to `size` - 1; `asked` holds the slots of the index, -1
    where there is no such label.
    """

    labels: np.ndarray
    low: int
    size: int
    asked: np.ndarray


def unwrapped(*arrays: Any) -> Any:
    """The arrays of volumes; other things stay."""
    found = tuple(a.array if hasattr(a, "with_array") else a for a in arrays)
    return found if len(found) > 1 else found[0]


def as_image(input: Any) -> np.ndarray:
    """A NumPy array of anything that makes one."""
    input = unwrapped(input)
    if not hasattr(input, "__array__") and hasattr(input, "__dlpack__"):
        return np.from_dlpack(input)
    return np.asarray(input)


def paired(values: np.ndarray, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both of one shape."""
    labels = as_image(labels)
    if values.shape == labels.shape:
        return values, labels
    try:
        values, labels = np.broadcast_arrays(values, labels)
    except ValueError:
        raise ValueError(
            "input and labels must have the same shape (excepting dimensions with width 1): found "
            f"{values.shape} and {labels.shape}"
        ) from None
    return values, labels


def chosen(values: np.ndarray, labels: Any, index: Any) -> tuple[np.ndarray, Any]:
    """The values of one group, and which elements of the image they are."""
    if labels is None:
        return values, slice(None)
    values, marks = paired(values, labels)
    there = marks > 0 if index is None else marks == index
    return values[there], there


def slots_of(labels: np.ndarray, index: Any, size: int | None = None) -> Slots:
    """How labels become slots: they are shifted, or looked up where they are floats or lie too far apart.

    `size`: of the whole image, so that all chunks of one decide alike.
    """
    asked = np.asarray(index)
    if asked.size == 0:
        return Slots(flat_labels(labels), 0, 0, asked.astype(np.int64))
    plain = labels.dtype.kind in "biu" and labels.dtype != np.uint64
    if plain:
        asked = asked.astype(np.int64)
        low, high = int(asked.min()), int(asked.max())
        if high - low < 2 * (labels.size if size is None else size) + 1024:
            return Slots(flat_labels(labels), low, high - low + 1, asked - low)
    names = np.unique(asked)
    found = np.searchsorted(names, labels).astype(np.int32)
    found[found == len(names)] = 0
    found[names[found] != labels] = -1
    return Slots(flat_labels(found), 0, len(names), np.searchsorted(names, asked))


def flat_labels(labels: np.ndarray) -> np.ndarray:
    """Labels as kernels take them: at least one axis, no bool, the processor's byte order."""
    labels = native(labels)
    return np.atleast_1d(labels.view(np.uint8) if labels.dtype == bool else labels)
