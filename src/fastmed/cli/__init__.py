"""The command line: ``fastmed demo|extract|train|report|doctor``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``fastmed`` script."""
    import signal

    from ._app import app
    from ._terminal import INTERRUPTED

    try:
        app(prog_name="fastmed")
    except SystemExit as end:
        if end.code == INTERRUPTED:  # answered: a second Ctrl-C while the interpreter ends changes nothing
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
