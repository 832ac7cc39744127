"""trace_contours: OpenCV's borders, points, order and hierarchy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastmed
from fastmed._engine import isa
from fastmed.contours import Contours, trace_contours
from fastmed.contours._trace import METHODS, MODES

cv2 = pytest.importorskip("cv2", reason="OpenCV, the reference of contours, is not installed")

CV_MODES = {
    "external": cv2.RETR_EXTERNAL,
    "list": cv2.RETR_LIST,
    "ccomp": cv2.RETR_CCOMP,
    "tree": cv2.RETR_TREE,
}
CV_METHODS = {"simple": cv2.CHAIN_APPROX_SIMPLE, "none": cv2.CHAIN_APPROX_NONE}
BACKENDS = [("cpp", level) for level in isa.runnable()] + [("numba", None)]
every_way = pytest.mark.parametrize(("mode", "method"), list(itertools.product(MODES, METHODS)))

RING = np.pad(np.zeros((2, 3), bool), 1, constant_values=True)


def assert_equals_opencv(mask, mode, method):
    wanted, links = cv2.findContours(np.array(mask != 0, np.uint8), CV_MODES[mode], CV_METHODS[method])
    found = trace_contours(mask, mode, method)
    borders, hierarchy = found.to_opencv()
    assert len(borders) == len(wanted) == len(found)
    for border, other in zip(borders, wanted, strict=True):
        assert border.dtype == other.dtype
        np.testing.assert_array_equal(border, other, strict=True)
    if links is None:
        assert hierarchy is None
    else:
        np.testing.assert_array_equal(hierarchy, links, strict=True)


def nested_rings(rows, columns, thickness):
    y, x = np.mgrid[:rows, :columns]
    return np.maximum(abs(y - rows // 2), abs(x - columns // 2)) // thickness % 2 == 0


def random_masks(seed, count, longest):
    """Noise of many densities, coarse blocks, nested rings with specks; sides from 0 on."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        shape = tuple(rng.integers(0, longest if i % 8 == 0 else 20, 2))
        noise = rng.random(shape) < rng.choice([0.02, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 0.98])
        if i % 3 == 1:
            noise = noise.repeat(2, 0).repeat(2, 1)[: shape[0], : shape[1]]
        elif i % 3 == 2:
            noise = nested_rings(*shape, rng.integers(1, 4)) ^ (rng.random(shape) < 0.03)
        yield noise


@every_way
@pytest.mark.parametrize(("backend", "level"), BACKENDS)
def test_equals_opencv_on_random_masks(backend, level, mode, method):
    with isa.using(backend, level):
        for mask in random_masks([MODES[mode], METHODS[method]], 500, 140):
            assert_equals_opencv(mask, mode, method)


@settings(max_examples=300, deadline=None)
@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)),
    st.sampled_from(list(MODES)),
    st.sampled_from(list(METHODS)),
)
def test_equals_opencv(mask, mode, method):
    assert_equals_opencv(mask, mode, method)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=80), fill=st.just(0)),
    st.sampled_from(list(MODES)),
    st.sampled_from(list(METHODS)),
)
def test_twin_equals_kernel(mask, mode, method):
    kernel = trace_contours(mask, mode, method)
    with isa.using("numba"):
        twin = trace_contours(mask, mode, method)
    for name in ("points", "offsets", "hierarchy", "slices"):
        np.testing.assert_array_equal(getattr(kernel, name), getattr(twin, name), strict=True)


SPECIAL = {
    "empty": np.zeros((0, 0), bool),
    "no rows": np.zeros((0, 7), bool),
    "no columns": np.zeros((7, 0), bool),
    "background": np.zeros((5, 6), bool),
    "foreground": np.ones((5, 6), bool),
    "one pixel": np.ones((1, 1), bool),
    "row": np.ones((1, 9), bool),
    "column": np.ones((9, 1), bool),
    "dashes": np.arange(9)[None] % 3 < 2,
    "diagonal": np.eye(7, dtype=bool),
    "cross": np.eye(7, dtype=bool) | np.eye(7, dtype=bool)[::-1],
    "checkerboard": np.indices((9, 10)).sum(0) % 2 == 0,
    "ring": RING,
    "rings": nested_rings(41, 43, 1),
    "rings to the border": nested_rings(40, 32, 2),
    **{f"word of {n}": np.ones((3, n), bool) for n in (61, 62, 63, 64, 65, 126, 127, 128, 129)},
    **{f"hole of {n}": np.pad(np.zeros((1, n), bool), 1, constant_values=True) for n in (60, 61, 62, 63, 64)},
}


