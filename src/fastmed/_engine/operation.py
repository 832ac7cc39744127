"""The list of operations, which kernel runs, and :func:`explain`."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from . import isa, threads

F = TypeVar("F", bound=Callable[..., Any])

#: Every public array operation by name, in the order in which the stages are loaded.
OPERATIONS: dict[str, Operation] = {}


class _Explaining(threading.local):
    """Whether this thread explains a call, and the kernels that the call has asked for."""

    on = False  # found at once: a missing attribute costs every call 0.3 us
    calls: list[tuple[str, int]]


_explaining = _Explaining()


@dataclass(frozen=True)
class Operation:
    """What is noted of one public function.

    Attributes
    ----------
    name : str
    function : callable
        The function itself, for NumPy arrays.
    halo : callable or None
        ``halo(ndim, **arguments)`` -> how many elements the result looks past itself, one ``(before, after)`` per
        axis. None: the operation looks everywhere, and `chunked` says how it works on chunks.
    chunked : callable or None
        ``chunked(operation, arguments)``, for operations that are not a plain map over chunks with a halo.
    ndim : int or None
        The number of axes that it takes; None: any.
    stacks : bool
        Whether it also takes `ndim` + 1 axes: a stack of images.
    placed : callable or None
        ``placed(volume, arguments)`` -> what puts the result of a volume's array into the patient, for results that
        are points. It is called first, so that it can refuse.
    """

    name: str
    function: Callable[..., Any]
    halo: Callable[..., tuple[tuple[int, int], ...]] | None
    chunked: Callable[..., Any] | None
    ndim: int | None = None
    stacks: bool = False
    placed: Callable[..., Callable[[Any], Any]] | None = None

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """All arguments by name, defaults filled in; those of a ``**kwargs`` stand among the others."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name))
        return arguments

    @property
    def image(self) -> str:
        """Name of the first parameter, the array."""
        return next(iter(self.signature.parameters))


def operation(
    *,
    halo: Callable[..., tuple[tuple[int, int], ...]] | None = None,
    chunked: Callable[..., Any] | None = None,
    ndim: int | None = None,
    stacks: bool = False,
    placed: Callable[..., Callable[[Any], Any]] | None = None,
) -> Callable[[F], F]:
    """Note a function in :data:`OPERATIONS`; let it take Dask arrays and volumes. Its signature stays."""

    def note(function: F) -> F:
        op = Operation(function.__name__, function, halo, chunked, ndim, stacks, placed)
        OPERATIONS[op.name] = op

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            image = args[0] if args else kwargs.get(op.image)
            if type(image) is np.ndarray:
                return function(*args, **kwargs)
            return _call_on(op, image, args, kwargs)

        return call  # type: ignore[return-value]

    return note


