"""Where large results stand: :func:`empty`, :func:`release_memory`."""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any

import numpy as np

try:
    from . import _memory  # type: ignore[attr-defined]
except ImportError:  # the extension is not built
    _memory = None

#: Smaller ones NumPy's allocator keeps by itself.
SMALLEST = 1 << 24
_MOST = 1 << 30


def empty(shape: Any, dtype: Any) -> np.ndarray:
    """`numpy.empty`; a large array takes the memory of a freed one, which saves the system's zeroing of new pages."""
    if _memory is None or math.prod(shape) * np.dtype(dtype).itemsize < SMALLEST:
        return np.empty(shape, dtype)
    return _memory.empty(shape, dtype)


def release_memory() -> int:
    """Give the memory of freed results back to the system.

    Results of 16 MB and more leave their memory to later results of the same size: up to 1 GB, at most a sixteenth of
    the machine's, or of a limit that is set on the process. The system takes it back by itself when memory is needed
    elsewhere. ``FASTMED_KEEP_MEMORY=0`` in the environment, or a number of bytes, sets another limit. Linux only;
    elsewhere nothing is kept.

    Returns
    -------
    int
        How many bytes were kept.

    Examples
    --------
    >>> import fastmed, numpy as np
    >>> smooth = fastmed.uniform_filter(np.zeros((64, 512, 512), np.uint8), 3)
    >>> del smooth
    >>> fastmed.release_memory() in (0, 16777216)
    True
    >>> fastmed.release_memory()
    0
    """
    if _memory is None:
        return 0
    kept = int(_memory.kept())
    _memory.release()
    return kept


def _limit() -> int:
    """How much may be kept."""
    asked = os.environ.get("FASTMED_KEEP_MEMORY", "")
    if asked.isdigit():
        return int(asked)
    limit = _MOST
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limit = min(limit, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            allowed = resource.getrlimit(kind)[0]
            if allowed != resource.RLIM_INFINITY:
                limit = min(limit, allowed // 16)
    return limit


if _memory is not None:
    _memory.set_limit(_limit())
