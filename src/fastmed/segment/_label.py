"""Connected components: what is joined gets one number, in the order of a raster scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import memory, threads
from .._engine.arrays import UnsupportedDtypeError, as_array, kernel_dtype, native
from .._engine.operation import Operation, kernel, operation


class NotSymmetricError(AssertionError, ValueError):
    """A structure must hold with each neighbour the opposite one (SciPy raises AssertionError here)."""


def _chunked(op: Operation, arguments: dict[str, Any]) -> Any:
    from . import _label_chunks

    image, dtype = arguments["input"], arguments["output"]
    _check_dtype(image.dtype, "input")
    structure = as_structure(arguments["structure"], image.ndim)
    dtype = label_dtype(image.size) if dtype is None else np.dtype(dtype)
    _check_dtype(dtype, "output")
    return _label_chunks.labelled(image, structure, None, dtype)


@operation(chunked=_chunked)
def label(input: Any, structure: Any = None, output: Any = None) -> Any:
    """Number the connected components of what is not zero.

    Names, defaults and results are those of :func:`scipy.ndimage.label`.

    Parameters
    ----------
    input : array_like
        Any shape; bool, integers or floats. Elements that are not 0 (a NaN, too) are foreground. It is not changed.
    structure : array_like, optional
        3 elements along every axis; where it is not 0, the element in the middle has a neighbour. It must be
        symmetric about its centre. By default neighbours differ by 1 along one axis.
    output : dtype or array, optional
        The labels' dtype (default int32; int64 from 2**31 - 2 elements on) or an array of the shape of `input` that
        they are written into. Labels are numbered in C order, whatever its layout.

    Returns
    -------
    labels : array
        0 in the background, 1, 2, 3... in the components, in the order in which a scan in C order first meets them.
        Not given where `output` is an array.
    count : int
        How many components there are.

    Raises
    ------
    TypeError
        A dtype that is not bool, integer or a real float.
    RuntimeError
        A structure with another number of axes than `input`; a dtype of `output` that cannot hold all labels.
    ValueError
        A structure that is not 3 long along an axis; an `output` of another shape, or read-only.
    AssertionError
        A structure that is not symmetric.

    Notes
    -----
    Of a Dask array come a Dask array of labels and their count as a Dask array without axes. They are those of the
    whole array in memory: each chunk is labelled twice, and between waits as a compressed bit per element; components
    are joined where chunks meet.

    Union-find over runs of lines, after M. M. A. Patwary, J. Blair, F. Manne, "Experiments on union-find algorithms
    for the disjoint-set data structure", SEA 2010.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> labels, count = fastmed.label(np.array([[0, 1, 1, 0], [0, 0, 0, 5], [2, 0, 0, 5]]))
    >>> labels
    array([[0, 1, 1, 0],
           [0, 0, 0, 2],
           [3, 0, 0, 2]], dtype=int32)
    >>> count
    3
    """
    image = as_array(input)
    structure = as_structure(structure, image.ndim)
    target = _as_target(output, image)
    direct = target.dtype in (np.int32, np.int64) and target.flags.carray and target.size < 2**31 - 2
    if direct and not np.may_share_memory(image, target):
        count = components(image, structure, target)
    else:
        labels = memory.empty(image.shape, label_dtype(image.size))
        count = components(image, structure, labels)
        check_room(count, target.dtype)
        target[...] = labels
    return count if target is output else (target, count)


def as_structure(structure: Any, ndim: int) -> np.ndarray:
    """The neighbours of an element, as bool."""
    if structure is None:
        return cross(ndim, 1)
    structure = np.asarray(structure, dtype=bool)
    if structure.ndim != ndim:
        raise RuntimeError(f"structure and input must have equal rank: found {structure.ndim} and {ndim}")
    if any(n != 3 for n in structure.shape):
        raise ValueError(f"structure dimensions must be equal to 3, found the shape {structure.shape}")
    if not np.array_equal(structure, np.flip(structure)):
        raise NotSymmetricError("Structuring element is not symmetric: structure must equal itself turned about")
    return np.ascontiguousarray(structure).reshape(structure.shape)


def cross(ndim: int, connectivity: int) -> np.ndarray:
    """Neighbours that differ by 1 along at most so many axes."""
    return np.abs(np.indices((3,) * ndim) - 1).sum(axis=0) <= connectivity


def label_dtype(size: int) -> np.dtype:
    """What holds any label of so many elements, where SciPy changes from one to the other."""
    return np.dtype(np.intp if size >= 2**31 - 2 else np.int32)


def _as_target(output: Any, image: np.ndarray) -> np.ndarray:
    if output is None:
        return memory.empty(image.shape, label_dtype(image.size))
    if not isinstance(output, np.ndarray):
        dtype = np.dtype(output)
        _check_dtype(dtype, "output")
        return memory.empty(image.shape, dtype)
    _check_dtype(output.dtype, "output")
    if output.shape != image.shape:
        raise ValueError(f"output shape not correct: found {output.shape}, wanted {image.shape}")
    if not output.flags.writeable:
        raise ValueError("output array is read-only; a writable one is wanted")
    return output


def _check_dtype(dtype: np.dtype, name: str) -> None:
    if not kernel_dtype(dtype):
        raise UnsupportedDtypeError(f"{name} has dtype {dtype}; bool, integers or real floats are wanted")


def check_room(count: int, dtype: np.dtype) -> None:
    """Whether all labels up to `count` can be told apart (in bool they need not be)."""
    if dtype.kind == "b":
        return
    most = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else np.iinfo(dtype).max
    if count > most:
        raise RuntimeError(
            f"insufficient bit-depth in requested output type: found {count} labels, and {dtype} holds {most}"
        )


def components(image: np.ndarray, structure: np.ndarray, labels: np.ndarray, background: Any = None) -> int:
    """Write the labels of `image` into `labels` (C order, int32 or int64); gives their count.

    `background`: None, and what is not 0 is joined; or an array, empty or with the one value that is background, and
    what is equal is joined.
    """
    if image.size == 0:
        return 0
    if image.ndim == 0:
        labels[...] = not np.isin(image, 0 if background is None else background)
        return int(labels)
    equal = background is not None
    source = native(image)
    if equal:
        source = np.ascontiguousarray(source)
    budget = threads.budget(image.size, 8)
    return kernel("label", __name__)(
        source, structure, np.empty(0, source.dtype) if background is None else background.astype(source.dtype),
        equal, labels, budget,
    )


# --- scikit-image's function of that name ---------------------------------------------------------------------


def _chunked_regions(op: Operation, arguments: dict[str, Any]) -> Any:
    from . import _label_chunks

    image = arguments["label_image"]
    _check_dtype(image.dtype, "label_image")
    structure = _as_connectivity(arguments["connectivity"], image.ndim)
    background = _as_background(arguments["background"], _compared(image.dtype))
    dtype = _regions_dtype(image.dtype)
    whole = image.astype(_compared(image.dtype)) if image.dtype.kind == "f" else image
    labels, count = _label_chunks.labelled(_turned(whole, image.dtype), structure, background, dtype)
    labels = _turned(labels, image.dtype, image.shape)
    return (labels, count) if arguments["return_num"] else labels


@operation(chunked=_chunked_regions)
def label_regions(label_image: Any, background: Any = None, return_num: bool = False, connectivity: Any = None) -> Any:
    """Number the connected regions of equal values.

    Names, defaults and results are those of :func:`skimage.measure.label`; ``fastmed.skimage.label`` is this.

    Parameters
    ----------
    label_image : array_like
        Any shape; bool, integers, or floats, of which the whole part counts, as in scikit-image. It is not changed.
    background : int, optional
        The value that gets label 0; by default 0. One that the dtype cannot hold is nowhere.
    return_num : bool, optional
        Whether the number of regions is given, too.
    connectivity : int, optional
        Neighbours differ by 1 along at most so many axes, from 1 to the number of axes (the default).

    Returns
    -------
    labels : array
        Regions are numbered from 1 in the order in which a scan in C order first meets them. int64, of bool int32, as
        in scikit-image. Of a Dask array a Dask array with its chunks, equal to that of the whole array; each chunk
        waits until all have been seen.
    count : int
        How many there are; only with `return_num`.

    Raises
    ------
    ValueError
        A connectivity that is not from 1 to the number of axes.
    TypeError
        A dtype that is not bool, integer or a real float.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.label_regions(np.array([[7, 7, 0], [3, 0, 7], [3, 3, 7]]), connectivity=1)
    array([[1, 1, 0],
           [2, 0, 3],
           [2, 2, 3]])
    """
    image = as_array(label_image, "label_image")
    structure = _as_connectivity(connectivity, image.ndim)
    value = _as_background(background, _compared(image.dtype))
    kind, shape = image.dtype, image.shape
    if kind.kind == "f":
        image = _whole_parts(image)
    image = _turned(image, kind)
    labels = memory.empty(image.shape, _regions_dtype(kind))
    plain = image.dtype.kind == "b" and not value.any()
    count = components(image, structure, labels, None if plain else value)
    labels = _turned(labels, kind, shape)
    return (labels, count) if return_num else labels


def _turned(array: Any, dtype: np.dtype, shape: tuple[int, ...] | None = None) -> Any:
    """Axes of length 1 first, as scikit-image scans what is not bool: the last of them and the first longer one swap.

    `shape`: of the array before; its swaps are made again, which undoes them.
    """
    shape = array.shape if shape is None else shape
    flat = [axis for axis, n in enumerate(shape) if n == 1]
    thick = [axis for axis, n in enumerate(shape) if n > 1]
    for one, other in zip(reversed(flat), thick, strict=False):
        if one > other and dtype.kind != "b":
            array = array.swapaxes(one, other)
    return array


def _compared(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.int64) if dtype.kind == "f" else dtype.newbyteorder("=")


def _regions_dtype(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.int32 if dtype.kind == "b" else np.int64)


def _whole_parts(image: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return image.astype(np.int64)


def _as_background(background: Any, dtype: np.dtype) -> np.ndarray:
    """The one value that is background, or none where the dtype cannot hold it."""
    value = np.asarray(0 if background is None else background)
    if dtype.kind == "b":
        return np.array([bool(value)])
    if value.dtype.kind not in "biuf":
        raise TypeError(f"background must be a number, found {background!r}")
    info = np.iinfo(dtype)
    there = info.min <= value <= info.max and value == np.floor(value)
    return np.array([int(value)], dtype) if there else np.empty(0, dtype)


def _as_connectivity(connectivity: Any, ndim: int) -> np.ndarray:
    if connectivity is None:
        return cross(ndim, ndim)
    if not 0 < connectivity <= ndim:
        raise ValueError(
            f"connectivity for an image of {ndim} axes must be from 1 to {ndim}, found {connectivity!r}"
        )
    return cross(ndim, connectivity)
