"""Quantiles over chunks are NumPy's of all values."""

import dask
import dask.array as da
import numpy as np
import pytest

from fastmed.edges import _quantiles

ASKED = [(0.0, 1.0), (0.1, 0.2), (0.5, 0.5), (0.937, 0.99999), (1 / 3, 0.7)]


def values(kind, dtype, rng):
    count = int(rng.integers(1, 4000))
    found = {
        "spread": lambda: np.exp(rng.normal(0, 20, count)),
        "alike": lambda: 3 + 1e-7 * rng.random(count),
        "zeros": lambda: rng.random(count) * (rng.random(count) < 0.2),
        "few": lambda: rng.integers(0, 4, count) / 3,
        "infinite": lambda: rng.choice([0.0, 1.0, np.inf], count),
        "nan": lambda: rng.choice([0.0, 1.0, 2.0, np.nan], count, p=[0.4, 0.3, 0.299, 0.001]),
    }[kind]()
    return found.astype(dtype)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("kind", ["spread", "alike", "zeros", "few", "infinite", "nan"])
def test_equals_numpys(kind, dtype):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        all_values = values(kind, dtype, rng)
        cuts = np.sort(rng.integers(0, all_values.size + 1, 3))
        chunks = np.split(all_values, cuts)
        for asked in ASKED:
            wanted = _quantiles.Wanted([_quantiles.count(c) for c in chunks], asked)
            found = wanted.quantiles([wanted.take(c) for c in chunks])
            np.testing.assert_array_equal(found, np.percentile(all_values, [100.0 * q for q in asked]))


def test_takes_little_and_equal_values_once():
    rng = np.random.default_rng(1)
    chunk = rng.random(100_000) * (rng.random(100_000) < 0.5)
    wanted = _quantiles.Wanted([_quantiles.count(chunk)] * 3, (0.2, 0.8))
    taken, counts = wanted.take(chunk)
    assert taken.size < 0.03 * chunk.size and counts.sum() > 0.4 * chunk.size


def test_dask_arrays_are_made_twice_and_not_held():
    made = []

    def make(block_id=None):
        made.append(block_id)
        return np.random.default_rng(block_id).random((20, 30))

    array = da.map_blocks(make, chunks=((20,) * 4, (30,) * 2), dtype=float, meta=np.empty((0, 0)))
    with dask.config.set(scheduler="sync"):
        found = _quantiles.chunked_quantiles(array, (0.25, 0.9)).compute()
        assert sorted(made) == sorted([*np.ndindex(4, 2)] * 2)
        np.testing.assert_array_equal(found, np.percentile(array.compute(), [25.0, 90.0]))
