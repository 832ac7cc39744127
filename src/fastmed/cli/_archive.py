"""The commands on archives themselves: index, info, convert, view, deidentify."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._terminal import BAD_INPUT, EXIT_CODES, command, console, fail, output_folder, print_json, steps

if TYPE_CHECKING:
    import numpy as np

    from ..archive import Failure, Index, Series
    from ..volume import Volume

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
OnFault = Annotated[
    str,
    typer.Option(help="Series that are no regular volume: raise (leave them out), split, regrid or keep."),
]
Store = Annotated[
    Path | None,
    typer.Option("--index", help="SQLite file that keeps what was found: the next scan reads only what changed."),
]
Where = Annotated[str, typer.Argument(metavar="ARCHIVE", help="Folder, zip file, single file, or URL: s3://..., dicomweb+https://...")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for function in (index, info, convert, view, deidentify):
        app.command(epilog=EXIT_CODES)(command(function))


def _scan(archive: str, on_fault: str = "raise", store: Path | None = None) -> Index:
    from ..archive import scan

    try:
        with steps("finding series", "files") as bar:
            return scan(archive, progress=bar, on_fault=on_fault, index=store)
    except ValueError as error:
        fail(str(error), BAD_INPUT)


def index(archive: Where, store: Store = None, on_fault: OnFault = "raise", as_json: Json = False) -> None:
    """List the series of an archive, and why other files are in none.

    Reads headers only; writes nothing but the file of `--index`. Series, studies and patients are named by hashes,
    files by their paths.

    Example: `fastmed index /data/archive --index archive.sqlite --json`
    """
    found = _scan(archive, on_fault, store)
    rows = found.rows()
    if as_json:
        failures = [{"file": f.path, "reason": f.reason, "error": f.error.__name__, "lost": f.lost, "series": f.key}
                    for f in found.failures]  # fmt: skip
        print_json({"series": rows, "failures": failures})
        return
    for row in rows:
        size = " x ".join(str(row[name]) for name in ("n_slices", "rows", "columns"))
        fault = f"  {row['fault']}" if row["fault"] else ""
        typer.echo(f"{row['series']:26} {row['modality']:4} {row['axes']:4} {size:18} {row['files']:5} files{fault}")
    say = console()
    patients = len({row["patient"] for row in rows})
    say.print(f"{len(rows)} series of {patients} patients; {len(found.failures)} files in none")
    for reason, count in Counter(f.reason for f in found.failures).most_common(8):
        say.print(f"{count:>6} x {reason}", markup=False)


def _other(archive: str) -> Volume | None:
    """The volume in a file that is no DICOM: NIfTI, MetaImage, TIFF, PNG, video..."""
    from ..archive import read
    from ..archive._formats import is_other

    return read(archive) if is_other(archive) else None


def _one(archive: str, series: str | None, on_fault: str) -> Series:
    found = _scan(archive, on_fault)
    chosen = [one for one in found.series if series is None or one.key == series]
    if len(chosen) == 1:
        return chosen[0]
    if chosen or (found.series and series is not None):
        keys = ", ".join(one.key for one in found.series[:8])
        fail(f"--series must name one of the {len(found.series)} series: {keys}", BAD_INPUT)
    from ..archive import read

    read(archive)  # says why there is none
    fail("there is no series", BAD_INPUT)


SeriesOption = Annotated[str | None, typer.Option("--series", help="Key of the series, where there are several.")]


def info(archive: Where, series: SeriesOption = None, on_fault: OnFault = "raise", as_json: Json = False) -> None:
    """Tell what a file or series is: size, spacing, place, units, transfer syntax. Of DICOM it reads headers only.

    Also of NIfTI, NRRD, MetaImage, Zarr, TIFF, PNG, JPEG and video files.

    Example: `fastmed info image.dcm`
    """
    import numpy as np

    one: Any = _other(archive)
    if one is not None:
        facts: dict[str, Any] = {**one.meta, "dtype": str(one.dtype), "shape": one.shape, "files": 1}
    else:
        one = _one(archive, series, on_fault)
        facts = {**one.meta, "shape": one.shape, "files": len(one.paths)}
    facts["spacing"] = [float(v) for v in np.linalg.norm(one.affine[:3, :3], axis=0)]
    facts["affine"] = one.affine
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        text = np.array2string(value, precision=6, suppress_small=True) if name == "affine" else value
        typer.echo(f"{name:20} {text}".replace("\n", "\n" + " " * 21))


def convert(
    archive: Where,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the volumes, one file each.")],
    to: Annotated[str, typer.Option(help="nifti, nrrd or zarr.")] = "nifti",
    on_fault: OnFault = "raise",
    as_json: Json = False,
) -> None:
    """Write every series of an archive as a volume, named by its key.

    A series that cannot be read costs a line, not the run; what is written is whole. Volumes that are there already are
    kept. Image sequences without a place in space are left out. A NIfTI, NRRD, MetaImage, Zarr or TIFF file is one
    volume, named by a hash of its voxels and place.

    Example: `fastmed convert /data/archive volumes --to nifti`
    """
    suffixes = {"nifti": ".nii.gz", "nrrd": ".nrrd", "zarr": ".zarr"}
    if to not in suffixes:
        fail(f"--to must be one of {', '.join(suffixes)}; found {to!r}", BAD_INPUT)
    other = _other(archive)
    if other is not None:
        _convert_other(archive, other, output_folder(out), suffixes[to], as_json)
        return
    found = _scan(archive, on_fault)
    target = output_folder(out, Path(archive) if os.path.isdir(archive) else None)
    written, failed = [], [{"file": f.path, "reason": f.reason} for f in found.failures]
    with steps("writing", "series") as bar:
        for n, one in enumerate(found.series):
            path = target / f"{one.key}{suffixes[to]}"
            reason = _convert_one(one, path)
            if reason:
                failed.append({"series": one.key, "reason": reason})
            else:
                written.append(str(path))
            bar(n + 1, len(found.series))
    if as_json:
        print_json({"written": written, "failures": failed})
        return
    for path_written in written:
        typer.echo(path_written)
    console().print(f"{len(written)} volumes; {len(failed)} files or series not")
    for reason, count in Counter(f["reason"] for f in failed).most_common(8):
        console().print(f"{count:>6} x {reason}", markup=False)


def _convert_other(archive: str, volume: Volume, out: Path, suffix: str, as_json: bool) -> None:
    import hashlib

    import numpy as np

    from ..archive import write

    if volume.axes[-3:] != "zyx":
        fail(f"an image sequence ({volume.axes}) is no volume", BAD_INPUT)
    about = hashlib.sha256(repr((volume.shape, str(volume.dtype), volume.affine.tolist())).encode())
    about.update(np.ascontiguousarray(volume.array).view(np.uint8).data)
    path = out / f"{about.hexdigest()[:16]}{suffix}"
    if not path.exists():
        write(volume, path)
    if as_json:
        print_json({"written": [str(path)], "failures": []})
    else:
        typer.echo(str(path))


def _convert_one(series: Series, path: Path) -> str:
    """Why it could not be written; empty where it was."""
    from ..archive import read_series, write
    from ..errors import SeriesError

    if path.exists():
        return ""
    if series.axes != "zyx":
        return f"an image sequence ({series.axes}), no volume"
    try:
        write(read_series(series), path)
    except SeriesError as error:
        return str(error)
    return ""


def view(
    archive: Where,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, a PNG file.")] = Path("view.png"),
    series: SeriesOption = None,
    window: Annotated[
        float | None, typer.Option(help="Width of the grey scale; by default 1 to 99 % of voxels.")
    ] = None,
    level: Annotated[float | None, typer.Option(help="Value at its middle.")] = None,
    on_fault: OnFault = "raise",
) -> None:
    """Draw the three planes through the middle of a volume, in millimetres; of sequences the middle picture.

    Takes DICOM, NIfTI, NRRD, MetaImage, Zarr, TIFF, PNG, JPEG and video files.

    Example: `fastmed view /data/archive --series 0123456789abcdef -o picture.png --window 400 --level 40`
    """
    from ..archive import read_series
    from ..report._png import png

    if (window is None) != (level is None) or (window is not None and window <= 0):
        fail("--window and --level go together, and the window is above 0", BAD_INPUT)
    volume = _other(archive) or read_series(_one(archive, series, on_fault))
    out.write_bytes(png(three_planes(volume, window, level)))
    typer.echo(str(out))


def deidentify(
    archive: Where,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the copies; made if it is not there.")],
    key: Annotated[
        Path | None,
        typer.Option(help="File of the secret that pseudonyms follow from; made if it is not there. Else OUT.key"),
    ] = None,
    failures: Annotated[
        Path | None, typer.Option(help="CSV for the files without a copy. It names files as they are called.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy DICOM images with pseudonyms and shifted dates in place of identifiers. No conformance is claimed.

    Pseudonyms and dates fit together over files and runs with the same key; who has the key can test whether a patient
    is among them. Private elements, descriptions, comments, overlays and free text are removed; numbers that describe
    the acquisition, and sex, size, weight and age, stay. **Text burned into the pixels, recognizable faces and comments
    inside compressed pixels are not handled: look at the result.** A run that was stopped goes on where it was; nothing
    in OUT names a file or patient.

    Example: `fastmed deidentify /data/archive /data/shareable --key secret.key --failures not-copied.csv`
    """
    from ..archive import deidentify as run
    from ..archive._deidentify import key_from

    target = out.absolute()
    try:
        secret = key_from(key if key is not None else target.with_name(f"{target.name}.key"))
        with steps("copying", "files") as bar:
            done = run(archive, out, key=secret, progress=bar)
    except (ValueError, ImportError) as error:
        fail(str(error), BAD_INPUT)
    if failures is not None:
        _write_failures(failures, done.failures)
    reasons = Counter(f.reason for f in done.failures)
    if as_json:
        print_json({"written": done.n_written, "kept": done.n_kept, "failures": len(done.failures), "reasons": reasons})
        return
    say = console()
    say.print(f"{done.n_written} copies; {done.n_kept} from an earlier run; {len(done.failures)} files not")
    for reason, count in reasons.most_common(8):
        say.print(f"{count:>6} x {reason}", markup=False)
    typer.echo(str(out))


