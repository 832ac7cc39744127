"""Connected components of a Dask array, numbered as in memory.

A chunk is labelled, and of that are kept: the labels on its borders, and for each of its lines the highest label so
far. Labels in a chunk are numbered in raster order, so a label was born on the first line that reaches it, and births
per line are all that the global numbers of components inside a chunk depend on. Where chunks meet, labels are joined;
a component keeps its first birth, its others are taken out of the count. Then a sum over all lines in raster order
tells each chunk the number that its births on each line begin at. The chunk is labelled again and renumbered.

Until then it waits as one bit per element, compressed. What is joined at once is as large as the borders.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from ._label import check_room, components, label_dtype


class Border(NamedTuple):
    """What is known of a chunk: ``newest[i]`` is the highest label on its lines 0 to i."""

    newest: np.ndarray
    faces: list[tuple[Any, Any]]  # per axis: labels (and values) on the first and last plane, where a chunk follows


class Numbers(NamedTuple):
    """What a chunk's labels become: births on line i begin after ``before[i]``, but for `moved`, which become `to`."""

    before: np.ndarray
    moved: np.ndarray
    to: np.ndarray


def labelled(image: Any, structure: np.ndarray, background: np.ndarray | None, dtype: np.dtype) -> tuple[Any, Any]:
    """Labels of a Dask array, and their count without axes. `background` as in `components`."""
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    if 0 in image.shape:
        return da.zeros(image.shape, chunks=image.chunks, dtype=dtype), da.zeros((), dtype=np.int64)
    if any(0 in sizes for sizes in image.chunks):
        labels, count = labelled(
            image.rechunk(tuple(tuple(n for n in sizes if n) for sizes in image.chunks)), structure, background, dtype
        )
        return labels.rechunk(image.chunks), count
    name = f"label-{tokenize(image.name, structure, background, dtype)}"
    parts = ("kept", "border", "joined", "numbers", "count")
    kept, border, joined, numbers, total = (f"{name}-{part}" for part in parts)
    places = list(np.ndindex(*image.numblocks))
    borders = [(border, *i) for i in places]
    graph: dict[Any, Any] = {joined: (_join, image.chunks, structure, dtype, borders)}
    for at, i in enumerate(places):
        inner = [(k > 0, k + 1 < n) for k, n in zip(i, image.numblocks, strict=True)]
        graph[kept, *i] = (_keep, (image.name, *i), background is not None)
        graph[border, *i] = (_border, (kept, *i), structure, background, inner)
        graph[numbers, *i] = (_pick, joined, at)
        graph[name, *i] = (_renumber, (kept, *i), structure, background, (numbers, *i), dtype)
    layered = HighLevelGraph.from_collections(name, graph, dependencies=[image])
    labels = da.Array(layered, name, image.chunks, dtype=dtype, meta=np.empty((0,) * image.ndim, dtype))
    counted = HighLevelGraph.from_collections(total, {(total,): (_count, joined)}, dependencies=[labels])  # type: ignore[list-item]
    return labels, da.Array(counted, total, (), dtype=np.int64, meta=np.empty((), np.int64))


def _pick(joined: tuple[list[Numbers], int], at: int) -> Numbers:
    return joined[0][at]


def _count(joined: tuple[list[Numbers], int]) -> np.ndarray:
    return np.array(joined[1])


def _keep(block: np.ndarray, equal: bool) -> Any:
    """What waits: the chunk where values are compared, else its bits."""
    return block if equal else (zlib.compress(np.packbits(np.asarray(block) != 0).tobytes(), 1), np.shape(block))


def _kept(kept: Any) -> np.ndarray:
    if isinstance(kept, tuple):
        data, shape = kept
        bits = np.frombuffer(zlib.decompress(data), np.uint8)
        return np.unpackbits(bits, count=math.prod(shape)).view(bool).reshape(shape)
    return np.asarray(kept)


