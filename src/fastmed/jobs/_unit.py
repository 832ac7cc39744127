"""One unit of work, a series: its key and its rows. The same files and settings give the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import __version__
from ..archive import Series, read_series
from ..archive._source import open_source
from ..features import FEATURES_VERSION, extract_features, feature_names, features_of
from ..features._planes import Planes, planes
from ..volume import Volume

#: Which image a row is of, and how it lies in space. :mod:`fastmed.learn` takes none of these as features.
ABOUT = (
    "series", "patient", "study", "modality", "n_slices", "n_missing", "fault", "rows", "columns",
    "spacing_z", "spacing_y", "spacing_x",
)  # fmt: skip
TILE = ("tile_slice", "tile_row", "tile_column", "tile_size")

#: A tile that varies less than this share of its volume's standard deviation shows air, and is left out.
FLAT = 0.1


@dataclass(frozen=True)
class Settings:
    """What a unit's rows depend on beside its files.

    Attributes
    ----------
    tiles : int or None
        Edge of the tiles in pixels; None: one row for the whole series.
    max_tiles : int
        Tiles per series.
    on_fault : str
        See `fastmed.scan`.
    """

    tiles: int | None = None
    max_tiles: int = 32
    on_fault: str = "raise"

    def identity(self) -> list[Any]:
        """What tells units of one kind from all others, whatever their files."""
        return [__version__, FEATURES_VERSION, asdict(self)]

    def columns(self) -> tuple[str, ...]:
        """Of the table."""
        return (*ABOUT, *(TILE if self.tiles else ()), *feature_names())


def unit_key(series: Series, n_missing: int, settings: Settings) -> str:
    """SHA-256 over the code's version, the settings, and the bytes of the series' files in the slices' order.

    The files are read whole: what has to be computed is decoded from them anyway, and their bytes say the same
    wherever they lie.
    """
    digests = {path: _file_digest(path) for path in series.paths}
    content = [(digests[s.image.path], s.frame) for s in series.slices]
    about = [*settings.identity(), series.key, series.axes, series.fault, n_missing, content]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _file_digest(path: str) -> str:
    stream: Any
    with open_source(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unit_rows(series: Series, n_missing: int, settings: Settings) -> list[dict[str, Any]]:
    """The rows of a series that lacks so many slices, each with all of `settings.columns()`.

    Raises
    ------
    SeriesError
        Its pixels cannot be read.
    """
    volume = read_series(series)
    about = _about(series, volume, n_missing)
    if settings.tiles is None:
        return [about | extract_features(volume)]
    return list(_tile_rows(volume, about, settings.tiles, settings.max_tiles, series.key))


def _about(series: Series, volume: Volume, n_missing: int) -> dict[str, Any]:
    known = volume.meta.get("geometry") != "none"
    spacing = volume.spacing if known else (float("nan"),) * 3
    values = (
        series.key, series.patient, series.study, series.modality, series.n_slices, n_missing,
        series.fault, *(int(n) for n in series.shape[1:3]), *spacing,
    )  # fmt: skip
    return dict(zip(ABOUT, values, strict=True))


def _tile_rows(
    volume: Volume, about: dict[str, Any], edge: int, limit: int, seed: str
) -> Iterator[dict[str, Any]]:
    image = planes(volume)
    size = min(edge, *image.stack.shape[1:])
    for k, i, j in _sample(image, size, limit, seed):
        place = dict(zip(TILE, (k, i, j, size), strict=True))
        yield about | place | features_of(image.part(k, slice(i, i + size), slice(j, j + size)))


def _sample(image: Planes, size: int, limit: int, seed: str) -> list[tuple[int, int, int]]:
    """Corners (plane, row, column) of up to `limit` tiles that are not flat, in order; flat ones if all are.

    Tiles do not overlap and stand centred in the plane. Which of them is drawn depends on `seed` alone.
    """
    deviation = _deviation(image.values())
    corners = [_starts(n, size) for n in image.stack.shape[1:]]
    boxes = [(k, i, j) for k in range(len(image.stack)) for i in corners[0] for j in corners[1]]
    number = int(hashlib.sha256(seed.encode()).hexdigest()[:16], 16)
    chosen: list[tuple[int, int, int]] = []
    order = [boxes[at] for at in np.random.default_rng(number).permutation(len(boxes))]
    for k, i, j in order:
        if _deviation(image.part(k, slice(i, i + size), slice(j, j + size)).values()) > FLAT * deviation:
            chosen.append((k, i, j))
        if len(chosen) == limit:
            break
    return sorted(chosen or order[:limit])


def _starts(length: int, size: int) -> list[int]:
    count = length // size
    first = (length - count * size) // 2
    return [first + n * size for n in range(count)]


def _deviation(values: np.ndarray) -> float:
    """Standard deviation of the finite values, a block at a time."""
    sums = np.zeros(3)
    offset = None
    for start in range(0, values.size, 1 << 20):
        block = values[start : start + (1 << 20)].astype(np.float64)
        block = block[np.isfinite(block)]
        if block.size:
            offset = block[0] if offset is None else offset
            block = block - offset
            sums += block.size, block.sum(), (block * block).sum()
    if not sums[0]:
        return 0.0
    return float(np.sqrt(max(sums[2] / sums[0] - (sums[1] / sums[0]) ** 2, 0.0)))