def _write_failures(path: Path, failures: list[Failure]) -> None:
    import csv
    import io

    from .._engine.files import atomically

    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("file", "reason"))
    rows.writerows((f.path, f.reason) for f in failures)
    with atomically(path) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def three_planes(volume: Volume, window: float | None = None, level: float | None = None) -> np.ndarray:
    """The middle planes across z, y and x side by side, uint8; colour becomes grey. Pixels are square."""
    import numpy as np

    array = np.asarray(volume.array)
    if volume.axes[-1] == "c":
        array = array.mean(axis=-1)
    if array.ndim == 4:
        array = array[len(array) // 2]
    sizes = volume.spacing if volume.axes[-3:] == "zyx" else (0.0, *volume.spacing[1:])
    planes = []
    for axis in range(3) if sizes[0] and len(array) > 1 else (0,):
        plane = array.take(array.shape[axis] // 2, axis=axis).astype(np.float64)
        height, width = (size for n, size in enumerate(sizes) if n != axis)
        planes.append(_square(plane[::-1] if axis else plane, height, width, min(s for s in sizes if s)))
    if window is None or level is None:
        low, high = np.percentile(array[np.isfinite(array)], (1, 99)) if np.isfinite(array).any() else (0.0, 1.0)
    else:
        low, high = level - window / 2, level + window / 2
    canvas = np.full((max(len(p) for p in planes), sum(p.shape[1] for p in planes)), low)
    at = 0
    for plane in planes:
        canvas[: len(plane), at : at + plane.shape[1]] = plane
        at += plane.shape[1]
    return (np.clip((np.nan_to_num(canvas, nan=low) - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def _square(plane: np.ndarray, height: float, width: float, pixel: float) -> np.ndarray:
    """Nearest pixels of a plane whose pixels measure (height, width), at `pixel` mm; at most 4096 each way."""
    import numpy as np

    def places(count: int, size: float) -> np.ndarray:
        wanted = max(1, min(4096, round(count * size / pixel)))
        return np.minimum((np.arange(wanted) + 0.5) * count / wanted, count - 1).astype(np.intp)

    return plane[np.ix_(places(plane.shape[0], height), places(plane.shape[1], width))]
