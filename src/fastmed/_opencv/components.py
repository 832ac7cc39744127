"""Connected components in OpenCV's call shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import NotOfferedError
from ..segment import label
from . import constants as c
from .arguments import chosen, into, whole

_LTYPES = {c.CV_32S: np.int32, c.CV_16U: np.uint16}


def connectedComponents(
    image: Any, labels: Any = None, connectivity: int = 8, ltype: int = c.CV_32S
) -> tuple[int, np.ndarray]:
    """How many labels there are, with the background's 0, and the labels: the same as OpenCV's, number for number.

    uint8 (or bool) images; connectivity 4 or 8; labels in CV_32S or CV_16U. See :func:`fastmed.label`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmed import cv2
    >>> count, labels = cv2.connectedComponents(np.array([[1, 0, 1], [1, 0, 0]], np.uint8))
    >>> count, labels.tolist()
    (3, [[1, 0, 2], [1, 0, 0]])
    """
    dtype = chosen(ltype, _LTYPES, "ltype")
    numbers, count = _labelled(image, connectivity)
    if count > np.iinfo(dtype).max:
        raise ValueError(f"ltype must hold {count} labels, found {np.dtype(dtype).name}")
    return count + 1, into(labels, numbers.astype(dtype, copy=False))


def connectedComponentsWithStats(
    image: Any, labels: Any = None, stats: Any = None, centroids: Any = None, connectivity: int = 8,
    ltype: int = c.CV_32S,
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """`connectedComponents`, and of each label its left, top, width, height and area, and its centroid.

    The same numbers as OpenCV's; an image with no background is refused, as its row 0 is not defined there. See
    :func:`fastmed.segment` for tables with more.
    """
    count, numbers = connectedComponents(image, None, connectivity, ltype)
    area = np.bincount(numbers.ravel(), minlength=count)
    if not area[0]:
        raise NotOfferedError("image must have a pixel that is 0: OpenCV's row of the background is not defined else")
    y, x = np.indices(numbers.shape)
    sides = []
    for place in (x, y):
        low, high = np.full(count, max(numbers.shape)), np.full(count, -1)
        np.minimum.at(low, numbers.ravel(), place.ravel())
        np.maximum.at(high, numbers.ravel(), place.ravel())
        sides.append((low, high - low + 1))
    table = np.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1], area], axis=1).astype(np.int32)
    middle = np.stack([np.bincount(numbers.ravel(), place.ravel()) / area for place in (x, y)], axis=1)
    return count, into(labels, numbers), into(stats, table), into(centroids, middle)


def _labelled(image: Any, connectivity: Any) -> tuple[np.ndarray, int]:
    array = np.asarray(image)
    if array.dtype not in (np.uint8, np.bool_):
        raise NotOfferedError(f"image must be of uint8, found dtype {array.dtype}")
    if array.ndim != 2 or not array.size:
        raise ValueError(f"image must have 2 axes (row, column) and a pixel, found shape {array.shape}")
    if whole(connectivity, "connectivity") not in (4, 8):
        raise ValueError(f"connectivity must be 4 or 8, found {connectivity}")
    numbers, count = label(array, None if connectivity == 4 else np.ones((3, 3)))
    return (numbers if connectivity == 4 else _by_blocks(numbers, count)), count


def _by_blocks(numbers: np.ndarray, count: int) -> np.ndarray:
    """With diagonals OpenCV numbers components in the order of the blocks of 2 x 2 pixels that they begin in.

    (C. Grana, D. Borghesani and R. Cucchiara, IEEE Trans. Image Processing 19 (2010) 1596-1609.)
    """
    y, x = np.nonzero(numbers)
    first = np.full(count + 1, -1, np.int64)
    first[1:] = np.iinfo(np.int64).max
    np.minimum.at(first, numbers[y, x], (y // 2) * numbers.shape[1] + x // 2)
    turned = np.empty(count + 1, numbers.dtype)
    turned[np.argsort(first)] = np.arange(count + 1)
    return turned[numbers]
