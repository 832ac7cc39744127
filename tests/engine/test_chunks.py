"""Operations on Dask arrays equal those on the whole array in memory, whatever the chunks."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastmed
from against_scipy import CVALS, MODES, SEEDS, examples, one_or_each, origins
from fastmed import gaussian_filter, median_filter, sobel, uniform_filter
from helpers import random_array, same

CALLS = [(gaussian_filter, {"sigma": 1.2}), (median_filter, {"size": 3}), (uniform_filter, {"size": 4}), (sobel, {})]


@st.composite
def chunkings(draw, shape):
    """Cuts each axis anywhere."""
    chunks = []
    for n in shape:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, n - 1)), max_size=5)) - {n})
        chunks.append(tuple(np.diff([0, *cuts, n]).tolist()))
    return tuple(chunks)


@st.composite
def calls(draw, ndim):
    """An operation with random parameters."""
    modes, cval = st.sampled_from(MODES), draw(CVALS)
    function = draw(st.sampled_from([gaussian_filter, median_filter, uniform_filter, sobel]))
    if function is sobel:
        return sobel, {"axis": draw(st.integers(0, ndim - 1)), "mode": draw(one_or_each(modes, ndim)), "cval": cval}
    axes = draw(st.none() | st.permutations(range(ndim)).map(lambda p: tuple(p[: max(1, ndim - 1)])))
    count = ndim if axes is None else len(axes)
    some = {"axes": axes, "cval": cval, "mode": draw(modes if function is median_filter else one_or_each(modes, count))}
    if function is gaussian_filter:
        sigma = draw(one_or_each(st.sampled_from([0, 0.5, 1, 3]), count))
        return function, {"sigma": sigma, "order": draw(st.integers(0, 1)), **some}
    sizes = draw(st.lists(st.integers(1, 7), min_size=count, max_size=count))
    return function, {"size": sizes, "origin": draw(st.just(0) | origins(sizes)), **some}


@given(st.data())
@examples(150)
def test_equals_the_whole_array(data):
    ndim = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.lists(st.integers(1, [0, 40, 14, 8][ndim]), min_size=ndim, max_size=ndim)))
    dtype = data.draw(st.sampled_from("?Bhifd"))
    image = random_array(np.random.default_rng(data.draw(SEEDS)), shape, dtype)
    chunks = data.draw(chunkings(shape))
    function, arguments = data.draw(calls(ndim))
    result = function(da.from_array(image, chunks=chunks), **arguments)
    wanted = function(image, **arguments)
    assert isinstance(result, da.Array)
    assert (result.chunks, result.dtype, result.shape) == (chunks, wanted.dtype, wanted.shape)
    found = result.compute(scheduler="synchronous")
    assert same(found, wanted, max(float(np.abs(image.astype("d")).max()), abs(arguments["cval"])))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", "Bhd")
def test_halo_longer_than_chunks_and_than_the_array(mode, dtype):
    image = np.random.default_rng(0).integers(0, 200, (5, 6)).astype(dtype)
    chunked = da.from_array(image, chunks=((1, 2, 2), (3, 1, 2)))
    for function, more in [
        (gaussian_filter, {"sigma": [3, 2]}),
        (uniform_filter, {"size": [13, 8], "origin": [3, -4]}),
        (median_filter, {"size": [9, 14], "origin": [-4, 2]}),
    ]:
        assert same(function(chunked, mode=mode, **more).compute(), function(image, mode=mode, **more), 200)


@pytest.mark.parametrize("function, more", CALLS)
def test_names_are_those_of_the_call(function, more):
    chunked = da.ones((20, 20), chunks=7)
    first, again = function(chunked, **more), function(chunked, **more)
    assert first.name == again.name and first.name.startswith(function.__name__)
    others = [function(chunked, mode="wrap", **more), function(chunked + 1, **more)]
    others += [function(chunked, output=np.float32, **more), function(chunked.rechunk(5), **more)]
    assert len({first.name, *(o.name for o in others)}) == 5


@pytest.mark.parametrize("function, more", CALLS)
def test_nothing_is_read_until_computed_and_neighbours_only_then(function, more):
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.ones((10, 10))

    image = da.map_blocks(block, chunks=((10,) * 5, (10,) * 5), meta=np.ones((0, 0)))
    result = function(image, **more)
    fastmed.explain(function, image, **more)
    assert read == []
    result[:10, :10].compute(scheduler="synchronous")
    assert sorted(read) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("function, more", CALLS)
def test_bad_calls_are_refused_before_computing(function, more):
    chunked = da.ones((20, 20), chunks=7)
    with pytest.raises(RuntimeError, match="mode"):
        function(chunked, mode="x", **more)
    with pytest.raises(TypeError, match="output must be None or a dtype"):
        function(chunked, output=np.empty((20, 20)), **more)
    with pytest.raises(TypeError, match="object"):
        function(chunked.astype(object), **more)
    unknown = chunked[chunked.sum(axis=1) > 0]
    with pytest.raises(ValueError, match="unknown chunk sizes"):
        function(unknown, **more)
    assert function(unknown.compute_chunk_sizes(), **more).shape == (20, 20)


@pytest.mark.parametrize("function, more", CALLS)
def test_output_dtype_and_empty_arrays(function, more):
    result = function(da.ones((9, 8), chunks=4, dtype="h"), output=np.float32, **more)
    assert result.dtype == result.compute().dtype == np.float32
    empty = function(da.ones((0, 8), chunks=4), **more)
    assert empty.shape == empty.compute().shape == (0, 8)


def test_complex_arrays():
    image = random_array(np.random.default_rng(1), (20, 9), "D")
    for function, more in CALLS:
        if function is not median_filter:
            assert same(function(da.from_array(image, chunks=4), **more).compute(), function(image, **more), 400)


def test_a_volume_of_chunks():
    affine = np.diag([1.0, 2, 3, 1])
    image = np.random.default_rng(0).normal(size=(9, 8, 7))
    volume = fastmed.Volume(da.from_array(image, chunks=4), affine)
    result = median_filter(volume, 3)
    assert isinstance(result.array, da.Array) and np.array_equal(result.affine, affine)
    assert np.array_equal(result.array.compute(), median_filter(image, 3))


def test_a_graph_pickles_and_joins_others():
    image = np.random.default_rng(0).normal(size=(30, 31))
    chunked = da.from_array(image, chunks=8)
    result = sobel(median_filter(gaussian_filter(chunked, 1), 3, mode="wrap"), 0) + 1
    wanted = sobel(median_filter(gaussian_filter(image, 1), 3, mode="wrap"), 0) + 1
    assert same(pickle.loads(pickle.dumps(result)).compute(), wanted, 4)
    (optimised,) = dask.optimize(result)
    assert same(optimised.compute(scheduler="synchronous"), wanted, 4)


def test_runs_on_a_distributed_cluster():
    distributed = pytest.importorskip("dask.distributed")
    image = np.random.default_rng(0).integers(0, 999, (40, 41)).astype("h")
    chunked = da.from_array(image, chunks=11)
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        futures = [client.compute(function(chunked, mode="wrap", **more)) for function, more in CALLS]
        found = [future.result(timeout=60) for future in futures]
    for result, (function, more) in zip(found, CALLS, strict=True):
        assert np.array_equal(result, function(image, mode="wrap", **more))