@every_way
@pytest.mark.parametrize("name", SPECIAL)
def test_equals_opencv_on(name, mode, method):
    assert_equals_opencv(SPECIAL[name], mode, method)


@every_way
def test_a_border_longer_than_a_block_of_points(mode, method):
    comb = np.zeros((400, 401), bool)
    comb[:, ::2] = comb[0] = True
    assert_equals_opencv(comb, mode, method)


@pytest.mark.parametrize("dtype", [*"?bBhHiIlLefd", ">i2", ">f2", ">f4"])
def test_any_dtype_and_layout(dtype):
    mask = next(m for m in random_masks(3, 99, 99) if m.size > 2000)
    array = (mask * (-3 if np.dtype(dtype).kind in "if" else 1)).astype(dtype)
    wanted = trace_contours(mask, "tree", "none")
    wide = np.zeros((2 * mask.shape[0], 3 * mask.shape[1]), dtype)
    wide[::2, ::3] = array
    flipped = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    for view in (array, np.asfortranarray(array), wide[::2, ::3], flipped):
        view.flags.writeable = False
        found = trace_contours(view, "tree", "none")
        np.testing.assert_array_equal(found.points, wanted.points)
        np.testing.assert_array_equal(found.hierarchy, wanted.hierarchy)


def test_small_and_infinite_floats_are_foreground():
    mask = np.array([[5e-324, 0.0, -0.0, -np.inf, 1e-45]])
    assert [b.tolist() for b in trace_contours(mask)] == [[[3, 0], [4, 0]], [[0, 0]]]
    half = np.array([[6e-8, 0.0]], np.float16)
    assert trace_contours(half).points.tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_filling_the_borders_gives_the_mask_back(seed):
    mask = np.random.default_rng(seed).random((60, 70)) < 0.55
    borders, hierarchy = trace_contours(mask, "ccomp", "simple").to_opencv()
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(drawn, borders, -1, 1, cv2.FILLED, hierarchy=hierarchy)
    np.testing.assert_array_equal(drawn, mask)


@pytest.mark.parametrize("seed", range(20))
def test_points_are_the_foreground_that_touches_background(seed):
    mask = np.random.default_rng(seed).random((60, 70)) < 0.6
    framed = np.pad(mask, 1)
    touched = mask & ~(framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:])
    drawn = np.zeros_like(mask)
    drawn[tuple(trace_contours(mask, "list", "none").rowcol.T)] = True
    np.testing.assert_array_equal(drawn, touched)


def test_the_hierarchy_is_a_tree_of_alternating_borders():
    contours = trace_contours(nested_rings(41, 41, 2), "tree")
    depth = {-1: -1}
    for i, (_, _, child, parent) in enumerate(contours.hierarchy.tolist()):
        depth[i] = depth[parent] + 1
        assert child == -1 or contours.hierarchy[child, 3] == i
    assert [depth[i] for i in range(len(contours))] == list(range(len(contours)))
    areas = [cv2.contourArea(c, oriented=True) for c in contours]
    assert all((a < 0) == (depth[i] % 2 == 0) for i, a in enumerate(areas))


def test_contours_are_a_sequence():
    contours = trace_contours(np.eye(5)[[0, 2, 4]] != 0)
    assert len(contours) == 3
    assert contours[-1].tolist() == contours[2].tolist() == [[0, 0]]
    assert [c.tolist() for c in contours] == [[[4, 2]], [[2, 1]], [[0, 0]]]
    assert contours.rowcol.tolist() == [[2, 4], [1, 2], [0, 0]]
    assert np.shares_memory(contours[1], contours.points)
    assert repr(contours) == "Contours(3 borders, 3 points)"
    with pytest.raises(IndexError, match="contour 3 was asked for, but there are 3"):
        contours[3]
    with pytest.raises(TypeError):
        contours["0"]


