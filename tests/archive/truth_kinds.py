"""The registry of the truth table: kinds of trouble by name, and what they have in common.

A kind takes a `Truth` and changes it. It gives nothing where the truth stays what it is; else the values, an error
class, a function that changes the written files (or that and an error class), or an `Expect`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from make import Truth, set_pixels
from pydicom.uid import ExplicitVRLittleEndian, RLELossless


@dataclass
class Expect:
    """What must come of a folder: an error, or values, affine, padding and units (None: as the truth has them)."""

    error: Any = None
    values: np.ndarray | None = None
    affine: np.ndarray | None = None
    padding: np.ndarray | None = None
    units: str | None = None
    post: Callable[[Path], Any] | None = None


KINDS: dict[str, Callable[[Truth], Any]] = {}


def kind(function: Callable[[Truth], Any]) -> Callable[[Truth], Any]:
    KINDS[function.__name__] = function
    return function


def each(t: Truth, **elements: Any) -> None:
    for ds in t.datasets:
        for name, value in elements.items():
            setattr(ds, name, value)


def repixel(t: Truth, stored: np.ndarray, bits: int | None = None, photometric: str = "MONOCHROME2") -> None:
    for ds, pixels in zip(t.datasets, stored, strict=True):
        ds.file_meta.TransferSyntaxUID = t.syntax
        set_pixels(ds, pixels, bits, photometric)


def no_rle(t: Truth) -> None:
    """Give up RLE where the kind is about raw bytes."""
    if t.syntax == RLELossless:
        for ds in t.datasets:
            ds.decompress(generate_instance_uid=False)
        t.syntax = ExplicitVRLittleEndian


def expected_of(name: str, truth: Truth) -> Expect:
    """Make the trouble, and say what must come of it."""
    result = KINDS[name](truth)
    if isinstance(result, Expect):
        return result
    post, rest = result if isinstance(result, tuple) else (result, None)
    if isinstance(post, type):
        return Expect(post)
    if isinstance(post, np.ndarray):
        return Expect(values=post)
    return Expect(rest, post=post)
