"""Hysteresis: what hangs on something strong is kept."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.csgraph

from .._engine import threads
from .._engine.arrays import as_array
from .._engine.operation import is_dask, kernel, operation


def _chunked(op: Any, arguments: dict[str, Any]) -> Any:
    import dask.array as da

    image = arguments["image"]
    as_array(np.empty(0, image.dtype), "image")
    low, high = (_as_threshold(arguments[name], name, image.shape) for name in ("low", "high"))
    low, high = (_like(t, image) if np.ndim(t) else t for t in (low, high))
    marks = da.map_blocks(_marks, image, low, high, dtype=np.uint8, meta=np.empty((0,) * image.ndim, np.uint8))
    return linked(marks, 1)


def _like(threshold: Any, image: Any) -> Any:
    """Thresholds per element, in the chunks of the image."""
    import dask.array as da

    return da.broadcast_to(da.asarray(threshold), image.shape).rechunk(image.chunks)


def _as_threshold(value: Any, name: str, shape: tuple[int, ...]) -> Any:
    value = value if is_dask(value) else np.asarray(value)[()]
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a number or an array of numbers, found dtype {value.dtype}")
    try:
        fits = np.broadcast_shapes(value.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} must be a number or of the shape of image: found {value.shape}, wanted {shape}")
    return value


@operation(chunked=_chunked)
def apply_hysteresis_threshold(image: Any, low: Any, high: Any) -> np.ndarray:
    """Keep what exceeds `high`, and what exceeds `low` and hangs on it.

    Names and results are those of :func:`skimage.filters.apply_hysteresis_threshold`.

    Parameters
    ----------
    image : array_like
        Any shape; bool, integers or floats. It is not changed. A Dask array gives a Dask array with its chunks.
    low : float or array_like
        The lower threshold, one for all or of the shape of `image`. Where it is above `high`, `high` counts.
    high : float or array_like
        The upper threshold.

    Returns
    -------
    array of bool
        Shape of `image`: True where it exceeds `low` and is joined, over neighbours along the axes (no
        diagonals) that do so too, to an element that exceeds `high`. A NaN exceeds nothing.

    Raises
    ------
    ValueError
        A threshold that has neither no axes nor the shape of `image`.
    TypeError
        A threshold that is not a number, unsupported dtype.

    Notes
    -----
    On Dask arrays every chunk is computed once and waits at a bit per element, compressed, until all are joined: the
    result is that of the whole array in memory.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.array([1, 2, 3, 2, 1, 2, 1, 3, 2])
    >>> fastmed.apply_hysteresis_threshold(image, 1.5, 2.5).astype(int)
    array([0, 1, 1, 1, 0, 0, 0, 1, 1])
    """
    image = as_array(image, "image")
    low, high = (_as_threshold(value, name, image.shape) for value, name in ((low, "low"), (high, "high")))
    marks = _marks(image, low, high)
    if marks.ndim == 0 or marks.size == 0:
        return marks == 2
    kernel("hysteresis", __name__)(marks, 1, threads.budget(marks.size, 8))
    return marks.view(bool)


def _marks(image: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """0, 1 above the lower threshold, 2 above the upper one; compared under NumPy's promotion rules."""
    low, high = (t.item() if np.ndim(t) == 0 else t for t in (np.clip(low, None, high), high))
    marks = np.empty(image.shape, np.uint8)
    np.greater(image, low, out=marks.view(bool))
    marks += np.greater(image, high)
    return marks


# --- over the chunks of a Dask array -----------------------------------------------------------------------


class Kept(NamedTuple):
    """What waits of a chunk until all are joined; packed, as edges are sparse (see :func:`_pack`)."""

    marked: tuple[bytes, tuple[int, ...]]  # one bit per element: hangs on a strong mark here, or may on one elsewhere
    faces: list[Any]  # of `undecided`, per axis and end
    labels: int


