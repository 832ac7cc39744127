"""What is measured of labels equals SciPy's, for every kind of index; tables, chunks, threads."""

from __future__ import annotations

import doctest
import importlib
import inspect
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

import fastmed
import fastmed.ndimage
from against_scipy import SEEDS, examples
from fastmed._engine import isa, threads
from fastmed.segment import _statistics
from helpers import layouts, random_array

SUMS = ["sum_labels", "sum", "mean", "variance", "standard_deviation", "center_of_mass", "median"]
EXTREMES = ["minimum", "maximum", "minimum_position", "maximum_position", "extrema"]
INDICES = [None, 2, [1, 2, 3], [3, 1, 9], (2, 2, 40), np.array([[1, 2], [4, 0]]), np.arange(20)]
PARTS = ["_statistics", "_groups", "_objects", "_summary"]
TOLERANCE = {"e": 1e-2, "f": 1e-5}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def ours(name, *arguments):
    return getattr(fastmed.ndimage, name)(*arguments)


def outcome(module, name, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(module, name)(*arguments)
        except Exception as error:
            return error


def alike(found, wanted, tolerance=1e-12, scale=1.0):
    """The same structure, dtypes and values; an exception of the same type."""
    if isinstance(wanted, Exception):
        return isinstance(found, type(wanted))
    if isinstance(wanted, tuple | list):
        pairs = zip(found, wanted, strict=False)
        return len(found) == len(wanted) and all(alike(f, w, tolerance, scale) for f, w in pairs)
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    near = (a.astype(float) for a in (found, wanted))
    return np.allclose(*near, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def scene(rng, ndim, dtype, label_dtype="i"):
    """Different values, so that extremes have one place, and labels from 0 to 5."""
    shape = tuple(int(n) for n in rng.integers(1, [0, 60, 20, 10, 6][ndim], ndim))
    values = rng.permutation(int(np.prod(shape))).reshape(shape)
    values = (values % 120 if dtype in "bB" else values - 3).astype(dtype)
    labels = rng.integers(0, 6, shape).repeat(int(rng.integers(1, 5)), axis=-1)[..., : shape[-1]]
    return values, labels.astype(label_dtype)


@given(st.integers(1, 4), st.sampled_from("bBhHiIqQfde"), st.sampled_from("?bBhHiIqQfd"), SEEDS)
@examples(60)
def test_agrees_with_scipy(ndim, dtype, label_dtype, seed):
    rng = np.random.default_rng(seed)
    values, labels = scene(rng, ndim, dtype, label_dtype)
    scale = float(np.abs(values.astype(float)).sum()) + 1
    ties = dtype in "bBe"
    for name in [*SUMS, *EXTREMES]:
        if ties and ("position" in name or name == "extrema"):
            continue  # SciPy's depend on its sort
        for index in INDICES:
            wanted = outcome(scipy.ndimage, name, values, labels, index)
            found = outcome(fastmed.ndimage, name, values, labels, index)
            assert alike(found, wanted, TOLERANCE.get(dtype, 1e-12), scale), (name, index, found, wanted)


@pytest.mark.parametrize("name", [*SUMS, *EXTREMES])
def test_builds_layouts_and_bool(name, build):
    rng = np.random.default_rng(1)
    for dtype in "hfd?" if build[0] == "cpp" else "hd":
        values, labels = scene(rng, 3, "h" if dtype == "?" else dtype)
        if dtype == "?":
            values = values % 3 == 0
            if name in EXTREMES[2:]:
                continue  # which of equal values depends on SciPy's sort
        for layout in layouts(values) if build[0] == "cpp" else ["C", "strided"]:
            variants = layouts(values)[layout], layouts(labels)[layout], [1, 3, 2]
            found, wanted = ours(name, *variants), outcome(scipy.ndimage, name, *variants)
            assert alike(found, wanted, TOLERANCE.get(dtype, 1e-12), 1e5), layout


def test_ties_nan_and_infinity(build):
    values = np.array([2.0, 1, 1, 2, np.nan, 5, 5, np.nan, np.nan, -np.inf, np.inf])
    labels = np.array([1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4])
    index = [1, 2, 3, 4]
    low, high, first, last = fastmed.extrema(values, labels, index)
    assert np.array_equal(low, [1, 5, np.nan, -np.inf], equal_nan=True)
    assert np.array_equal(high, [2, np.nan, np.nan, np.inf], equal_nan=True)
    assert first == [(1,), (5,), (7,), (9,)] and last == [(3,), (4,), (8,), (10,)]
    for name in ("minimum", "maximum", "median", "sum_labels", "mean", "minimum_position", "maximum_position"):
        assert alike(ours(name, values, labels, index), outcome(scipy.ndimage, name, values, labels, index)), name


def test_labels_far_apart_and_negative(build):
    values, labels = np.arange(8.0), np.array([-5, 10**9, -5, 7, 10**9, 7, 7, 0])
    for name in [*SUMS, *EXTREMES]:
        for index in ([-5, 7, 10**9], [10**9, 3], np.array([10**12, -5])):
            assert alike(ours(name, values, labels, index), outcome(scipy.ndimage, name, values, labels, index)), name


def test_sums_of_small_arrays_equal_scipys_to_the_bit(build):
    rng = np.random.default_rng(2)
    values, labels = rng.normal(size=(30, 40, 50)), rng.integers(0, 9, (30, 40, 50))
    found, wanted = (module.sum_labels(values, labels, range(9)) for module in (fastmed, scipy.ndimage))
    assert np.array_equal(found, wanted)


def test_threads_do_not_matter(build, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)
    monkeypatch.setattr(_statistics, "ELEMENTS_PER_BLOCK", 500)
    rng = np.random.default_rng(3)
    values, labels = rng.normal(size=(20, 30, 20)), rng.integers(0, 9, (20, 30, 20))
    tables = []
    for count in (1, 2, 5):
        with fastmed.num_threads(count):
            tables.append(fastmed.label_statistics(values, labels))
    for name, column in tables[0].items():
        assert all(np.array_equal(column, other[name]) for other in tables[1:]), name
    for name in [*SUMS, *EXTREMES]:
        wanted = outcome(scipy.ndimage, name, values, labels, range(9))
        assert alike(ours(name, values, labels, range(9)), wanted, 1e-12, 100), name


@pytest.mark.skipif(not isa.runnable(), reason="no C++ build is installed")
def test_builds_agree_to_the_bit(monkeypatch):
    monkeypatch.setattr(_statistics, "ELEMENTS_PER_BLOCK", 500)
    rng = np.random.default_rng(4)
    values, labels = random_array(rng, (20, 15, 10), "h"), rng.integers(-3, 9, (20, 15, 10))
    results = []
    for build in [("numba", None), *(("cpp", level) for level in isa.runnable())]:
        with isa.using(*build):
            results.append(fastmed.label_statistics(values, labels, range(-3, 9)))
    for name, column in results[0].items():
        assert all(np.allclose(column, other[name], rtol=1e-13, equal_nan=True) for other in results[1:]), name


@given(st.integers(1, 3), st.sampled_from("bhifd"), SEEDS)
@examples(8)
def test_chunks_equal_the_whole(ndim, dtype, seed):
    rng = np.random.default_rng(seed)
    values, labels = scene(rng, ndim, dtype)
    lazy = da.from_array(values, chunks=int(rng.integers(1, 9)) if values.size < 50 else 7)
    marks = da.from_array(labels, chunks=4) if rng.random() < 0.5 else labels
    scale = float(np.abs(values.astype(float)).sum()) + 1
    for name in [*SUMS, *EXTREMES]:
        for index in (None, 2, [3, 1, 9]):
            wanted = outcome(fastmed.ndimage, name, values, labels, index)
            if isinstance(wanted, Exception):
                continue
            found = dask.compute(ours(name, lazy, marks, index), scheduler="sync")[0]
            if index is None or index == 2:  # NumPy sums float32 pairwise in float32
                wanted = np.asarray(wanted) if name != "extrema" else wanted
            if dtype == "b" and ("position" in name or name == "extrema") and not isinstance(index, list):
                continue  # without an index the first largest, of chunks the last
            parts = zip(found, wanted, strict=True) if name == "extrema" else [(found, wanted)]
            for f, w in parts:
                near = {"rtol": TOLERANCE.get(dtype, 1e-12), "atol": 1e-12 * scale, "equal_nan": True}
                assert np.allclose(f, w, **near), (name, index)
                assert np.asarray(f).dtype == np.asarray(w).dtype or (name == "variance" and dtype == "f")


def test_lists_and_functions_of_chunks():
    rng = np.random.default_rng(5)
    values, labels = scene(rng, 3, "h")
    lazy, marks = da.from_array(values, chunks=3), da.from_array(labels, chunks=3)
    for highest in (0, 3, 9):
        assert fastmed.find_objects(marks, highest).compute() == scipy.ndimage.find_objects(labels, highest)
    places = fastmed.value_indices(marks).compute()
    assert all(np.array_equal(places[v], p) for v, p in scipy.ndimage.value_indices(labels).items())
    wanted = scipy.ndimage.histogram(values, 0, 50, 5, labels, [1, 2])
    assert all(map(np.array_equal, fastmed.histogram(lazy, 0, 50, 5, marks, [1, 2]).compute(), wanted))
    table, whole = fastmed.label_statistics(lazy, marks).compute(), fastmed.label_statistics(values, labels)
    assert list(table) == list(whole)
    assert all(np.array_equal(table[k], whole[k]) for k in whole if k not in ("variance", "standard_deviation"))
    assert all(np.allclose(table[k], whole[k], rtol=1e-12) for k in whole)


@given(st.integers(1, 4), st.sampled_from("bBhHiI"), SEEDS)
@examples(40)
def test_boxes_and_places_agree_with_scipy(ndim, dtype, seed):
    rng = np.random.default_rng(seed)
    _, labels = scene(rng, ndim, "h", dtype)
    if dtype in "bhi":
        labels = labels - np.array(2, dtype)
    for highest in (0, 2, 40):
        assert fastmed.find_objects(labels, highest) == scipy.ndimage.find_objects(labels, highest)
    for ignored in (None, 0, 3):
        found = fastmed.value_indices(labels, ignore_value=ignored)
        wanted = scipy.ndimage.value_indices(labels, ignore_value=ignored)
        assert sorted(found) == sorted(wanted)
        assert all(alike(found[value], places) for value, places in wanted.items())


def test_labeled_comprehension_is_scipys():
    rng = np.random.default_rng(6)
    values, labels = scene(rng, 3, "d")
    for index in (None, 2, [3, 1, 9], np.array([[1, 2], [7, 0]])):
        for positions in (False, True):
            if np.ndim(index) == 2:
                continue  # SciPy sorts such an index along its last axis only
            function = (lambda v, p: float(v.sum() + p.max())) if positions else (lambda v: float(np.ptp(v)))
            arguments = (values, labels, index, function, float, -1, positions)
            wanted = scipy.ndimage.labeled_comprehension(*arguments)
            assert alike(fastmed.labeled_comprehension(*arguments), wanted, 1e-12, 100)
    assert fastmed.labeled_comprehension(values, None, None, np.size, int, 0) == values.size
    with pytest.raises(ValueError, match="index without defined labels"):
        fastmed.labeled_comprehension(values, None, 3, np.size, int, 0)
    with pytest.raises(ValueError, match="without loss of precision"):
        fastmed.labeled_comprehension(values, labels, [1.5], np.size, int, 0)


@pytest.mark.parametrize("name", [*SUMS, *EXTREMES])
def test_shapes_are_checked_and_broadcast(name):
    values = np.arange(12.0).reshape(3, 4)
    if name != "center_of_mass":
        wanted = outcome(scipy.ndimage, name, values, [0, 1, 1, 2], [1, 2])
        assert alike(ours(name, values, [0, 1, 1, 2], [1, 2]), wanted)
    for wrap in (np.asarray, lambda a: da.from_array(a, chunks=2)):
        with pytest.raises(ValueError, match=r"\(3, 4\) and \(3,\)"):
            ours(name, wrap(values), np.ones(3, int), [1])
    assert alike(ours(name, values), outcome(scipy.ndimage, name, values))


def test_complex_values_are_left_to_scipy():
    values = np.array([1 + 2j, 3, 5j])
    assert fastmed.sum_labels(values, [1, 1, 2], 1) == scipy.ndimage.sum_labels(values, [1, 1, 2], 1)
    assert fastmed.minimum(values, [1, 1, 2], [1]) == scipy.ndimage.minimum(values, [1, 1, 2], [1])


def test_a_table_of_all_in_mm():
    image = np.zeros((4, 6))
    labels = np.zeros((4, 6), int)
    labels[1:3, 2:5], labels[3, 0] = 4, 2
    image[labels == 4] = 3.0
    image[3, 0] = -1
    table = fastmed.label_statistics(image, labels, spacing=(2.0, 0.5))
    assert table["label"].tolist() == [2, 4] and table["count"].tolist() == [1, 6]
    assert table["volume"].tolist() == [1.0, 6.0]
    assert table["center_of_mass"].tolist() == [[6.0, 0.0], [3.0, 1.5]]
    assert table["box_begin"].tolist() == [[3, 0], [1, 2]] and table["box_end"].tolist() == [[4, 1], [3, 5]]
    assert table["maximum"].tolist() == [-1, 3] and table["variance"].tolist() == [0, 0]
    missing = fastmed.label_statistics(image, labels, [9, 4])
    assert missing["count"].tolist() == [0, 6] and np.isnan(missing["mean"][0])
    with pytest.raises(ValueError, match="spacing"):
        fastmed.label_statistics(image, labels, spacing=0)


def test_volumes_are_taken():
    values, labels = scene(np.random.default_rng(7), 3, "h")
    volumes = [fastmed.Volume(a, np.eye(4)) for a in (values, labels)]
    assert np.array_equal(fastmed.mean(*volumes, [1, 2]), fastmed.mean(values, labels, [1, 2]))


def test_signatures_are_scipys():
    for name in [*SUMS, *EXTREMES, "histogram", "labeled_comprehension", "find_objects", "value_indices"]:
        found, wanted = (
            [(p.name, p.kind, p.default) for p in inspect.signature(inspect.unwrap(f)).parameters.values()]
            for f in (getattr(fastmed, name), getattr(scipy.ndimage, name))
        )
        assert found == wanted, name
        assert "{shared}" not in inspect.getdoc(getattr(fastmed, name))


def test_examples_run():
    modules = [importlib.import_module(f"fastmed.segment.{name}") for name in PARTS]
    outcomes = [doctest.testmod(module) for module in modules]
    assert sum(o.attempted for o in outcomes) > 15 and not any(o.failed for o in outcomes)
