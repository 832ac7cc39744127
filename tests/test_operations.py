"""What every operation promises, over the list of operations: a new one is tested here without a new line.

A required parameter that is not in ARGUMENTS makes these tests fail for it: add a sample value there.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pickle
import re
import signal
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest

import fastmed
from fastmed._engine import isa, threads
from fastmed._engine.operation import OPERATIONS
from helpers import DTYPES, layouts, random_array, same

for _module in ("filters", "edges", "enhance", "contours", "segment"):
    importlib.import_module(f"fastmed.{_module}")


def curvature(input, axis, output, mode, cval, **keywords):
    return fastmed.correlate1d(input, [1, -2, 1], axis, output, mode, cval, **keywords)


def spread(window):
    return window.max() - window.min()


def slope(line, result):
    for i in range(result.size):
        result[i] = line[i + 2] - line[i]


def largest(windows, axis):
    return windows.max(axis=axis)


#: Samples of a parameter that means something else in each.
FUNCTIONS = {"generic_filter": spread, "generic_filter1d": slope, "vectorized_filter": largest}

#: Sample values of required parameters, and of those without which a call makes no sense.
ARGUMENTS = {
    "sigma": 1.2,
    "size": 3,
    "rank": 1,
    "percentile": 80,
    "low": 20,
    "high": 60,
    "weights": [0.25, -0.5, 0.125, 1],
    "filter_size": 3,
    "function": None,
    "derivative": fastmed.sobel,
    "derivative2": curvature,
}
# What takes labels and no image has its own tests: floats and integers of 64 bits are refused.
NAMES = sorted(name for name, op in OPERATIONS.items() if op.image != "labels")
#: Those that give float32 for float16, as scikit-image does.
WIDENED = {"farid", "gradient_magnitude", "prewitt_edges", "roberts", "roberts_neg_diag", "roberts_pos_diag",
           "scharr", "sobel_edges"}


def call(name, image, **more):
    """The public function with sample arguments."""
    return getattr(fastmed, name)(image, **{**samples(name, getattr(image, "ndim", 3)), **more})


def samples(name, ndim):
    """Sample arguments for an image of so many axes."""
    found = {k: v for k, v in ARGUMENTS.items() if k in OPERATIONS[name].signature.parameters}
    if name in ("convolve", "correlate"):  # weights over all axes
        found["weights"] = np.resize([0.25, -0.5, 0.125], (2,) * ndim)
    if "function" in found:
        found["function"] = FUNCTIONS[name]
    return found


def image_for(name, seed=0, dtype="f", shape=None):
    """A random image with as many axes as the operation takes."""
    ndim = OPERATIONS[name].ndim or 3
    return random_array(np.random.default_rng(seed), shape or (23, 17, 12)[:ndim], dtype)


def scale_of(image):
    return float(np.abs(image.astype(float)).max()) if image.size else 1.0


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_the_list_is_what_the_package_shows(name):
    public = getattr(fastmed, name)
    assert inspect.unwrap(public) is OPERATIONS[name].function
    assert name in fastmed.__all__


def test_required_parameters_have_samples(name):
    parameters = list(OPERATIONS[name].signature.parameters.values())[1:]
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    assert [name for name in required if name not in ARGUMENTS] == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_input_is_untouched(name, dtype, build):
    image = image_for(name, dtype=dtype)
    before = image.copy()
    try:
        call(name, image)
    except (TypeError, ValueError, RuntimeError) as error:
        assert str(image.dtype) in str(error), "a refused dtype is named"
    assert np.array_equal(image, before)


@pytest.mark.parametrize("dtype", "Bhfd")
def test_layout_does_not_matter(name, dtype, build):
    image = image_for(name, dtype=dtype)
    wanted = call(name, image)
    for layout, variant in layouts(image).items():
        assert same(call(name, variant), wanted, exact=True), layout


@pytest.mark.parametrize("dtype", "hfd")
def test_thread_count_does_not_matter(name, dtype, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 16)  # small images, too, get several
    image = image_for(name, dtype=dtype, shape=(70, 64, 50)[: OPERATIONS[name].ndim or 3])
    results = []
    for count in (1, 2, 3, 7):
        with fastmed.num_threads(count):
            results.append(call(name, image))
    assert all(same(r, results[0], exact=True) for r in results)


@pytest.mark.parametrize("dtype", "?Bhfd")
@pytest.mark.parametrize("split", ["whole", "even", "odd", "ones"])
def test_dask_equals_numpy(name, dtype, split):
    shape = (4, 3, 5) if split == "ones" else (13, 11, 7)
    image = image_for(name, dtype=dtype, shape=shape[: OPERATIONS[name].ndim or 3])
    sizes = {"whole": image.shape, "even": (4,) * image.ndim, "odd": (5, 2, 3)[: image.ndim], "ones": (1,) * image.ndim}
    chunked = da.from_array(image, chunks=sizes[split])
    modes = ["reflect", "wrap", "constant"] if "mode" in OPERATIONS[name].signature.parameters else [None]
    for mode in modes:
        more = {"mode": mode} if mode and OPERATIONS[name].ndim is None else {}
        result = call(name, chunked, **more)
        if isinstance(result, da.Array):
            assert result.chunks == chunked.chunks
            result = result.compute(scheduler="threads", num_workers=2)
        assert same(result, call(name, image, **more), scale_of(image))


@pytest.mark.parametrize("dtype", DTYPES)
def test_builds_and_twins_agree(name, dtype):
    image = image_for(name, dtype=dtype)
    results = {}
    for backend, level in [("cpp", level) for level in isa.runnable()] + [("numba", None)]:
        with isa.using(backend, level):
            try:
                results[level or backend] = call(name, image)
            except (TypeError, ValueError, RuntimeError) as error:
                results[level or backend] = np.array(str(error))
    wanted = results.pop("numba")
    for level, found in results.items():
        refused = isinstance(wanted, np.ndarray) and wanted.dtype.kind == "U"
        assert str(found) == str(wanted) if refused else same(found, wanted, scale_of(image)), level
    assert results, "no C++ build is installed"


#: They refuse a mask (whole lines), or show it to the caller's function as NaN: tests/filters/test_generic1d.py and
#: test_vectorized.py. What does not depend on a mask's meaning holds for them, too.
OWN_FUNCTION = {"generic_filter1d", "vectorized_filter"}
KEYWORDED = [n for n in NAMES if "nan_policy" in OPERATIONS[n].signature.parameters]
MASKED = [n for n in KEYWORDED if n not in OWN_FUNCTION]


@pytest.fixture(params=MASKED)
def masked(request):
    """The name of an operation that takes mask=, nan_policy= and spacing=."""
    return request.param


def mask_for(image, share=0.6):
    """A random mask with a hole in it that is larger than the windows."""
    mask = np.random.default_rng(1).random(image.shape) < share
    mask[tuple(slice(0, n // 2 + 1) for n in image.shape)] = False
    return mask


@pytest.mark.parametrize("dtype", "?Bhfd")
def test_a_mask_that_is_true_everywhere_changes_nothing(masked, dtype):
    image = image_for(masked, dtype=dtype)
    wanted = call(masked, image)
    everywhere = np.ones(image.shape, bool)
    for mask in (everywhere, everywhere.astype(int), da.from_array(everywhere, chunks=5), everywhere.tolist()):
        assert same(call(masked, image, mask=mask), wanted, exact=True)
    chunked = da.from_array(image, chunks=7)
    for mask in (everywhere, da.from_array(everywhere, chunks=5)):
        assert same(call(masked, chunked, mask=mask).compute(), wanted, scale_of(image))
    assert same(call(masked, image, nan_policy="omit"), wanted, exact=True)
    assert same(call(masked, image, nan_policy="raise"), wanted, exact=True)


@pytest.mark.parametrize("dtype", "?Bhfd")
def test_what_a_mask_leaves_out_does_not_matter(masked, dtype, build):
    image = image_for(masked, dtype=dtype)
    mask, before = mask_for(image), image.copy()
    wanted = call(masked, image, mask=mask)
    assert wanted.dtype == call(masked, image).dtype and np.array_equal(image, before)
    assert not same(wanted, call(masked, image), scale_of(image))
    for layout, variant in layouts(image).items():
        assert same(call(masked, variant, mask=mask), wanted, exact=True), layout
    for layout, variant in layouts(mask).items():
        assert same(call(masked, image, mask=variant), wanted, exact=True), layout
    if dtype in "fd":
        image[~mask] = np.random.default_rng(2).choice([np.nan, np.inf, 1e30], np.count_nonzero(~mask))
        assert same(call(masked, image, mask=mask), wanted, exact=True)


@pytest.mark.parametrize("dtype", "Bhfd")
def test_builds_and_twins_agree_on_masks(masked, dtype):
    image = image_for(masked, dtype=dtype)
    results = []
    for backend, level in [("numba", None)] + [("cpp", level) for level in isa.runnable()]:
        with isa.using(backend, level):
            results.append(call(masked, image, mask=mask_for(image), spacing=(0.9, 1.1, 0.7)))
    assert all(same(found, results[0], 10 * scale_of(image)) for found in results[1:])


@pytest.mark.parametrize("dtype", "Bfd")
@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant"])
def test_masked_chunks_equal_the_whole(masked, dtype, mode):
    image = image_for(masked, dtype=dtype, shape=(13, 11, 7))
    for mask in (mask_for(image), mask_for(image, 0.98)):
        for spacing in (None, (0.9, 1.1, 0.7)):
            more = {"mode": mode, "spacing": spacing}
            wanted = call(masked, image, mask=mask, **more)
            for lazy in (mask, da.from_array(mask, chunks=(3, 11, 5))):
                found = call(masked, da.from_array(image, chunks=(5, 4, 7)), mask=lazy, **more)
                assert isinstance(found, da.Array) and found.dtype == wanted.dtype
                assert same(found.compute(scheduler="synchronous"), wanted, 10 * scale_of(image))


def test_omit_is_a_mask_of_what_is_not_nan(masked):
    image = image_for(masked, dtype="d")
    image[np.random.default_rng(3).random(image.shape) < 0.2] = np.nan
    mask = mask_for(image)
    there = ~np.isnan(image)
    assert same(call(masked, image, nan_policy="omit"), call(masked, image, mask=there), exact=True)
    wanted = call(masked, image, mask=there & mask)
    assert same(call(masked, image, nan_policy="omit", mask=mask), wanted, exact=True)
    lazy = call(masked, da.from_array(image, chunks=6), nan_policy="omit", mask=mask).compute()
    assert same(lazy, wanted, 10 * 400)


def test_raise_raises_before_any_work(masked):
    image = image_for(masked, dtype="f")
    image[3, 4, 5] = np.nan
    output = np.zeros(image.shape, "f")
    with pytest.raises(ValueError, match=r"1 NaN.*nan_policy"):
        call(masked, image, nan_policy="raise", output=output)
    assert not output.any()
    with pytest.raises(ValueError, match=r"1 NaN.*nan_policy"):
        call(masked, da.from_array(image), nan_policy="raise").compute(scheduler="synchronous")
    mask = np.ones(image.shape, bool)
    mask[3, 4, 5] = False
    assert call(masked, image, nan_policy="raise", mask=mask).shape == image.shape


def test_bad_masks_policies_and_spacings_are_refused(masked):
    image = image_for(masked, dtype="f")
    for array in (image, da.from_array(image, chunks=9)):
        for policy in ("ignore", None, 0, ["omit"]):
            with pytest.raises(ValueError, match="nan_policy must be one of 'propagate', 'omit', 'raise', found"):
                call(masked, array, nan_policy=policy)
        with pytest.raises(ValueError, match=r"mask must have the shape.* found \(23,\), wanted \(23, 17, 12\)"):
            call(masked, array, mask=np.ones(23, bool))
        with pytest.raises(TypeError, match=r"mask must be of bool.* found dtype float64"):
            call(masked, array, mask=np.ones(image.shape))
        for spacing in ("volume", (1, 2), 0, (1, -1, 2), np.nan):
            with pytest.raises(ValueError, match="spacing"):
                call(masked, array, spacing=spacing)
    with pytest.raises(ValueError, match=r"found 0 to 3.*mask == label"):
        call(masked, image, mask=np.arange(image.size).reshape(image.shape) % 4)


@pytest.mark.parametrize("name", KEYWORDED)
def test_the_keywords_are_keywords_with_defaults_that_change_nothing(name):
    parameters = OPERATIONS[name].signature.parameters
    wanted = {"mask": None, "nan_policy": "propagate", "spacing": None}
    assert {name: parameters[name].default for name in wanted} == wanted
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in wanted)


def test_every_filter_has_the_keywords():
    filters = [name for name in NAMES if OPERATIONS[name].function.__module__.startswith("fastmed.filters")]
    missing = [name for name in [*filters, "sobel", "prewitt"] if "mask" not in OPERATIONS[name].signature.parameters]
    assert missing == []


def test_a_volume_lends_its_spacing(masked):
    image = image_for(masked, dtype="d")
    volume = fastmed.Volume(image, np.diag([0.7, 1.1, 0.9, 1])[[2, 1, 0, 3]])
    wanted = call(masked, image, spacing=volume.spacing, mask=mask_for(image))
    found = call(masked, volume, spacing="volume", mask=fastmed.Volume(mask_for(image), volume.affine))
    assert same(found.array, wanted, exact=True)


def test_every_kind_of_array(name):
    image = image_for(name, dtype="d")
    wanted = call(name, image)

    class Arrayish:
        def __array__(self, dtype=None, copy=None):
            return image

    class Tensor:
        def __dlpack__(self, **kwargs):
            return image.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return image.__dlpack_device__()

    for variant in (image.tolist(), Arrayish(), Tensor()):
        assert same(call(name, variant), wanted, exact=True), type(variant)


def test_a_volume_gives_a_volume(name):
    image = image_for(name, dtype="h")
    affine = np.diag([2.0, 3, 4, 1])
    if OPERATIONS[name].placed:  # points: of a volume they lie in the patient
        volume = fastmed.Volume(image if image.ndim == 3 else image[None], affine)
        moved = fastmed.Volume(volume.array, np.array(affine) + np.eye(4, k=3) * 7)
        assert not same(call(name, volume), call(name, moved), exact=True)
        return
    if image.ndim == 2:
        with pytest.raises(ValueError, match="3"):
            call(name, fastmed.Volume(image[None], affine))
        return
    volume = fastmed.Volume(image, affine)
    result, wanted = call(name, volume), call(name, image)
    if isinstance(wanted, np.ndarray):
        assert np.array_equal(result.affine, affine)
        result = result.array
    assert same(result, wanted, exact=True)


def test_float16_and_wide_types(name):
    image = image_for(name, dtype="e")
    result = call(name, image)
    if isinstance(result, np.ndarray) and result.dtype.kind == "f":
        assert result.dtype == (np.float32 if name in WIDENED else np.float16)
    for bad in (image.astype(object), image.astype(str), image.astype(np.longdouble)):
        with pytest.raises((TypeError, RuntimeError, ValueError), match=re.escape(str(bad.dtype))):
            call(name, bad)


@pytest.mark.parametrize("shape", [(0, 5, 4), (5, 0, 4), (1, 1, 1), (1, 9, 1), (2, 1, 9)])
def test_empty_and_thin_arrays(name, shape, build):
    image = image_for(name, shape=shape[: OPERATIONS[name].ndim or 3], dtype="f")
    try:
        result = call(name, image)
    except ValueError as error:
        assert str(image.shape) in str(error)
    else:
        assert not isinstance(result, np.ndarray) or result.shape == image.shape


def test_wrong_number_of_axes_is_refused(name):
    ndim = OPERATIONS[name].ndim
    if ndim is None:
        for shape in [(), (6,), (3, 4, 2, 3, 2)]:
            image = np.ones(shape)
            if shape or not {"axis", "rank"} & OPERATIONS[name].signature.parameters.keys():
                result = call(name, image)
                assert (result[0] if type(result) is tuple else result).shape == shape
        return
    for wrong in (0, 1, ndim + 1 + OPERATIONS[name].stacks):
        with pytest.raises(ValueError, match=str(wrong)):
            call(name, np.ones((3,) * wrong))


def test_output_argument(name, build):
    if "output" not in OPERATIONS[name].signature.parameters:
        pytest.skip("has no output=")
    if name == "label":
        pytest.skip("gives the count alone: tests/segment/test_label.py")
    image = image_for(name, dtype="h")
    wanted = call(name, image)
    for target in (np.empty(image.shape, "h"), np.empty(image.shape, "h", order="F"), np.empty(image.shape, ">i2")):
        assert call(name, image, output=target) is target
        assert np.array_equal(target, wanted)
    own = image.copy()
    call(name, own, output=own)
    assert np.array_equal(own, wanted), "in place"
    shifted = np.zeros((24, *image.shape[1:]), "h")
    shifted[:-1] = image
    call(name, shifted[:-1], output=shifted[1:])
    assert np.array_equal(shifted[1:], wanted), "overlapping"
    assert call(name, image, output=np.float32).dtype == np.float32
    frozen = np.zeros(image.shape, "h")
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        call(name, image, output=frozen)
    assert not frozen.any()
    with pytest.raises(RuntimeError, match="shape"):
        call(name, image, output=np.empty((2, 2), "h"))


def test_nan_never_crashes(name, build):
    image = image_for(name, dtype="f")
    image[image > 60] = np.nan
    image[image < -60] = np.inf
    before = image.copy()
    try:
        call(name, image)
    except ValueError as error:
        assert "NaN" in str(error)
    assert np.array_equal(image, before, equal_nan=True)


def test_signature_pickles_and_documentation(name):
    public, op = getattr(fastmed, name), OPERATIONS[name]
    assert pickle.loads(pickle.dumps(public)) is public
    assert inspect.signature(public) == op.signature
    text = public.__doc__
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert section in text
    for parameter in op.signature.parameters:
        assert re.search(rf"\b{parameter}\b.* :", text), f"{parameter} is not documented"


def test_examples_run(name):
    module = importlib.import_module(OPERATIONS[name].function.__module__)
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0 and outcome.failed == 0


def test_explain_says_what_runs(name, build):
    image = image_for(name, dtype="f")
    sample = samples(name, image.ndim)
    found = fastmed.explain(getattr(fastmed, name), image, **sample)
    assert (found.backend, found.isa) == build
    assert found.kernels and found.threads >= 1
    chunked = fastmed.explain(getattr(fastmed, name), da.from_array(image, chunks=5), **sample)
    assert chunked.chunked and chunked.halo == found.halo


CHILD = """
import os, sys, numpy as np, fastmed
from fastmed._engine import threads
threads.WORTH_A_THREAD = 16
sys.path.insert(0, {tests!r})
from test_operations import call
image = np.random.default_rng(0).normal(size={shape})
fastmed.set_num_threads(2)
wanted = call({name!r}, image)
assert threads._pool_ran
pid = os.fork()
if pid == 0:
    from helpers import same
    os._exit(0 if same(call({name!r}, image), wanted, exact=True) else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_works(name):
    shape = (32, 128, 128) if OPERATIONS[name].ndim == 3 else (512, 512)
    code = CHILD.format(tests=os.path.dirname(__file__), name=name, shape=shape)
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120).returncode == 0


INTERRUPTED = """
import sys, numpy as np, fastmed
sys.path.insert(0, {tests!r})
from test_operations import call
image = np.random.default_rng(0).integers(0, 2000, {shape}).astype({dtype!r})
print("ready", flush=True)
try:
    while True:
        call({name!r}, image)
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_is_answered(name):
    shape = (2048, 2048) if OPERATIONS[name].ndim == 2 else (64, 512, 512)
    code = INTERRUPTED.format(tests=os.path.dirname(__file__), name=name, shape=shape, dtype="f")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 7
