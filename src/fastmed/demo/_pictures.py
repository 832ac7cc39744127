"""Real images that dependencies ship, step by step: read -> median, Gaussian -> Canny -> contours. Never a
download."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..report import Panel, Picture

#: A contour with fewer points than this is grain: it is traced, but not drawn.
DRAWN_POINTS = 16


class NotHere(Exception):
    """Why an image cannot be shown here: the message is for the report."""


@dataclass(frozen=True)
class Source:
    """One image that a dependency ships.

    Attributes
    ----------
    title, package : str
    load : callable
        Gives the 2-D image and height over width of its pixels; raises :class:`NotHere`.
    """

    title: str
    package: str
    load: Callable[[], tuple[np.ndarray, float]]


def _shipped(name: str) -> str:
    """Path of one of pydicom's own test files, in its wheel or in the package pydicom-data; no download."""
    import pydicom.data

    path = Path(pydicom.data.__file__).parent / "test_files" / name
    if path.is_file():
        return str(path)
    spec = importlib.util.find_spec("data_store")
    extra = Path(spec.origin).parent / "data" / name if spec and spec.origin else None
    if extra is None or not extra.is_file():
        raise NotHere(f"{name} is not part of the installed pydicom, and the demo downloads nothing")
    return str(extra)


def _dicom(name: str) -> Callable[[], tuple[np.ndarray, float]]:
    """A grey CT or MR through fastmed's own reader; of several slices the middle one."""

    def load() -> tuple[np.ndarray, float]:
        from .. import read
        from ..errors import FastmedError

        try:
            volume = read(_shipped(name))
        except FastmedError as error:
            raise NotHere(str(error)) from None
        array = np.asarray(volume)
        _, dy, dx = volume.spacing[-3:]
        return array[len(array) // 2], dy / dx

    return load


def _frame(name: str, rows: slice = slice(None)) -> Callable[[], tuple[np.ndarray, float]]:
    """The middle frame of a file that has no place in space, colours as their brightness, cut to `rows`: text
    that the scanner burned into an ultrasound image stays out of the report."""

    def load() -> tuple[np.ndarray, float]:
        import pydicom

        dataset = pydicom.dcmread(_shipped(name))
        try:
            frames = dataset.pixel_array
        except (RuntimeError, NotImplementedError, ValueError):
            raise NotHere("no decoder for its transfer syntax is installed") from None
        if dataset.SamplesPerPixel == 3:
            frames = frames[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        return (frames[len(frames) // 2] if frames.ndim == 3 else frames)[rows], 1.0

    return load


def _nibabel_4d() -> tuple[np.ndarray, float]:
    """First time point, middle slice of the 4-D MR that nibabel ships."""
    spec = importlib.util.find_spec("nibabel")
    if spec is None or spec.origin is None:
        raise NotHere("nibabel is not installed: pip install 'fastmed[archive]'")
    import nibabel

    path = Path(spec.origin).parent / "tests" / "data" / "example4d.nii.gz"
    if not path.is_file():
        raise NotHere("the installed nibabel ships no example4d.nii.gz")
    image: Any = nibabel.load(path)
    array = np.asarray(image.dataobj[..., 0])
    dx, dy = image.header.get_zooms()[:2]
    return np.ascontiguousarray(array[:, ::-1, array.shape[2] // 2].T), float(dy) / float(dx)


SOURCES = (
    Source("CT of a head", "pydicom", _dicom("J2K_pixelrep_mismatch.dcm")),
    Source("CT of a spine", "pydicom", _dicom("CT_small.dcm")),
    Source("MR of an abdomen", "pydicom", _dicom("examples_overlay.dcm")),
    Source("Enhanced (multi-frame) MR", "pydicom-data", _frame("emri_small.dcm")),
    Source("Doppler ultrasound", "pydicom", _frame("examples_rgb_color.dcm", slice(70, 165))),
    Source("4-D MR of a head, first time point", "nibabel", _nibabel_4d),
)


def pictures() -> Iterator[Picture]:
    """Every source as a row of panels, or as the reason why it is not here."""
    for source in SOURCES:
        try:
            image, aspect = source.load()
        except NotHere as reason:
            yield Picture(source.title, f"Not shown: {reason}.")
            continue
        yield _steps(source, image, aspect)


def _steps(source: Source, image: np.ndarray, aspect: float) -> Picture:
    from .. import canny, gaussian_filter, median_filter, trace_contours

    low, high = np.percentile(image, (1, 99.5))
    grey = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    middle = median_filter(grey, size=3)
    smooth = gaussian_filter(middle, 1.0)
    edges = canny(smooth, sigma=1.0)
    found = trace_contours(edges.astype(np.uint8), mode="external", method="simple")
    drawn = [c for c in borders(found) if len(c) >= DRAWN_POINTS]
    rows, columns = image.shape
    caption = (
        f"{rows} × {columns} {image.dtype}, shipped by {source.package}; {int(edges.sum())} edge pixels, "
        f"{len(found.offsets) - 1} contours"
    )
    panels = [
        Panel("as read", grey, window=(0, 1)),
        Panel("median 3 × 3", middle, window=(0, 1)),
        Panel("Gaussian, sigma 1", smooth, window=(0, 1)),
        Panel("Canny", edges),
        Panel("contours, traced", grey, drawn, window=(0, 1)),
    ]
    return Picture(source.title, caption, panels, aspect)


def borders(contours: Any) -> list[np.ndarray]:
    """Each border of flat `Contours` as an own (n, 2) array of x, y."""
    return np.split(np.asarray(contours.points), np.asarray(contours.offsets)[1:-1])
