"""label equals SciPy's, label_regions scikit-image's: numbers, dtypes, errors; in memory and over chunks."""

from __future__ import annotations

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st

import fastmed
from against_scipy import SEEDS, examples, images, refused_alike
from fastmed._engine import isa, threads
from fastmed.segment import _label_chunks
from helpers import layouts


def structures(rng, ndim):
    """A random symmetric structure."""
    half = rng.random((3,) * ndim) < rng.uniform(0.1, 0.9)
    return np.asarray(half | np.flip(half))


def pieces(rng, shape, values=2, share=0.6):
    """Random patches of small integers."""
    return np.asarray(rng.integers(1, values, shape, endpoint=True) * (rng.random(shape) < share))


def equal(found, wanted):
    """Labels and count, to the bit."""
    assert found[1] == wanted[1]
    assert found[0].dtype == wanted[0].dtype and np.array_equal(found[0], wanted[0])
    return True


@given(images(dtypes="?bBhHiIqQfd"), SEEDS)
@examples(150)
def test_agrees_with_scipy(image, seed):
    rng = np.random.default_rng(seed)
    image = np.where(rng.random(image.shape) < 0.5, image, 0).astype(image.dtype)
    structure = structures(rng, image.ndim)
    plain = image.astype(image.dtype.newbyteorder("="))
    for build in [("cpp", isa.runnable()[-1])] if isa.runnable() else [("numba", None)]:
        with isa.using(*build):
            assert equal(fastmed.label(image), scipy.ndimage.label(plain))
            assert equal(fastmed.label(image, structure), scipy.ndimage.label(plain, structure))


SHAPES = [(1,), (700,), (65, 130), (1, 64, 1), (9, 1, 129), (5, 6, 7, 8), (3, 2, 3, 2, 65)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_structure_on_every_build(shape, build):
    rng = np.random.default_rng(1)
    for share in (0.02, 0.3, 0.5, 0.9):
        image = pieces(rng, shape, share=share)
        for structure in (None, np.ones((3,) * len(shape)), *(structures(rng, len(shape)) for _ in range(4))):
            assert equal(fastmed.label(image, structure), scipy.ndimage.label(image, structure))


def test_slabs_are_joined(build):
    shape = (17, 512, 520) if build[0] == "cpp" else (8, 40, 50)
    rng = np.random.default_rng(2)
    noise = rng.random(shape, dtype=np.float32)
    for share, structure in [(0.3, None), (0.1, np.ones((3, 3, 3))), (0.5, None), (0.4, structures(rng, 3))]:
        wanted = scipy.ndimage.label(noise < share, structure)
        for count in (1, 2, 5):
            with fastmed.num_threads(count):
                assert equal(fastmed.label(noise < share, structure), wanted)


def test_a_comb_that_is_joined_at_its_end(build):
    image = np.zeros((40, 300, 3), bool)
    image[:, ::2, 0] = True
    image[-1, :, 0] = True
    assert equal(fastmed.label(image), (image.astype(np.int32), 1))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8", "e", ">i4", "?"])
def test_output(dtype):
    image = pieces(np.random.default_rng(3), (12, 30))
    wanted, count = scipy.ndimage.label(image)
    labels, found = fastmed.label(image, output=dtype)
    assert found == count and labels.dtype == dtype and np.array_equal(labels, wanted.astype(dtype))
    for target in layouts(np.zeros(image.shape, dtype)).values():
        if target.flags.writeable:
            assert fastmed.label(image, output=target) == count
            assert np.array_equal(target, wanted.astype(dtype))


def test_in_place():
    image = pieces(np.random.default_rng(4), (20, 30)).astype(np.int32)
    wanted, count = scipy.ndimage.label(image)
    assert fastmed.label(image, output=image) == count
    assert np.array_equal(image, wanted)


def test_an_output_that_cannot_hold_the_labels_stays():
    image = np.zeros((1, 1000), bool)
    image[0, ::2] = True
    target = np.full(image.shape, 7, np.uint8)
    assert "500 labels" in refused_alike("label", image, output=np.uint8)
    with pytest.raises(RuntimeError, match="insufficient bit-depth"):
        fastmed.label(image, output=target)
    assert (target == 7).all()
    with pytest.raises(RuntimeError, match="500 labels, and int8 holds 127"):
        fastmed.label(da.from_array(image, chunks=100), output=np.int8)[0].compute(scheduler="sync")


@pytest.mark.parametrize(
    "arguments",
    [
        (np.ones((3, 3), complex),),
        (np.ones((3, 3), object),),
        (np.ones((3, 3)), np.ones(3)),
        (np.ones((3, 3)), np.ones((3, 1))),
        (np.ones((3, 3)), [[1, 1, 0], [0, 1, 0], [0, 0, 0]]),
        (np.ones((3, 3)), None, np.zeros((2, 2), int)),
        (np.ones((3, 3)), None, "bogus"),
        (np.ones((3, 3)), None, complex),
    ],
    ids=str,
)
def test_refusals_are_scipys(arguments):
    assert refused_alike("label", *arguments)


def test_degenerate_arrays():
    assert equal(fastmed.label(3.0), scipy.ndimage.label(3.0))
    assert equal(fastmed.label(np.zeros((0, 3))), scipy.ndimage.label(np.zeros((0, 3))))
    assert equal(fastmed.label(np.array([np.nan, 0, -0.0, np.inf])), (np.array([1, 0, 0, 2], np.int32), 2))
    with pytest.raises(ValueError, match="read-only"):
        fastmed.label(np.ones(3), output=np.broadcast_to(0, 3))


@given(st.integers(1, 4), SEEDS)
@examples(60)
def test_chunks_give_the_numbers_of_the_whole(ndim, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, [0, 60, 20, 10, 6][ndim], ndim))
    image, structure = pieces(rng, shape, share=rng.uniform(0.1, 1)), structures(rng, ndim)
    chunks = tuple(tuple(_cuts(rng, n)) for n in shape)
    wanted = scipy.ndimage.label(image, structure)
    labels, count = fastmed.label(da.from_array(image, chunks=chunks), structure)
    assert labels.chunks == chunks and count.shape == ()
    assert equal(dask.compute(labels, count, scheduler="sync"), wanted)


