"""Pixels of slices -> their place in the volume.

Uncompressed pixels are read straight into the volume, or into one buffer and converted by `_pixels.pyx`, which also
decodes RLE; everything else goes through pydicom's decoders, compressed data in a process of their own.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from ..errors import DecodeError, FastmedError, TruncatedPixels, UnsupportedEncoding
from . import _isolate, _jpeg_lossless, _worker
from ._encapsulated import SIZED, check_codestream, frame_extents, read_frame
from ._limits import Limits
from ._model import Image, Slice
from ._parse import raw_source
from ._source import open_source

try:
    from . import _pixels as kernels  # type: ignore[attr-defined]
except ImportError:  # the extension is not built
    from . import _pixels_numpy as kernels

_jpeg_lossless.register()

_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203)}
_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


class Overflow(Exception):
    """A value does not fit the dtype that the headers let expect."""


def dtypes_of(slices: Sequence[Slice], asked: Any) -> list[np.dtype]:
    """The dtypes of the volume to try, one after the other until the values fit.

    Headers often allow more than the values use (16 stored bits and an intercept of -1024): what holds the
    values is tried before what holds all that the headers allow.

    Raises
    ------
    DecodeError
        If a rescale slope or intercept is no usable number.
    ValueError
        If an integer dtype was asked for and the values have fractions, or it is no dtype for voxels.
    """
    for one in slices:
        if (
            not (math.isfinite(one.slope) and math.isfinite(one.intercept))
            or one.slope == 0
            or abs(one.slope) > 1e30
        ):
            raise DecodeError(f"rescale slope {one.slope:g} and intercept {one.intercept:g} cannot be used")
    whole = all(_whole(s) for s in slices)
    if isinstance(asked, str) and asked == "auto":
        return _automatic(slices, whole)
    dtype = np.dtype(asked)
    if dtype not in (np.dtype(t) for t in (*_INTEGERS, np.float32, np.float64)):
        raise ValueError(
            f"dtype must be 'auto', an integer of 8 to 64 bits or a float of 32 or 64, found {dtype}"
        )
    if dtype.kind != "f" and not whole:
        raise ValueError(
            f"dtype {dtype} cannot hold this series, whose values have fractions; ask for 'float32'"
        )
    return [dtype]


def _automatic(slices: Sequence[Slice], whole: bool) -> list[np.dtype]:
    if any(s.image.kind == "f" for s in slices):
        return [np.dtype(np.float64 if any(s.image.allocated == 64 for s in slices) else np.float32)]
    if not whole:
        return [np.dtype(np.float64 if any(s.image.stored > 24 for s in slices) else np.float32)]
    allowed, possible = _smallest(slices, allocated=False), _smallest(slices, allocated=True)
    candidates = [allowed, possible]
    if allowed == np.int32 and all(s.image.stored <= 16 for s in slices):
        candidates.insert(0, np.dtype(np.int16))
    return list(dict.fromkeys(candidates))


def _whole(one: Slice) -> bool:
    return one.image.kind != "f" and one.slope == int(one.slope) and one.intercept == int(one.intercept)


def _smallest(slices: Sequence[Slice], allocated: bool) -> np.dtype:
    """The smallest integer dtype for all values that the stored, or the allocated, bits can hold."""
    ranges = [_range(s, allocated) for s in slices]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    for dtype in _INTEGERS:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float64)


def _range(one: Slice, allocated: bool) -> tuple[float, float]:
    image = one.image
    if image.lut or image.photometric == "PALETTE COLOR":
        return 0, 65535  # what the entries of a lookup table can be
    bits = image.allocated if allocated else image.stored
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if image.kind == "i" else (0, (1 << bits) - 1)
    ends = [one.slope * low + one.intercept, one.slope * high + one.intercept]
    return min(ends), max(ends)


def fill(
    slices: Sequence[Slice], targets: Sequence[np.ndarray], marks: Sequence[np.ndarray | None], limits: Limits
) -> bool:
    """Decode slices of one file into arrays of (rows, columns) or (rows, columns, 3); mark their padding, if any.

    Returns
    -------
    bool
        Whether any has been marked.

    Raises
    ------
    Overflow
        If a value does not fit.
    DecodeError
        If the pixels are truncated or corrupt, or their decoder is not installed.
    """
    image = slices[0].image
    if image.fault is not None:
        raise image.fault
    plain = image.samples == 1 and not image.colour and not image.lut and image.allocated in (8, 16, 32, 64)
    as_stored = plain and not image.encapsulated
    with open_source(image.path, limits, buffered=not as_stored) as file, _guarded(image):
        if as_stored:
            source = raw_source(file, image.syntax, limits)
            return sum(_fill_raw(source, *each) for each in zip(slices, targets, marks, strict=True)) > 0
        if image.allocated == 1 and image.samples == 1 and not image.encapsulated and not image.lut:
            _fill_bits(raw_source(file, image.syntax, limits), slices, targets)
            return False
        if plain and image.syntax == _RLE and image.kind != "f":
            return _fill_rle(file, image, slices, targets, marks)
        return _fill_decoded(file, image, slices, targets, marks, limits)


@contextlib.contextmanager
def _guarded(image: Image) -> Iterator[None]:
    """Decoders raise anything, even Rust panics (BaseException), and quote the file: say our own words."""
    try:
        yield
    except (FastmedError, Overflow, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        raise DecodeError(
            f"the pixel data ({_syntax_name(image)}) cannot be decoded ({type(error).__name__})"
        ) from None


def _syntax_name(image: Image) -> str:
    return UID(image.syntax).name if image.known_syntax else "an unknown transfer syntax"


# -------------------------------------------------------------------------------------------------------- raw


def _fill_raw(source: BinaryIO, one: Slice, target: np.ndarray, mark: np.ndarray | None) -> bool:
    image = one.image
    size = image.allocated // 8
    flat = target.reshape(-1)
    in_place = image.kind != "f" and flat.itemsize == size and _identical(one, flat.dtype) and mark is None
    # What is looked at again comes through a buffer that stays in the cache: half the time of doing it in place.
    raw = flat.view(np.uint8) if in_place else _buffer(image.frame_bytes)
    source.seek(image.offset + one.frame * image.frame_bytes)
    _read_exactly(source, raw)
    if image.big_endian and size > 1:
        kernels.swap_bytes(raw, size)
    elif image.swap_words:
        raw = _unswapped(source, one)
    bounds = None
    if image.kind == "f":
        values = raw.view(f"f{size}")
        flat[...] = values if one.slope == 1 and one.intercept == 0 else values * one.slope + one.intercept
    elif not in_place or image.swap_words:
        bounds = _rescale(one, raw, flat, size, image.shift, image.stored, image.kind == "i")
    return mark is not None and _mark(one, raw, mark, size, bounds)


_threads = threading.local()
_LARGEST_KEPT = 1 << 24


def _buffer(size: int) -> np.ndarray:
    """Memory for one frame, kept by each thread: new memory costs as much as the conversion itself."""
    kept = getattr(_threads, "buffer", None)
    if kept is None or len(kept) < size:
        kept = np.empty(size, np.uint8)
        if size <= _LARGEST_KEPT:
            _threads.buffer = kept
    return kept[:size]


def _rescale(
    one: Slice, raw: np.ndarray, flat: np.ndarray, size: int, shift: int, bits: int, signed: bool
) -> tuple[int, int]:
    """Fill `flat`; gives the smallest and the largest stored value."""
    low, high = kernels.convert(raw, flat, size, shift, bits, signed, float(one.slope), float(one.intercept))
    if flat.dtype.kind == "f":
        return low, high
    if bits == 64 and not signed and low < 0:
        raise Overflow  # beyond int64
    ends = [int(one.slope) * low + int(one.intercept), int(one.slope) * high + int(one.intercept)]
    if min(ends) < np.iinfo(flat.dtype).min or max(ends) > np.iinfo(flat.dtype).max:
        raise Overflow
    return low, high


def _read_exactly(source: BinaryIO, raw: np.ndarray) -> None:
    view = memoryview(raw)  # type: ignore[arg-type]
    done = 0
    while done < len(view):
        count = source.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise TruncatedPixels(
                f"the pixel data are truncated: {len(view) - done} bytes of a frame are missing"
            )
        done += count


def _unswapped(source: BinaryIO, one: Slice) -> np.ndarray:
    """8-bit values that a big-endian file holds in 16-bit words; a frame may start inside a word."""
    image = one.image
    start = one.frame * image.frame_bytes
    first, last = start - start % 2, start + image.frame_bytes
    words = np.zeros((last - first + 1) // 2 * 2, np.uint8)
    source.seek(image.offset + first)
    available = source.read(len(words))
    words[: len(available)] = np.frombuffer(available, np.uint8)
    kernels.swap_bytes(words, 2)
    return np.ascontiguousarray(words[start - first : start - first + image.frame_bytes])


def _identical(one: Slice, dtype: np.dtype) -> bool:
    """Whether the stored bytes are the values already."""
    image = one.image
    return (
        (one.slope, one.intercept) == (1, 0) and image.stored == image.allocated
        and (dtype.kind == image.kind or (dtype.kind, image.kind) == ("u", "u"))
    )  # fmt: skip


def _fill_bits(source: BinaryIO, slices: Sequence[Slice], targets: Sequence[np.ndarray]) -> None:
    """Pixels of one bit, the first in the lowest; a frame starts where the one before it ends, inside a byte."""
    image = slices[0].image
    if image.big_endian:
        raise UnsupportedEncoding("pixels of one bit in a big-endian file")
    count = image.rows * image.columns
    for one, target in zip(slices, targets, strict=True):
        first = one.frame * count
        raw = np.empty((first + count + 7) // 8 - first // 8, np.uint8)
        source.seek(image.offset + first // 8)
        _read_exactly(source, raw)
        bits = np.unpackbits(raw, bitorder="little")[first % 8 : first % 8 + count].reshape(target.shape)
        target[...] = bits if (one.slope, one.intercept) == (1, 0) else bits * one.slope + one.intercept


def _mark(one: Slice, raw: np.ndarray, mark: np.ndarray, size: int, bounds: tuple[int, int] | None = None) -> bool:
    """Mark the stored values that stand for no data; gives whether there are any.

    Where the `bounds` of the stored values are known and the padding lies outside them, nothing is looked at.
    """
    image = one.image
    if image.padding is None:
        return False
    low, high = image.padding
    flat = mark.reshape(-1).view(np.uint8)
    if image.kind == "f":
        values = raw.view(f"f{size}")
        return bool(np.equal(values, values.dtype.type(low), out=mark.reshape(-1)).any())
    shift, bits = image.shift, image.stored
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if image.kind == "i" else (0, (1 << bits) - 1)
    if low < least or high > most:  # a value that only the unused bits can make
        shift, bits = 0, image.allocated
    elif bounds is not None and bits < 64 and (high < bounds[0] or low > bounds[1]):
        return False
    return kernels.mark(raw, flat, size, shift, bits, image.kind == "i", int(low), int(high))


# -------------------------------------------------------------------------------------------------------- RLE


def _fill_rle(
    file: BinaryIO,
    image: Image,
    slices: Sequence[Slice],
    targets: Sequence[np.ndarray],
    marks: Sequence[np.ndarray | None],
) -> bool:
    extents, marked = frame_extents(file, image), False
    size = image.allocated // 8
    for one, target, mark in zip(slices, targets, marks, strict=True):
        frame = read_frame(file, extents[one.frame])
        flat = target.reshape(-1)
        in_place = flat.dtype.kind != "f" and flat.itemsize == size
        raw = flat.view(np.uint8) if in_place else _buffer(image.frame_bytes)
        wrong = kernels.unpack_rle(np.frombuffer(frame, np.uint8), raw, size)
        if wrong:
            raise (TruncatedPixels if wrong == 1 else DecodeError)(
                "the RLE data end before the frame is full" if wrong == 1 else "the RLE header does not fit the frame"
            )
        if mark is not None:
            marked |= _mark(one, raw, mark, size)
        if not (in_place and _identical(one, flat.dtype)):
            _rescale(one, raw, flat, size, image.shift, image.stored, image.kind == "i")
    return marked


# ----------------------------------------------------------------------------------------- pydicom's decoders


def _fill_decoded(
    file: BinaryIO,
    image: Image,
    slices: Sequence[Slice],
    targets: Sequence[np.ndarray],
    marks: Sequence[np.ndarray | None],
    limits: Limits,
) -> bool:
    _check_decoder(image)
    request = _isolate.request_for(
        image.syntax,
        [one.frame for one in slices] if image.frames > 1 else None,
        colour=image.colour,
        palette=image.photometric == "PALETTE COLOR",
        lut=image.lut,
    )
    if image.encapsulated:
        extents = frame_extents(file, image)  # what is cut off is seen before any decoder
        if image.syntax in SIZED:
            for one in slices:
                check_codestream(read_frame(file, extents[one.frame]), image)
    file.seek(0)
    data = file.read()
    # RLE too: where pylibjpeg-rle is installed pydicom takes it, and it panics on what does not fit.
    if image.encapsulated and limits.isolate and os.name == "posix":  # elsewhere pipes cannot be waited for
        arrays = _isolate.decode(data, request, limits)
    else:
        arrays = _worker.frames_of(data, request)
    marked = False
    for one, target, mark, array in zip(slices, targets, marks, arrays, strict=True):
        if array.shape != target.shape:
            raise DecodeError(
                f"the decoder gave a frame of shape {array.shape}, the header says {target.shape}"
            )
        if image.lut or image.colour:
            _copy(array, target)
        else:
            marked |= _convert(one, array, target, mark)
    return marked


def _check_decoder(image: Image) -> None:
    try:
        decoder = get_decoder(UID(image.syntax))
    except NotImplementedError:
        raise UnsupportedEncoding(f"there is no decoder for {_syntax_name(image)}") from None
    if not decoder.is_available:
        raise UnsupportedEncoding(
            f"{_syntax_name(image)} needs decoders that are not installed: pip install 'fastmed[archive]'"
        )


def _copy(array: np.ndarray, target: np.ndarray) -> None:
    if target.dtype.kind != "f" and array.dtype.kind == "f":
        raise DecodeError("the lookup table gave fractions")
    if target.dtype.kind != "f" and array.size:
        limits = np.iinfo(target.dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise Overflow
    target[...] = array


def _convert(one: Slice, array: np.ndarray, target: np.ndarray, mark: np.ndarray | None) -> bool:
    image = one.image
    array = np.ascontiguousarray(array)
    signed, marked = array.dtype.kind == "i" or image.kind == "i", False
    if mark is not None and image.padding is not None:
        np.logical_and(array >= image.padding[0], array <= image.padding[1], out=mark)
        marked = bool(mark.any())
    if image.kind == "f" or array.dtype.kind == "f":
        target[...] = array * one.slope + one.intercept
        return marked
    bits, shift = 8 * array.itemsize, 0
    if image.syntax == _RLE or not image.encapsulated:
        bits, shift = min(image.stored, bits), image.shift if image.stored < bits else 0
    elif signed and image.syntax not in _JPEG_2000:
        bits = min(image.stored, bits)  # these codecs know no sign: it stands in the highest stored bit
    _rescale(one, array.reshape(-1).view(np.uint8), target.reshape(-1), array.itemsize, shift, bits, signed)
    return marked


def threads_for(files: int) -> int:
    """How many threads to decode with."""
    from .._engine.threads import get_num_threads

    return max(1, min(files, get_num_threads(), os.cpu_count() or 1))
