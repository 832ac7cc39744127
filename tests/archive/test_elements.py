"""The native header reader and the shared templates say what pydicom says, or leave the file to it."""

from __future__ import annotations

import struct
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from make import MR, Truth, ramp, save

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

import mutate

from fastmed.archive import _parse, _quick, scan
from fastmed.archive._describe import read_header
from fastmed.archive._source import quiet

native = pytest.importorskip("fastmed.archive._elements", reason="the extension is not built")
WHEEL = Path(pydicom.data.__file__).parent


def said(found):
    """All that was found, in things that can be compared."""
    rows = []
    for one in found.slices:
        image = {f.name: getattr(one.image, f.name) for f in fields(one.image)}
        image["fault"] = repr(image["fault"])
        rows.append([image, *(getattr(one, f.name) for f in fields(one) if f.name != "image")])
    return repr((rows, type(found.error), found.series))


def both(path, monkeypatch):
    with quiet():
        ours = said(read_header(path))
        with monkeypatch.context() as patch:
            patch.setattr(_parse, "native", None)
            theirs = said(read_header(path))
    return ours, theirs


def test_the_wheel_of_pydicom(monkeypatch):
    proven = 0
    for file in sorted(WHEEL.rglob("*")):
        if file.is_file():
            ours, theirs = both(str(file), monkeypatch)
            assert ours == theirs
            data = file.read_bytes()
            proven += native.read_elements(data, len(data), _parse.SORTED, _parse.TYPES, 32)[0] != native.UNSURE
    assert proven >= 60


def test_mutants(tmp_path, monkeypatch):
    file = tmp_path / "mutant"
    for name, data in mutate.mutants(1000, seed=5):
        file.write_bytes(data)
        ours, theirs = both(str(file), monkeypatch)
        assert ours == theirs, name


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"])
def test_templates_change_nothing(tmp_path, monkeypatch, syntax):
    truths = [
        Truth(ramp(), syntax=syntax),
        Truth(ramp(seed=1), sop_class=MR, modality="MR", syntax=syntax, slope=0.5),
        Truth(ramp((4, 6, 5), np.uint8), syntax=syntax),
    ]
    for n, truth in enumerate(truths):
        for k, ds in enumerate(truth.datasets):
            ds.AcquisitionTime, ds.TriggerTime, ds.AcquisitionNumber = f"1010{k:02d}.5", str(k * 1.5), k
            ds.RescaleSlope = str(1 + k / 4)
        truth.write(tmp_path / str(n))
    odd = truths[0].datasets[3]
    odd["InstanceNumber"]._value = "x"
    odd["RescaleSlope"]._value = "1,5"
    odd.SOPInstanceUID += ".9"
    save(odd, tmp_path / "odd")
    (tmp_path / "short").write_bytes(next((tmp_path / "0").iterdir()).read_bytes()[:-9])
    templates, met = _quick.Templates(), 0
    files = sorted(str(f) for f in tmp_path.rglob("*") if f.is_file())
    with quiet():
        for file in files:
            met += templates.slice_of(file, _quick.Limits()) is not None
            shared = said(read_header(file, templates=templates))
            with monkeypatch.context() as patch:
                patch.setattr(_parse, "native", None)
                assert shared == said(read_header(file))
    assert met >= len(files) - 6
    assert len(scan(tmp_path).failures) >= 2


def explicit(*elements):
    """A file of explicit elements (tag, type, value, length that it claims)."""
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    data = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    for tag, vr, value, length in elements:
        data += struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
        data += struct.pack("<HI", 0, length) if vr in (b"OW", b"SQ", b"UN") else struct.pack("<H", length)
        data += value
    return data


ROWS, COLUMNS, PIXELS = 0x00280010, 0x00280011, 0x7FE00010
GOOD = [(ROWS, b"US", b"\2\0", 2), (COLUMNS, b"US", b"\3\0", 2), (PIXELS, b"OW", bytes(12), 12)]


def ask(data, size=None, depth=32):
    return native.read_elements(data, size or len(data), _parse.SORTED, _parse.TYPES, depth)


def test_what_is_sure():
    data = explicit(*GOOD)
    status, at, syntax, _, implicit, values = ask(data)
    assert (status, syntax, implicit) == (native.AT_PIXELS, b"1.2.840.10008.1.2.1", False)
    assert data[at : at + 4] == b"\xe0\x7f\x10\0"
    assert sorted(v for v in values if v is not None) == [b"\2\0", b"\3\0"]


@pytest.mark.parametrize(
    "elements",
    [
        [GOOD[1], GOOD[0], GOOD[2]],  # out of order
        [GOOD[0], GOOD[0], GOOD[2]],  # twice
        [(ROWS, b"UL", bytes(4), 4), GOOD[2]],  # another type than the dictionary's
        [(ROWS, b"??", b"\2\0", 2), GOOD[2]],  # no type
        [(0x00100010, b"PN", b"", 60000), GOOD[2]],  # longer than the file
        [(0x00100010, b"UN", b"", 0xFFFFFFFF), GOOD[2]],  # of undefined length, and no sequence
        [(0x00081140, b"SQ", b"\1\2\3\4" * 9, 0xFFFFFFFF), GOOD[2]],  # no items
        [(0x00081140, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFF0), 0xFFFFFFFF), GOOD[2]],
    ],
)
def test_what_is_left_to_pydicom(elements):
    assert ask(explicit(*elements))[0] == native.UNSURE


def nested(levels):
    start = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    start += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return explicit((0x00081140, b"SQ", start[12:] + start * (levels - 1) + end * levels, 0xFFFFFFFF), *GOOD)


def test_nesting():
    assert ask(nested(32))[0] == native.AT_PIXELS
    assert ask(nested(33))[0] == native.UNSURE
    assert ask(nested(100_000), depth=10**9)[0] == native.UNSURE


def test_every_prefix_asks_for_more_or_is_unsure():
    """Never a value from beyond the bytes that are there."""
    data = nested(3)
    whole = ask(data)
    for count in range(len(data)):
        answer = ask(data[:count], len(data))
        assert answer[0] in (native.UNSURE, native.MORE) or answer == whole
        assert ask(data[:count])[0] != native.AT_PIXELS or count > whole[1]