def linked(marks: Any, connectivity: int) -> Any:
    """Hysteresis on a Dask array of marks (0, 1 weak, 2 strong). They wait for it at a bit per element, compressed.

    Within a chunk marks are linked at once; of what is left, weak parts that reach a face, the labels are joined that
    meet at the borders between chunks.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"hysteresis-{tokenize(marks.name, connectivity)}"
    kept, turn, table, joined = (f"{name}-{part}" for part in ("kept", "turn", "table", "joined"))
    places = list(np.ndindex(*marks.numblocks))
    turns = [(turn, *i) for i in _in_turn(marks.numblocks)]
    all_kept = [(kept, *i) for i in places]
    graph: dict[Any, Any] = {joined: (_join, marks.numblocks, connectivity, all_kept, turns[-1])}
    for at, before in zip(turns, [None, *turns], strict=False):
        graph[at] = (_after, (kept, *at[1:]), before)
    for number, i in enumerate(places):
        graph[kept, *i] = (_keep, (marks.name, *i), connectivity)
        graph[table, *i] = (_pick, joined, number)
        graph[name, *i] = (_resolve, (kept, *i), (table, *i), connectivity)
    layered = HighLevelGraph.from_collections(name, graph, dependencies=[marks])
    return da.Array(layered, name, marks.chunks, dtype=bool, meta=np.empty((0,) * marks.ndim, bool))


def _in_turn(numblocks: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Chunks in the order that leaves the fewest waiting for their neighbours: two layers across the longest side.

    Without a chain of tasks in it Dask, which sees all of them lead into one, makes every chunk of the image first.
    """
    axes = sorted(range(len(numblocks)), key=lambda axis: -numblocks[axis])
    back = np.argsort(axes)
    return [tuple(i[a] for a in back) for i in np.ndindex(*(numblocks[a] for a in axes))]


def _after(kept: Kept, before: None) -> None:
    """Nothing: it stands for an order."""


def _pack(array: np.ndarray) -> tuple[bytes, tuple[int, ...]]:
    return zlib.compress(np.ascontiguousarray(array).data, 1), array.shape


def _unpack(packed: tuple[bytes, tuple[int, ...]], dtype: Any) -> np.ndarray:
    data, shape = packed
    return np.frombuffer(zlib.decompress(data), dtype).reshape(shape)


def _labels(marked: np.ndarray, connectivity: int) -> np.ndarray:
    labels = np.zeros(marked.shape, np.int32)
    if marked.ndim == 0:
        return marked.astype(np.int32)
    if marked.size:
        structure = scipy.ndimage.generate_binary_structure(marked.ndim, connectivity)
        # the kernel of a stage further down: SciPy's takes ten times as long (13 for 1.3 ns per element)
        kernel("label", "fastmed.segment._label")(
            marked, structure, np.empty(0, bool), False, labels, threads.budget(marked.size, 8)
        )
    return labels


def _keep(marks: np.ndarray, connectivity: int) -> Kept:
    decided, rest, faces, count = undecided(marks, connectivity, threads.budget(marks.size, 8))
    bits = _pack(np.packbits(decided | rest))[0]
    return Kept((bits, marks.shape), [[_pack(face) for face in pair] for pair in faces], count)


def _join(shape: tuple[int, ...], connectivity: int, kept: list[Kept], after: None) -> list[np.ndarray]:
    """Per chunk and label: whether it hangs, over any borders, on a strong mark."""
    good = [np.arange(k.labels + 1) == 1 for k in kept]
    return join(shape, connectivity, good, lambda k, axis, end: _unpack(kept[k].faces[axis][end], np.int32))


def _pick(tables: list[np.ndarray], number: int) -> np.ndarray:
    return tables[number]


def _resolve(kept: Kept, good: np.ndarray, connectivity: int) -> np.ndarray:
    """The marks but for those that hang on a label that is not good: all others are linked in the chunk, or reach a
    face with a good label; and marks that are linked touch none that are not."""
    data, shape = kept.marked
    bits = np.frombuffer(zlib.decompress(data), np.uint8)
    marked = np.unpackbits(bits, count=math.prod(shape)).reshape(shape)
    if good[2:].all():
        return marked.view(bool)
    marks = marked.copy()
    for axis, pair in enumerate(kept.faces):
        for end, packed in zip((slice(0, 1), slice(-1, None)), pair, strict=True):
            face = _unpack(packed, np.int32)
            marks[(slice(None),) * axis + (end,)][(face > 1) & ~good[face]] = 2
    kernel("hysteresis", __name__)(marks, connectivity, threads.budget(marks.size, 8))
    return marked.view(bool) & ~marks.view(bool)


