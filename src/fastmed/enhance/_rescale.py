"""rescale_intensity: one range of values stretched onto another."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._engine import threads
from .._engine.arrays import as_array, as_bytes, as_number, native
from .._engine.chunks import reduced
from .._engine.memory import empty
from .._engine.operation import kernel, operation
from ..edges._quantiles import made_after

Pair = tuple[float, float]
#: Ranges that have a name and no dtype.
_BITS = {"uint10": 10, "uint12": 12, "uint14": 14}
_NAMES = {"float": np.float64, "bool": np.bool_, "bool_": np.bool_}


def _chunked(op: Any, arguments: dict[str, Any]) -> Any:
    import dask
    import dask.array as da

    image, in_range, out_range = (arguments[name] for name in ("image", "in_range", "out_range"))
    _check_dtype(image.dtype)
    dtype = _result_dtype(out_range, image.dtype)
    limits: Any = _limits(image.dtype, (0.0, 1.0), in_range, out_range)  # what cannot be is refused now
    if _asks(in_range) or _asks(out_range):
        limits = dask.delayed(_limits)(image.dtype, chunked_range(image), in_range, out_range)
        (image,) = made_after([image], limits)  # all chunks would wait in memory for the range otherwise
    return da.map_blocks(_stretched, image, limits, dtype, dtype=dtype, meta=np.empty((0,) * image.ndim, dtype))


@operation(chunked=_chunked)
def rescale_intensity(image: Any, in_range: Any = "image", out_range: Any = "dtype") -> np.ndarray:
    """Stretch a range of values onto another: what lies outside is clipped to its ends.

    Names, defaults and results are those of :func:`skimage.exposure.rescale_intensity`.

    Parameters
    ----------
    image : array_like
        Any shape; bool, integers or floats. It is not changed. A Dask array gives a Dask array with its chunks.
    in_range : str, dtype or pair of float, optional
        What is stretched: 'image' (default) from the least to the highest value of all, 'dtype' what the dtype can
        hold (floats: -1 to 1), a dtype or its name ('uint8', and 'uint10', 'uint12', 'uint14', 'float'), or
        ``(low, high)``.
    out_range : str, dtype or pair of float, optional
        Onto what, by the same words; 'dtype' is the default. Where `in_range` begins at 0 or above, that of a dtype
        begins at 0.

    Returns
    -------
    array
        Shape of `image`. Its dtype is that of `image` for the words 'image' and 'dtype', the named one for a dtype
        (uint16 for those of 10 to 14 bits), and for a pair float32 of float16 and float32, else float64. Integers are
        cut toward zero. A NaN stays one; with `in_range` 'image' it makes all values NaN, and a UserWarning says so.

    Raises
    ------
    ValueError
        Another word, no pair, an empty image whose range is asked for.
    RuntimeError, TypeError
        Unsupported dtype.

    Notes
    -----
    On a Dask array whose range is asked for, chunks are computed twice, for the range and for the result, unless Dask
    keeps them.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.rescale_intensity(np.array([50, 100, 150], np.uint8))
    array([  0, 127, 255], dtype=uint8)
    >>> fastmed.rescale_intensity(np.array([50.0, 100, 150]), in_range=(0, 200), out_range=(0, 1))
    array([0.25, 0.5 , 0.75])
    """
    image = as_array(image, "image")
    dtype = _result_dtype(out_range, image.dtype)
    known = value_range(image) if _asks(in_range) or _asks(out_range) else (0.0, 1.0)
    return _stretched(image, _limits(image.dtype, known, in_range, out_range), dtype)


def _asks(chosen: Any) -> bool:
    return isinstance(chosen, str) and chosen == "image"


def value_range(image: np.ndarray) -> tuple[Any, Any]:
    """The least and highest value, as scalars of the image's dtype.

    Raises
    ------
    ValueError
        There are no values.
    """
    if image.size == 0:
        raise ValueError(f"image is empty: found shape {image.shape}, wanted at least one element")
    source = native(image)
    found = np.empty(2, source.dtype)
    kernel("value_range", __name__)(source.reshape(1) if source.ndim == 0 else source, found,
                                    threads.budget(image.size, 2))  # fmt: skip
    found = found.astype(image.dtype.newbyteorder("="), copy=False)
    return found[0], found[1]


def joined_range(found: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The range of all from those of parts."""
    pairs = np.array(found)
    return pairs[:, 0].min(), pairs[:, 1].max()