def _cuts(rng, n):
    inner = np.flatnonzero(rng.random(n - 1) < rng.choice([0.1, 0.5, 1.0])) + 1
    return np.diff([0, *inner, n]).tolist()


def test_lazy_labels_are_deterministic_and_small():
    image = da.from_array(np.ones((40, 40, 40), bool), chunks=20)
    labels, count = fastmed.label(image, output=np.uint8)
    assert labels.name == fastmed.label(image, output=np.uint8)[0].name != fastmed.label(image)[0].name
    assert labels.dtype == np.uint8 and int(count) == 1
    assert len(labels.dask.layers[labels.name]) == 4 * image.npartitions + 1
    kept = _label_chunks._keep(np.ones((64, 64, 64), np.float32), False)
    assert len(kept[0]) < 64**3 // 64
    for empty in (da.zeros((0, 3)), da.from_array(np.eye(3), chunks=((0, 2, 1), 3))):
        labels, count = dask.compute(*fastmed.label(empty), scheduler="sync")
        assert equal((labels, count), scipy.ndimage.label(empty.compute()))


def test_a_volume_gives_a_volume():
    image = pieces(np.random.default_rng(5), (6, 7, 8))
    affine = np.diag([2.0, 3, 4, 1])
    labels, count = fastmed.label(fastmed.Volume(image, affine))
    assert np.array_equal(labels.affine, affine) and equal((labels.array, count), scipy.ndimage.label(image))


# --- scikit-image's ---


def peer(image, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return skimage.measure.label(image, return_num=True, **arguments)


@given(st.integers(1, 3), st.sampled_from("?bBhiIqfd"), SEEDS)
@examples(40)
def test_equal_values_agree_with_scikit_image(ndim, dtype, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.choice([1, 2, 5, 12, 66], ndim))
    image = pieces(rng, shape, int(rng.integers(1, 5))).astype(dtype)
    if dtype in "fd":
        image = image * np.array(0.7, dtype)
    arguments = {"background": rng.choice([None, 0, 1, -1, 2]), "connectivity": int(rng.integers(1, ndim + 1))}
    if dtype == "?" and arguments["background"] not in (None, 0, 1):
        arguments["background"] = 0
    wanted = peer(image, **arguments)
    assert equal(fastmed.label_regions(image, return_num=True, **arguments), wanted)
    lazy = fastmed.skimage.label(da.from_array(image, chunks=int(rng.integers(3, 9))), return_num=True, **arguments)
    assert equal(dask.compute(*lazy, scheduler="sync"), wanted)


def test_equal_values_on_every_build(build, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    rng = np.random.default_rng(6)
    for shape in [(40, 70), (9, 20, 30), (2, 3, 1), (130,)]:
        image = pieces(rng, shape, 3, 0.9)
        for connectivity in range(1, len(shape) + 1):
            with fastmed.num_threads(3):
                found = fastmed.label_regions(image, return_num=True, connectivity=connectivity)
            assert equal(found, peer(image, connectivity=connectivity))


def test_connectivity_is_checked():
    for wrong in (0, 3, -1):
        with pytest.raises(ValueError, match="connectivity"):
            fastmed.label_regions(np.ones((3, 3), int), connectivity=wrong)
    with pytest.raises(TypeError, match="complex128"):
        fastmed.label_regions(np.ones((3, 3), complex))
