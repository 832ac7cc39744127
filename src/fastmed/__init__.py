"""fastmed: medical images from archive to model, at the speed of the machine.

The stages, in the order in which data flow: `archive` (read) -> `filters` -> `edges`, `enhance` -> `contours`,
`segment` -> `features` -> `learn`; `jobs`, `cli` and `report` run them over an archive. Everything is loaded on first
use: a name is looked for in the ``__all__`` of the modules below, lightest first, so that a new operation is listed in
its stage only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._engine.memory import release_memory as release_memory
    from ._engine.operation import explain as explain
    from ._engine.threads import get_num_threads as get_num_threads
    from ._engine.threads import num_threads as num_threads
    from ._engine.threads import set_num_threads as set_num_threads
    from .archive import *
    from .contours import *
    from .edges import *
    from .enhance import *
    from .filters import *
    from .segment import *
    from .volume import Volume as Volume

__version__ = "0.1.0"

_ENGINE = {
    "explain": "operation",
    "get_num_threads": "threads",
    "num_threads": "threads",
    "release_memory": "memory",
    "set_num_threads": "threads",
}
_SHOWN = ("filters", "edges", "enhance", "contours", "segment", "volume", "archive")  # their names are names of fastmed
_MODULES = (
    *_SHOWN, "cli", "cv2", "demo", "errors", "features", "jobs", "learn", "ndimage", "plot", "report", "skimage",
    "stream",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__all__":
        value: Any = sorted({*_MODULES, *_ENGINE, "__version__", *_names_of_stages()})
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name in _ENGINE:
        value = getattr(importlib.import_module(f"._engine.{_ENGINE[name]}", __name__), name)
    else:
        value = _from_stages(name)
    globals()[name] = value
    return value


def _names_of_stages() -> list[str]:
    return [n for stage in _SHOWN for n in importlib.import_module(f".{stage}", __name__).__all__]


def _from_stages(name: str) -> Any:
    if not name.startswith("_"):
        for stage in _SHOWN:
            module = importlib.import_module(f".{stage}", __name__)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module 'fastmed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __getattr__("__all__")
