"""Kinds of trouble, each with what must come of it: the right volume, or which refusal."""

from __future__ import annotations

import numpy as np
import truth_encodings
import truth_mixtures
import truth_read
import truth_refused
from make import AXIAL, CORONAL, SAGITTAL, oblique
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from truth_kinds import KINDS

__all__ = ["KINDS", "ORIENTATIONS", "SYNTAXES"]
assert truth_encodings and truth_mixtures and truth_read and truth_refused  # they fill KINDS

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
}


def _turned(orientation: tuple[float, ...], signs: tuple[int, int]) -> tuple[float, ...]:
    row, column = np.array(orientation[:3]) * signs[0], np.array(orientation[3:]) * signs[1]
    return (*row, *column)


ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": oblique(),
    "feet first": _turned(AXIAL, (-1, 1)),
    "prone": _turned(AXIAL, (-1, -1)),
    "oblique flipped": _turned(oblique(), (1, -1)),
    "oblique turned": (*oblique()[3:], *oblique()[:3]),
}
