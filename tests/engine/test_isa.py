"""Which build runs: forced by name, refused by name, never a silent fallback."""

from __future__ import annotations

import pytest
from child import output_of, run

from fastmed._engine import isa
from fastmed.errors import BackendError, FastmedWarning

SMOOTH = "import numpy as np, fastmed; fastmed.gaussian_filter(np.ones((3, 3)), 1); "
WHICH = SMOOTH + "from fastmed._engine import isa; print(*isa.backend())"

needs_build = pytest.mark.skipif(not isa.runnable(), reason="no C++ build is installed")


@needs_build
def test_the_best_build_is_the_default():
    assert output_of(WHICH) == f"cpp {isa.runnable()[0]}"
    assert output_of(WHICH, FASTMED_BACKEND="", FASTMED_ISA="") == f"cpp {isa.runnable()[0]}"


@pytest.mark.parametrize("level", isa.runnable())
def test_each_build_can_be_forced(level):
    assert output_of(WHICH, FASTMED_ISA=level) == f"cpp {level}"
    assert isa.load(level).__name__.endswith(f"_kernels_{level}")


def test_the_twins_can_be_forced():
    assert output_of(WHICH, FASTMED_BACKEND="numba") == "numba None"


@pytest.mark.parametrize(
    "environment, named",
    [
        ({"FASTMED_ISA": "v9"}, "FASTMED_ISA='v9' is not known; choose one of v4, v3, v2, base"),
        ({"FASTMED_BACKEND": "cuda"}, "FASTMED_BACKEND='cuda' is not known; choose 'cpp' or 'numba'"),
        ({"FASTMED_BACKEND": "cpp", "FASTMED_ISA": "V4"}, "FASTMED_ISA='V4' is not known"),
    ],
    ids=str,
)
def test_unknown_names_are_refused_at_the_first_call(environment, named):
    assert output_of("import fastmed; print(1)", **environment) == "1"
    done = run(SMOOTH, **environment)
    assert done.returncode == 1
    assert "BackendError" in done.stderr and named in done.stderr


@pytest.mark.parametrize("level", [level for level in isa.LEVELS if level not in isa.built()])
def test_a_build_that_is_not_there_is_refused(level):
    done = run(SMOOTH, FASTMED_ISA=level)
    assert done.returncode == 1
    assert "BackendError" in done.stderr and f"the {level} kernels were asked for" in done.stderr


WITHOUT = """
import warnings
from fastmed._engine import isa
isa.built = lambda: {built!r}
isa.cpu_features = lambda: frozenset({features!r})
isa.runnable.cache_clear()
"""


def test_without_any_build_the_twins_run_with_a_warning():
    code = WITHOUT.format(built=(), features=[]) + "warnings.simplefilter('error'); print(isa.backend())"
    done = run(code)
    assert FastmedWarning.__name__ in done.stderr and "WITHOUT its C++ extension" in done.stderr
    assert output_of(code.replace("'error'", "'ignore'")) == "('numba', None)"
    done = run(code, FASTMED_BACKEND="cpp")
    assert BackendError.__name__ in done.stderr and "FASTMED_BACKEND=cpp was asked for" in done.stderr


def test_a_processor_without_the_instructions_is_told_what_it_lacks():
    code = WITHOUT.format(built=("v4", "v2"), features=list(isa.LEVELS["v2"] | {"avx512f"}))
    assert output_of(code + "print(isa.runnable())") == "('v2',)"
    done = run(code + "isa.load('v4')")
    assert "BackendError" in done.stderr
    assert "this processor lacks avx512bw, avx512cd, avx512dq, avx512vl" in done.stderr


def test_a_build_that_does_not_load_is_an_error_not_a_fallback():
    code = WITHOUT.format(built=("base",), features=[]) + "isa._module_name = lambda _: 'fastmed._no'; isa.backend()"
    done = run(code)
    assert "BackendError" in done.stderr and "installed but do not load" in done.stderr


def test_using_restores_what_was():
    before = isa.backend()
    with isa.using("numba"):
        assert isa.backend() == ("numba", None)
        for level in isa.runnable():
            with isa.using("cpp", level):
                assert isa.backend() == ("cpp", level)
        assert isa.backend() == ("numba", None)
    with pytest.raises(KeyError), isa.using("numba"):
        raise KeyError
    assert isa.backend() == before
    with pytest.raises(BackendError, match="'cuda'"), isa.using("cuda"):
        pass
