"""Canny's edge detector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.csgraph

from .._engine import chunks, threads
from .._engine.arrays import as_array, native
from .._engine.operation import is_dask, kernel, operation
from ..filters._gaussian import _parameters, _weights

# What the kernel gives; the numbers are those of csrc/edges/canny.cpp.
_SMOOTHED, _MAGNITUDE, _MARKS, _EDGES = range(4)
_NONE = np.empty(0, np.uint8)  # stands for "no mask" and "no table"


def _float_type(dtype: np.dtype) -> np.dtype:
    """The float in which an image of `dtype` is smoothed and differentiated."""
    return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize < 8 else np.float64)


def _as_image(image: Any) -> np.ndarray:
    array = as_array(image, "image")
    _check_image(array.dtype, array.shape)
    return array


def _check_image(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind in "ui" and dtype.itemsize == 8:
        raise ValueError(f"64-bit integers are not supported: image has dtype {dtype}; convert it first")
    if 0 in shape:
        raise ValueError(f"image is empty: found shape {shape}, wanted at least one pixel")
    if len(shape) != 2:
        raise ValueError(f"image must be 2-dimensional, found {len(shape)} axes of shape {shape}")


def _as_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    if mask is None:
        return _NONE
    array = np.asarray(mask).astype(bool, copy=False)
    if array.shape != shape:
        raise IndexError(f"mask must have the shape of image: found {array.shape}, wanted {shape}")
    return array


def _threshold(value: Any, default: float, name: str, use_quantiles: bool, top: Any) -> Any:
    """One threshold on the scale of the smoothed image, or as a quantile."""
    if value is None:
        return default
    if not use_quantiles:
        return value / top
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a quantile between 0 and 1, found {value!r}")
    return value


def _thresholds(dtype: np.dtype, low: Any, high: Any, use_quantiles: bool) -> tuple[Any, Any]:
    top = np.iinfo(dtype).max if dtype.kind in "ui" else 1
    low = _threshold(low, 0.1, "low_threshold", use_quantiles, top)
    high = _threshold(high, 0.2, "high_threshold", use_quantiles, top)
    if high < low:
        raise ValueError(f"low_threshold must not be above high_threshold: found {low!r} and {high!r}")
    return low, high


def _comparable(low: Any, high: Any, float_type: np.dtype) -> tuple[float, float]:
    """Thresholds for the kernel, rounded as scikit-image rounds them on the way to its comparisons.

    The lower one is a C float there; 0 becomes 1e-14, and magnitudes of 0 are never edges. The upper one is
    compared under NumPy's promotion rules.
    """
    with np.errstate(over="ignore", under="ignore"):
        low = np.float32(low)
        if low == 0:
            low = np.float32(1e-14)
        elif low < 0:
            low = np.nextafter(float_type.type(0), float_type.type(1))
        compared = np.result_type(np.empty(1, float_type), high)
        return float(low), float(compared.type(high))


class _Gradients:
    """An image ready for the kernel: its smoothing, its mask, and how much of each window lies inside."""

    def __init__(self, image: np.ndarray, sigma: Any, mask: np.ndarray, mode: Any, cval: Any) -> None:
        self.image, self.mask, self.cval = native(image), mask, float(cval)
        self.float_type = _float_type(image.dtype)
        self.rows = _parameters(2, sigma, 0, mode)
        self.weights = [w for _, s, o, _, r in self.rows for w in _weights(s, o, r).tolist()]
        self.bleed = _NONE
        if mask is _NONE and isinstance(mode, str) and mode == "constant":
            self.bleed = self._bleed(sigma)

    def _bleed(self, sigma: Any) -> np.ndarray:
        """The smoothed all-true mask. Rows further than a radius from the border are alike; columns too."""
        reach = [0, 0]
        for axis, _, _, _, radius in self.rows:
            reach[axis] = radius
        shape = [min(n, 2 * r + 1) for n, r in zip(self.image.shape, reach, strict=True)]
        inside = np.ones(shape, self.float_type)
        table = scipy.ndimage.gaussian_filter(inside, sigma, mode="constant", cval=self.cval)
        return table + np.finfo(self.float_type).eps

    def run(self, stage: int, dtype: Any, low: float = 0.0, high: float = 0.0) -> np.ndarray:
        output = np.empty(self.image.shape, dtype)
        kernel("canny", __name__)(
            self.image, self.mask, [r[0] for r in self.rows], [r[4] for r in self.rows], self.weights,
            [r[3] for r in self.rows], self.cval, self.bleed, stage, low, high, output,
            threads.budget(output.size, 32),
        )
        return output


def _check_sigma(sigma: Any) -> None:
    if np.any(np.asarray(sigma) < 0.0):
        raise ValueError(f"sigma must not be negative, found {sigma!r}")


# --- Dask arrays -------------------------------------------------------------------------------------------
# Local steps run on chunks with a halo; what a step cannot know near a cut is cut off again. Hysteresis
# labels the marks of each chunk and joins the labels that meet at the borders between chunks.

_BOTH_SIDES = ((2, 2), (2, 2))  # marks look at magnitudes beside them, those at smoothed values beside them


def _chunked(op: Any, arguments: dict[str, Any]) -> Any:
    image, sigma, mode, quantiles = (arguments[k] for k in ("image", "sigma", "mode", "use_quantiles"))
    _check_image(as_array(np.empty(0, image.dtype), "image").dtype, image.shape)
    low, high = _thresholds(image.dtype, arguments["low_threshold"], arguments["high_threshold"], quantiles)
    _check_sigma(sigma)
    inside = _chunked_mask(arguments["mask"], image)
    smoothed = _chunked_smooth(image, inside, sigma, mode, float(arguments["cval"]))
    marks = _chunked_marks(smoothed, low, high, quantiles)
    if inside is not None:
        import dask.array as da

        eroded = chunks.map_with_halo(
            _erode_block, inside, ((1, 1), (1, 1)), dtype=bool, name="canny-mask", arguments={}
        )
        marks = da.map_blocks(np.multiply, marks, eroded, dtype=np.uint8)
    return _linked(marks)


def _chunked_mask(mask: Any, image: Any) -> Any:
    if mask is None:
        return None
    import dask.array as da

    if mask.shape != image.shape:
        raise IndexError(f"mask must have the shape of image: found {mask.shape}, wanted {image.shape}")
    array = da.asarray(mask) if is_dask(mask) else da.from_array(np.asarray(mask), chunks=image.chunks)
    return array.astype(bool).rechunk(image.chunks)


def _chunked_smooth(image: Any, inside: Any, sigma: Any, mode: Any, cval: float) -> Any:
    import dask.array as da

    halo = [(0, 0), (0, 0)]
    for axis, _, _, _, radius in _parameters(2, sigma, 0, mode):
        halo[axis] = (radius, radius)
    if inside is not None:
        pair = np.dtype([("image", image.dtype), ("mask", bool)])
        image = da.map_blocks(_pair_block, image, inside, dtype=pair, meta=np.empty((0, 0), pair))
    dtype = _float_type(image.dtype["image"] if inside is not None else image.dtype)
    return chunks.map_with_halo(
        _smooth_block, image, halo, wrap=chunks.wrapped_axes(2, {"mode": mode}), dtype=dtype,
        name="canny-smooth", arguments={"sigma": sigma, "mode": mode, "cval": cval},
    )


def _chunked_marks(smoothed: Any, low: Any, high: Any, quantiles: bool) -> Any:
    def local(function: Any, dtype: Any, **arguments: Any) -> Any:
        return chunks.map_with_halo(
            function, smoothed, _BOTH_SIDES, dtype=dtype, name="canny", arguments=arguments
        )

    if not quantiles:
        low, high = _comparable(low, high, smoothed.dtype)
        return local(_mark_block, np.uint8, low=low, high=high)
    import dask
    import dask.array as da

    magnitudes = local(_magnitude_block, smoothed.dtype).to_delayed().ravel().tolist()
    limits = dask.delayed(_quantiles)(magnitudes, low, high)
    return da.map_blocks(_threshold_block, local(_thin_block, smoothed.dtype), limits, dtype=np.uint8)


def _pair_block(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    pair = np.empty(image.shape, [("image", image.dtype), ("mask", bool)])
    pair["image"], pair["mask"] = image, mask
    return pair


def _smooth_block(block: np.ndarray, *, sigma: Any, mode: Any, cval: float) -> np.ndarray:
    image, mask = (block["image"], block["mask"]) if block.dtype.names else (block, _NONE)
    if image.size == 0:
        return np.empty(image.shape, _float_type(image.dtype))
    gradients = _Gradients(image, sigma, mask, mode, cval)
    return gradients.run(_SMOOTHED, gradients.float_type)


def _of_smoothed(
    block: np.ndarray, stage: int, dtype: Any, low: float = 0.0, high: float = 0.0
) -> np.ndarray:
    if block.size == 0:
        return np.empty(block.shape, dtype)
    return _Gradients(block, 0.0, _NONE, "reflect", 0.0).run(stage, dtype, low, high)


def _mark_block(block: np.ndarray, *, low: float, high: float) -> np.ndarray:
    return _of_smoothed(block, _MARKS, np.uint8, low, high)


def _magnitude_block(block: np.ndarray) -> np.ndarray:
    return _of_smoothed(block, _MAGNITUDE, block.dtype)


def _thin_block(block: np.ndarray) -> np.ndarray:
    """The magnitude where it is highest across the edge, else 0: marks whose thresholds are not known yet."""
    low, high = _comparable(-1.0, np.inf, block.dtype)
    return _magnitude_block(block) * (_mark_block(block, low=low, high=high) > 0)


def _threshold_block(thin: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return np.where((thin > 0) & (thin >= low), 1 + (thin >= np.float64(high)), 0).astype(np.uint8)


def _quantiles(magnitudes: list[np.ndarray], low: float, high: float) -> tuple[float, float]:
    values = np.concatenate([m.ravel() for m in magnitudes])
    low, high = np.percentile(values, [100.0 * low, 100.0 * high])
    return _comparable(low, high, values.dtype)


def _erode_block(mask: np.ndarray) -> np.ndarray:
    return scipy.ndimage.binary_erosion(mask, np.ones((3, 3), bool), border_value=0)


def _linked(marks: Any) -> Any:
    """Hysteresis over all chunks. The marks wait for it at two bits per pixel."""
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"canny-edges-{tokenize(marks.name)}"
    packed, border, table, joined = (f"{name}-{part}" for part in ("packed", "border", "table", "joined"))
    rows, columns = (range(len(c)) for c in marks.chunks)
    graph: dict[Any, Any] = {joined: (_join, [[(border, i, j) for j in columns] for i in rows])}
    for i in rows:
        for j in columns:
            graph[packed, i, j] = (_pack, (marks.name, i, j))
            graph[border, i, j] = (_border, (packed, i, j))
            graph[table, i, j] = (_pick, joined, i, j)
            graph[name, i, j] = (_resolve, (packed, i, j), (table, i, j))
    layered = HighLevelGraph.from_collections(name, graph, dependencies=[marks])
    return da.Array(layered, name, marks.chunks, dtype=bool, meta=np.empty((0, 0), bool))


def _pack(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    return np.packbits(marks > 0), np.packbits(marks == 2), marks.shape


def _unpack(packed: tuple[np.ndarray, np.ndarray, tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
    *planes, shape = packed
    any_mark, strong = (np.unpackbits(p, count=math.prod(shape)).view(bool).reshape(shape) for p in planes)
    return any_mark, strong


def _labels(marked: np.ndarray) -> np.ndarray:
    if marked.size == 0:
        return np.zeros(marked.shape, np.int32)
    return scipy.ndimage.label(marked, np.ones((3, 3), bool))[0]


def _border(packed: Any) -> tuple[np.ndarray, ...]:
    """Which labels of a chunk hold a strong mark, and the labels in its first and last row and column."""
    marked, strong = _unpack(packed)
    labels = _labels(marked)
    good = np.zeros(int(labels.max(initial=0)) + 1, bool)
    good[labels[strong]] = True
    return good, *(edge.copy() for edge in (labels[:1], labels[-1:], labels[:, :1], labels[:, -1:]))


def _join(borders: list[list[tuple[np.ndarray, ...]]]) -> list[list[np.ndarray]]:
    """Per chunk and label: whether it hangs, over any borders, on a strong mark."""
    flat = [border[0] for row in borders for border in row]
    columns = len(borders[0])
    ends = np.cumsum([good.size for good in flat])
    begins = ends - [good.size for good in flat]

    def line(rows: Iterable[int], cols: Iterable[int], edge: int) -> np.ndarray:
        """The labels along a line of chunks, numbered over all chunks; -1 where there is no mark."""
        parts = [(borders[i][j][edge].ravel(), begins[i * columns + j]) for i in rows for j in cols]
        return np.concatenate([np.where(part > 0, part + begin, -1) for part, begin in parts])

    down, across = range(len(borders)), range(columns)
    seams = [(line([i], across, 2), line([i + 1], across, 1)) for i in down[:-1]]
    seams += [(line(down, [j], 4), line(down, [j + 1], 3)) for j in across[:-1]]
    pairs = np.concatenate([np.empty((2, 0), np.int64), *(_touching(a, b) for a, b in seams)], axis=1)
    good = _hangs_on_good(np.concatenate(flat), pairs)
    return [
        [good[begins[i * columns + j] : ends[i * columns + j]] for j in across] for i in down
    ]


def _hangs_on_good(good: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Spread `good` over the graph whose edges are `pairs`."""
    edges = (np.ones(pairs.shape[1], bool), (pairs[0], pairs[1]))
    graph = scipy.sparse.coo_array(edges, (good.size, good.size))
    count, group = scipy.sparse.csgraph.connected_components(graph, directed=False)
    good_group = np.zeros(count, bool)
    good_group[group[good]] = True
    return good_group[group]


