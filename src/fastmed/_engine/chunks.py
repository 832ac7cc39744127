"""The same operation on Dask arrays: every chunk is computed with the neighbours that its result looks at.

A block is taken with its halo, clipped at the array's own edges, so that the kernel meets the true edges there and
applies the border mode itself: the values are those of the whole array in memory. Chunks may be smaller than the
halo and stay as they are. One task per chunk; the kernels in it use one thread each.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import memory
from .arrays import MODES, as_axes, per_axis
from .keywords import as_mask, check_policy, valid_elements
from .operation import Operation, is_dask

Halo = Sequence[tuple[int, int]]


def apply(op: Operation, arguments: dict[str, Any]) -> Any:
    """Run an operation on a Dask array: lazily, one Dask array out, unless the operation says otherwise."""
    if isinstance(arguments.get("output"), np.ndarray):
        raise TypeError("output must be None or a dtype when the input is a Dask array, found a NumPy array")
    image = arguments[op.image]
    check_known(image, op.image)
    if op.chunked is not None:
        return op.chunked(op, arguments)
    assert op.halo is not None
    mask = arguments.get("mask")
    rest = {k: v for k, v in arguments.items() if k not in (op.image, "mask")}
    dtype = op.function(np.zeros((1,) * image.ndim, image.dtype), **rest).dtype
    return map_with_halo(
        call_operation,
        image if mask is None else with_mask(image, mask),
        op.halo(image.ndim, **arguments),
        wrap=wrapped_axes(image.ndim, rest),
        dtype=dtype,
        name=op.name,
        arguments={"module": op.function.__module__, "name": op.name, "rest": rest},
    )


def check_known(image: Any, name: str) -> None:
    """Refuse a Dask array whose chunk sizes are not known."""
    if any(np.isnan(n) for n in image.shape):
        raise ValueError(f"{name} has unknown chunk sizes; call its compute_chunk_sizes() first")


def call_operation(block: np.ndarray, *, module: str, name: str, rest: dict[str, Any]) -> np.ndarray:
    """One block through a public function, found by name so that the task pickles."""
    if block.dtype.names:
        rest = {**rest, "mask": block["mask"]}
        block = block["image"]
    return getattr(importlib.import_module(module), name)(block, **rest)


def chunked_mask(image: Any, mask: Any) -> Any:
    """`mask` as a Dask array with the chunks of `image`."""
    import dask.array as da

    mask = as_mask(mask, image.shape)
    return mask.rechunk(image.chunks) if is_dask(mask) else da.from_array(mask, chunks=image.chunks)


def with_mask(image: Any, mask: Any) -> Any:
    """Image and mask in one Dask array of pairs, so that both have the same halo."""
    import dask.array as da

    pair = np.dtype([("image", image.dtype), ("mask", bool)])
    meta = np.empty((0,) * image.ndim, pair)
    return da.map_blocks(_pair, image, chunked_mask(image, mask), dtype=pair, meta=meta)


def _pair(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pair = np.empty(image.shape, [("image", image.dtype), ("mask", bool)])
    pair["image"], pair["mask"] = image, mask
    return pair


def valid_chunks(image: Any, mask: Any, nan_policy: str) -> Any:
    """The elements of a Dask array that count (see :func:`keywords.valid_elements`)."""
    import dask.array as da

    check_policy(nan_policy)
    mask = None if mask is None else chunked_mask(image, mask)
    return da.map_blocks(_valid_block, image, mask, nan_policy, dtype=bool)


def _valid_block(image: np.ndarray, mask: np.ndarray | None, nan_policy: str) -> np.ndarray:
    valid = valid_elements(image, mask, nan_policy)
    return np.ones(image.shape, bool) if valid is None else valid


def wrapped_axes(ndim: int, arguments: dict[str, Any]) -> frozenset[int]:
    """Axes along which the array continues at its other end."""
    mode = arguments.get("mode", "reflect")
    axes = as_axes(arguments.get("axes"), ndim)
    modes = per_axis(mode, len(axes))
    return frozenset(a for a, m in zip(axes, modes, strict=True) if MODES.get(m) == MODES["wrap"])


def map_with_halo(
    function: Callable[..., np.ndarray],
    image: Any,
    halo: Halo,
    *,
    wrap: frozenset[int] = frozenset(),
    dtype: Any,
    name: str,
    arguments: dict[str, Any],
) -> Any:
    """``function(block with halo, **arguments)`` for every chunk, the halo cut off again.

    Parameters
    ----------
    function : callable
        Importable by name. Gives an array of its block's shape.
    image : dask.array.Array
    halo : sequence of (before, after)
        How many elements the result looks past itself, per axis.
    wrap : set of int
        Axes that continue at the other end of the array.
    dtype : dtype
        Of the result.
    name : str
        Prefix of the task names.
    arguments : dict
        Further keyword arguments of `function`.

    Returns
    -------
    dask.array.Array
        With the chunks of `image`.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    chunks = image.chunks
    # As far on one side as on the other: a border mode mirrors what stands on the inner side.
    halo = [(max(h), max(h)) for h in halo]
    wrap = frozenset(a for a in wrap if len(chunks[a]) > 1 and max(halo[a]) > 0)
    source = image
    for axis in wrap:
        source = _continued(source, axis, halo[axis])
    cuts = [cuts_along(chunks[a], halo[a], a in wrap) for a in range(image.ndim)]
    pieces = [_pieces(source.chunks[a], cuts[a]) for a in range(image.ndim)]
    key = f"{name}-{tokenize(function, image.name, tuple(halo), tuple(sorted(wrap)), str(dtype), arguments)}"
    graph: dict[Any, Any] = {
        (key, *index): _task(function, arguments, source.name, index, cuts, pieces)
        for index in itertools.product(*(range(len(c)) for c in chunks))
    }
    layered = HighLevelGraph.from_collections(key, graph, dependencies=[source])
    return da.Array(layered, key, chunks, dtype=dtype, meta=np.empty((0,) * image.ndim, dtype))


