"""C functions that the caller gives to a filter: found out, checked, called."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CFunction:
    """A C function: its address and the pointer that it is given."""

    address: int
    data: int
    nogil: bool


def _c_function(function: Any, kinds: str) -> CFunction | None:
    """`function` as a C function, if it is one; `kinds` is its signature with ``{0}`` for the type of lengths."""
    if isinstance(function, tuple) and type(function).__module__.startswith("scipy."):
        from scipy import LowLevelCallable

        if isinstance(function, LowLevelCallable):
            return _from_capsule(tuple.__getitem__(function, 0), function.signature, kinds)
    if type(function).__name__ == "PyCapsule":
        return _from_capsule(function, None, kinds)
    if type(function).__name__ == "CFunc" and type(function).__module__.startswith("numba."):
        found = str(function._sig)
        wanted = kinds.format("int64").replace("double *", "float64*").replace("void *", "void*")
        arguments = wanted.removeprefix("int (").removesuffix(")")
        if found != f"({arguments}) -> int32":
            raise ValueError(f"function must be a cfunc of {wanted!r}, found {found!r}")
        return CFunction(function.address, 0, True)
    return None


def _from_capsule(capsule: Any, signature: str | None, kinds: str) -> CFunction:
    word = ctypes.sizeof(ctypes.c_void_p)
    same = [n for n, c in (("int", ctypes.c_int), ("long", ctypes.c_long), ("long long", ctypes.c_longlong))
            if ctypes.sizeof(c) == word]  # fmt: skip
    wanted = [kinds.format(n) for n in ("intptr_t", "npy_intp", *same)]
    if signature is not None and signature not in wanted:
        raise ValueError(f"function has the signature {signature!r}, wanted is one of {wanted}")
    name = None if signature is None else signature.encode()
    for call in (ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetContext):
        call.restype = ctypes.c_void_p
    ctypes.pythonapi.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    ctypes.pythonapi.PyCapsule_GetContext.argtypes = [ctypes.py_object]
    found = [ctypes.pythonapi.PyCapsule_GetPointer(capsule, name), ctypes.pythonapi.PyCapsule_GetContext(capsule)]
    return CFunction(found[0] or 0, found[1] or 0, False)


def checked_function(function: Any, extra_arguments: Any, extra_keywords: Any, kinds: str) -> CFunction | None:
    if not isinstance(extra_arguments, tuple):
        raise RuntimeError(f"extra_arguments must be a tuple, found {extra_arguments!r}")
    if not isinstance(extra_keywords, dict | None):
        raise RuntimeError(f"extra_keywords must be a dictionary, found {extra_keywords!r}")
    c_function = _c_function(function, kinds)
    if c_function is None and not callable(function):
        raise ValueError(f"invalid callable given: function must be callable, found {function!r}")
    return c_function


def call_c(loop: Any, *arguments: Any) -> None:
    try:
        passed = loop(*arguments)
    except SystemError as error:  # the function has set a Python exception
        raise error.__cause__ or error from None
    if not passed:
        raise RuntimeError("unknown error in filter function: it gave status 0")
