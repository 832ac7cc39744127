"""Edges of a volume that is several times larger than the memory left: the same as in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastmed
from fastmed._engine import isa

zarr = pytest.importorskip("zarr", reason="Zarr is an extra")

SHAPE, CHUNKS = (1440, 128, 128), (32, 64, 64)
#: What one process may add to what it holds when it begins: a quarter of the volume.
LEFT = 12 << 20
THRESHOLDS = {"low_threshold": 150, "high_threshold": 600}

CHILD = """
import resource, sys
import dask, dask.array as da, numpy as np, zarr
import fastmed

def through(image, out):
    da.store(fastmed.canny(image, 1.5, 150, 600), out, lock=False)

def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))

fastmed.set_num_threads(1)
source, out = (zarr.open_array(path, mode="r+") for path in sys.argv[1:3])
with dask.config.set(scheduler="synchronous"):
    first = da.from_zarr(source)[:64]
    through(first, np.empty(first.shape, bool))  # everything is loaded, and threads have their stacks
    limit = held() + int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    through(da.from_zarr(source), out)
try:
    np.zeros(source.shape, source.dtype)
except MemoryError:
    print("the volume does not fit")
"""


def waves() -> np.ndarray:
    """Surfaces through all chunks, weak and strong, and some noise."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    noise = np.random.default_rng(0).integers(-30, 31, SHAPE, np.int16)
    noise += (1000 * np.sin(z / 21) * np.cos(y / 13) * np.sin(x / 17)).astype(np.int16)
    return noise


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts arrays on Linux only")
@pytest.mark.skipif(isa.backend()[0] != "cpp", reason="the twins hold gradients of a whole block in double")
def test_a_volume_of_four_times_the_memory(tmp_path):
    image = waves()
    places = [str(tmp_path / name) for name in ("in.zarr", "out.zarr")]
    for place, dtype in zip(places, (np.int16, bool), strict=True):
        array = zarr.create_array(place, shape=SHAPE, chunks=CHUNKS, dtype=dtype, compressors=None)
        array[...] = image if dtype is np.int16 else False
    assert image.nbytes > 3.5 * LEFT
    path = os.pathsep.join([str(Path(fastmed.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", CHILD, *places, str(LEFT)], capture_output=True, text=True,
                          timeout=300, env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert done.returncode == 0 and "does not fit" in done.stdout, done.stderr[-2000:]
    found, wanted = zarr.open_array(places[1], mode="r")[...], fastmed.canny(image, 1.5, **THRESHOLDS)
    assert np.array_equal(found, wanted) and 0.001 < wanted.mean() < 0.2