def reduced(
    image: Any, part: Callable[..., Any], join: Callable[[list[Any]], Any], *, name: str, before: Any = None
) -> Any:
    """One value of all chunks, delayed: ``part(block)`` of each, and ``join`` of up to 16 of these at a time.

    With `before`, delayed too, ``part(block, before)``. Built by hand: `dask.delayed` takes 0.2 ms for each task.
    """
    from dask.base import tokenize
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    more = () if before is None else (before.key,)
    key = f"{name}-{tokenize(part, join, image.name, more)}"
    level: list[Any] = [(f"{key}-part", *i) for i in np.ndindex(*image.numblocks)]
    graph: dict[Any, Any] = {task: (part, (image.name, *task[1:]), *more) for task in level}
    for depth in itertools.count():
        groups = [level[k : k + 16] for k in range(0, len(level), 16)]
        level = [(f"{key}-{depth}", k) for k in range(len(groups))]
        graph.update((task, (join, group)) for task, group in zip(level, groups, strict=True))
        if len(level) == 1:
            break
    graph[key] = graph.pop(level[0])
    dependencies = [image] if before is None else [image, before]
    return Delayed(key, HighLevelGraph.from_collections(key, graph, dependencies=dependencies))


def _continued(image: Any, axis: int, halo: tuple[int, int]) -> Any:
    """`image` with its own other end before and after it; in one chunk where the halo is longer than the array."""
    import dask.array as da

    n = image.shape[axis]
    positions = np.arange(-halo[0], n + halo[1])
    if max(halo) > n:
        return da.take(image.rechunk({axis: -1}), positions % n, axis=axis)
    ends = [image[(slice(None),) * axis + (part,)] for part in (slice(n - halo[0], n), slice(0, halo[1]))]
    return da.concatenate([ends[0], image, ends[1]], axis=axis)


def cuts_along(sizes: Sequence[int], halo: tuple[int, int], wrap: bool) -> list[tuple[int, int, slice]]:
    """Per chunk: first and last element to take from the source, and what of the result to keep.

    With `wrap` the source has its own last ``halo[0]`` elements before it and its first ``halo[1]`` after it.
    """
    ends = list(itertools.accumulate(sizes))
    cuts = []
    for end, size in zip(ends, sizes, strict=True):
        begin = end - size
        if wrap:
            first, last = begin, end + halo[0] + halo[1]
            keep = halo[0]
        else:
            first, last = max(0, begin - halo[0]), min(ends[-1], end + halo[1])
            keep = begin - first
        cuts.append((first, last, slice(keep, keep + size)))
    return cuts


def _pieces(sizes: Sequence[int], cuts: list[tuple[int, int, slice]]) -> list[list[tuple[int, slice]]]:
    """Per cut: the source's chunks that it touches, and the part of each."""
    begins = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    for first, last, _ in cuts:
        row = [
            (k, slice(int(max(first - b, 0)), int(min(last - b, n))))
            for k, (b, n) in enumerate(zip(begins, sizes, strict=False))
            if b < last and b + n > first
        ]
        found.append(row or [(0, slice(0, 0))])
    return found


def _task(function, arguments, source, index, cuts, pieces):
    touched = [pieces[axis][i] for axis, i in enumerate(index)]
    keep = tuple(cuts[axis][i][2] for axis, i in enumerate(index))
    shape = tuple(len(t) for t in touched)
    keys = [(source, *(t[0] for t in combination)) for combination in itertools.product(*touched)]
    parts = [tuple(t[1] for t in combination) for combination in itertools.product(*touched)]
    return (compute_block, function, arguments, keep, shape, parts, keys)


def compute_block(function, arguments, keep, shape, parts, blocks):
    """Join the parts of the neighbouring chunks, compute, cut the halo off."""
    result = function(_joined(shape, parts, blocks), **arguments)
    inner = result[(*keep, ...)]  # an array without axes stays one
    # A copy into fresh memory takes as long as a quick kernel: rather hold up to a tenth more until the chunk is used.
    return inner if 10 * result.size <= 11 * inner.size else np.ascontiguousarray(inner)


def _joined(shape, parts, blocks):
    """The parts of `blocks`, a grid of this shape, as one array."""
    pieces = [np.asarray(block)[part] for part, block in zip(parts, blocks, strict=True)]
    if len(pieces) == 1:
        return pieces[0]
    grid = np.empty(shape, object)
    for place, piece in zip(np.ndindex(*shape), pieces, strict=True):
        grid[place] = piece
    if len({piece.dtype for piece in pieces}) > 1:  # chunks that are not what their array announces
        return np.block(grid.tolist())
    ends = []  # per axis: where each piece ends
    for axis in range(len(shape)):
        row = grid[(0,) * axis + (slice(None),) + (0,) * (len(shape) - axis - 1)]
        ends.append(list(itertools.accumulate(piece.shape[axis] for piece in row)))
    joined = memory.empty(tuple(e[-1] for e in ends), pieces[0].dtype)
    for place, piece in zip(np.ndindex(*shape), pieces, strict=True):
        joined[tuple(slice(e[k] - n, e[k]) for e, k, n in zip(ends, place, piece.shape, strict=True))] = piece
    return joined
