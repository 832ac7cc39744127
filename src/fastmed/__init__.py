"""fastmed: medical images from archive to model, at the speed of the machine.

The stages, in the order in which data flow: `archive` (read) -> `filters` -> `edges` -> `contours` -> `features` ->
`learn`; `jobs`, `cli` and `report` run them over an archive. Everything is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: Public name -> module that defines it. Adding an operation adds its name to its stage's line.
_STAGES: dict[str, str] = {
    ".volume": "Volume",
    ".archive": "read scan",
    ".filters": "gaussian_filter median_filter uniform_filter",
    ".edges": "canny sobel",
    ".contours": "Contours trace_contours",
    "._engine.operation": "explain",
    "._engine.threads": "get_num_threads num_threads set_num_threads",
}
_MODULES = "archive cli contours demo edges errors features filters jobs learn ndimage report volume".split()  # noqa: SIM905
_WHERE = {name: module for module, names in _STAGES.items() for name in names.split()}

__all__ = sorted([*_WHERE, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name], __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'fastmed' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
