"""Chunks of a Zarr, straight between their files and arrays.

The zarr package hands each chunk from thread to thread, compares it with its fill value and copies it on the way: with
zstd 14.8 ns per int16 voxel of a processor for reading and writing, where the codecs need 4 to 6. Codecs that are not
known here go through the package.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: What is written: of LZ4 on shuffled bits 1.4 to 1.7 ns per int16 voxel to pack and 0.7 to unpack, at the size of
#: zstd's first levels (2 to 6, and 2). Numbers: docs/decisions.md.
CODEC: dict[str, Any] = {"cname": "lz4", "clevel": 5}
_BLOSC_HEADER = 16

Decode = Callable[[bytes, np.ndarray], None]


class ChunkFiles:
    """The chunks of one array.

    Attributes
    ----------
    chunks : tuple of int
    stored : dtype
        In the files, with its byte order.
    """

    def __init__(
        self, place: Callable[[tuple[int, ...]], Path], chunks: Sequence[int], stored: Any, decode: Decode
    ) -> None:
        self.place, self.chunks, self.stored = place, tuple(chunks), np.dtype(stored)
        self._decode = decode

    def read(self, index: tuple[int, ...], into: np.ndarray) -> None:
        """A whole chunk into a contiguous array of its shape and the stored dtype.

        Raises
        ------
        OSError, ValueError, RuntimeError
            The file cannot be read, or does not hold what it should.
        """
        self._decode(self.place(index).read_bytes(), into)


def write_chunk(path: Path, chunk: np.ndarray) -> list[Any]:
    """A contiguous chunk into its file, which is whole or not there; its size and SHA-256."""
    from numcodecs import Blosc

    packed = Blosc(**CODEC, shuffle=Blosc.BITSHUFFLE).encode(chunk)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            _put(temporary, packed)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(temporary, packed)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    return [len(packed), hashlib.sha256(packed).hexdigest()]


def _put(path: Path, packed: bytes) -> None:
    with open(path, "wb", buffering=0) as file:
        left = memoryview(packed)
        while left:
            left = left[file.write(left) or 0 :]


def compressor(itemsize: int) -> Any:
    """zarr's name for what :func:`write_chunk` does."""
    from zarr.codecs import BloscCodec

    return BloscCodec(**CODEC, shuffle="bitshuffle", typesize=itemsize)


def chunk_files(array: Any, folder: Path) -> ChunkFiles | None:
    """The chunks of an array in `folder`; None where only the zarr package can read them."""
    if getattr(array, "shards", None) is not None:
        return None
    about = array.metadata

    def place(index: tuple[int, ...]) -> Path:
        return folder / about.encode_chunk_key(index)

    if about.zarr_format == 2:
        names = [] if about.compressor is None else [about.compressor.codec_id]
        plain = not about.filters and about.order == "C"
        stored = array.dtype
    else:
        first, *rest = about.to_dict()["codecs"]
        names = [one["name"] for one in rest]
        plain = first["name"] == "bytes"
        big = plain and first.get("configuration", {}).get("endian") == "big"
        stored = array.dtype.newbyteorder(">" if big else "<")
    decode = _DECODERS.get(tuple(names)) if plain and array.dtype.kind in "biuf" else None
    return None if decode is None else ChunkFiles(place, array.chunks, stored, decode)


# --- codecs -------------------------------------------------------------------------------------------------


def _as_it_is(packed: bytes, into: np.ndarray) -> None:
    if len(packed) != into.nbytes:
        raise ValueError(f"{len(packed)} bytes, {into.nbytes} wanted")
    into.reshape(-1).view(np.uint8)[:] = np.frombuffer(packed, np.uint8)


def _zstd(packed: bytes, into: np.ndarray) -> None:
    from numcodecs import Zstd

    Zstd().decode(packed, out=into)


def _gzip(packed: bytes, into: np.ndarray) -> None:
    import zlib

    stream = zlib.decompressobj(wbits=31)
    _as_it_is(stream.decompress(packed, into.nbytes + 1), into)
    if not stream.eof:
        raise ValueError("a stream that does not end")


def _blosc(packed: bytes, into: np.ndarray) -> None:
    from numcodecs import Blosc

    # Blosc believes its header: a file that was cut would be read past its end.
    sizes = np.frombuffer(packed, "<u4", 4) if len(packed) >= _BLOSC_HEADER else np.zeros(4, "<u4")
    if sizes[3] != len(packed) or sizes[1] != into.nbytes:
        raise ValueError(f"{len(packed)} bytes that say {sizes[3]}, for {sizes[1]} of {into.nbytes}")
    Blosc().decode(packed, out=into)


_DECODERS: dict[tuple[str, ...], Decode] = {(): _as_it_is, ("zstd",): _zstd, ("gzip",): _gzip, ("blosc",): _blosc}
