"""The command line: ``fastmed demo|extract|train|report|filter|doctor``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``fastmed`` script."""
    from ._app import app
    from ._terminal import INTERRUPTED

    try:
        app(prog_name="fastmed")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _leave(INTERRUPTED)
        raise


def _leave(code: int) -> None:
    """End at once, with this code: about 1 of 20 interrupted runs was ended by SIGINT itself while the interpreter
    shut down, after the interrupt had been answered."""
    import atexit
    import os
    import sys

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
