"""The Cython pixel path against its NumPy definition, and both against values written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmed.archive import _pixels_numpy

_pixels = pytest.importorskip("fastmed.archive._pixels", reason="the extension is not built")
TARGETS = ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_twins_agree(data):
    size = data.draw(st.sampled_from([1, 2, 4, 8]))
    bits = data.draw(st.integers(1, 8 * size))
    shift = data.draw(st.integers(0, 8 * size - bits))
    signed = data.draw(st.booleans())
    target = np.dtype(data.draw(st.sampled_from(TARGETS)))
    n = data.draw(st.integers(0, 40))
    slope = data.draw(st.integers(-5, 5) if target.kind != "f" else st.floats(-1e3, 1e3))
    intercept = data.draw(st.integers(-2000, 2000) if target.kind != "f" else st.floats(-1e3, 1e3))
    raw = np.frombuffer(data.draw(st.binary(min_size=n * size, max_size=n * size)), np.uint8)
    ours, twin = np.empty(n, target), np.empty(n, target)
    arguments = (size, shift, bits, signed, float(slope), float(intercept))
    bounds = _pixels.convert(raw, ours, *arguments)
    assert bounds == _pixels_numpy.convert(raw, twin, *arguments)
    if target.kind == "f":
        np.testing.assert_allclose(ours, twin, rtol=1e-6, atol=1e-9)
    else:
        np.testing.assert_array_equal(ours, twin)


@pytest.mark.parametrize("kernels", [_pixels, _pixels_numpy], ids=["cython", "numpy"])
def test_by_hand(kernels):
    raw = np.array([0xF001, 0x0FFF, 0x1800, 0x07FF], "<u2").view(np.uint8)
    out = np.empty(4, np.int16)
    assert kernels.convert(raw, out, 2, 0, 12, True, 1.0, 0.0) == (-2048, 2047)
    assert out.tolist() == [1, -1, -2048, 2047]
    assert kernels.convert(raw, out, 2, 0, 12, False, 2.0, -5.0) == (1, 4095)
    assert out.tolist() == [-3, 8185, 4091, 4089]
    values = np.empty(4, np.float32)
    kernels.convert(raw, values, 2, 4, 12, False, 0.5, 0.25)
    assert values.tolist() == [0xF00 / 2 + 0.25, 0xFF / 2 + 0.25, 0x180 / 2 + 0.25, 0x7F / 2 + 0.25]


@pytest.mark.parametrize("kernels", [_pixels, _pixels_numpy], ids=["cython", "numpy"])
def test_arguments_are_checked(kernels):
    raw, out = np.zeros(7, np.uint8), np.empty(4, np.int16)
    with pytest.raises(ValueError, match="8 bytes, found 7"):
        kernels.convert(raw, out, 2, 0, 16, False, 1.0, 0.0)
    for shift, bits in ((0, 0), (0, 17), (5, 12), (-1, 3)):
        with pytest.raises(ValueError, match="do not fit"):
            kernels.convert(np.zeros(8, np.uint8), out, 2, shift, bits, False, 1.0, 0.0)
    for size in (0, -1, 9):
        with pytest.raises(ValueError, match="whole values"):
            kernels.unpack_rle(raw, np.zeros(8, np.uint8), size)
    assert kernels.unpack_rle(raw, np.zeros(8, np.uint8), 2) == 2  # shorter than a header


def test_swap_bytes_of_no_size():
    _pixels.swap_bytes(np.zeros(7, np.uint8), 0)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_marks_of_a_range(size):
    rng = np.random.default_rng(size)
    for _ in range(200):
        shift = int(rng.integers(0, 8 * size))
        bits, signed = int(rng.integers(1, 8 * size - shift + 1)), bool(rng.integers(2))
        raw = rng.integers(0, 255, 100 * size, np.uint8, endpoint=True)
        stored = np.empty(100, np.int64)
        _pixels_numpy.convert(raw, stored, size, shift, bits, signed, 1, 0)
        low, high = sorted(int(v) for v in rng.choice([*stored, -(2**20), 2**20, 0], 2))
        for kernels in (_pixels, _pixels_numpy):
            flags = np.zeros(100, np.uint8)
            found = kernels.mark(raw, flags, size, shift, bits, signed, low, high)
            assert found is bool(flags.any())
            assert np.array_equal(flags, (stored >= low) & (stored <= high))


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_swap_bytes(size):
    values = np.random.default_rng(0).integers(0, 255, 24, np.uint8)
    ours, twin = values.copy(), values.copy()
    _pixels.swap_bytes(ours, size)
    _pixels_numpy.swap_bytes(twin, size)
    np.testing.assert_array_equal(ours, values.view(f"u{size}").byteswap().view(np.uint8))
    np.testing.assert_array_equal(ours, twin)


def test_in_place():
    values = np.array([1, 0x0800, 0xF123], np.uint16)
    out = values.view(np.int16)
    _pixels.convert(values.view(np.uint8), out, 2, 0, 12, True, 1.0, 10.0)
    assert out.tolist() == [11, -2038, 0x123 + 10]


def test_everything_reads_without_the_extension(tmp_path, monkeypatch):
    from make import Truth, ramp

    from fastmed.archive import _decode, read

    monkeypatch.setattr(_decode, "kernels", _pixels_numpy)
    for n, (dtype, syntax) in enumerate(
        [(np.int16, "1.2.840.10008.1.2.1"), (np.uint16, "1.2.840.10008.1.2.2")]
    ):
        truth = Truth(ramp(dtype=dtype), syntax=syntax, intercept=-7)
        np.testing.assert_array_equal(read(truth.write(tmp_path / str(n))).array, truth.values)
