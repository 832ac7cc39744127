"""The command `filter`: a volume of any size through one operation."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ._cluster import cluster
from ._terminal import BAD_INPUT, EXIT_CODES, Steps, command, console, fail, print_json

#: Options whose numbers are lengths, and so can be in mm.
_LENGTHS = ("sigma", "size")
_TITLES = {
    "unpack": ("unpacking", "parts"), "survey": ("measuring", "Mvoxel"), "marks": ("marking", "Mvoxel"),
    "write": ("filtering", "Mvoxel"),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("filter", epilog=EXIT_CODES, context_settings=settings)(command(filter_volume))


def filter_volume(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Zarr, HDF5, NIfTI, NPY, raw file, or folder of one DICOM series.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Named .zarr (OME-Zarr), .nii, .npy or .raw.")],
    op: Annotated[str, typer.Option("--op", help="Operation: gaussian, median, sobel, canny...")],
    memory: Annotated[str, typer.Option(help="What the run may take, as 2GB; with --workers all of them.")] = "2GB",
    threads: Annotated[int, typer.Option(min=0, help="0: one for each usable core.")] = 0,
    workers: Annotated[int, typer.Option("--workers", "-w", min=0, help="Processes of a Dask cluster made here.")] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler (tcp://...); --memory is then of each worker.")
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Of a raw file, as 512,1024,1024 (z, y, x).")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of a raw file, as int16 or >u2.")] = None,
    key: Annotated[str | None, typer.Option(help="The array in a Zarr or HDF5 file that holds several.")] = None,
    voxel: Annotated[
        str | None, typer.Option(help="Millimetres along z, y, x, as 2,0.5,0.5, where IN does not say.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Which voxels count: a file of the shape of IN, of bool or 0 and 1.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT, once its successor is whole.")] = False,
    explain: Annotated[bool, typer.Option("--plan", help="Say which blocks it would take, and run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Run an operation over a volume of any size, within the memory given.

    Every option of the operation is an option here: `--sigma 2`, `--size 3,5,5`, `--mode nearest`,
    `--low-threshold 20`. Sigmas and sizes with a unit (`--sigma 2mm`) are taken in mm.

    OUT appears when it is whole. What is done is kept in a folder beside it: after a kill, Ctrl-C or a full disk the
    same command goes on where it was.

    Example: `fastmed filter ct.zarr smooth.zarr --op gaussian --sigma 2mm --memory 2GB`
    """
    from .. import stream

    if workers and scheduler:
        fail("--workers makes a cluster and --scheduler names one; give one of them", BAD_INPUT)
    try:
        settings: dict[str, Any] = {
            **_options(context.args), "memory": _share(memory, workers), "threads": threads or None,
            "shape": _numbers(shape, int, "--shape"), "dtype": dtype, "key": key,
            "spacing": _numbers(voxel, float, "--voxel"), "mask": mask,
        }  # fmt: skip
        if explain:
            if workers or scheduler:
                settings["threads"] = 1
            chosen = stream.plan(op, source, out, **settings)
            if as_json:
                print_json({**asdict(chosen), "n_blocks": chosen.n_blocks, "peak_bytes": chosen.peak_bytes})
            else:
                typer.echo(chosen.explain() + (f"\nworkers   {workers} processes, each as above" if workers else ""))
            return
        with cluster(workers, scheduler) as client, _bars() as progress:
            summary = stream.apply(op, source, out, overwrite=overwrite, client=client, progress=progress, **settings)
    except (ValueError, TypeError, RuntimeError, ImportError) as error:
        if isinstance(error, OSError):
            raise
        fail(str(error), BAD_INPUT)
    if as_json:
        print_json(asdict(summary))
        return
    voxels = 1
    for n in summary.shape:
        voxels *= n
    kept = f", {summary.n_reused} of them from an earlier run" if summary.n_reused else ""
    console().print(
        f"{summary.n_blocks} blocks{kept}; {summary.seconds:.1f} s, {voxels / 1e6 / max(summary.seconds, 1e-9):.1f} "
        "Mvoxel/s"
    )
    typer.echo(summary.out)


def _options(words: Sequence[str]) -> dict[str, Any]:
    """The operation's options from the words that are none of ours: ``--name value`` or ``--name=value``."""
    found: dict[str, Any] = {}
    units: dict[str, bool] = {}
    left = list(words)
    while left:
        name, equals, text = left.pop(0).partition("=")
        if not re.fullmatch(r"--[a-z][a-z0-9_-]*", name):
            raise ValueError(f"an option of the operation is wanted, as --sigma 2; found {name!r}")
        if not equals:
            if not left:
                raise ValueError(f"{name} needs a value")
            text = left.pop(0)
        plain = name[2:].replace("-", "_")
        if plain in ("input", "image", "spacing", "spacing_mm"):
            raise ValueError(f"{name} is no option here")
        found[plain], units[plain] = _value(text, plain)
    if any(units.values()):
        bare = [name for name in _LENGTHS if name in found and not units[name]]
        if bare:
            raise ValueError(f"--{bare[0]} has no unit, but another option is in mm; give all of them in mm")
        found["spacing_mm"] = True
    return found


def _value(text: str, name: str) -> tuple[Any, bool]:
    """A number, several with commas between, or a word; and whether it is in mm."""
    parts = [part.strip() for part in text.split(",")]
    in_mm = text.rstrip().endswith("mm")
    if in_mm:
        if name not in _LENGTHS:
            raise ValueError(f"--{name.replace('_', '-')} takes no unit, found {text!r}")
        parts = [part.removesuffix("mm").strip() for part in parts]
    values = [_one(part) for part in parts]
    if in_mm and not all(isinstance(v, (int, float)) for v in values):
        raise ValueError(f"--{name} must be numbers of mm, found {text!r}")
    return (values[0] if len(values) == 1 else tuple(values)), in_mm


def _one(text: str) -> Any:
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text


def _numbers(text: str | None, kind: Callable[[str], Any], name: str) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise ValueError(f"{name} must be numbers with commas between, found {text!r}") from None


def _share(memory: str, workers: int) -> int:
    from ..stream._plan import as_bytes

    return as_bytes(memory) // max(workers, 1)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """What `fastmed.stream.apply` wants as `progress`: a bar for each phase."""
    bars: dict[str, Steps] = {}

    def show(phase: str, done: int, total: int) -> None:
        title, unit = _TITLES[phase]
        if phase not in bars:
            for bar in bars.values():
                bar.stop()
            bars[phase] = Steps(title, unit, console())
        scale = 1 if phase == "unpack" else 1_000_000
        bars[phase](done // scale, max(total // scale, 1))

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.stop()
