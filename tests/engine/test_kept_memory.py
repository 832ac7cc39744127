"""Results leave their memory to later ones, and are ordinary arrays all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import fastmed
from fastmed._engine import memory

kept = pytest.importorskip("fastmed._engine._memory", reason="the extension is not built")
pytestmark = pytest.mark.skipif(not kept.keeps, reason="memory is kept on Linux only")
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def room():
    kept.set_limit(256 * MEGABYTE)
    yield
    kept.set_limit(memory._limit())


def address(array):
    return array.__array_interface__["data"][0]


def test_a_freed_result_leaves_its_memory_to_one_of_its_size():
    first = memory.empty((4, 8, MEGABYTE), np.uint8)
    place = address(first)
    first[...] = 7
    del first
    assert kept.kept() == 32 * MEGABYTE
    other = memory.empty((5, 8, MEGABYTE), np.uint8)  # another size does not fit
    second = memory.empty((8, MEGABYTE), np.float32)
    assert address(second) == place != address(other)
    assert kept.kept() == 0


def test_results_are_ordinary_arrays():
    image = np.random.default_rng(0).random((80, 512, 512)).astype(np.float32)
    result = fastmed.uniform_filter(image, 3)
    assert result.flags.owndata and result.base is None and result.flags.aligned and address(result) % 64 == 0
    small = fastmed.uniform_filter(image[:3], 3)[:2]
    result.resize((2, 512, 512), refcheck=False)
    assert np.array_equal(result[:1], small[:1]) and result.flags.owndata
    result.resize((90, 512, 512), refcheck=False)
    assert np.array_equal(result[:1], small[:1]) and not result[2:].any()
    assert np.array_equal(np.array(result), result)


def test_what_is_kept_has_a_limit_and_can_be_released():
    kept.set_limit(64 * MEGABYTE)
    arrays = [memory.empty((n * MEGABYTE,), np.uint8) for n in (100, 32, 30, 16)]
    while arrays:
        arrays.pop(0)
        assert kept.kept() <= 64 * MEGABYTE
    assert fastmed.release_memory() == 46 * MEGABYTE, "the last two; the largest does not fit at all"
    assert fastmed.release_memory() == 0
    for _ in range(20):  # more than there is room for, in number
        arrays = [memory.empty((n * MEGABYTE // 2,), np.uint8) for n in range(32, 44)]
        del arrays
        assert 0 < kept.kept() <= 64 * MEGABYTE
    kept.set_limit(0)
    del_me = memory.empty((32 * MEGABYTE,), np.uint8)
    del del_me
    assert kept.kept() == 0


def test_small_and_foreign_arrays_are_numpys():
    assert memory.empty((0, 5), "f").shape == (0, 5)
    assert memory.empty((memory.SMALLEST - 1,), np.uint8).size == memory.SMALLEST - 1
    assert kept.kept() == 0
    array = memory.empty((32 * MEGABYTE,), np.uint8)
    copy, plain = array.copy(), np.empty(32 * MEGABYTE, np.uint8)
    del copy, plain
    assert kept.kept() == 0, "only our own results are kept"
    with pytest.raises(MemoryError):
        memory.empty((1 << 60,), np.uint8)
    del array


@pytest.mark.parametrize("asked, wanted", [("0", 0), ("12345", 12345), ("much", None), ("", None)])
def test_the_environment_sets_the_limit(monkeypatch, asked, wanted):
    monkeypatch.setenv("FASTMED_KEEP_MEMORY", asked)
    assert memory._limit() == wanted or (wanted is None and 0 < memory._limit() <= 1 << 30)


def test_a_process_with_little_room_releases_before_it_fails():
    code = """
import resource
import numpy as np
import fastmed
from fastmed._engine import _memory, memory
_memory.set_limit(1 << 30)
first = [memory.empty((64 << 20,), np.uint8) for _ in range(3)]
del first
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), used + (32 << 20)))
second = memory.empty((150 << 20,), np.uint8)
second[...] = 1
print(_memory.kept(), memory._limit() <= (used + (32 << 20)) // 16)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert run.stdout.split() == ["0", "True"], run.stderr


def test_a_forked_child_has_its_own():
    array = memory.empty((32 * MEGABYTE,), np.uint8)
    del array
    child = os.fork()
    if child == 0:
        mine = memory.empty((32 * MEGABYTE,), np.uint8)
        mine[...] = 9
        del mine
        os._exit(0 if kept.kept() == 32 * MEGABYTE else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert kept.kept() == 32 * MEGABYTE
