"""explain() says what a call would take, and does nothing else."""

from __future__ import annotations

import inspect

import dask.array as da
import numpy as np
import pytest
import scipy.ndimage

import fastmed
from fastmed import explain, gaussian_filter, median_filter, sobel, uniform_filter
from fastmed._engine import isa, threads
from fastmed._engine.operation import OPERATIONS, operation

IMAGE = np.random.default_rng(0).normal(size=(300, 400))


@pytest.mark.parametrize(
    "function, more, halo",
    [
        (gaussian_filter, {"sigma": 1}, ((4, 4), (4, 4))),
        (gaussian_filter, {"sigma": [0, 2], "truncate": 2}, ((0, 0), (4, 4))),
        (gaussian_filter, {"sigma": 3, "axes": 0, "radius": 5}, ((5, 5), (0, 0))),
        (uniform_filter, {"size": [3, 4]}, ((1, 1), (2, 1))),
        (uniform_filter, {"size": [4], "axes": -1, "origin": 1}, ((0, 0), (3, 0))),
        (median_filter, {"size": 5, "origin": [0, -2]}, ((2, 2), (0, 4))),
        (median_filter, {"footprint": np.ones((1, 3))}, ((0, 0), (1, 1))),
        (sobel, {}, ((1, 1), (1, 1))),
    ],
)
def test_halo_and_kernel(function, more, halo, build):
    found = explain(function, IMAGE, **more)
    assert found.halo == halo
    assert found.operation == function.__name__ and found.kernels == (function.__name__,)
    assert (found.backend, found.isa, found.chunked) == (*build, False)


def test_the_halo_is_what_the_result_looks_at():
    """One element changes the results inside the halo around it, and none outside."""
    for function, more in [
        (gaussian_filter, {"sigma": 1.5}),
        (uniform_filter, {"size": [4, 7], "origin": [1, -3]}),
        (median_filter, {"size": [1, 3], "origin": [0, 1]}),
        (sobel, {"axis": 0}),
    ]:
        impulse = np.zeros((41, 41))
        impulse[20, 20] = 1
        if function is median_filter:
            impulse[20, 21] = 1
        touched = np.argwhere(function(impulse, **more))
        (top, bottom), (left, right) = explain(function, impulse, **more).halo
        reach = [20 - bottom, 20 + top, 20 - right, 21 + left]
        lowest, highest = touched.min(0), touched.max(0)
        assert reach[0] <= lowest[0] and highest[0] <= reach[1], function.__name__
        assert reach[2] <= lowest[1] and highest[1] <= reach[3], function.__name__


def test_threads_are_those_of_the_call(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1000)
    with fastmed.num_threads(3):
        assert explain(sobel, IMAGE).threads == 3
        assert explain(sobel, IMAGE[:9, :9]).threads == 1
        assert explain(sobel, da.from_array(IMAGE)).threads == 1


def test_a_call_without_work_needs_no_kernel():
    assert explain(gaussian_filter, IMAGE, 0).kernels == ()
    assert explain(uniform_filter, IMAGE, 1).kernels == ()
    assert explain(median_filter, IMAGE, 1).kernels == ()


def test_nothing_is_computed_or_written():
    output = np.full(IMAGE.shape, 7.0)
    before = IMAGE.copy()
    explain(gaussian_filter, IMAGE, 1, output=output)
    explain(gaussian_filter, IMAGE, 1, output=IMAGE)
    assert np.all(output == 7) and np.array_equal(IMAGE, before)
    assert gaussian_filter(IMAGE, 1).std() < IMAGE.std(), "a later call computes"


def test_chunks_and_volumes():
    found = explain(median_filter, da.ones((30, 30, 30), chunks=10), 5)
    assert found.chunked and found.halo == ((2, 2),) * 3
    volume = fastmed.Volume(np.zeros((3, 4, 5)), np.eye(4))
    assert explain(median_filter, volume, 5).halo == ((2, 2),) * 3


def test_it_reads_as_a_sentence():
    with isa.using("numba"), fastmed.num_threads(1):
        text = str(explain(uniform_filter, IMAGE, 4))
        assert text == (
            "uniform_filter: kernel uniform_filter of build numba, 1 thread(s) per call, on memory; "
            "looks at -2/+1, -2/+1 around each element"
        )
        assert "none needed" in str(explain(uniform_filter, IMAGE, 1))


@pytest.mark.parametrize("other", [np.median, scipy.ndimage.sobel, len, "sobel", None, lambda a: a])
def test_other_functions_are_refused(other):
    with pytest.raises(TypeError, match="takes an operation of fastmed"):
        explain(other, IMAGE)


def test_arguments_are_checked_as_in_the_call():
    with pytest.raises(TypeError, match="sigma"):
        explain(gaussian_filter, IMAGE)
    with pytest.raises(RuntimeError, match="mode"):
        explain(gaussian_filter, IMAGE, 1, mode="x")
    with pytest.raises(ValueError, match="order"):
        explain(gaussian_filter, IMAGE, 1, order=-1)
    assert sobel(IMAGE).any(), "a refused explanation leaves later calls alone"


def test_the_decorator_notes_the_function_and_keeps_its_signature(monkeypatch):
    monkeypatch.setattr("fastmed._engine.operation.OPERATIONS", dict(OPERATIONS))

    @operation(halo=lambda ndim, **_: ((2, 2),) * ndim)
    def brighten(image, by=1, *, clip=None):
        """Adds."""
        return image + by

    assert str(inspect.signature(brighten)) == "(image, by=1, *, clip=None)"
    assert brighten.__doc__ == "Adds." and brighten.__name__ == "brighten"
    assert brighten(IMAGE, by=2)[0, 0] == IMAGE[0, 0] + 2
    assert brighten(image=IMAGE)[0, 0] == IMAGE[0, 0] + 1
    volume = brighten(image=fastmed.Volume(np.zeros((2, 2, 2)), np.eye(4)))
    assert isinstance(volume, fastmed.Volume) and volume.array.all()
