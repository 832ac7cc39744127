"""Iso-lines: where an image crosses a level, between the pixels."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_number, native
from .._engine.operation import Operation, kernel, operation

# Comparing with the level is shared over threads; joining is not.
ELEMENTS_PER_COST = 4


@dataclass(frozen=True, eq=False)
class Isolines:
    """Lines as flat arrays; line `i` is ``points[offsets[i]:offsets[i + 1]]``.

    Behaves as a sequence of lines: ``len``, an index, iteration; each line is a view of shape (n_i, 2).

    Attributes
    ----------
    points : ndarray of float64, shape (n, 2)
        Points (row, column) of all lines, one after the other, in pixels.
    offsets : ndarray of int64, shape (len + 1,)
        Where each line starts in `points`, and where the last ends.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> lines = fastmed.find_contours(np.eye(2), 0.5)
    >>> len(lines), lines.offsets.tolist()
    (2, [0, 2, 4])
    """

    points: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"line {i} was asked for, but there are {len(self)}")
        i %= len(self)
        return self.points[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        for start, end in itertools.pairwise(self.offsets.tolist()):
            yield self.points[start:end]

    def __repr__(self) -> str:
        return f"Isolines({len(self)} lines, {len(self.points)} points)"


def _in_memory(op: Operation, arguments: dict[str, Any]) -> Any:
    """A Dask image: computed first, because a line can run through all chunks."""
    image = arguments["image"]
    _check_shape(image.shape)
    as_array(np.empty((0, 0), image.dtype), "image")
    return op.function(**{**arguments, "image": image.compute()})


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(f"image must have 2 axes (row, column): only 2D arrays are supported, found {len(shape)}, "
                         f"of shape {shape}")
    if min(shape) < 2:
        raise ValueError(f"image must be at least 2x2, found shape {shape}")


def _high(value: Any, name: str) -> bool:
    if not isinstance(value, str) or value not in ("high", "low"):
        raise ValueError(f'Parameters "fully_connected" and "positive_orientation" must be either "high" or "low"; '
                         f"found {name}={value!r}")
    return value == "high"


def checked_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of `shape` as bool; an array without elements stands for none."""
    if mask is None:
        return np.empty((0,) * len(shape), bool)
    array = np.asarray(mask)
    if array.shape != shape:
        raise ValueError(f"mask must have the same shape as the image, {shape}; found {array.shape}")
    if array.dtype != bool:
        raise TypeError(f"mask must be a binary array (bool), found {array.dtype}")
    return array


def _middle(image: np.ndarray) -> float:
    """Halfway between the extremes, NaN apart, rounded in the image's own floating-point type."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: no level, no lines
        low, high = np.nanmin(image), np.nanmax(image)
        if image.dtype.kind != "f":
            return (int(low) + int(high)) / 2
        return float((low + high) / image.dtype.newbyteorder("=").type(2))


@operation(chunked=_in_memory, ndim=2)
def find_contours(
    image: Any,
    level: float | None = None,
    fully_connected: str = "low",
    positive_orientation: str = "low",
    *,
    mask: Any = None,
) -> Isolines:
    """Find the lines along which an image has a given value.

    Marching squares [1]_: between neighbouring pixels the image is taken as linear. Lines, their order and their
    points are those of scikit-image's ``find_contours``.

    Parameters
    ----------
    image : array_like, shape (rows, columns)
        At least 2 x 2; bool, integers or floats. Lines do not enter squares of four pixels with a NaN. It is not
        changed. A Dask array is computed first.
    level : float, optional
        The value looked for. Default: halfway between the smallest and the largest value (without wrapping around
        for integers, which scikit-image does).
    fully_connected : {'low', 'high'}, optional
        Whether pixels below the level are connected over corners, or those above it.
    positive_orientation : {'low', 'high'}, optional
        Whether lines run counter-clockwise around regions below the level, or around those above it.
    mask : array_like of bool, shape (rows, columns), optional
        Lines do not enter squares of four pixels of which one is False.

    Returns
    -------
    Isolines
        A sequence of float64 arrays of shape (n, 2): points (row, column) in pixels. Closed lines end with their
        first point; lines that meet the edge, a NaN or the mask are open.

    Raises
    ------
    ValueError
        `image` has not 2 axes or is smaller than 2 x 2, the mask has another shape; unknown choices.
    TypeError
        A dtype that is not bool, integer or float; a mask that is not bool.

    References
    ----------
    .. [1] W. E. Lorensen and H. E. Cline, "Marching cubes: a high resolution 3D surface construction algorithm",
       Computer Graphics 21 (1987) 163-169.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((3, 3))
    >>> image[0, 0] = 1
    >>> [line.tolist() for line in fastmed.find_contours(image, 0.5)]
    [[[0.0, 0.5], [0.5, 0.0]]]
    """
    high = _high(fully_connected, "fully_connected")
    reverse = _high(positive_orientation, "positive_orientation")
    array = as_array(image, "image")
    _check_shape(array.shape)
    shown = checked_mask(mask, array.shape)
    value = _middle(array) if level is None else as_number(level, "level")
    array = native(array)
    budget = threads.budget(array.size // ELEMENTS_PER_COST)
    points, offsets = kernel("find_contours", __name__)(array, shown, value, high, reverse, budget)
    return Isolines(points.reshape(-1, 2), offsets)
