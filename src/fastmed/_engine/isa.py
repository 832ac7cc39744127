"""Which build of csrc/ runs: the best that the processor can, or the one asked for by name.

``FASTMED_BACKEND=cpp|numba`` and ``FASTMED_ISA=v2|v3|v4`` force a choice; what is asked for by name and is not there
raises :class:`fastmed.errors.BackendError` instead of falling back.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ..errors import BackendError, FastmedWarning

# Best first, with what the processor must have (the x86-64 psABI levels). To add an instruction set: one line here,
# one in setup.py.
LEVELS: dict[str, frozenset[str]] = {
    "v4": frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
    "v3": frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"]),
    "v2": frozenset(["sse3", "ssse3", "sse41", "sse42", "popcnt"]),
    "base": frozenset(),
}

_forced: list[tuple[str, str | None]] = []


def _module_name(isa: str) -> str:
    return f"fastmed._engine._kernels_{isa}"


@functools.cache
def cpu_features() -> frozenset[str]:
    """CPU features that NumPy detected, in lower case (``avx2``, ``fma3``...)."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as found
    except ImportError:  # NumPy 1.26
        from numpy.core._multiarray_umath import (  # type: ignore[no-redef]
            __cpu_features__ as found,
        )
    names = {name.lower() for name, there in found.items() if there}
    # NumPy does not list these on their own; every processor with AVX2 and FMA3 that it knows has them.
    if {"avx2", "fma3"} <= names:
        names |= {"fma", "bmi1", "bmi2", "movbe"}
    if "avx512_skx" in names:
        names |= LEVELS["v4"]
    return frozenset(names)


@functools.cache
def built() -> tuple[str, ...]:
    """Instruction sets whose extension module is installed, best first."""
    return tuple(isa for isa in LEVELS if importlib.util.find_spec(_module_name(isa)) is not None)


@functools.cache
def runnable() -> tuple[str, ...]:
    """Instruction sets that are installed and that this processor can run, best first."""
    return tuple(isa for isa in built() if LEVELS[isa] <= cpu_features())


@functools.cache
def load(isa: str) -> ModuleType:
    """Import the extension module built for one instruction set."""
    if isa not in LEVELS:
        raise BackendError(f"FASTMED_ISA={isa!r} is not known; choose one of {', '.join(LEVELS)}")
    if isa not in built():
        raise BackendError(
            f"the {isa} kernels were asked for but are not built here (built: {', '.join(built()) or 'none'}); "
            "install a C++17 compiler and reinstall fastmed"
        )
    if isa not in runnable():
        missing = ", ".join(sorted(LEVELS[isa] - cpu_features()))
        raise BackendError(f"the {isa} kernels were asked for but this processor lacks {missing}")
    try:
        return importlib.import_module(_module_name(isa))
    except ImportError as error:
        raise BackendError(f"the {isa} kernels are installed but do not load: {error}") from error


def backend() -> tuple[str, str | None]:
    """The choice in force: ``('cpp', 'v4')`` or ``('numba', None)``."""
    if _forced:
        return _forced[-1]
    return _asked_for(_environment.get(_BACKEND), _environment.get(_ISA))


# os.environ.get() encodes its key and raises and catches inside: 1.4 us for the two, on every call of every filter. The
# dict that it keeps its values in takes 0.1 us. It is no public name, so there is the long way too.
_environment: Any = os.environ
_BACKEND: Any = "FASTMED_BACKEND"
_ISA: Any = "FASTMED_ISA"
if hasattr(os.environ, "_data") and hasattr(os.environ, "encodekey"):
    _environment = os.environ._data
    _BACKEND, _ISA = os.environ.encodekey(_BACKEND), os.environ.encodekey(_ISA)


@functools.cache
def _asked_for(name: str | bytes | None, isa: str | bytes | None) -> tuple[str, str | None]:
    """The choice that the values of the two environment variables mean."""
    return _choose(os.fsdecode(name or "") or None, os.fsdecode(isa or "") or None)


@functools.cache
def _choose(name: str | None, isa: str | None) -> tuple[str, str | None]:
    if name not in (None, "cpp", "numba"):
        raise BackendError(f"FASTMED_BACKEND={name!r} is not known; choose 'cpp' or 'numba'")
    if name == "numba":
        return "numba", None
    if isa is not None:
        load(isa)
        return "cpp", isa
    if runnable():
        load(runnable()[0])
        return "cpp", runnable()[0]
    if name == "cpp":
        raise BackendError(
            "FASTMED_BACKEND=cpp was asked for but the C++ extension is not built here; "
            "install a C++17 compiler and reinstall fastmed"
        )
    warnings.warn(
        "fastmed runs WITHOUT its C++ extension, on the slower Numba twins: no build for this processor is "
        "installed. Install a C++17 compiler and reinstall; `fastmed doctor` tells the state.",
        FastmedWarning,
        stacklevel=2,
    )
    return "numba", None


@contextlib.contextmanager
def using(backend: str, isa: str | None = None) -> Iterator[None]:
    """Force a backend inside a ``with`` block (tests, benchmarks); not for concurrent threads."""
    choice = _choose(backend, isa)
    _forced.append(choice)
    try:
        yield
    finally:
        _forced.pop()