def _labels(kept: Any, structure: np.ndarray, background: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a chunk, and what its values are compared by."""
    block = _kept(kept)
    labels = np.empty(block.shape, label_dtype(block.size))
    components(block, structure, labels, background)
    return labels, block


def _newest(labels: np.ndarray) -> np.ndarray:
    lines = labels.reshape(-1, labels.shape[-1] if labels.ndim else 1)
    return np.maximum.accumulate(lines.max(axis=1))


def _border(kept: Any, structure: np.ndarray, background: np.ndarray | None, inner: list[tuple[bool, bool]]) -> Border:
    labels, block = _labels(kept, structure, background)
    planes = [labels] if background is None else [labels, block]

    def face(axis: int, end: slice) -> list[np.ndarray]:
        return [plane[(slice(None),) * axis + (end,)].copy() for plane in planes]

    ends = slice(0, 1), slice(-1, None)
    faces = [tuple(face(a, end) if there else None for end, there in zip(ends, inner[a], strict=True))
             for a in range(labels.ndim)]  # fmt: skip
    return Border(_newest(labels), faces)  # type: ignore[arg-type]


def _join(chunks: Any, structure: np.ndarray, dtype: np.dtype, borders: list[Border]) -> tuple[list[Numbers], int]:
    """The numbers of every chunk, and how many components there are."""
    parts = [_on_faces(border) for border in borders]
    owner = _components_of_parts(chunks, structure, borders, parts)
    begins = np.cumsum([0, *(len(p) for p in parts)])
    lines = [np.searchsorted(b.newest, p) for b, p in zip(borders, parts, strict=True)]
    moved = [np.flatnonzero(owner[b:e] != np.arange(b, e)) for b, e in itertools.pairwise(begins)]
    births = []
    for border, line, lost in zip(borders, lines, moved, strict=True):
        count = np.diff(border.newest, prepend=0).astype(np.int64)
        np.subtract.at(count, line[lost], 1)
        births.append(count)
    before, total = _sums_before(chunks, births)
    check_room(total, dtype)
    number = np.empty(len(owner), np.int64)
    for k, (border, part, line) in enumerate(zip(borders, parts, lines, strict=True)):
        # Of the births on this line before it, those that moved do not count.
        first = np.concatenate([[0], border.newest])[line]
        lost = part[moved[k]]
        gone = np.searchsorted(lost, part) - np.searchsorted(lost, first + 1)
        number[begins[k] : begins[k + 1]] = before[k][line] + part - first - gone
    number = number[owner]
    return [
        Numbers(before[k], parts[k][moved[k]], number[begins[k] : begins[k + 1]][moved[k]]) for k in range(len(borders))
    ], total


def _on_faces(border: Border) -> np.ndarray:
    """The labels that stand on a face of the chunk, ascending."""
    found = [np.unique(face[0]) for pair in border.faces for face in pair if face is not None]
    labels = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return labels[labels > 0].astype(np.int64)


def _components_of_parts(chunks, structure, borders, parts):
    """For each label on a face: which of those that it is joined with comes first in raster order."""
    import scipy.sparse
    import scipy.sparse.csgraph

    begins = np.cumsum([0, *(len(p) for p in parts)])
    count = int(begins[-1])
    pairs = np.concatenate([np.empty((2, 0), np.int64), *_pairs(chunks, structure, borders, parts, begins)], axis=1)
    graph = scipy.sparse.coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])), (count, count))
    group = scipy.sparse.csgraph.connected_components(graph, directed=False)[1] if count else np.empty(0, np.int64)
    places = list(np.ndindex(*(len(sizes) for sizes in chunks)))
    line = [_global_lines(chunks, i)[np.searchsorted(b.newest, p)]
            for i, b, p in zip(places, borders, parts, strict=True)]  # fmt: skip
    chunk = np.repeat([i[-1] if i else 0 for i in places], [len(p) for p in parts])
    order = np.lexsort((np.concatenate(parts), chunk, np.concatenate(line)))
    _, first = np.unique(group[order], return_index=True)
    return order[first][group] if count else np.empty(0, np.int64)


def _global_lines(chunks: Any, place: tuple[int, ...]) -> np.ndarray:
    """The numbers, in the whole array, of a chunk's lines."""
    shape = tuple(sum(sizes) for sizes in chunks[:-1])
    axes = [sum(sizes[:i]) + np.arange(sizes[i]) for sizes, i in zip(chunks[:-1], place[:-1], strict=True)]
    return np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), shape).ravel() if axes else np.zeros(1, np.int64)


