"""Border following: the borders of a mask, and which lies in which."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, native
from .._engine.operation import Operation, kernel, operation

if TYPE_CHECKING:
    from ..volume import Volume

#: What is retrieved; the numbers are those of csrc/contours/trace.cpp.
MODES = {"external": 0, "list": 1, "ccomp": 2, "tree": 3}

#: Which points of a border are kept: whether straight runs become their two ends.
METHODS = {"simple": True, "none": False}

#: Which points of a border are its corners: whether by the largest cosine (Teh and Chin).
DOMINANT = {"tc89_l1": False, "tc89_kcos": True}

# Only packing to bits is shared over threads; 8 elements cost one operation (0.2 ms for 2048^2).
ELEMENTS_PER_COST = 8


def _none() -> np.ndarray:
    return np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class Contours:
    """Borders as flat arrays; border `i` is ``points[offsets[i]:offsets[i + 1]]``.

    Behaves as a sequence of borders: ``len``, an index, iteration; each border is a view of shape (n_i, 2).

    Attributes
    ----------
    points : ndarray of int32, shape (n, 2); of a `Volume`: float64, shape (n, 3)
        Pixels of all borders, one after the other, as OpenCV's (x, y), which is (column, row). `rowcol` has
        (row, column). Of a `Volume`: patient positions (x, y, z) in mm.
    offsets : ndarray of int64, shape (len + 1,)
        Where each border starts in `points`, and where the last ends.
    hierarchy : ndarray of int32, shape (len, 4)
        OpenCV's links of each border: next and previous border with the same parent, first child, parent. -1
        where there is none.
    slices : ndarray of int32, shape (len,); (0,) for one image
        Which slice of the stack each border lies in.
    labels : ndarray of int32, shape (len,); (0,) for a mask
        Which label each border is of.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> contours = fastmed.trace_contours(np.eye(2))
    >>> len(contours), contours[0].tolist()
    (1, [[0, 0], [1, 1]])
    """

    points: np.ndarray
    offsets: np.ndarray
    hierarchy: np.ndarray
    slices: np.ndarray = field(default_factory=_none)
    labels: np.ndarray = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"contour {i} was asked for, but there are {len(self)}")
        i %= len(self)
        return self.points[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        ends = self.offsets.tolist()
        for start, end in itertools.pairwise(ends):
            yield self.points[start:end]

    def __repr__(self) -> str:
        return f"Contours({len(self)} borders, {len(self.points)} points)"

    @property
    def rowcol(self) -> np.ndarray:
        """`points` as (row, column), the order of array indices: a view of shape (n, 2)."""
        return self.points[:, ::-1]

    def to_opencv(self) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
        """What ``cv2.findContours`` gives back.

        Borders of shape (n_i, 1, 2) and the hierarchy of shape (1, len, 4), as views; without borders
        ``((), None)``.
        """
        if not len(self):
            return (), None
        return tuple(border[:, None, :] for border in self), self.hierarchy[None]


def _foreground(mask: np.ndarray) -> np.ndarray:
    """`mask` in a dtype whose values other than 0 are foreground; NaN is neither and refused."""
    if mask.dtype.kind != "f":
        return mask
    # One pass without a copy: the minimum of an array with NaN is NaN.
    if mask.size and np.isnan(np.min(mask)):
        count = int(np.count_nonzero(np.isnan(mask)))
        raise ValueError(f"mask has {count} NaN, which are neither foreground nor background; replace them")
    return mask if mask.dtype.isnative and mask.dtype.itemsize > 2 else np.asarray(mask != 0)


def _as_bool(chunk: np.ndarray) -> np.ndarray:
    return _foreground(np.asarray(chunk)) != 0


def _choice(value: Any, choices: dict[str, Any], name: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, found {value!r}")
    return choices[value]


def _check_shape(shape: tuple[int, ...], name: str = "mask", stacks: bool = True) -> None:
    if len(shape) != 2 and not (stacks and len(shape) == 3):
        more = ", or 3 (slice, row, column)" if stacks else ""
        raise ValueError(f"{name} must have 2 axes (row, column){more}, found {len(shape)}, of shape {shape}")
    rows, columns = shape[-2:]
    if max(shape) >= 2**31 - 2 or rows * (columns + 1) >= 2**32:
        raise ValueError(f"{name} has shape {shape}; wanted is less than 2**31 - 2 along an axis, 2**32 in all")


def in_patient(volume: Volume, arguments: dict[str, Any]) -> Callable[[Contours], Contours]:
    """What puts contours of a stack into the patient."""
    affine = volume.affine

    def place(contours: Contours) -> Contours:
        slices = np.repeat(contours.slices, np.diff(contours.offsets))
        index = np.column_stack([slices, contours.rowcol]).astype(np.float64)
        return replace(contours, points=index @ affine[:3, :3].T + affine[:3, 3])

    return place


def _in_memory(op: Operation, arguments: dict[str, Any]) -> Contours:
    """A Dask mask: reduced to bool chunk by chunk, then traced whole: a border can run through all chunks."""
    mask = arguments["mask"]
    as_array(np.empty((0,) * mask.ndim, mask.dtype), "mask")
    _check_shape(mask.shape)
    _choice(arguments["mode"], MODES, "mode")
    _choice(arguments["method"], {**METHODS, **DOMINANT}, "method")
    whole = mask.map_blocks(_as_bool, dtype=bool).compute()
    return op.function(**{**arguments, "mask": whole})


@operation(chunked=_in_memory, ndim=2, stacks=True, placed=in_patient)
def trace_contours(mask: Any, mode: str = "external", method: str = "simple") -> Contours:
    """Trace the borders of a mask: its outlines, its holes, and which lies in which.

    Border following after Suzuki and Abe [1]_. Borders, points, their order and the hierarchy are those of
    OpenCV's ``findContours``.

    Parameters
    ----------
    mask : array_like, shape (rows, columns) or (slices, rows, columns)
        Of a stack, the borders of every slice, slice after slice. bool, integers or floats; every value but 0 is
        foreground, infinities too. Foreground is connected over edges and corners (8 neighbours), background over
        edges (4). What lies outside is background. It is not changed. A Dask array is
        reduced to bool chunk by chunk and traced in memory.
    mode : {'external', 'list', 'ccomp', 'tree'}, optional
        'external': only outlines that lie in no hole. 'list': all borders, without hierarchy. 'ccomp':
        outlines, and as their children their holes. 'tree': outlines, their holes, outlines in these holes...
    method : {'simple', 'none', 'tc89_l1', 'tc89_kcos'}, optional
        'simple' keeps only the ends of each straight run along a row, a column or a diagonal; 'none' keeps
        all points; the others keep dominant points, see `dominant_points`.

    Returns
    -------
    Contours
        Flat arrays: `points` in pixels (int32, OpenCV's (x, y), which is (column, row); `Contours.rowcol` has
        (row, column)), `offsets` and `hierarchy`; of a stack also `slices`; of a `Volume` `points` are in mm.
        Points are foreground pixels: the outermost ones of an outline, those around a hole. Outlines run
        counter-clockwise as seen on a screen (y down), holes clockwise. A mask without foreground, or with an axis of
        size 0, gives no borders.

    Raises
    ------
    ValueError
        `mask` has not 2 or 3 axes or holds NaN; unknown `mode` or `method`.
    TypeError
        A dtype that is not bool, integer or float.

    References
    ----------
    .. [1] S. Suzuki and K. Abe, "Topological structural analysis of digitized binary images by border
       following", Computer Vision, Graphics, and Image Processing 30 (1985) 32-46.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> ring = np.ones((3, 4), bool)
    >>> ring[1, 1:3] = False
    >>> contours = fastmed.trace_contours(ring, mode='tree')
    >>> contours[0].tolist()
    [[0, 0], [0, 2], [3, 2], [3, 0]]
    >>> contours.hierarchy.tolist()
    [[-1, -1, 1, -1], [-1, -1, -1, 0]]
    """
    image = as_array(mask, "mask")
    _check_shape(image.shape)
    retrieve, simple = _choice(mode, MODES, "mode"), _choice(method, {**METHODS, **DOMINANT}, "method")
    image = native(_foreground(image))
    budget = threads.budget(image.size // ELEMENTS_PER_COST)
    run = kernel("trace_contours", __name__)
    points, offsets, hierarchy, slices = run(image, retrieve, simple and method == "simple", budget)
    contours = Contours(points.reshape(-1, 2), offsets, hierarchy.reshape(-1, 4), slices)
    return thinned(contours, method)


def thinned(contours: Contours, method: str) -> Contours:
    """The dominant points of contours with all points, where `method` asks for them."""
    if method not in DOMINANT:
        return contours
    from ._dominant import dominant_points

    return dominant_points(contours, method)