def test_dtypes_and_shapes_of_the_result():
    for mask, n in ((RING, 2), (np.zeros((0, 3)), 0)):
        contours = trace_contours(mask, "tree")
        assert isinstance(contours, Contours)
        assert (contours.points.dtype, contours.points.ndim) == (np.int32, 2)
        assert (contours.offsets.dtype, contours.offsets.shape) == (np.int64, (n + 1,))
        assert (contours.hierarchy.dtype, contours.hierarchy.shape) == (np.int32, (n, 4))


def test_dask_equals_numpy():
    da = pytest.importorskip("dask.array")
    mask = np.random.default_rng(1).random((90, 77)) * (np.random.default_rng(2).random((90, 77)) < 0.5)
    for mode in MODES:
        found = trace_contours(da.from_array(mask, chunks=(20, 33)), mode)
        wanted = trace_contours(mask, mode)
        np.testing.assert_array_equal(found.points, wanted.points)
        np.testing.assert_array_equal(found.hierarchy, wanted.hierarchy)
    mask[80, 70] = np.nan
    with pytest.raises(ValueError, match="mask has 1 NaN"):
        trace_contours(da.from_array(mask, chunks=20))
    with pytest.raises(ValueError, match="found 4"):
        trace_contours(da.zeros((1, 2, 3, 4)))
    with pytest.raises(ValueError, match="mode must be one of"):
        trace_contours(da.zeros((3, 4)), "none")


@every_way
@pytest.mark.parametrize(("backend", "level"), BACKENDS)
def test_a_stack_is_traced_slice_by_slice(backend, level, mode, method):
    stack = np.random.default_rng(4).random((7, 30, 40)) < np.linspace(0, 0.9, 7)[:, None, None]
    with isa.using(backend, level):
        found = trace_contours(stack, mode, method)
        first = 0
        for z, part in enumerate(stack):
            wanted = trace_contours(part, mode, method)
            n = len(wanted)
            assert found.slices[first : first + n].tolist() == [z] * n
            for i in range(n):
                np.testing.assert_array_equal(found[first + i], wanted[i])
            links = np.where(wanted.hierarchy < 0, -1, wanted.hierarchy + first)
            np.testing.assert_array_equal(found.hierarchy[first : first + n], links)
            first += n
        assert len(found) == first
        assert len(trace_contours(np.zeros((0, 3, 4)))) == 0


def test_a_volume_gives_patient_mm():
    mask = np.zeros((3, 10, 12), bool)
    mask[1, 2:5, 3:7] = True
    affine = np.array([[0, 0.1, 0.5, -10], [0, 0.8, 0, -20], [2.5, 0, 0, 30], [0, 0, 0, 1.0]])
    found = trace_contours(fastmed.Volume(mask, affine))
    assert found.slices.tolist() == [1]
    wanted = [(affine @ [1, y, x, 1])[:3] for x, y in trace_contours(mask[1])[0]]
    np.testing.assert_allclose(found[0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (4,), (1, 2, 3, 4)])
def test_other_numbers_of_axes_are_refused(shape):
    with pytest.raises(ValueError, match=rf"mask must have 2 axes \(row, column\), or 3 .*, found {len(shape)}, of"):
        trace_contours(np.zeros(shape, bool))


@pytest.mark.parametrize("value", ["outer", "External", "", None, 3, ["tree"]])
def test_unknown_choices_are_refused(value):
    with pytest.raises(ValueError, match="mode must be one of 'external', 'list', 'ccomp', 'tree', found"):
        trace_contours(RING, value)
    with pytest.raises(ValueError, match="method must be one of 'simple', 'none', 'tc89_l1', 'tc89_kcos', found"):
        trace_contours(RING, "tree", value)


@pytest.mark.parametrize("mask", [np.array([[None, 1]]), np.array([["a"]]), np.ones((2, 2), complex)])
def test_other_dtypes_are_refused(mask):
    with pytest.raises(TypeError, match="mask has"):
        trace_contours(mask)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", np.float64])
def test_nan_is_refused(dtype):
    mask = np.zeros((3, 4), dtype)
    mask[1, 2] = mask[2, 3] = np.nan
    with pytest.raises(ValueError, match="mask has 2 NaN, which are neither"):
        trace_contours(mask)


def test_too_large_masks_are_refused():
    huge = np.broadcast_to(np.False_, (2**17, 2**16))
    with pytest.raises(ValueError, match=r"mask has shape \(131072, 65536\); wanted is less than"):
        trace_contours(huge)
