"""Law 4: beside input and output a filter takes at most a few buffers per thread.

Measured from outside, as the peak of the resident memory during one call: what C++ allocates counts too.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastmed._engine.operation import OPERATIONS

for _module in ("filters", "edges"):
    importlib.import_module(f"fastmed.{_module}")

SHAPE = (64, 256, 256)
THREADS = 2
#: Beside input and output: this share of the volume, and this much for each thread (its rows of a second level cache).
SHARE, PER_THREAD = 0.05, 1 << 20
#: Volumes that are needed beside those two, where it is more, and why.
WHOLE_VOLUMES = {
    "generic_laplace": (1.0, "the caller's function gives a volume for each axis, in memory of its own"),
    "generic_gradient_magnitude": (1.0, "the caller's function gives a volume for each axis, in memory of its own"),
    "gaussian_laplace": (1.0, "integer output: derivatives along all axes but the first are made one by one and added"),
    "gaussian_gradient_magnitude": (1.0, "integer output: as gaussian_laplace"),
    "vectorized_filter": (1.0, "the image with its border, as the caller's function wants it"),
}
#: What does not grow with the volume: threads of its own with their heaps, and the compiled function.
FIXED = {"generic_filter": 8 << 20}
#: Not `label`: into other dtypes than its own it goes by way of int32, as SciPy's does.
FILTERS = sorted(name for name, op in OPERATIONS.items() if "output" in op.signature.parameters and name != "label")

CHILD = """
import ctypes, json, sys
import numpy as np
import fastmed
from test_operations import samples

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))

def growth(name, image, output):
    function, arguments = getattr(fastmed, name), samples(name, image.ndim)
    small = image[:8, :9, :10].copy()
    function(small, output=np.empty_like(small), **arguments)
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls have left would hide what this one takes
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = resident("VmRSS")
    function(image, output=output, **arguments)
    return resident("VmHWM") - before

fastmed.set_num_threads(int(sys.argv[1]))
shape = tuple(map(int, sys.argv[2].split("x")))
found = {}
for dtype in sys.argv[3].split(","):
    image = np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)
    output = np.ones_like(image)
    fastmed.uniform_filter(image, 3, output=output)  # the threads and their stacks
    for name in sys.argv[4].split(","):
        found[f"{name} {dtype}"] = growth(name, image, output)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def growths():
    """Bytes by which every filter's call raised the process's resident memory at its peak."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("needs /proc/self/clear_refs (Linux) to find the peak of one call")
    arguments = [str(THREADS), "x".join(map(str, SHAPE)), "float32,int16", ",".join(FILTERS)]
    tests = Path(__file__).resolve().parent
    path = os.pathsep.join([str(tests), str(tests.parent / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": path, "FASTMED_NUM_THREADS": ""})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("name", FILTERS)
def test_peak_memory_beside_input_and_output(name, dtype, growths):
    volume = int(np.prod(SHAPE)) * np.dtype(dtype).itemsize
    whole = WHOLE_VOLUMES.get(name, (0.0, ""))[0]
    found = growths[f"{name} {dtype}"]
    allowed = (whole + SHARE) * volume + THREADS * PER_THREAD + FIXED.get(name, 0)
    assert found <= allowed, f"{found / volume:.1%} of the volume"


def test_a_volume_that_is_made_is_seen(growths):
    """The measurement itself: a filter that is known to make one shows it."""
    volume = int(np.prod(SHAPE)) * 4
    assert growths["generic_laplace float32"] > 0.9 * volume


def test_exceptions_are_filters():
    assert {*WHOLE_VOLUMES, *FIXED} <= set(FILTERS)
