"""A user's Python function, ready to be compiled: what it is, what it depends on, whether that may be frozen.

Numba takes globals and closed-over values as constants. So a function is compiled only when everything that it refers
to is known and cannot change unseen: those values are copied, they are part of the key under which the compiled loop is
kept, and a function that refers to anything else is called as plain Python.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import math
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import NotCompiledWarning

#: Compiled loops that are kept, the least recently used ones go first.
KEPT = 128
#: Arrays that a function refers to are compared byte by byte at every call; larger ones belong into the arguments.
LARGEST_CONSTANT = 1 << 20

#: Names whose effect reaches beyond the function, or that differ between NumPy and Numba (streams of random numbers).
_REFUSED_NAMES = {"print", "input", "open", "exec", "eval", "globals", "locals", "setattr", "delattr", "random"}
_WRITES = {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF", "STORE_ATTR", "DELETE_ATTR"}
_PLAIN_MODULES = {"numpy", "math", "cmath", "operator", "builtins"}
_NUMPY_FUNCTION = type(np.median)


class NotCompilableError(Exception):
    """Why a function is called as plain Python; the text completes "it ..."."""


_cache: OrderedDict[Any, Any] = OrderedDict()
_lock = threading.RLock()


class _Fast(threading.local):
    """Whether copies get the functions of ``_window_functions`` for those of NumPy."""

    on = True


_fast = _Fast()


def compiled(function: Any, make: Callable[[Any], Any], fast: bool = True) -> Any:
    """``make(function that Numba can call)``, once for all functions that are the same by content.

    Raises
    ------
    NotCompilableError
        If the function depends on what may change.
    """
    key, build = _frozen(function)
    with _lock:
        place = (make, key, fast)
        if place not in _cache:
            _fast.on = fast
            _cache[place] = make(build())
            while len(_cache) > KEPT:
                _cache.popitem(last=False)
        _cache.move_to_end(place)
        return _cache[place]


def depends_on_nothing_else(function: Any) -> None:
    """Raise NotCompilableError where the function may change something, or depend on what may change."""
    _frozen(function)


def positional(function: Any, extra: tuple[Any, ...], keywords: dict[str, Any], leading: int) -> tuple[Any, ...]:
    """The arguments after the first `leading` ones by position, as compiled code takes them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        if keywords:
            raise NotCompilableError("has no signature that tells the place of its keyword arguments") from None
        return tuple(_argument(a) for a in extra)
    bound = signature.bind(*[None] * leading, *extra, **keywords)  # TypeError, as the call itself would
    if bound.kwargs or keywords:
        bound.apply_defaults()
    if bound.kwargs:
        raise NotCompilableError("takes arguments by keyword only")
    return tuple(_argument(a) for a in bound.args[leading:])