def _call_on(op: Operation, image: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    volume = image if hasattr(image, "with_array") else None  # a fastmed.Volume
    array = image if volume is None else volume.array
    if volume is None and not is_dask(array):
        return op.function(*args, **kwargs)
    arguments = {**op.arguments(args, kwargs), op.image: array}
    place = op.placed(volume, arguments) if volume is not None and op.placed else None
    if volume is not None:
        from . import keywords

        arguments = keywords.of_volume(volume, arguments)
    if is_dask(array):
        from . import chunks

        result = chunks.apply(op, arguments)
    else:
        result = op.function(**arguments)
    if place is not None:
        return place(result)
    return result if volume is None else _placed(volume, result)


def _placed(volume: Any, result: Any) -> Any:
    """What has the volume's shape becomes a volume, also inside a tuple."""
    if type(result) is tuple:
        return tuple(_placed(volume, part) for part in result)
    return volume.with_array(result) if getattr(result, "shape", None) == volume.array.shape else result


def is_dask(array: Any) -> bool:
    """Whether `array` is a Dask array; does not import Dask."""
    core = sys.modules.get("dask.array.core")
    return core is not None and isinstance(array, core.Array)


def kernel(name: str, module: str) -> Callable[..., Any]:
    """The kernel `name` of the backend in force.

    `module` is the calling module's ``__name__``: its Numba twin stands beside it, in ``<module>_numba.py``.
    """
    backend, level = isa.backend()
    if _explaining.on:
        return _Recorder(name)
    if backend == "cpp":
        assert level is not None
        return getattr(isa.load(level), name)
    return functools.partial(_interruptible, getattr(importlib.import_module(f"{module}_numba"), name))


def explained(name: str, count: int) -> bool:
    """Note a kernel that is made at run time, and its threads; whether the call is only being explained."""
    if getattr(_explaining, "on", False):
        _explaining.calls.append((name, count))
        return True
    return False


def _interruptible(twin: Callable[..., Any], *args: Any) -> Any:
    """Run a compiled loop beside the main thread, so that Ctrl-C is answered while it runs."""
    large = any(isinstance(a, np.ndarray) and a.size > 1 << 20 for a in args)
    if not large or threading.current_thread() is not threading.main_thread():
        return twin(*args)
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(twin(*args))
        except BaseException as error:
            failure.append(error)

    worker = threading.Thread(target=work, daemon=True, name="fastmed-twin")
    worker.start()
    while worker.is_alive():
        worker.join(0.1)
    if failure:
        raise failure[0]
    return outcome[0]


class _Recorder:
    """Stands for a kernel while a call is explained: notes what it would have been, does nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> None:
        count = args[-1] if args and isinstance(args[-1], int) else 1
        _explaining.calls.append((self.name, count))


@dataclass(frozen=True)
class Explanation:
    """What a call would do: see :func:`explain`.

    Attributes
    ----------
    operation : str
    kernels : tuple of str
        The kernels that it runs, in order; empty where none is needed.
    backend : {'cpp', 'numba'}
    isa : str or None
        The build of the C++ kernels: 'v2', 'v3', 'v4' or 'base'.
    threads : int
        The most that one kernel uses.
    halo : tuple of (before, after) or None
        How far the result looks past an element, per axis. None: over the whole array.
    chunked : bool
        Whether the call runs on Dask chunks.
    """

    operation: str
    kernels: tuple[str, ...]
    backend: str
    isa: str | None
    threads: int
    halo: tuple[tuple[int, int], ...] | None
    chunked: bool

    def __str__(self) -> str:
        build = f"{self.backend}/{self.isa}" if self.isa else self.backend
        halo = "the whole array" if self.halo is None else ", ".join(f"-{a}/+{b}" for a, b in self.halo)
        where = "Dask chunks" if self.chunked else "memory"
        names = ", ".join(self.kernels) or "none needed"
        return (
            f"{self.operation}: kernel {names} of build {build}, {self.threads} thread(s) per call, on {where}; "
            f"looks at {halo} around each element"
        )


def explain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
    """Say which kernel, build, threads and halo a call would take, without running it.

    Parameters
    ----------
    function : callable
        An operation of fastmed, for example `fastmed.gaussian_filter`.
    *args, **kwargs
        The arguments of the call. They are checked as in the call itself.

    Returns
    -------
    Explanation
        With ``operation, kernels, backend, isa, threads, halo, chunked``.

    Raises
    ------
    TypeError
        If `function` is not an operation of fastmed.

    Examples
    --------
    >>> import numpy as np, fastmed
    >>> fastmed.explain(fastmed.gaussian_filter, np.zeros((8, 8)), 1.0).halo
    ((4, 4), (4, 4))
    """
    op = OPERATIONS.get(getattr(function, "__name__", ""))
    if op is None or inspect.unwrap(function) is not op.function:
        raise TypeError(f"explain() takes an operation of fastmed, found {function!r}")
    arguments = op.arguments(args, kwargs)
    image = arguments[op.image]
    if hasattr(image, "with_array"):
        from . import keywords

        arguments, image = keywords.of_volume(image, arguments), image.array
    chunked = is_dask(image)
    sample = np.zeros(tuple(max(map(int, c)) for c in image.chunks), image.dtype) if chunked else image
    calls = _dry_run(op, {**arguments, op.image: sample}, 1 if chunked else threads.get_num_threads())
    backend, level = isa.backend()
    return Explanation(
        op.name,
        tuple(dict.fromkeys(name for name, _ in calls)),
        backend,
        level,
        max((count for _, count in calls), default=1),
        op.halo(np.ndim(sample), **arguments) if op.halo else None,
        chunked,
    )


def _dry_run(op: Operation, arguments: dict[str, Any], budget: int) -> list[tuple[str, int]]:
    """The kernels that a call would run. They do nothing, so what comes after the first may fail on their results."""
    arguments = {k: v.copy() if k == "output" and isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    _explaining.on, _explaining.calls = True, []
    try:
        with threads.num_threads(budget):
            op.function(**arguments)
    except Exception:
        if not _explaining.calls:
            raise
    finally:
        _explaining.on = False
    return _explaining.calls
