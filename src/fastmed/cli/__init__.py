"""The command line: ``fastmed demo|extract|train|report|doctor``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point of the ``fastmed`` script."""
    from ._app import app

    app(prog_name="fastmed")
