"""Statistics per label of Dask arrays: what is found in each chunk is merged; the image is never gathered."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._engine.arrays import UnsupportedDtypeError, kernel_dtype, native
from .._engine.keywords import as_spacing
from .._engine.operation import is_dask
from . import _groups, _objects, _summary
from ._slots import Slots, flat_labels, slots_of
from ._statistics import highest, sweep
from ._tables import Tables, merged, widened

#: So many parts are merged at once.
_AT_ONCE = 8


def aligned(input: Any, labels: Any) -> tuple[Any, Any]:
    """Both as Dask arrays of one shape in the same chunks."""
    import dask.array as da

    image = da.asarray(input)
    marks = da.ones_like(image, dtype=np.uint8) if labels is None else da.asarray(labels)
    try:
        shape = np.broadcast_shapes(image.shape, marks.shape)
    except ValueError:
        raise ValueError(
            f"input and labels must have the same shape (excepting dimensions with width 1): found {image.shape} and "
            f"{marks.shape}"
        ) from None
    image, marks = da.broadcast_to(image, shape), da.broadcast_to(marks, shape)
    return (image, marks.rechunk(image.chunks)) if is_dask(input) else (image.rechunk(marks.chunks), marks)


def reduced(
    image: Any, marks: Any, name: str, part: Callable[..., Any], merge: Callable[[list[Any]], Any],
    last: Callable[[Any], Any],
) -> Any:
    """``last(merged)`` as a delayed value: ``part(block, marks, origin)`` of all chunks, merged in raster order, few at
    a time."""
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    origins = [np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int).tolist() for sizes in image.chunks]
    graph: dict[Any, Any] = {}
    level = []
    for i in np.ndindex(*image.numblocks):
        origin = tuple(o[k] for o, k in zip(origins, i, strict=True))
        graph[f"{name}-part", *i] = (part, (image.name, *i), (marks.name, *i), origin)
        level.append((f"{name}-part", *i))
    for depth in itertools.count():
        if len(level) == 1:
            break
        groups = [level[k : k + _AT_ONCE] for k in range(0, len(level), _AT_ONCE)]
        level = [(f"{name}-merged-{depth}", k) for k in range(len(groups))]
        graph.update((key, (merge, group)) for key, group in zip(level, groups, strict=True))
    graph[name] = (last, level[0])
    return Delayed(name, HighLevelGraph.from_collections(name, graph, dependencies=[image, marks]))


def named(function: str, *arguments: Any) -> str:
    """The name of a result: the same for the same arguments."""
    from dask.base import tokenize

    return f"{function}-{tokenize(*arguments)}"


def _merged_tables(parts: list[Tables]) -> Tables:
    """Tables of chunks, which do not know the highest label of all."""
    width = max(len(part.counts) for part in parts)
    return merged([widened(part, width) for part in parts])


# --- what the tables hold ------------------------------------------------------------------------------------


def measured(name: str, input: Any, labels: Any, index: Any, wanted: Sequence[str], finish: Any) -> Any:
    import dask.array as da

    image, marks = aligned(input, labels)
    if not kernel_dtype(image.dtype):
        raise UnsupportedDtypeError(f"input has dtype {image.dtype}, which is not supported on Dask arrays")
    single = labels is None or index is None or np.isscalar(index)
    key = named(name, image.name, marks.name, index, single)
    part = functools.partial(_chunk_tables, index=index, single=single, wanted=tuple(wanted), shape=image.shape)
    shape = () if single else np.shape(index)
    sample = finish(*_sample(image, shape, wanted))
    kind = _sum_dtype(image.dtype) if single and name == "sum_labels" else None
    last = functools.partial(_finished, index=index, single=single, finish=finish, kind=kind, dtype=image.dtype,
                             shape=image.shape, marks=marks.dtype)  # fmt: skip
    whole = reduced(image, marks, key, part, _merged_tables, last)
    if isinstance(sample, tuple):
        return tuple(da.from_delayed(whole[k], s.shape, s.dtype) for k, s in enumerate(sample))
    return da.from_delayed(whole, sample.shape, kind or sample.dtype)


def _sum_dtype(dtype: np.dtype) -> np.dtype:
    """What NumPy sums one group in."""
    return np.zeros(0, dtype).sum().dtype


class _Like(NamedTuple):
    """What finishing asks of the image."""

    dtype: np.dtype
    shape: tuple[int, ...]
    ndim: int


def _sample(image: Any, shape: tuple[int, ...], wanted: Sequence[str]) -> Any:
    """Tables of one label, to see what comes out of them."""
    tables = sweep(np.ones((1,) * image.ndim, image.dtype), Slots(np.ones((1,) * max(image.ndim, 1), np.int32), 1, 1,
                    np.empty(0)), wanted)  # fmt: skip
    return tables, Slots(np.empty(0), 0, 1, np.zeros(shape, np.int64)), _Like(image.dtype, image.shape, image.ndim)


def _chunk_slots(marks: np.ndarray, index: Any, single: bool, shape: tuple[int, ...]) -> Slots:
    if not single:
        return slots_of(marks, index, math.prod(shape))
    there = marks > 0 if index is None else marks == index
    return Slots(flat_labels(there), 1, 1, np.zeros((), np.int64))


def _chunk_tables(block: Any, marks: Any, origin: Any, *, index: Any, single: bool, wanted: Any, shape: Any) -> Tables:
    block, marks = np.asarray(block), np.asarray(marks)
    tables = sweep(block, _chunk_slots(marks, index, single, shape), wanted)
    return tables.moved(origin, block.shape, shape) if block.size else tables


def _finished(tables, *, index, single, finish, kind, dtype, shape, marks):
    if single:
        slots = Slots(np.empty(0), 1, 1, np.zeros((), np.int64))
    else:
        slots = slots_of(np.empty(0, marks), index, math.prod(shape))
    result = finish(tables, slots, _Like(dtype, shape, len(shape)))
    return result if kind is None else np.asarray(result).astype(kind)


def objects(labels: Any, max_label: int) -> Any:
    """`find_objects` of a Dask array, delayed."""
    if labels.dtype.kind == "c":
        raise TypeError(f"Complex type not supported: input has dtype {labels.dtype}")
    if labels.dtype.kind not in "biu":
        raise UnsupportedDtypeError(f"input has dtype {labels.dtype}; labels are integers")
    part = functools.partial(_chunk_boxes, max_label=max_label)
    key = named("find_objects", labels.name, max_label)
    return reduced(labels, labels, key, part, _merged_tables, _objects.as_slices)


def _chunk_boxes(block: Any, marks: Any, origin: Any, *, max_label: int) -> Tables:
    block = np.asarray(block)
    count = max_label if max_label > 0 else highest(block)
    return _objects.boxes_of(native(block), count).moved(origin, block.shape, block.shape)


def summary(image: Any, labels: Any, index: Any, spacing: Any) -> Any:
    """`label_statistics` of a Dask array, delayed."""
    image, marks = aligned(image, labels)
    if not kernel_dtype(image.dtype):
        raise UnsupportedDtypeError(f"image has dtype {image.dtype}, which is not supported")
    mm = as_spacing(1.0 if spacing is None else spacing, image.ndim)
    asked = None if index is None else np.atleast_1d(index)
    part = functools.partial(_chunk_summary, index=asked, shape=image.shape)
    like = _Like(image.dtype, image.shape, image.ndim)
    last = functools.partial(_summarised, index=asked, mm=mm, like=like, marks=marks.dtype)
    key = named("label_statistics", image.name, marks.name, asked, mm)
    return reduced(image, marks, key, part, _merged_tables, last)


def _chunk_summary(block: Any, marks: Any, origin: Any, *, index: Any, shape: Any) -> Tables:
    block, marks = np.asarray(block), np.asarray(marks)
    if index is None:
        index = np.arange(1, highest(marks) + 1)
        slots = Slots(flat_labels(marks), 1, len(index), index - 1)
    else:
        slots = slots_of(marks, index, math.prod(shape))
    tables = sweep(block, slots, _summary.WANTED)
    return tables.moved(origin, block.shape, shape) if block.size else tables


def _summarised(tables: Tables, *, index: Any, mm: list[float], like: Any, marks: np.dtype) -> dict[str, Any]:
    everything = index is None
    if everything:
        index = np.arange(1, len(tables.counts) + 1)
        slots = Slots(np.empty(0), 1, len(index), index - 1)
    else:
        slots = slots_of(np.empty(0, marks), index, math.prod(like.shape))
    return _summary.columns(tables, slots, index, like, mm, everything)


# --- what they do not ----------------------------------------------------------------------------------------


def histograms(input: Any, labels: Any, index: Any, bins: tuple[float, float, int]) -> Any:
    """`histogram` of a Dask array, delayed: those of chunks are added."""
    image, marks = aligned(input, labels)
    whole = labels is None
    if whole and index is not None:
        raise ValueError(f"index without defined labels: found index={index!r} and labels=None")
    part = functools.partial(_chunk_histogram, index=index, bins=bins, whole=whole)
    return reduced(image, marks, named("histogram", image.name, marks.name, index, bins), part, _added, _itself)


def _chunk_histogram(block: Any, marks: Any, origin: Any, *, index: Any, bins: Any, whole: bool) -> Any:
    low, high, count = bins
    return _groups.histogram(np.asarray(block), low, high, count, None if whole else np.asarray(marks), index)


def _added(parts: list[Any]) -> Any:
    """Counts that may be None, for labels that are not there; or arrays of them."""
    if isinstance(parts[0], np.ndarray) and parts[0].dtype == object:
        found = np.empty(parts[0].shape, object)
        for place in np.ndindex(found.shape):
            found[place] = _added([part[place] for part in parts])
        return found
    there = [part for part in parts if part is not None]
    return functools.reduce(np.add, there) if there else None


def _itself(result: Any) -> Any:
    return result


def comprehension(
    input: Any, labels: Any, index: Any, func: Any, out_dtype: Any, default: Any, pass_positions: bool
) -> Any:
    """`labeled_comprehension` of a Dask array, delayed: the values of the labels asked for come together."""
    image, marks = aligned(input, labels)
    if labels is None and index is not None:
        raise ValueError(f"index without defined labels: found index={index!r} and labels=None")
    part = functools.partial(_chunk_values, index=index, shape=image.shape)
    last = functools.partial(_comprehended, index=index, func=func, out_dtype=out_dtype, default=default,
                             pass_positions=pass_positions)  # fmt: skip
    key = named("labeled_comprehension", image.name, marks.name, index, func, out_dtype, default, pass_positions)
    return reduced(image, marks, key, part, _joined, last)


def _chunk_values(block: Any, marks: Any, origin: Any, *, index: Any, shape: Any) -> tuple[np.ndarray, ...]:
    """Values, labels and flat places of what is asked for."""
    block, marks = np.asarray(block), np.asarray(marks)
    there = marks > 0 if index is None else np.isin(marks, np.atleast_1d(index))
    return block[there], marks[there], _flat_places(np.nonzero(there), origin, shape)


def _flat_places(places: Any, origin: Any, shape: Any) -> np.ndarray:
    if not shape:
        return np.zeros(len(places[0]) if places else 1, np.int64)
    return np.ravel_multi_index([p + o for p, o in zip(places, origin, strict=True)], shape)


def _joined(parts: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _comprehended(found, *, index, func, out_dtype, default, pass_positions):
    order = np.argsort(found[2], kind="stable")
    values, marks, places = (column[order] for column in found)
    call = (lambda v, at: func(v, places[at])) if pass_positions else func
    return _groups.labeled_comprehension(values, marks, index, call, out_dtype, default, pass_positions)


def indices(labels: Any, ignored: Any) -> Any:
    """`value_indices` of a Dask array, delayed."""
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Parameter 'arr' must be an integer array, found dtype {labels.dtype}")
    part = functools.partial(_chunk_indices, ignored=ignored)
    last = functools.partial(_in_raster_order, shape=labels.shape)
    return reduced(labels, labels, named("value_indices", labels.name, ignored), part, _joined_places, last)


def _chunk_indices(block: Any, marks: Any, origin: Any, *, ignored: Any) -> dict[Any, tuple[np.ndarray, ...]]:
    found = _objects.value_indices(np.asarray(block), ignore_value=ignored)
    return {value: tuple(p + o for p, o in zip(places, origin, strict=True)) for value, places in found.items()}


def _joined_places(parts: list[dict[Any, Any]]) -> dict[Any, tuple[np.ndarray, ...]]:
    found: dict[Any, list[Any]] = {}
    for part in parts:
        for value, places in part.items():
            found.setdefault(value, []).append(places)
    return {value: tuple(map(np.concatenate, zip(*places, strict=True))) for value, places in found.items()}


def _in_raster_order(found: dict[Any, tuple[np.ndarray, ...]], shape: tuple[int, ...]) -> dict[Any, Any]:
    result = {}
    for value in sorted(found):
        order = np.argsort(_flat_places(found[value], (0,) * len(shape), shape), kind="stable")
        result[value] = tuple(axis[order] for axis in found[value])
    return result
