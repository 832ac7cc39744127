"""The time of each step beside the same step elsewhere, on the same data, the results compared first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..report import Step

#: Seconds that one step may take, all libraries together, beyond one call of each.
PATIENCE = 0.6


def race(
    name: str, workload: str, calls: dict[str, Callable[[], Any]], compare: Callable[[Any, Any], str]
) -> Step:
    """Run `calls` (the first is ours) in turn, as often as the patience allows; the best time of each
    counts."""
    results = {who: call() for who, call in calls.items()}  # also the warm-up
    ours, *others = calls
    agreement = "; ".join(compare(results[ours], results[who]) for who in others)
    best = dict.fromkeys(calls, float("inf"))
    end = time.perf_counter() + PATIENCE
    for turn in range(20):
        for who, call in calls.items():
            start = time.perf_counter()
            call()
            best[who] = min(best[who], time.perf_counter() - start)
        if turn and time.perf_counter() > end:
            break
    return Step(
        name, workload, best[ours], {who: best[who] for who in others}, agreement or "no peer installed"
    )


def same(ours: Any, theirs: Any) -> str:
    """Whether two arrays are equal, or how far apart they are in units of the range."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return f"shapes differ: {ours.shape} and {theirs.shape}"
    if np.array_equal(ours, theirs):
        return "equal"
    span = max(float(np.ptp(theirs)), 1e-300)
    distance = float(np.max(np.abs(ours.astype(float) - theirs.astype(float))) / span)
    return f"within {distance:.0e} of the range"


def workload() -> np.ndarray:
    """A volume of 48 x 192 x 192 with blobs and noise, int16, always the same."""
    rng = np.random.default_rng(7)
    coarse = rng.normal(size=(6, 12, 12))
    volume = coarse.repeat(8, 0).repeat(16, 1).repeat(16, 2) * 300 + rng.normal(size=(48, 192, 192)) * 60
    return volume.astype(np.int16)


def steps(folder: Path | None = None) -> Iterator[Step]:
    """All races. `folder` is that of one DICOM series, for the time of reading."""
    if folder is not None:
        yield _read(folder)
    volume = workload()
    yield from _filters(volume)
    plane = np.tile(volume[24].astype(np.float32) / 1000, (2, 2))
    yield from _contours(plane)


def _read(folder: Path) -> Step:
    from .. import read

    count = sum(1 for p in folder.iterdir() if p.is_file())
    calls = {"fastmed": lambda: np.asarray(read(folder)), "pydicom": lambda: _pydicom_loop(folder)}
    return race("read a series", f"{count} files", calls, same)


def _pydicom_loop(folder: Path) -> np.ndarray:
    """What one writes by hand: read, sort by position, stack, rescale."""
    import pydicom

    slices = sorted(
        (pydicom.dcmread(p) for p in folder.iterdir()), key=lambda s: float(s.ImagePositionPatient[2])
    )
    return np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])


def _filters(volume: np.ndarray) -> Iterator[Step]:
    import scipy.ndimage as scipy_ndimage

    import fastmed

    real = volume.astype(np.float32)
    shape = " × ".join(map(str, volume.shape))
    cases: list[tuple[str, str, np.ndarray, tuple[Any, ...]]] = [
        ("Gaussian, sigma 1.5", "gaussian_filter", real, (1.5,)),
        ("mean 5 × 5 × 5", "uniform_filter", real, (5,)),
        ("median 3 × 3 × 3", "median_filter", volume, (3,)),
        ("Sobel", "sobel", real, ()),
    ]
    for title, name, data, arguments in cases:
        mine, theirs = getattr(fastmed, name), getattr(scipy_ndimage, name)
        calls: dict[str, Callable[[], Any]] = {
            "fastmed": partial(mine, data, *arguments),
            "SciPy": partial(theirs, data, *arguments),
        }
        yield race(title, f"{shape} {data.dtype}", calls, same)


def _contours(plane: np.ndarray) -> Iterator[Step]:
    import fastmed

    where = f"{plane.shape[0]} × {plane.shape[1]}"
    calls: dict[str, Callable[[], Any]] = {"fastmed": lambda: fastmed.canny(plane, 2.0, 0.02, 0.05)}
    try:
        from skimage.feature import canny
    except ImportError:
        pass
    else:
        calls["scikit-image"] = lambda: canny(plane, 2.0, 0.02, 0.05)
    yield race("Canny, sigma 2", f"{where} {plane.dtype}", calls, same)
    mask = fastmed.canny(plane, 2.0, 0.02, 0.05).astype(np.uint8)
    calls = {"fastmed": lambda: fastmed.trace_contours(mask, mode="list", method="none")}
    try:
        import cv2
    except ImportError:
        pass
    else:
        calls["OpenCV"] = lambda: cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    yield race("trace contours", f"{where} mask", calls, _same_borders)


def _same_borders(ours: Any, theirs: Any) -> str:
    from ._pictures import borders

    def key(points: np.ndarray) -> bytes:
        """A border by its set of points: the two libraries may start it elsewhere."""
        return np.unique(np.asarray(points, np.int64).reshape(-1, 2), axis=0).tobytes()

    mine, other = sorted(map(key, borders(ours))), sorted(map(key, theirs))
    return f"equal, {len(other)} borders" if mine == other else f"{len(mine)} and {len(other)} borders differ"
