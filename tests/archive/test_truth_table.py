"""Every kind of trouble: the right volume or the refusal that was meant, never another volume or another error.

Here each kind meets every transfer syntax, in one orientation after the other; FASTMED_TRUTH=all takes all of them.
"""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from make import Truth, ramp
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
    result = KINDS[kind](truth)
    post, expected = result if isinstance(result, tuple) else (result, None)
    if not callable(post) or isinstance(post, type):
        post, expected = None, post
    folder = truth.write(tmp_path)
    if post is not None:
        post(folder)
    if isinstance(expected, type):
        with pytest.raises(expected):
            read(folder)
        return
    volume = read(folder)
    np.testing.assert_allclose(
        np.asarray(volume, np.float64), truth.values if expected is None else expected, rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(volume.affine, truth.affine, atol=2e-2 if "decimals" in kind else 1e-4)


def test_there_are_enough_kinds():
    assert len(KINDS) >= 60 and len(SYNTAXES) == 5 and len(ORIENTATIONS) == 8
