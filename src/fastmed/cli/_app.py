"""The commands: what they take, what they say, how they end. The work is done in the stages that they call.

Every import that costs time stands inside its command, so that ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._terminal import (
    BAD_INPUT,
    BUG,
    EXIT_CODES,
    NOTHING_USABLE,
    command,
    console,
    fail,
    folder,
    output_folder,
    print_json,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # its frames show local variables, which can hold patients' names
    help="Medical images from archive to model: a folder of DICOM becomes a feature table, a model and a report.",
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"fastmed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Exit codes: 0 no problems; 1 a problem was found (each is named under *problems*); 2 wrong usage.")
@command
def doctor(as_json: JsonOption = False) -> None:
    """Tell what this installation can do: kernel builds, processor, threads, DICOM codecs, versions.

    Reads nothing but the installation, writes nothing. Says loudly when fastmed runs without its C++ kernels.

    Example: `fastmed doctor --json`
    """
    from . import _doctor

    report = _doctor.examine()
    if as_json:
        print_json(report)
    else:
        from rich.console import Console

        _doctor.show(report, Console(highlight=False, soft_wrap=True))
    if report["problems"]:
        raise typer.Exit(BUG)