def _touching(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pairs of labels that meet across a seam, straight or diagonally."""
    pairs = np.concatenate([np.stack(p) for p in ((a, b), (a[1:], b[:-1]), (a[:-1], b[1:]))], axis=1)
    return np.unique(pairs[:, (pairs >= 0).all(axis=0)], axis=1)


def _pick(tables: list[list[np.ndarray]], i: int, j: int) -> np.ndarray:
    return tables[i][j]


def _resolve(packed: Any, table: np.ndarray) -> np.ndarray:
    return table[_labels(_unpack(packed)[0])]


@operation(chunked=_chunked, ndim=2)
def canny(
    image: Any,
    sigma: Any = 1.0,
    low_threshold: float | None = None,
    high_threshold: float | None = None,
    mask: Any = None,
    use_quantiles: bool = False,
    *,
    mode: Any = "constant",
    cval: float = 0.0,
) -> np.ndarray:
    """Find edges by Canny's method (IEEE PAMI 8:679-698, 1986).

    Names, defaults and results are those of :func:`skimage.feature.canny`: the image is smoothed with a
    Gaussian, differentiated with Sobel's operator, thinned to where the gradient is highest across the edge,
    and thresholded with hysteresis.

    Parameters
    ----------
    image : array_like
        Shape (rows, columns); bool, integers of up to 32 bits, float16/32/64. It is not changed. Integers are
        scaled to [-1, 1] or [0, 1] by the highest value of their dtype; float16 and float32 are computed in
        float32, all else in float64. A Dask array gives a Dask array with the same chunks.
    sigma : float or (float, float), optional
        Standard deviation of the Gaussian in pixels, for both axes or one each. 0 does not smooth.
    low_threshold, high_threshold : float, optional
        Gradient magnitudes in the units of `image`; Sobel's weights are not normalised: a step of 1 between
        two columns counts 4. Pixels from `high_threshold` are edges, and so are those from `low_threshold`
        that hang on them over any of the 8 neighbours. None means 0.1 and 0.2 of the highest value of an
        integer dtype, or of 1 for floats.
    mask : array_like of bool, optional
        Shape of `image`. Only pixels in it count, and only those with all 8 neighbours in it can be edges.
    use_quantiles : bool, optional
        The thresholds are quantiles, from 0 to 1, of the gradient magnitudes of the whole image (None: 0.1
        and 0.2). On Dask arrays this gathers the magnitudes of all chunks in one task.
    mode : str or (str, str), optional
        What stands outside for the Gaussian: 'constant' (default), 'reflect', 'mirror', 'nearest' or 'wrap'.
        With 'constant', and with a mask, smoothed values are divided by the weight that lies inside.
    cval : float, optional
        The outside value of mode 'constant', for the image after scaling.

    Returns
    -------
    array of bool
        Shape of `image`, every pixel as in scikit-image 0.26. The outermost rows and columns are never edges.
        A NaN or infinity spreads over the Gaussian's window; no pixel there is an edge, nor any beside it.
        With `use_quantiles`, one of them leaves no edges at all.

    Raises
    ------
    ValueError
        Not two axes, no pixels, 64-bit integers, `low_threshold` above `high_threshold`, quantiles outside 0
        to 1, negative `sigma`.
    IndexError
        `mask` has another shape than `image`.
    RuntimeError
        Unknown mode or dtype, a sequence of the wrong length.

    Notes
    -----
    Beside the result, memory holds some rows per thread; `use_quantiles` adds the magnitudes. On Dask arrays
    every chunk is computed once; two bits per pixel wait until edges are joined over the chunks' borders.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> image = np.zeros((5, 8)); image[:, 4:] = 1
    >>> fastmed.canny(image, sigma=0.5, mode="nearest").astype(int)
    array([[0, 0, 0, 0, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 1, 1, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0]])
    """
    image = _as_image(image)
    low, high = _thresholds(image.dtype, low_threshold, high_threshold, use_quantiles)
    _check_sigma(sigma)
    gradients = _Gradients(image, sigma, _as_mask(mask, image.shape), mode, cval)
    if use_quantiles:
        magnitude = gradients.run(_MAGNITUDE, gradients.float_type)
        low, high = np.percentile(magnitude, [100.0 * low, 100.0 * high])
    return gradients.run(_EDGES, bool, *_comparable(low, high, gradients.float_type))
