"""Dask arrays in random chunks give what the whole array in memory gives: values, dtypes, refusals.

    python tests/test_any_chunks.py --cases 100000 --seed 3      more of them
    python tests/test_any_chunks.py --seed 3 --only 4711         one case again

Arguments are those of the random calls against SciPy (peers/fuzz.py); a case is made of its seed and number alone.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import fastmed
from fastmed._engine.operation import OPERATIONS
from helpers import same

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import fuzz

for _module in ("filters", "edges", "enhance"):
    importlib.import_module(f"fastmed.{_module}")

CASES, SEED, PARTS = 5000, 0, 20
#: Tasks of a case; it bounds its time.
MOST_CHUNKS = 40
MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]


# --- arguments of the operations that SciPy does not have ------------------------------------------------------------
def _canny(draw, image):
    found = {"sigma": draw.one([0.5, 1.0, 2.0]), "mode": draw.one(MODES), "cval": draw.one([0.0, 3.0])}
    if draw.chance(0.3):
        return {**found, "low_threshold": 0.2, "high_threshold": 0.8, "use_quantiles": True}
    if draw.chance(0.5):
        top = float(np.abs(image).max(initial=0))
        found.update(low_threshold=0.02 * top, high_threshold=0.1 * top)
    if draw.chance(0.3):
        found["mask"] = draw.rng.random(image.shape) < 0.8
    return found


def _hysteresis(draw, image):
    top = float(np.abs(image).max(initial=0))
    low = draw.rng.random(image.shape) * top if draw.chance(0.2) else 0.3 * top
    return {"low": low, "high": 0.8 * top}


def _gradient(draw, image):
    found = {"mode": draw.one(MODES), "cval": draw.one([0.0, 3.0])}
    if draw.chance(0.5) and image.ndim:
        found["axis"] = int(draw.rng.integers(image.ndim))
    elif draw.chance(0.3):
        found["mask"] = draw.rng.random(image.shape) < 0.8
    return found


def _magnitude(draw, image):
    found = {"operator": draw.one(["sobel", "prewitt", "scharr", "farid"]), "mode": draw.one(MODES)}
    if draw.chance(0.5):
        found["spacing"] = [0.5 + k for k in range(image.ndim)]
    return found


def _cross(draw, image):
    return {"mask": draw.rng.random(image.shape) < 0.8} if draw.chance(0.3) else {}


def _rescale(draw, image):
    ends = ["image", "dtype", (0, 50), (-3.5, 90)]
    return {"in_range": draw.one(ends), "out_range": draw.one([*ends, "uint8", "uint12", "float"])}


FLOATS, MANY = "?BHhfd", (1, 2, 2, 3, 3)
OTHERS = {
    "canny": (_canny, FLOATS, (2, 2, 3)),
    "apply_hysteresis_threshold": (_hysteresis, "BHhfd", (1, 2, 3)),
    "rescale_intensity": (_rescale, FLOATS, MANY),
    "gradient_magnitude": (_magnitude, FLOATS, MANY),
    **dict.fromkeys(("sobel_edges", "prewitt_edges", "scharr", "farid"), (_gradient, FLOATS, MANY)),
    **dict.fromkeys(("roberts", "roberts_pos_diag", "roberts_neg_diag"), (_cross, FLOATS, (2,))),
}

def curvature(input, axis, output, mode, cval):
    return fastmed.correlate1d(input, [1, -2, 1], axis, output, mode, cval)


#: They must take Dask arrays; SciPy's own do not.
DERIVATIVES = {"derivative": fastmed.sobel, "derivative2": curvature}
NAMES = [*fuzz.operations(), *OTHERS]


# --- cases -----------------------------------------------------------------------------------------------------------
@dataclass
class Case:
    """One call, and the chunks of its image."""

    name: str
    image: np.ndarray
    arguments: dict[str, Any]
    chunks: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        return f"{self.name}({self.image.dtype}{self.image.shape} in chunks of {self.chunks}, {self.arguments})"


def make(seed: int, number: int) -> Case:
    draw = fuzz.Draw(np.random.default_rng([seed, number, 1]))
    name = NAMES[number % len(NAMES)]
    if name in OTHERS:
        generate, dtypes, ndims = OTHERS[name]
        image = draw.image(dtypes, ndims, exact_in_double=False)
        arguments = generate(draw, image)
    else:
        generate, dtypes, ndims = fuzz.GENERATORS[name]
        image = draw.image(dtypes, ndims, exact_in_double=name in (*fuzz.ORDERING, *fuzz.MEANS))
        arguments = {**generate(draw, image), **_output(draw, name, image), **_ours(draw, name, image)}
        arguments.update({k: f for k, f in DERIVATIVES.items() if k in arguments})
        if name in fuzz.MEANS and image.dtype == np.uint64:
            # Cut to uint64, a negative mean is near 2^64. There SciPy's running sums, which the engine's follow, lose
            # the other digits, from where a sum begins on.
            arguments["cval"] = abs(arguments.get("cval", 0.0))
    return Case(name, image, arguments, _chunks(draw, image.shape))


def _output(draw, name, image):
    """``output=`` as a dtype; a cast of NaN or of a negative number to one that has none is undefined in C."""
    if image.dtype.kind in "fc" or name in ("vectorized_filter", *fuzz.ORDERING) or draw.chance(0.7):
        return {}
    return {"output": np.dtype(draw.one("fd" if image.dtype.kind != "b" else "Bifd"))}


def _ours(draw, name, image):
    """A mask, or a policy for NaN."""
    own = name.startswith("generic") or name == "vectorized_filter" or image.dtype.kind == "c"
    if own or "mask" not in OPERATIONS[name].signature.parameters or draw.chance(0.8):
        return {}
    return draw.one([{"mask": draw.rng.random(image.shape) < 0.7}, {"nan_policy": "omit"}])


def _chunks(draw, shape):
    """One chunk, single elements, even or uneven ones along each axis; not too many in all."""
    chunks, left = [], MOST_CHUNKS
    for n in shape:
        count = int(draw.rng.integers(1, max(1, min(n, left, draw.one([1, 2, 4, n]))) + 1))
        ends = np.sort(draw.rng.permutation(max(0, n - 1))[: count - 1] + 1)
        chunks.append(tuple(int(k) for k in np.diff([0, *ends, n])) if n else (0,))
        left //= len(chunks[-1])
    return tuple(chunks)


def mismatch(case: Case) -> str:
    """What is wrong with the result on chunks; empty when nothing is."""
    wanted = _outcome(case, np.asarray(case.image))
    found = _outcome(case, da.from_array(case.image, chunks=case.chunks))
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        return "" if type(wanted) is type(found) else f"in memory {wanted!r}, on chunks {found!r}"
    scale = float(np.nanmax(np.abs(np.asarray(case.image, complex)), initial=1))
    if same(found, wanted, 10 * scale):
        return ""
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return f"in memory {wanted.dtype}{wanted.shape}, on chunks {found.dtype}{found.shape}"
    return f"other values at {np.argwhere(found != wanted)[:3].tolist()}"


def _outcome(case: Case, image: Any) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "promoting specified output dtype", UserWarning)
        try:
            result = getattr(fastmed, case.name)(image, **case.arguments)
            if isinstance(image, np.ndarray):
                return result
            if not isinstance(result, da.Array) or result.chunks != image.chunks:
                return AssertionError(f"a {type(result).__name__}, chunks {getattr(result, 'chunks', None)}")
            computed = result.compute(scheduler="synchronous")
            return computed if computed.dtype == result.dtype else AssertionError(f"announced as {result.dtype}")
        except Exception as error:
            return error


def run(seed: int, numbers: Any) -> list[str]:
    """The faults among the cases of these numbers."""
    faults = []
    with fastmed.num_threads(1):
        for number in numbers:
            case = make(seed, number)
            if found := mismatch(case):
                faults.append(f"--seed {seed} --only {number}: {case}: {found}")
    return faults


@pytest.mark.parametrize("part", range(PARTS))
def test_random_chunks_equal_the_whole(part):
    assert run(SEED, range(part, CASES, PARTS)) == []


def test_cases_are_of_every_kind():
    cases = [make(SEED, number) for number in range(CASES)]
    assert {case.name for case in cases} == set(NAMES) >= {n for n, op in OPERATIONS.items() if _maps(op)}
    assert any(case.image.size == 0 for case in cases) and any(case.image.ndim == 0 for case in cases)
    assert any(len(axis) == n > 3 for c in cases for axis, n in zip(c.chunks, c.image.shape, strict=True))
    assert sum(np.prod([len(axis) for axis in case.chunks]) > 1 for case in cases) > CASES / 2
    assert {"mask", "nan_policy", "output"} <= {key for case in cases for key in case.arguments}
    assert {case.arguments.get("mode") for case in cases if isinstance(case.arguments.get("mode"), str)} >= set(MODES)


def _maps(op: Any) -> bool:
    """Whether the operation makes an array of its image's shape."""
    return op.function.__module__.split(".")[1] in ("filters", "edges", "enhance")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    with dask.config.set(scheduler="synchronous"):
        faults = run(options.seed, range(options.cases) if options.only is None else [options.only])
    print(*faults, f"{len(faults)} faults", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    raise SystemExit(main())