def chunked_range(image: Any) -> Any:
    """The range of a Dask array, delayed."""
    if image.size == 0:
        raise ValueError(f"image is empty: found shape {image.shape}, wanted at least one element")
    return reduced(image, value_range, joined_range, name="value-range")


def _named(chosen: Any) -> Any:
    """The dtype that a word or type means; None for those of so many bits, and for what is no dtype."""
    if isinstance(chosen, str) and chosen in _NAMES:
        return np.dtype(_NAMES[chosen])
    try:
        return np.dtype(chosen)
    except TypeError:
        return None


def _is_pair(chosen: Any) -> bool:
    return isinstance(chosen, (tuple, list, np.ndarray))


def _check_dtype(dtype: np.dtype) -> None:
    as_array(np.empty(0, dtype), "image")


def _refused(name: str, found: Any) -> ValueError:
    return ValueError(f"{name} must be 'image', 'dtype', a dtype or a pair (low, high), found {found!r}")


def _result_dtype(out_range: Any, dtype: np.dtype) -> np.dtype:
    if _is_pair(out_range):
        return np.dtype(np.float32 if dtype.kind == "f" and dtype.itemsize < 8 else np.float64)
    if isinstance(out_range, str) and out_range in ("image", "dtype"):
        return dtype.newbyteorder("=")
    if isinstance(out_range, str) and out_range in _BITS:
        return np.dtype(np.uint16)
    found = _named(out_range)
    if found is None or found.kind not in "biuf":
        raise _refused("out_range", out_range)
    return found


def _range_of(chosen: Any, dtype: np.dtype, known: Pair, from_zero: bool, name: str) -> Pair:
    if _is_pair(chosen):
        if len(chosen) != 2:
            raise _refused(name, chosen)
        return as_number(chosen[0], name), as_number(chosen[1], name)
    if _asks(chosen):
        return float(known[0]), float(known[1])
    if isinstance(chosen, str) and chosen in _BITS:
        return 0.0, float((1 << _BITS[chosen]) - 1)
    found = dtype if isinstance(chosen, str) and chosen == "dtype" else _named(chosen)
    if found is None or found.kind not in "biuf":
        raise _refused(name, chosen)
    if found.kind == "b":
        return 0.0, 1.0
    low, high = (-1.0, 1.0) if found.kind == "f" else (np.iinfo(found).min, np.iinfo(found).max)
    return 0.0 if from_zero else float(low), float(high)


def _limits(dtype: np.dtype, known: Any, in_range: Any, out_range: Any) -> tuple[float, float, float, float]:
    low, high = _range_of(in_range, dtype, known, False, "in_range")
    least, most = _range_of(out_range, dtype, known, low >= 0, "out_range")
    if np.isnan([low, high, least, most]).any():
        warnings.warn("a limit of the ranges is NaN, and so are all values of the result; give in_range=(low, high), "
                      "for example of np.nanmin and np.nanmax", UserWarning, stacklevel=3)  # fmt: skip
    return low, high, least, most


def _stretched(image: np.ndarray, limits: tuple[float, float, float, float], dtype: np.dtype) -> np.ndarray:
    low, high, least, most = limits
    if image.dtype.newbyteorder("=") == np.float16:  # each step rounded to half, as NumPy has it
        image = np.clip(image, low, high)
        image = np.clip(image, least, most) if low == high else (image - low) / (high - low) * (most - least) + least
        return image.astype(dtype)
    result = empty(image.shape, np.float32 if dtype == np.float16 else dtype)
    if image.size:
        source = native(image)
        kernel("rescale", __name__)(
            as_bytes(source.reshape(1) if source.ndim == 0 else source),
            [low, high, high - low, least, most, most - least], low == high,
            result if result.ndim else result.reshape(1), threads.budget(image.size, 8),
        )  # fmt: skip
    return result.astype(dtype, copy=False)