def join(
    shape: tuple[int, ...], connectivity: int, good: list[np.ndarray], face: Callable[[int, int, int], np.ndarray]
) -> list[np.ndarray]:
    """Spread what is known of the labels of each chunk over the borders between chunks.

    Parameters
    ----------
    shape : tuple of int
        Number of chunks along each axis.
    connectivity : int
        Most axes in which neighbours may differ.
    good : list of array of bool
        Per chunk and label (0 is no label): whether it is good by itself.
    face : callable
        ``face(chunk, axis, end)``: the labels on the first (`end` 0) or last face of a chunk, one thick along `axis`.
        Asked for one layer of chunks at a time.

    Returns
    -------
    list of array of bool
        Per chunk and label: whether it is good, or joined over any borders to one that is.
    """
    ends = np.cumsum([labels.size for labels in good])
    begins = ends - [labels.size for labels in good]
    number = np.arange(len(good)).reshape(shape)
    dtype = np.int32 if sum(labels.size for labels in good) < 2**31 else np.int64

    def seam(axis: int, i: int, end: int) -> np.ndarray:
        """The labels on one side of a layer of chunks, numbered over all chunks; -1 where there is no mark."""
        layer = number[(slice(None),) * axis + (slice(i, i + 1),)]
        parts = np.empty(layer.shape, object)
        for place, k in np.ndenumerate(layer):
            found = face(int(k), axis, end)
            parts[place] = np.where(found > 0, found + begins[k], -1).astype(dtype)
        return np.block(parts.tolist()).squeeze(axis)

    pairs = [np.empty((2, 0), np.int64)]
    for axis, count in enumerate(shape):
        for i in range(count - 1):
            pairs.append(_touching(seam(axis, i, 1), seam(axis, i + 1, 0), connectivity))
    joined = _hangs_on_good(np.concatenate(good), np.concatenate(pairs, axis=1))
    return [joined[b:e] for b, e in zip(begins, ends, strict=True)]


def _hangs_on_good(good: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Spread `good` over the graph whose edges are `pairs`."""
    edges = (np.ones(pairs.shape[1], bool), (pairs[0], pairs[1]))
    graph = scipy.sparse.coo_array(edges, (good.size, good.size))
    count, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
    good_group = np.zeros(count, bool)
    good_group[group[good]] = True
    return good_group[group]


def undecided(marks: np.ndarray, connectivity: int, count: int) -> tuple[np.ndarray, np.ndarray, list[Any], int]:
    """What the marks of one chunk decide, and what its neighbours must.

    Parameters
    ----------
    marks : array of uint8
        0, 1 weak, 2 strong.
    connectivity : int
        Most axes in which neighbours may differ.
    count : int
        Threads.

    Returns
    -------
    decided : array of bool
        What hangs on a strong mark of this chunk.
    rest : array of bool
        Weak marks that do not, but reach a face of the chunk.
    faces : list of pairs of array of int32
        Per axis the first and last face: 0 no mark, 1 decided, from 2 on the parts of the rest.
    n : int
        The highest label.
    """
    decided = marks.copy()
    if marks.ndim and marks.size:
        kernel("hysteresis", __name__)(decided, connectivity, count)
    decided = decided.view(bool) if marks.ndim else decided == 2
    rest = (marks > 0) & ~decided
    places = [(slice(None),) * axis + (end,) for axis in range(marks.ndim) for end in (slice(0, 1), slice(-1, None))]
    n, parts = 1, [np.zeros(rest[place].shape, np.int32) for place in places]
    if any(rest[place].any() for place in places):
        labels = _labels(rest, connectivity)
        known = np.unique(np.concatenate([labels[place].ravel() for place in places]))
        table = np.zeros(int(labels.max()) + 1, np.int32)
        known = known[known > 0]
        table[known] = np.arange(2, known.size + 2)
        n += known.size
        parts = [table[labels[place]] for place in places]
        rest = (table > 0)[labels]
    else:
        rest[...] = False
    faces = [np.where(decided[place], 1, part).astype(np.int32) for place, part in zip(places, parts, strict=True)]
    return decided, rest, list(zip(faces[::2], faces[1::2], strict=True)), n


def settle(decided: np.ndarray, rest: np.ndarray, faces: list[Any], good: np.ndarray, connectivity: int,
           count: int) -> np.ndarray:  # fmt: skip
    """The result for one chunk, once it is known which of its labels are good (see :func:`undecided`)."""
    if not good[2:].any():
        return decided
    marks = rest.view(np.uint8).copy()
    for axis, pair in enumerate(faces):
        for end, face in zip((slice(0, 1), slice(-1, None)), pair, strict=True):
            marks[(slice(None),) * axis + (end,)][(face > 1) & good[face]] = 2
    kernel("hysteresis", __name__)(marks, connectivity, count)
    return decided | marks.view(bool)


def _touching(a: np.ndarray, b: np.ndarray, connectivity: int) -> np.ndarray:
    """Pairs of labels that meet across a seam, straight or as diagonally as the connectivity has it."""
    if a.size == 0 or b.size == 0:
        return np.empty((2, 0), np.int64)
    found = []
    for shift in itertools.product((-1, 0, 1), repeat=a.ndim):
        if np.count_nonzero(shift) < connectivity:
            one = a[tuple(slice(max(s, 0), a.shape[d] + min(s, 0)) for d, s in enumerate(shift))]
            other = b[tuple(slice(max(-s, 0), a.shape[d] + min(-s, 0)) for d, s in enumerate(shift))]
            both = (one >= 0) & (other >= 0)
            found.append(np.unique(np.stack([one[both], other[both]]), axis=1))
    return np.concatenate(found, axis=1)
