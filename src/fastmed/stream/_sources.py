"""Where a volume comes from: parts of it by box, without the rest of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..archive._write import MANIFEST
from ..errors import DecodeError, TruncatedPixels, UnsupportedImageError
from ..volume import Volume
from ._box import Box, scratch, shape_of, slices_of
from ._chunk_files import ChunkFiles, chunk_files

RAW = (".raw", ".bin", ".dat")
HDF5 = (".h5", ".hdf5", ".he5")
_UNITS = {"millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6, "centimeter": 10.0, "meter": 1e3}


@dataclass(frozen=True)
class About:
    """What is known of a volume besides its voxels."""

    affine: np.ndarray = field(default_factory=lambda: np.eye(4)[:, [2, 1, 0, 3]])
    modality: str = ""
    units: str = ""
    axes: str = "zyx"
    placed: bool = False  # whether the affine is in mm, and not only a stand-in

    def volume(self, shape: Sequence[int], dtype: Any) -> Volume:
        """A Volume of this shape that takes no memory: for headers."""
        return Volume(
            np.broadcast_to(np.zeros((), dtype), tuple(shape)), self.affine, modality=self.modality, units=self.units,
            meta={"axes": self.axes},
        )  # fmt: skip


class Source:
    """Part of a volume by box.

    Attributes
    ----------
    shape, dtype : of the volume
    chunks : tuple of int or None
        The pieces in which it is stored; None: any part can be had by itself.
    about : About
    identity : str
        Changes when the voxels may have changed.
    """

    chunks: tuple[int, ...] | None = None

    def __init__(self, shape: Sequence[int], dtype: Any, about: About, identity: str) -> None:
        self.shape, self.dtype = tuple(int(n) for n in shape), np.dtype(dtype)
        self.about, self.identity = about, identity
        if not 3 <= len(self.shape) <= 4 or 0 in self.shape:
            raise UnsupportedImageError(f"the input must have 3 or 4 axes and voxels, found shape {self.shape}")
        if self.dtype.kind not in "biuf":
            raise UnsupportedImageError(f"the input must be of bool, integers or floats, found {self.dtype}")

    def read(self, box: Box, into: np.ndarray | None = None) -> np.ndarray:
        """The voxels of a box in C order: a new array, or `into`."""
        raise NotImplementedError

    @property
    def sparse(self) -> bool:
        """Whether :meth:`filled_with` may know something."""
        return False

    def filled_with(self, box: Box) -> Any:
        """The value of all voxels in a box, where that is known without reading them; else None."""
        return None

    def value_around(self, spans: Sequence[tuple[int, int]]) -> Any:
        """As :meth:`filled_with`, for spans that may reach over the ends."""
        inside = tuple((max(first, 0), min(last, n)) for (first, last), n in zip(spans, self.shape, strict=True))
        return self.filled_with(inside) if list(inside) == list(spans) else None

    def read_around(
        self, spans: Sequence[tuple[int, int]], wrap: frozenset[int], name: str = "block"
    ) -> np.ndarray:
        """The voxels of spans that, along axes in `wrap`, reach over the ends and go on at the other one.

        The array is this thread's, until it calls again with this name.
        """
        pieces = [_wrapped(*span, n) if axis in wrap else [span]
                  for axis, (span, n) in enumerate(zip(spans, self.shape, strict=True))]  # fmt: skip
        if all(len(p) == 1 for p in pieces):
            box = tuple(p[0] for p in pieces)
            return self.read(box, scratch(name, shape_of(box), self.dtype))
        parts = np.empty(tuple(len(p) for p in pieces), object)
        for place in np.ndindex(*parts.shape):
            parts[place] = self.read(tuple(p[i] for p, i in zip(pieces, place, strict=True)))
        return np.block(parts.tolist())


def _wrapped(first: int, last: int, n: int) -> list[tuple[int, int]]:
    """The stretches of 0..n that a span over the ends is made of."""
    found = []
    while first < last:
        begin = first % n
        count = min(last - first, n - begin)
        found.append((begin, begin + count))
        first += count
    return found


class Raw(Source):
    """Voxels in C order in a file, from an offset on. Mapped for the moment of reading only."""

    def __init__(
        self, path: Path, shape: Sequence[int], dtype: Any, offset: int, about: About, identity: str,
        scale: tuple[float, float] | None = None,
    ) -> None:
        self.path, self.stored, self.offset, self.scale = path, np.dtype(dtype), offset, scale
        super().__init__(shape, np.float32 if scale else self.stored.newbyteorder("="), about, identity)
        wanted, found = offset + math.prod(self.shape) * self.stored.itemsize, path.stat().st_size
        if found < wanted:
            raise TruncatedPixels(f"the voxels are truncated: {found} bytes, {wanted} wanted")

    def read(self, box: Box, into: np.ndarray | None = None) -> np.ndarray:
        (first, last), *inner = box
        step = math.prod(self.shape[1:]) * self.stored.itemsize
        planes = np.memmap(self.path, self.stored, "r", self.offset + first * step, (last - first, *self.shape[1:]))
        part = planes[(slice(None), *slices_of(tuple(inner)))]
        if self.scale is None:
            return _copied(part, self.dtype, into)
        from nibabel.volumeutils import apply_read_scaling

        return np.asarray(apply_read_scaling(np.array(part), *self.scale)).astype(np.float32)


class Memory(Source):
    """A NumPy array."""

    def __init__(self, array: np.ndarray, about: About) -> None:
        super().__init__(array.shape, array.dtype.newbyteorder("="), about, f"memory-{id(array)}")
        self.array = array

    def read(self, box: Box, into: np.ndarray | None = None) -> np.ndarray:
        return _copied(self.array[slices_of(box)], self.dtype, into)


def _copied(part: np.ndarray, dtype: np.dtype, into: np.ndarray | None) -> np.ndarray:
    result = np.empty(part.shape, dtype) if into is None else into
    result[...] = part
    return result


class Chunked(Source):
    """Anything with NumPy's slicing that is stored in chunks. Chunks stay for a while: their neighbours need them."""

    def __init__(self, array: Any, chunks: Sequence[int], about: About, identity: str) -> None:
        super().__init__(array.shape, array.dtype.newbyteorder("="), about, identity)
        self.array, self.chunks = array, tuple(int(c) for c in chunks)
        self.fill: Any = 0
        self.stored_at: Callable[[tuple[int, ...]], Path] | None = None  # chunks without a file are all `fill`
        self.files: ChunkFiles | None = None
        self._kept: OrderedDict[tuple[int, ...], np.ndarray] = OrderedDict()
        self._bytes, self.limit = 0, 0
        self._lock = threading.Lock()
        self._reading: dict[tuple[int, ...], threading.Lock] = {}

    def read(self, box: Box, into: np.ndarray | None = None) -> np.ndarray:
        result = np.empty(shape_of(box), self.dtype) if into is None else into
        origin = [first for first, _ in box]
        for index in self._touched(box):
            place = self._place(index)
            common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(box, place, strict=True))
            if self.stored_at is not None and not self.stored_at(index).exists():
                result[slices_of(common, origin)] = self.fill
                continue
            part = self._chunk(index, place, keep=self.limit > 0)
            result[slices_of(common, origin)] = part[slices_of(common, [p[0] for p in place])]
        return result

    def _touched(self, box: Box) -> Iterator[tuple[int, ...]]:
        assert self.chunks is not None
        spans = zip(box, self.chunks, strict=True)
        return itertools.product(*(range(first // c, -(-last // c)) for (first, last), c in spans))

    @property
    def sparse(self) -> bool:
        return self.stored_at is not None

    def filled_with(self, box: Box) -> Any:
        if self.stored_at is None or any(self.stored_at(index).exists() for index in self._touched(box)):
            return None
        return self.fill

    def _place(self, index: tuple[int, ...]) -> Box:
        assert self.chunks is not None
        return tuple((i * c, min(i * c + c, n)) for i, c, n in zip(index, self.chunks, self.shape, strict=True))

    def _chunk(self, index: tuple[int, ...], place: Box, keep: bool) -> np.ndarray:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
            reading = self._reading.setdefault(index, threading.Lock())
        with reading:  # a second thread that wants it waits for the first
            with self._lock:
                if index in self._kept:
                    return self._kept[index]
            part = self._decode(index, place, keep)
            with self._lock:
                self._reading.pop(index, None)
                if keep and part.nbytes <= self.limit:
                    self._kept[index] = part
                    self._bytes += part.nbytes
                    while self._bytes > self.limit:
                        self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return part

    def _decode(self, index: tuple[int, ...], place: Box, keep: bool) -> np.ndarray:
        """A chunk: a new array if it is to be kept, else perhaps this thread's, until it calls again."""
        try:
            if self.files is not None and self.files.place(index).exists():
                shape, stored = self.files.chunks, self.files.stored
                chunk = np.empty(shape, stored) if keep else scratch("chunk", shape, stored)
                self.files.read(index, chunk)
                return chunk[tuple(slice(b - a) for a, b in place)]
            return np.asarray(self.array[slices_of(place)], self.dtype)
        except MemoryError:
            raise
        except Exception as error:  # of codecs and storage, of many kinds
            raise DecodeError(f"chunk {index} of the input cannot be read ({type(error).__name__})") from None


# --- opening ------------------------------------------------------------------------------------------------


def open_source(
    place: Any, *, shape: Sequence[int] | None = None, dtype: Any = None, key: str | None = None,
    spacing: Sequence[float] | None = None, work: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Source:  # fmt: skip
    """The source at a path, or of an array or a Volume.

    Parameters
    ----------
    place : path_like, array or Volume
        Zarr, HDF5, NIfTI, NPY, raw (with `shape` and `dtype`), or DICOM. Of an array parts are read as they are needed.
    key : str, optional
        The array in a Zarr or HDF5 file that holds several.
    spacing : sequence of float, optional
        Millimetres along (z, y, x), where the file does not know them.
    work : Path, optional
        Folder for the voxels of formats of which no part can be had by itself (gzip, DICOM): these are unpacked into
        it, slice by slice. None: such a source can be described, not read.
    progress : callable, optional
        ``progress(done, total)`` while that goes on.
    """
    if hasattr(place, "shape") and hasattr(place, "dtype"):
        source = _open_array(place)
    else:
        path = Path(os.fspath(place))
        if not path.exists():
            raise FileNotFoundError(f"the input {path} does not exist")
        name = path.name.lower()
        if name.endswith(".zarr") or (path / "zarr.json").exists() or (path / ".zarray").exists():
            source = _open_zarr(path, key)
        elif name.endswith(HDF5):
            source = _open_hdf5(path, key)
        elif name.endswith(".npy"):
            source = _open_npy(path)
        elif name.endswith(".nii"):
            source = _open_nifti(path)
        elif name.endswith(RAW) or shape is not None:
            source = _open_raw(path, shape, dtype)
        else:
            from ._staged import open_gzip, open_series

            opened = open_gzip if name.endswith(".nii.gz") else open_series
            source = opened(path, work, progress or (lambda done, total: None))
    if spacing is not None:
        source.about = About(_scaled(spacing), source.about.modality, source.about.units, source.about.axes, True)
    return source


def identity_of(path: Path) -> str:
    """Of a file or folder: its size and time, no digest of its bytes."""
    files = [*sorted(path.glob("*.json")), *sorted(path.glob("*/*.json")), path] if path.is_dir() else [path]
    facts = [(str(f.resolve()), f.stat().st_size if f.is_file() else 0, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _scaled(spacing: Sequence[float], origin: Sequence[float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Affine of a volume along the patient's axes; spacing and origin in (z, y, x)."""
    affine = np.diag([*spacing[::-1], 1.0])[:, [2, 1, 0, 3]]
    affine[:3, 3] = origin[::-1]
    return affine


def _axes(ndim: int) -> str:
    return "zyx" if ndim == 3 else "tzyx"


def _open_array(array: Any) -> Source:
    about = About(axes=_axes(len(array.shape)))
    if isinstance(array, Volume):
        about = About(array.affine, array.modality, array.units, array.axes, array.meta.get("geometry") != "none")
        array = array.array
    if isinstance(array, np.ndarray):
        return Memory(array, about)
    chunks = getattr(array, "chunksize", None) or getattr(array, "chunks", None) or _slab(array.shape)
    name = getattr(array, "name", None)  # Dask's is a digest of what makes it
    return Chunked(array, chunks, about, f"array-{name if isinstance(name, str) else id(array)}")


def _open_raw(path: Path, shape: Sequence[int] | None, dtype: Any) -> Source:
    if shape is None or dtype is None:
        raise ValueError("a raw file needs shape= and dtype=")
    return Raw(path, shape, dtype, 0, About(axes=_axes(len(shape))), identity_of(path))


def _open_npy(path: Path) -> Source:
    with open(path, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except ValueError:
            raise DecodeError("a file of this name that is no NPY array") from None
        offset = file.tell()
    if fortran:
        raise UnsupportedImageError("an NPY array in Fortran order cannot be read in parts; save it in C order")
    if dtype.hasobject:
        raise UnsupportedImageError("an NPY array of Python objects")
    return Raw(path, shape, dtype, offset, About(axes=_axes(len(shape))), identity_of(path))


def nifti_facts(path: Path) -> tuple[tuple[int, ...], np.dtype, int, tuple[float, float] | None, About]:
    """Shape (z, y, x) or (t, z, y, x), stored dtype, offset, scaling and place of a NIfTI file."""
    import nibabel

    try:
        image: Any = nibabel.load(path)
    except Exception as error:
        raise DecodeError(f"a file of this name that is no NIfTI volume ({type(error).__name__})") from None
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise UnsupportedImageError("a file of this name that is no NIfTI volume")
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)[:, [2, 1, 0, 3]]
    about = About(affine, axes=_axes(len(shape)), placed=True)
    proxy: Any = image.dataobj
    scale = None if proxy.slope == 1 and proxy.inter == 0 else (float(proxy.slope), float(proxy.inter))
    return shape[::-1], proxy.dtype, int(proxy.offset), scale, about


def _open_nifti(path: Path) -> Source:
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise UnsupportedImageError("a NIfTI file that is compressed; its name must end with .nii.gz")
    shape, dtype, offset, scale, about = nifti_facts(path)
    return Raw(path, shape, dtype, offset, about, identity_of(path), scale)


def _open_hdf5(path: Path, key: str | None) -> Source:
    try:
        import h5py
    except ImportError:
        raise ImportError("HDF5 needs h5py: pip install 'fastmed[stream]'") from None
    try:
        file = h5py.File(path, "r")
    except OSError:
        raise DecodeError("a file of this name that is no HDF5 file, or not whole") from None
    found: dict[str, Any] = {}
    file.visititems(lambda name, one: found.update({name: one}) if isinstance(one, h5py.Dataset) else None)
    array = _chosen(found, key)
    return Chunked(array, array.chunks or _slab(array.shape), About(axes=_axes(array.ndim)), identity_of(path))


def _slab(shape: Sequence[int]) -> tuple[int, ...]:
    """Pieces for an array that is stored in one."""
    return tuple(min(n, 64) for n in shape)


def _chosen(found: dict[str, Any], key: str | None) -> Any:
    """The array that was asked for, or the only one with three or four axes."""
    if key is not None:
        if key.strip("/") not in found:
            raise ValueError(f"key must be one of {', '.join(sorted(found)) or 'none'}; found {key!r}")
        return found[key.strip("/")]
    volumes = {name: one for name, one in found.items() if 3 <= len(one.shape) <= 4}
    if len(volumes) != 1:
        raise ValueError(f"{len(volumes)} arrays of 3 or 4 axes; key= chooses one: {', '.join(sorted(volumes))}")
    return next(iter(volumes.values()))


def _open_zarr(path: Path, key: str | None) -> Source:
    import zarr

    try:
        node: Any = zarr.open(str(path), mode="r")
    except Exception as error:
        raise DecodeError(f"a folder of this name that is no Zarr ({type(error).__name__})") from None
    about = None
    attributes = dict(node.attrs)
    if isinstance(node, zarr.Group):
        if "fastmed" in attributes:
            _check_mark(path)
        array, about = _array_of(node, attributes, key)
    else:
        array = node
    about = about or About(axes=_axes(array.ndim))
    source = Chunked(array, array.chunks, about, identity_of(path))
    if getattr(array, "shards", None) is None and array.fill_value is not None:
        folder = path / array.path if array.path else path
        source.fill = array.fill_value
        source.stored_at = lambda index: folder / array.metadata.encode_chunk_key(index)
        source.files = chunk_files(array, folder)
    if isinstance(attributes.get("fastmed"), dict) and attributes["fastmed"].get("dtype") == "bool":
        source.dtype = np.dtype(bool)
    return source


def _array_of(group: Any, attributes: dict[str, Any], key: str | None) -> tuple[Any, About | None]:
    ome = attributes.get("ome", attributes)
    scales = ome.get("multiscales") if isinstance(ome, dict) else None
    if scales and key is None:
        try:
            level = scales[0]["datasets"][0]
            array = group[level["path"]]
            return array, _about_zarr(attributes, scales[0], level, array.ndim)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            kind = type(error).__name__
            raise DecodeError(f"the description of this OME-Zarr cannot be understood ({kind})") from None
    return _chosen(dict(_arrays(group)), key), None


def _arrays(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in group.members():
        if hasattr(one, "members"):
            yield from _arrays(one, f"{prefix}{name}/")
        else:
            yield prefix + name, one


def _about_zarr(attributes: dict[str, Any], scale: dict[str, Any], level: dict[str, Any], ndim: int) -> About:
    ours = attributes.get("fastmed")
    if isinstance(ours, dict):
        return About(np.array(ours["affine"]), str(ours["modality"]), str(ours["units"]), str(ours["axes"]), True)
    steps = {t["type"]: t for t in level.get("coordinateTransformations", [])}
    space = [n for n, axis in enumerate(scale["axes"]) if axis.get("type") == "space"][-3:]
    if len(space) != 3 or "scale" not in steps:
        return About(axes=_axes(ndim))
    units = [_UNITS.get(scale["axes"][n].get("unit", ""), 0.0) for n in space]
    spacing = [u * float(steps["scale"]["scale"][n]) for u, n in zip(units, space, strict=True)]
    if not all(spacing):
        return About(axes=_axes(ndim))
    moved = steps.get("translation", {}).get("translation", [0.0] * ndim)
    return About(_scaled(spacing, [u * float(moved[n]) for u, n in zip(units, space, strict=True)]),
                 axes=_axes(ndim), placed=True)  # fmt: skip


def _check_mark(path: Path) -> None:
    """Refuse a Zarr of ours that is not whole. Sizes are looked at, not digests: that would read all of it."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        raise DecodeError("a Zarr without its completion mark: it was not written to its end") from None
    for name, (size, _) in manifest.items():
        try:
            found = os.stat(path / name).st_size
        except OSError:
            found = -1
        if found != size:
            raise DecodeError("a Zarr that lacks a part of what was written")
