"""The thread budget: who may set it, in which order, and what it is inside pools and after a fork."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import dask
import pytest
from child import output_of, run

import fastmed
from fastmed._engine import isa, threads

COUNT = "import fastmed; print(fastmed.get_num_threads())"

needs_build = pytest.mark.skipif(not isa.runnable(), reason="no C++ build is installed")


@pytest.fixture(autouse=True)
def own_limit(monkeypatch):
    monkeypatch.setattr(threads, "_process_limit", None)


@needs_build
def test_environment_and_calls_in_their_order():
    assert output_of(COUNT, OMP_NUM_THREADS="3") == "3"
    assert output_of(COUNT, OMP_NUM_THREADS="3", FASTMED_NUM_THREADS="2") == "2"
    assert output_of(COUNT, OMP_NUM_THREADS="3", FASTMED_NUM_THREADS="5") == "5"
    assert output_of(COUNT, OMP_NUM_THREADS="3", FASTMED_NUM_THREADS="") == "3"
    code = COUNT.replace("print", "fastmed.set_num_threads(4); print")
    assert output_of(code, FASTMED_NUM_THREADS="2") == "4"
    code = code.replace("; print", "\nwith fastmed.num_threads(6): print")
    assert output_of(code, FASTMED_NUM_THREADS="2") == "6"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_bad_environment_is_refused_by_name(value):
    done = run(COUNT, FASTMED_NUM_THREADS=value)
    assert done.returncode == 1
    assert "ValueError: FASTMED_NUM_THREADS must be a whole number of at least 1" in done.stderr


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None, [1]])
def test_bad_counts_are_refused(bad):
    with pytest.raises(ValueError, match="n must be a whole number"):
        fastmed.set_num_threads(bad)
    with pytest.raises(ValueError, match="n must be a whole number"), fastmed.num_threads(bad):
        pass


def test_with_restores_what_was():
    fastmed.set_num_threads(5)
    with fastmed.num_threads(2):
        with fastmed.num_threads(3):
            assert fastmed.get_num_threads() == 3
        assert fastmed.get_num_threads() == 2
    with pytest.raises(KeyError), fastmed.num_threads(2):
        raise KeyError
    assert fastmed.get_num_threads() == 5


def test_with_holds_in_its_thread_only():
    fastmed.set_num_threads(5)
    seen = []
    with fastmed.num_threads(2):
        other = threading.Thread(target=lambda: seen.append(fastmed.get_num_threads()))
        other.start()
        other.join()
    assert seen == [5]


def test_small_arrays_take_one_thread():
    with fastmed.num_threads(4):
        assert threads.budget(0) == threads.budget(2 * threads.WORTH_A_THREAD - 1) == 1
        assert threads.budget(2 * threads.WORTH_A_THREAD) == 2
        assert threads.budget(threads.WORTH_A_THREAD // 4, 8) == 2, "much to do for each element"
        assert threads.budget(10**9) == 4


def pool_of_threads(work):
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(work).result()


def pool_of_multiprocessing(work):
    with ThreadPool(2) as pool:
        return pool.apply(work)


def pool_of_dask(work):
    return dask.delayed(work)().compute(scheduler="threads", num_workers=2)


def pool_of_joblib(work):
    joblib = pytest.importorskip("joblib")
    return joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(work)() for _ in range(2))[0]


@pytest.mark.parametrize("pool", [pool_of_threads, pool_of_multiprocessing, pool_of_dask, pool_of_joblib])
def test_one_thread_inside_a_pool_unless_asked(pool):
    def asked():
        with fastmed.num_threads(3):
            return fastmed.get_num_threads()

    fastmed.set_num_threads(4)
    assert pool(fastmed.get_num_threads) == 1
    assert pool(asked) == 3


def test_one_thread_inside_a_distributed_worker():
    distributed = pytest.importorskip("dask.distributed")
    fastmed.set_num_threads(4)
    settings = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        assert client.submit(fastmed.get_num_threads, pure=False).result(timeout=60) == 1


@needs_build
def test_threadpoolctl_lowers_the_budget():
    pytest.importorskip("threadpoolctl")
    code = """
import fastmed, threadpoolctl
counts = [fastmed.get_num_threads()]
with threadpoolctl.threadpool_limits(2):
    counts.append(fastmed.get_num_threads())
    with fastmed.num_threads(4):
        counts.append(fastmed.get_num_threads())
fastmed.set_num_threads(6)
with threadpoolctl.threadpool_limits(1, user_api="openmp"):
    counts.append(fastmed.get_num_threads())
counts.append(fastmed.get_num_threads())
print(counts)
"""
    assert output_of(code, OMP_NUM_THREADS="3") == "[3, 2, 2, 1, 6]"


FORK = """
import os, numpy as np, fastmed
from fastmed._engine import threads
threads.WORTH_A_THREAD = 1000
fastmed.set_num_threads(3)
{before}
pid = os.fork()
if pid == 0:
    image = np.random.default_rng(0).normal(size=(600, 600))
    done = fastmed.gaussian_filter(image, 1)
    os._exit(fastmed.get_num_threads())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), fastmed.get_num_threads())
"""


@needs_build
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_keeps_to_one_thread_where_the_pool_is_lost():
    assert output_of(FORK.format(before="")) == "3 3"
    ran = "fastmed.gaussian_filter(np.ones((600, 600)), 1)"
    assert output_of(FORK.format(before=ran)) == "1 3"
