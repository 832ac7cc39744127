"""The command line: ``fastmed demo|extract|train|report|doctor``."""

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
    """End at once, with this code.

    CPython notes a KeyboardInterrupt that passes through ``exec`` of a text (dataclasses are made so) as unhandled,
    and at the end of the process kills it by SIGINT although it was answered; so the end is not left to it.
    """
    import atexit
    import os
    import sys

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