def _pairs(chunks, structure, borders, parts, begins):
    """Pairs of parts that meet across the seams between layers of chunks."""
    grid = tuple(len(sizes) for sizes in chunks)
    number = np.arange(len(borders)).reshape(grid)

    def plane(axis: int, layer: int, end: int) -> list[np.ndarray]:
        """One side of a layer: the number of the part at each element, -1 in the background; and its values."""
        cut = number[(slice(None),) * axis + (slice(layer, layer + 1),)]
        found = []
        for what in range(len(borders[cut.flat[0]].faces[axis][end])):
            tiles = np.empty(cut.shape, object)
            for place, k in np.ndenumerate(cut):
                tile = borders[k].faces[axis][end][what]
                if what == 0:
                    tile = np.where(tile > 0, begins[k] + np.searchsorted(parts[k], tile), -1)
                tiles[place] = tile
            found.append(np.block(tiles.tolist()).squeeze(axis))
        return found

    for axis, layers in enumerate(grid):
        steps = np.argwhere(structure.take(2, axis)) - 1
        for layer in range(layers - 1):
            yield _touching(plane(axis, layer, 1), plane(axis, layer + 1, 0), steps, int(begins[-1]))


def _touching(here: list[np.ndarray], there: list[np.ndarray], steps: np.ndarray, count: int) -> np.ndarray:
    found = [np.empty(0, np.int64)]
    for step in steps:
        shape = here[0].shape
        one = tuple(slice(max(-s, 0), n + min(-s, 0)) for s, n in zip(step, shape, strict=True))
        other = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(step, shape, strict=True))
        meets = (here[0][one] >= 0) & (there[0][other] >= 0)
        for a, b in zip(here[1:], there[1:], strict=True):
            meets &= a[one] == b[other]
        found.append(np.unique(here[0][one][meets] * count + there[0][other][meets]))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(count, 1)))


def _sums_before(chunks: Any, births: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """For every line of every chunk, the births before it in raster order; and all births."""
    shape = tuple(sum(sizes) for sizes in chunks[:-1])
    table = np.zeros((*shape, len(chunks[-1]) if chunks else 1), np.int64)
    places = []
    ends = [np.cumsum(sizes) for sizes in chunks]
    for i, count in zip(np.ndindex(*(len(sizes) for sizes in chunks)), births, strict=True):
        rows = tuple(slice(ends[a][k] - chunks[a][k], ends[a][k]) for a, k in enumerate(i[:-1]))
        places.append((*rows, i[-1] if i else 0))
        table[places[-1]] = count.reshape(table[places[-1]].shape)
    sums = np.cumsum(table.ravel()).reshape(table.shape)
    total = int(sums.flat[-1])
    sums -= table
    return [sums[place].ravel() for place in places], total


def _renumber(kept: Any, structure: np.ndarray, background: Any, numbers: Numbers, dtype: np.dtype) -> np.ndarray:
    labels, _ = _labels(kept, structure, background)
    newest = _newest(labels)
    births = np.diff(newest, prepend=0)
    stays = np.ones(int(newest[-1]) + 1, np.int64)
    stays[0] = 0
    stays[numbers.moved] = 0
    so_far = np.cumsum(stays)
    number = np.zeros(len(stays), np.int64)
    number[1:] = np.repeat(numbers.before - so_far[newest - births], births) + so_far[1:]
    number[numbers.moved] = numbers.to
    return number.astype(dtype)[labels]