def _argument(value: Any) -> Any:
    """One argument as compiled code may have it: nothing that it could change."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        view = value.view(np.ndarray)
        view.flags.writeable = False
        return view
    if type(value) is tuple:
        return tuple(_argument(v) for v in value)
    if isinstance(value, bool | int | float | complex | str | np.number | np.bool_ | types.NoneType):
        return value
    raise NotCompilableError(f"is given an argument of type {type(value).__name__}, not numbers, arrays or tuples")


def warn_not_compiled(name: str, function: Any, reason: object, stacklevel: int) -> None:
    """Say why every window costs a call of Python."""
    called = getattr(function, "__name__", type(function).__name__)
    text = next(iter(str(reason).strip().splitlines()), "")
    warnings.warn(
        f"{name}: function {called!r} is called as plain Python, as slowly as by SciPy: it {text}",
        NotCompiledWarning,
        stacklevel=stacklevel + 1,
    )


# --- what a function depends on --------------------------------------------------------------------------------------
def _frozen(function: Any, inside: tuple[Any, ...] = ()) -> tuple[Any, Callable[[], Any]]:
    """A key that is the same for the same content, and a maker of a copy that Numba can call."""
    import numba

    if isinstance(function, numba.core.dispatcher.Dispatcher):
        return function, lambda: function
    if isinstance(function, types.FunctionType):
        return _frozen_python(function, inside)
    if isinstance(function, types.BuiltinFunctionType | _NUMPY_FUNCTION | np.ufunc) and _is_plain(function):
        return function, lambda: numba.njit(**_options())(_forward(_instead(function)))
    raise NotCompilableError(f"is of type {type(function).__name__}, which may keep a state")


def _options() -> dict[str, Any]:
    # A window has as many elements as it has: an index beyond it must raise, not read what stands there.
    return {"nogil": True, "error_model": "numpy", "boundscheck": True, "forceinline": True}


def _forward(function: Any) -> Any:
    def call(window, *arguments):
        return function(window, *arguments)

    return call


def _is_plain(function: Any) -> bool:
    """Whether a function without Python code belongs to NumPy or the language, and not to an object."""
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return False
    module = (getattr(function, "__module__", None) or "numpy").split(".")
    return module[0] in _PLAIN_MODULES and "random" not in module


def _frozen_python(function: types.FunctionType, inside: tuple[Any, ...]) -> tuple[Any, Callable[[], Any]]:
    code = function.__code__
    if code in inside:
        raise NotCompilableError(f"calls itself ({function.__name__})")
    if function.__kwdefaults__:
        raise NotCompilableError("has parameters by keyword only")
    used_names = _references(code)
    inside = (*inside, code)
    cells = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells.append(_value(cell.cell_contents, name, code, inside))
        except ValueError:
            raise NotCompilableError(f"refers to {name!r}, which has no value yet") from None
    used = {}
    for name in used_names:
        if name in function.__globals__:
            used[name] = _value(function.__globals__[name], name, code, inside)
        elif hasattr(builtins, name):
            used[name] = _value(getattr(builtins, name), name, code, inside)
        else:
            raise NotCompilableError(f"refers to {name!r}, which is not defined")
    defaults = [_value(value, "a default", code, inside) for value in function.__defaults__ or ()]
    key = (
        code,
        tuple(k for k, _ in cells),
        tuple((name, k) for name, (k, _) in used.items()),
        tuple(k for k, _ in defaults),
    )

    def build() -> Any:
        import numba

        namespace = {name: make() for name, (_, make) in used.items()}
        namespace["__name__"] = function.__module__ or "__main__"
        copy = types.FunctionType(
            code, namespace, function.__name__, tuple(make() for _, make in defaults) or None,
            tuple(types.CellType(make()) for _, make in cells),
        )  # fmt: skip
        return numba.njit(**_options())(copy)

    return key, build


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


@functools.lru_cache(maxsize=KEPT)
def _references(code: types.CodeType) -> list[str]:
    """The globals that the code reads; refuses what reaches beyond the function."""
    found = []
    for inner in _codes(code):
        refused = _REFUSED_NAMES & set(inner.co_names)
        if refused:
            raise NotCompilableError(f"uses {min(refused)!r}")
        for step in dis.get_instructions(inner):
            own = step.opname not in _WRITES or (step.opname.endswith("DEREF") and step.argval not in code.co_freevars)
            if not own:
                raise NotCompilableError(f"writes to {step.argval!r}, which is not its own")
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found.append(step.argval)
    return list(dict.fromkeys(found))


def _value(value: Any, name: str, code: types.CodeType, inside: tuple[Any, ...]) -> tuple[Any, Callable[[], Any]]:
    """A key of a value that a function refers to, and a maker of what the compiled code gets for it."""
    if value is None or isinstance(value, bool | int | str | bytes):
        return (type(value), value), lambda: value
    if isinstance(value, float | complex | np.number | np.bool_):
        return (type(value), np.asarray(value).tobytes()), lambda: value
    if type(value) is tuple:
        parts = [_value(v, name, code, inside) for v in value]
        return (tuple, tuple(k for k, _ in parts)), lambda: tuple(m() for _, m in parts)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        if value.nbytes > LARGEST_CONSTANT:
            raise NotCompilableError(f"refers to the array {name!r} of {value.nbytes} bytes; make it an argument")
        copy = np.array(value, order="C")
        return (value.dtype.str, value.shape, copy.tobytes()), lambda: copy
    if isinstance(value, types.ModuleType):
        return _module(value, name, code, inside)
    if isinstance(value, type) and (value.__module__ in ("builtins", "numpy")):
        return value, lambda: value
    if isinstance(value, types.BuiltinFunctionType | _NUMPY_FUNCTION | np.ufunc) and _is_plain(value):
        return value, lambda: _instead(value)
    if isinstance(value, types.FunctionType) and value.__module__.split(".")[0] == "numpy":
        return value, lambda: value  # Numba has its own of these, or refuses them
    if callable(value):
        return _frozen(value, inside)
    raise NotCompilableError(f"refers to {name!r} of type {type(value).__name__}, which may change")


def _module(module: types.ModuleType, name: str, code: types.CodeType, inside: tuple[Any, ...]) -> Any:
    if module.__name__.split(".")[0] in _PLAIN_MODULES:
        if "random" in module.__name__:
            raise NotCompilableError(f"uses {module.__name__!r}")
        return module, lambda: _numpy(module, code) if module is np else module
    parts = {
        n: _value(getattr(module, n), f"{name}.{n}", code, inside)
        for n in dict.fromkeys(n for c in _codes(code) for n in c.co_names)
        if hasattr(module, n)
    }

    def build() -> types.ModuleType:
        copy = types.ModuleType(module.__name__)
        for n, (_, make) in parts.items():
            setattr(copy, n, make())
        return copy

    return (module, tuple((n, k) for n, (k, _) in parts.items())), build


def _instead(function: Any) -> Any:
    """What compiled code calls for a function of NumPy."""
    from ._window_functions import INSTEAD

    try:
        return INSTEAD.get(function, function) if _fast.on else function
    except TypeError:
        return function


def _numpy(module: types.ModuleType, code: types.CodeType) -> types.ModuleType:
    """NumPy's names that the code may use, some with other functions behind them."""
    copy = types.ModuleType("numpy")
    for name in {n for c in _codes(code) for n in c.co_names if hasattr(module, n)}:
        setattr(copy, name, _instead(getattr(module, name)))
    return copy


def agrees(found: float, wanted: float, window: np.ndarray) -> bool:
    """Whether the compiled function gives what Python gives, up to the order of sums."""
    if math.isnan(found) or math.isnan(wanted) or math.isinf(wanted):
        return found == wanted or (math.isnan(found) and math.isnan(wanted))
    finite = np.abs(window[np.isfinite(window)]).max(initial=0.0)
    return abs(found - wanted) <= 1e-9 * max(abs(wanted), float(finite))
