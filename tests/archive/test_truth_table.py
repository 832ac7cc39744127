"""Every kind of trouble: the right volume or the refusal that was meant, never another volume or another error.

Here each kind meets every transfer syntax, in one orientation after the other; FASTMED_TRUTH=all takes all of them.
"""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from make import Truth, ramp
from truth_kinds import expected_of
from truth_table import KINDS, ORIENTATIONS, SYNTAXES

from fastmed.archive import read

ALL = list(itertools.product(KINDS, SYNTAXES, ORIENTATIONS))
SOME = [
    (kind, syntax, list(ORIENTATIONS)[(n + m) % len(ORIENTATIONS)])
    for n, kind in enumerate(KINDS)
    for m, syntax in enumerate(SYNTAXES)
]


@pytest.mark.parametrize(("kind", "syntax", "orientation"), ALL if os.environ.get("FASTMED_TRUTH") == "all" else SOME)
def test_right_or_refused(tmp_path, kind, syntax, orientation):
    truth = Truth(ramp(), orientation=ORIENTATIONS[orientation], syntax=SYNTAXES[syntax])
    expect = expected_of(kind, truth)
    folder = truth.write(tmp_path)
    if expect.post is not None:
        expect.post(folder)
    if expect.error is not None:
        with pytest.raises(expect.error):
            read(folder)
        return
    volume = read(folder)
    values = truth.values if expect.values is None else expect.values
    np.testing.assert_allclose(np.asarray(volume, np.float64), values, rtol=1e-6, atol=1e-9)
    affine = truth.affine if expect.affine is None else expect.affine
    np.testing.assert_allclose(volume.affine, affine, atol=2e-2 if "two_decimals" in kind else 1e-4)
    if expect.padding is not None:
        assert volume.padding is not None
        np.testing.assert_array_equal(volume.padding, expect.padding)
    if expect.units is not None:
        assert volume.units == expect.units


def test_there_are_enough_kinds():
    assert len(KINDS) >= 180 and len(SYNTAXES) == 5 and len(ORIENTATIONS) == 8
