"""What `fastmed doctor` finds out: builds, processor, threads, codecs, versions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import warnings
from typing import Any

DEPENDENCIES = "numpy scipy numba scikit-learn pydicom dask distributed pyarrow pandas jinja2 rich typer threadpoolctl"
#: What `pip install 'fastmed[NAME]'` brings, and what for; a test keeps the packages those of pyproject.toml.
EXTRAS = {
    "archive": ("nibabel highdicom pynrrd zarr xarray fsspec pylibjpeg pylibjpeg-openjpeg pyjpegls imagecodecs Pillow "
                "tifffile", "compressed DICOM, NIfTI, NRRD, Zarr, TIFF, PNG, JPEG, URLs"),
    "video": ("av", "MP4, AVI, MOV, MKV and other video files"),
    "web": ("dicomweb-client aiohttp", "DICOMweb servers, http:// and https://"),
    "deidentify": ("dicognito", "fastmed deidentify"),
    "stream": ("h5py", "volumes larger than memory"),
    "plot": ("matplotlib", "fastmed.plot"),
}  # fmt: skip
#: Stores that fsspec opens with a package of their own, which no extra brings.
STORES = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs", "sftp": "paramiko"}
PEERS = "scikit-image opencv-python opencv-python-headless SimpleITK dask-image"

_VARIABLES = "FASTMED_BACKEND FASTMED_ISA FASTMED_NUM_THREADS OMP_NUM_THREADS NUMBA_NUM_THREADS"


def examine() -> dict[str, Any]:
    """Everything `fastmed doctor` reports, as one document of plain types.

    Returns
    -------
    dict
        ``fastmed`` and ``python`` (versions), ``kernels``, ``processor``, ``threads``, ``codecs``,
        ``dependencies``, ``extras`` (for each what it is for, whether it is whole, its packages), ``stores`` (the
        package of each kind of URL), ``peers``, and ``problems``: one sentence each, empty when all is well.
    """
    problems: list[str] = []
    kernels = _kernels(problems)
    return {
        "fastmed": _version("fastmed") or _source_version(),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": platform.system(),
            "machine": platform.machine(),
        },
        "kernels": kernels,
        "processor": _processor(),
        "threads": _threads(kernels, problems),
        "codecs": _codecs(),
        "dependencies": _versions(DEPENDENCIES, problems),
        "extras": {name: _extra(*about) for name, about in EXTRAS.items()},
        "stores": {f"{name}://": {package: _version(package)} for name, package in STORES.items()},
        "peers": _versions(PEERS),
        "problems": problems,
    }


def _source_version() -> str:
    from .. import __version__

    return __version__


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions(names: str, problems: list[str] | None = None) -> dict[str, str | None]:
    found = {name: _version(name) for name in names.split()}
    if problems is not None:
        problems += [f"{name} is needed and not installed" for name, version in found.items() if version is None]
    return found


def _extra(packages: str, purpose: str) -> dict[str, Any]:
    found = _versions(packages)
    return {"for": purpose, "installed": None not in found.values(), "packages": found}


def _kernels(problems: list[str]) -> dict[str, Any]:
    from .._engine import isa
    from ..errors import BackendError

    result: dict[str, Any] = {
        "built": list(isa.built()),
        "runnable": list(isa.runnable()),
        "backend": None,
        "isa": None,
        "environment": {name: os.environ[name] for name in _VARIABLES.split() if os.environ.get(name)},
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result["backend"], result["isa"] = isa.backend()
    except BackendError as error:
        problems.append(str(error))
    if result["backend"] == "numba":
        why = (
            "FASTMED_BACKEND=numba asks for it"
            if os.environ.get("FASTMED_BACKEND")
            else ("no C++ build for this processor is installed: install a C++17 compiler and reinstall fastmed")
        )
        problems.append(f"fastmed runs on the Numba twins, which are several times slower than the C++ kernels; {why}")
    if result["backend"] and (pixels := _broken_pixel_path()):
        problems.append(pixels)
    return result


def _broken_pixel_path() -> str | None:
    """Whether the compiled border between DICOM bytes and volumes is there."""
    try:
        spec = importlib.util.find_spec("fastmed.archive._pixels")
    except ImportError:
        spec = None
    if spec is None:
        return "the compiled pixel path is not built: reading DICOM is slower; reinstall with a C compiler"
    return None


def _processor() -> dict[str, Any]:
    from .._engine import isa

    features = sorted(isa.cpu_features())
    return {
        "model": _model(),
        "logical_cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "features": features,
    }


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _threads(kernels: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    import threadpoolctl

    from .._engine import threads

    if kernels["backend"] is None:
        return {"kernels": None, "pools": []}
    try:
        count = threads.get_num_threads()
    except ValueError as error:
        problems.append(str(error))
        count = None
    keys = ("user_api", "internal_api", "version", "num_threads")
    pools = [{key: pool.get(key) for key in keys} for pool in threadpoolctl.threadpool_info()]
    openmp = any(pool["user_api"] == "openmp" for pool in pools)
    if kernels["backend"] == "cpp" and not openmp:
        problems.append("the C++ kernels were built without OpenMP and use one thread")
    return {"kernels": count, "openmp": openmp, "pools": pools}


def _codecs() -> list[dict[str, Any]]:
    """For each transfer syntax that pydicom can decode: the decoders that are here, and what others would
    need."""
    from pydicom.pixels import decoders
    from pydicom.pixels.decoders.base import Decoder

    rows = []
    known = {d.UID: d for d in vars(decoders).values() if isinstance(d, Decoder)}
    for uid, decoder in sorted(known.items()):
        here = ["pydicom (native)"] if not uid.is_encapsulated else sorted(decoder.available_plugins)
        missing = [] if here else sorted(m for m in map(_one_line, decoder.missing_dependencies) if _advised(m))
        rows.append({"uid": str(uid), "name": uid.name, "decoders": here, "missing": missing})
    return rows


def _advised(decoder: str) -> bool:
    """GDCM is left out: malformed files make it abort the process, and with it a whole run."""
    return not decoder.startswith("gdcm")


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def show(report: dict[str, Any], target: Any) -> None:
    """Print the document of :func:`examine` for people."""
    from rich.markup import escape

    kernels, processor, python = report["kernels"], report["processor"], report["python"]
    force = "/".join(filter(None, (kernels["backend"], kernels["isa"]))) or "none"
    lines = {
        "fastmed": f"{report['fastmed']} on {python['implementation']} {python['version']}, "
        f"{python['system']} {python['machine']}",
        "kernels in force": force,
        "kernels built": ", ".join(kernels["built"]) or "none",
        "kernels runnable": ", ".join(kernels["runnable"]) or "none",
        "processor": processor["model"],
        "cores": f"{processor['usable_cores']} of {processor['logical_cores']} usable",
        "features": " ".join(processor["features"]),
        "threads": f"{report['threads']['kernels']} per kernel call",
        "thread pools": ", ".join(_pool(p) for p in report["threads"]["pools"]) or "none",
        "environment": " ".join(f"{k}={v}" for k, v in kernels["environment"].items()) or "nothing set",
    }
    for title, text in lines.items():
        target.print(f"[bold]{title:17}[/] {escape(str(text))}")
    target.print("\n[bold]codecs[/] (transfer syntax: decoders)")
    for row in report["codecs"]:
        here = ", ".join(row["decoders"])
        target.print(
            f"  {escape(row['name'])}: "
            + (escape(here) if here else f"[yellow]none[/]; one of: {escape('; '.join(row['missing']))}")
        )
    target.print(f"\n[bold]dependencies[/]\n  {_packages(report['dependencies'])}")
    target.print("\n[bold]extras[/] (what for: packages)")
    for name, extra in report["extras"].items():
        target.print(f"  {name:10} {extra['for']}: {_packages(extra['packages'])}")
        if not extra["installed"]:
            target.print(f"  {'':10} [yellow]not whole[/]: " + escape(f"pip install 'fastmed[{name}]'"))
    for protocol, packages in report["stores"].items():
        target.print(f"  {protocol:10} {_packages(packages)}")
    target.print(f"\n[bold]peers[/]\n  {_packages(report['peers'])}")
    for problem in report["problems"]:
        target.print(f"\n[bold red]PROBLEM[/] {escape(problem)}")
    if not report["problems"]:
        target.print("\n[green]No problems found.[/]")


def _packages(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{k} {v}" if v else f"{k} [dim]not installed[/]" for k, v in versions.items())


def _pool(pool: dict[str, Any]) -> str:
    return f"{pool['user_api']}/{pool['internal_api']} x{pool['num_threads']}"
