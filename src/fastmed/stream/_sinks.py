"""Where a volume goes to, box by box: written under a temporary name until it is whole."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.files import sync
from ..archive._write import _NIFTI_TYPES, MANIFEST, _ome
from ..errors import GeometryError
from ._box import Box, runs, scratch, slices_of
from ._chunk_files import compressor, write_chunk
from ._sources import RAW, About

#: What is noted of a box that was written: file -> size and SHA-256.
Parts = dict[str, list[Any]]
SUFFIXES = (".zarr", ".npy", ".nii", *RAW)


class Sink:
    """An output in the making.

    Attributes
    ----------
    chunks : tuple of int or None
        A box is written by itself only if it consists of whole ones of these.
    """

    chunks: tuple[int, ...] | None = None

    def __init__(self, path: Path, shape: Sequence[int], dtype: Any, about: About) -> None:
        self.path, self.shape, self.dtype, self.about = path, tuple(shape), np.dtype(dtype), about

    @property
    def stored(self) -> np.dtype:
        return np.dtype(np.uint8) if self.dtype == bool else self.dtype

    def create(self) -> None:
        """Make it, without voxels."""
        raise NotImplementedError

    def write(self, box: Box, block: np.ndarray) -> Parts:
        """Write a box; what to note of it. Several threads and processes may, of different boxes."""
        raise NotImplementedError

    def digest(self, box: Box) -> Parts:
        """What :meth:`write` has noted, from what is on the disk."""
        raise NotImplementedError

    def finish(self, parts: Iterable[Parts]) -> None:
        """Make it complete and flush it to the disk."""
        sync(self.path)


class Flat(Sink):
    """Voxels in C order after a header: NPY, NIfTI, raw."""

    def _header(self) -> bytes:
        if self.path.suffix.lower() == ".npy":
            import io

            buffer = io.BytesIO()
            facts = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(buffer, facts)
            return buffer.getvalue()
        if self.path.suffix.lower() == ".nii":
            header = self.about.volume(self.shape, self.dtype).to_nibabel().header
            header.set_data_offset(352)
            header.set_slope_inter(1, 0)
            header["magic"] = b"n+1"
            return header.binaryblock + bytes(4)
        return b""

    def create(self) -> None:
        header = self._header()
        size = len(header) + math.prod(self.shape) * self.stored.itemsize
        with open(self.path, "wb") as file:
            file.write(header)
            file.flush()
            if hasattr(os, "posix_fallocate"):  # a disk that is too small shows now, not after hours
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)

    def _runs(self, box: Box) -> Iterable[tuple[int, int]]:
        start, item = len(self._header()), self.stored.itemsize
        return ((start + first * item, count * item) for first, count in runs(self.shape, box))

    def write(self, box: Box, block: np.ndarray) -> Parts:
        view = np.ascontiguousarray(block, self.dtype).reshape(-1).view(np.uint8).data
        with open(self.path, "r+b", buffering=0) as file:
            at = 0
            for first, count in self._runs(box):
                _write_all(file.fileno(), view[at : at + count], first)
                at += count
        return {"": [view.nbytes, hashlib.sha256(view).hexdigest()]}

    def digest(self, box: Box) -> Parts:
        found, size = hashlib.sha256(), 0
        with open(self.path, "rb", buffering=0) as file:
            for first, count in self._runs(box):
                piece = os.pread(file.fileno(), count, first)
                found.update(piece)
                size += len(piece)
        return {"": [size, found.hexdigest()]}


def _write_all(handle: int, view: memoryview, at: int) -> None:
    while len(view):
        done = os.pwrite(handle, view, at)
        view, at = view[done:], at + done


class Zarr(Sink):
    """OME-Zarr 0.5 (Zarr v3), with the mark that makes it whole for our reader."""

    def __init__(
        self, path: Path, shape: Sequence[int], dtype: Any, about: About, chunks: Sequence[int]
    ) -> None:
        super().__init__(path, shape, dtype, about)
        self.chunks = tuple(chunks)

    def create(self) -> None:
        import zarr

        group = zarr.open_group(str(self.path), mode="w", zarr_format=3)
        assert self.chunks is not None
        group.create_array(
            "0", shape=self.shape, chunks=self.chunks, dtype=self.stored, dimension_names=list(self.about.axes),
            compressors=compressor(self.stored.itemsize),
        )  # fmt: skip
        group.attrs.update(_ome(self.about.volume(self.shape, self.dtype)))

    def write(self, box: Box, block: np.ndarray) -> Parts:
        assert self.chunks is not None
        origin, noted = [first for first, _ in box], {}
        block = block.view(self.stored) if block.dtype == bool else block
        for index, place in self._pieces(box):
            part = block[slices_of(place, origin)]
            if not any(part.strides) and not any_in(part):
                continue  # a block of one value
            chunk = scratch("chunk", self.chunks, self.stored.newbyteorder("<"))
            if part.shape != self.chunks:
                chunk[...] = 0
            chunk[tuple(slice(n) for n in part.shape)] = part
            if any_in(chunk):
                noted[_name(index)] = write_chunk(self.path / _name(index), chunk)
        return noted

    def _pieces(self, box: Box) -> Iterable[tuple[tuple[int, ...], Box]]:
        """Number and place of the chunks in a box."""
        assert self.chunks is not None
        spans = [range(a // c, -(-b // c)) for (a, b), c in zip(box, self.chunks, strict=True)]
        for index in itertools.product(*spans):
            place = tuple((i * c, min(i * c + c, n)) for i, c, n in zip(index, self.chunks, self.shape, strict=True))
            yield index, place

    def digest(self, box: Box) -> Parts:
        names = (_name(index) for index, _ in self._pieces(box))
        return {name: noted for name in names if (noted := _noted(self.path / name))}

    def finish(self, parts: Iterable[Parts]) -> None:
        manifest = {name: noted for part in parts for name, noted in part.items()}
        for name in ("zarr.json", "0/zarr.json"):
            noted = _noted(self.path / name)
            assert noted is not None
            manifest[name] = noted
        for file in self.path.rglob("*"):  # what a kill has left half written, under another name
            if file.is_file() and file.relative_to(self.path).as_posix() not in manifest:
                file.unlink()
        (self.path / MANIFEST).write_text(json.dumps(dict(sorted(manifest.items()))))
        super().finish(parts)


def _name(index: Sequence[int]) -> str:
    """File of a chunk in our Zarr."""
    return "/".join(["0", "c", *map(str, index)])


def any_in(block: np.ndarray) -> bool:
    """Whether a block holds anything but zeros, which a chunk without a file stands for; -0.0 is no zero here."""
    if block.size and not any(block.strides):
        block = block[(slice(0, 1),) * block.ndim]
    return bool(block.any()) or (block.dtype.kind == "f" and bool(np.signbit(block).any()))


def _noted(path: Path) -> list[Any] | None:
    """Size and digest of a file; None where there is none: a chunk of zeros."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return [file.tell(), digest]
    except FileNotFoundError:
        return None


def check_sink(path: Path, dtype: np.dtype, about: About) -> None:
    """Refuse what the format of this name cannot hold.

    Raises
    ------
    ValueError
        Another suffix, or a dtype that it has not.
    GeometryError
        A shear in an OME-Zarr.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"the output's name must end with one of {', '.join(SUFFIXES)}; found {path.name!r}")
    if suffix == ".nii" and dtype.kind != "b" and dtype not in _NIFTI_TYPES:
        raise ValueError(f"NIfTI cannot hold {dtype}; output= names another dtype")
    if suffix == ".zarr" and about.volume((1,) * len(about.axes), np.uint8).sheared:
        raise GeometryError("the axes are not perpendicular (gantry tilt?), and OME-Zarr cannot hold a shear: resample")


def make_sink(path: Path, shape: Sequence[int], dtype: np.dtype, about: About, chunks: Sequence[int]) -> Sink:
    """The sink for a path that :func:`check_sink` takes."""
    if path.suffix.lower() == ".zarr":
        return Zarr(path, shape, dtype, about, chunks)
    return Flat(path, shape, dtype, about)
