"""The layout that makes the project readable stays true: stages in their order, one stem per operation."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import fastmed
from fastmed._engine import isa
from fastmed._engine.operation import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "fastmed"

#: A stage imports only from its own group and from those before it. A new stage gets its place here.
ORDER = [
    {"_engine", "errors", "volume"},
    {"archive"},
    {"filters"},
    {"edges"},
    {"enhance"},
    {"contours"},
    {"segment"},
    {"stream"},
    {"features"},
    {"learn"},
    {"jobs"},
    {"report"},
    {"plot"},
    {"_opencv"},
    {"ndimage", "cv2", "skimage", "accelerate", "cli", "demo", "__main__"},
]
RANK = {stage: rank for rank, group in enumerate(ORDER) for stage in group}

for _stage in ("filters", "edges", "enhance", "contours", "segment"):
    importlib.import_module(f"fastmed.{_stage}")  # lists its operations

SOURCES = sorted(p for suffix in ("py", "pyx") for p in PACKAGE.rglob(f"*.{suffix}") if p.parent != PACKAGE)
SOURCES += sorted(p for p in PACKAGE.glob("*.py") if p.stem != "__init__")


def stage_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported_stages(path):
    """The stages that a file imports anything from, also inside functions."""
    inside = ["fastmed", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(inside[: len(inside) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == "fastmed" and len(parts) > 1 and parts[1] != "__version__":
                yield parts[1] if parts[1] in RANK else getattr(fastmed, parts[1]).__module__.split(".")[1]


def test_every_stage_has_a_place():
    assert {stage_of(path) for path in SOURCES} <= set(RANK)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".py"], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_stage_imports_only_from_stages_above_it(path):
    own = stage_of(path)
    assert [stage for stage in set(imported_stages(path)) if RANK[stage] > RANK[own]] == []


def test_the_import_check_sees_every_form_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    file = tmp_path / "filters" / "_x.py"
    file.parent.mkdir()
    file.write_text(
        "import fastmed.cli\nfrom ..jobs import extract\nfrom . import _y\nfrom .. import learn, sobel, __version__\n"
        "def f():\n    from .._engine.arrays import run\n    from fastmed.report import write\nimport numpy.fft\n"
    )
    assert sorted(imported_stages(file)) == ["_engine", "cli", "edges", "filters", "jobs", "learn", "report"]


def stem_of(name):
    module = OPERATIONS[name].function.__module__.split(".")
    return module[-2], module[-1].removeprefix("_")


def has_kernel(name):
    """Whether the file of this operation runs a kernel; others only combine operations."""
    stage, stem = stem_of(name)
    return ", __name__" in (PACKAGE / stage / f"_{stem}.py").read_text()


@pytest.mark.parametrize("name", sorted(OPERATIONS))
@pytest.mark.parametrize(
    "pattern",
    [
        "src/fastmed/{stage}/_{stem}.py",
        "src/fastmed/{stage}/_{stem}_numba.py",
        "csrc/{stage}/{stem}.cpp",
        "tests/{stage}/test_{stem}.py",
        "benchmarks/{stage}/bench_{stem}.py",
    ],
)
def test_one_stem_per_operation(name, pattern):
    stage, stem = stem_of(name)
    if ("csrc" in pattern or "numba" in pattern) and not has_kernel(name):
        pytest.skip("composed of other operations")
    assert (ROOT / pattern.format(stage=stage, stem=stem)).is_file()


def kernel_stems():
    """Stems of operations with a kernel, and of functions with one that take no array first (polygons)."""
    stems = {stem_of(name) for name in OPERATIONS if has_kernel(name)}
    for stage in ("filters", "edges", "enhance", "contours", "segment"):
        for name in importlib.import_module(f"fastmed.{stage}").__all__:
            module = getattr(fastmed, name).__module__.split(".")
            if module[1] == stage and ", __name__" in (PACKAGE / stage / f"{module[-1]}.py").read_text():
                stems.add((stage, module[-1].removeprefix("_")))
    return stems


@pytest.mark.parametrize("stage, stem", sorted(kernel_stems()))
def test_every_kernel_is_tested_and_timed(stage, stem):
    assert (ROOT / f"tests/{stage}/test_{stem}.py").is_file()
    assert (ROOT / f"benchmarks/{stage}/bench_{stem}.py").is_file()


@pytest.mark.parametrize("folder, glob", [("csrc", "*/*.cpp"), ("src/fastmed", "*/_*_numba.py")])
def test_no_file_without_an_operation(folder, glob):
    stems = kernel_stems()
    found = {(p.parent.name, p.stem.removeprefix("_").removesuffix("_numba")) for p in (ROOT / folder).glob(glob)}
    assert {f for f in found if f[0] != "_engine"} == stems


def test_only_module_cpp_knows_python():
    files = [p for p in (ROOT / "csrc").rglob("*.[ch]pp") if p.name != "module.cpp"]
    includes = re.compile(r"#\s*include\s*[<\"](pybind11|Python\.h|numpy)")
    assert len(files) > 10
    assert [p.name for p in files if includes.search(p.read_text())] == []
    assert includes.search((ROOT / "csrc" / "module.cpp").read_text())


def kernels():
    """Kernel -> names of its parameters, from the one table."""
    lines = re.findall(r"^KERNEL\((\w+), (\w+), \((.*)\)\)$", (ROOT / "csrc/kernels.def").read_text(), re.MULTILINE)
    return {name: [parameter.split()[-1] for parameter in rest.split(",")] for _, name, rest in lines}


def twins():
    """Function -> names of its parameters, over all files of twins."""
    found = {}
    for path in PACKAGE.glob("*/_*_numba.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = [a.arg for a in node.args.args]
    return found


def test_every_line_of_the_table_is_read():
    text = (ROOT / "csrc/kernels.def").read_text()
    assert len(kernels()) == len(re.findall(r"^KERNEL\(", text, re.MULTILINE)) >= 6


@pytest.mark.parametrize("name", sorted(kernels()))
def test_every_kernel_has_a_twin_with_the_same_parameters(name):
    assert twins()[name] == kernels()[name]


@pytest.mark.parametrize("name", sorted(kernels()))
def test_every_kernel_is_used_and_defined_in_a_file_of_its_own_stage(name):
    callers = [p for p in SOURCES if f'("{name}", __name__' in p.read_text()]
    assert callers, "no public function runs it"
    defines = re.compile(rf"^\w+ {name}\(", re.MULTILINE)
    definitions = [p for p in (ROOT / "csrc").rglob("*.cpp") if defines.search(p.read_text())]
    assert [(p.parent.name, p.stem) for p in definitions] == [(p.parent.name, p.stem[1:]) for p in callers]


def test_instruction_sets_are_the_same_in_setup_and_at_run_time():
    table = re.search(r"INSTRUCTION_SETS = (\{.*?\n\})", (ROOT / "setup.py").read_text(), re.DOTALL)
    assert set(ast.literal_eval(table[1])) | {"base"} == set(isa.LEVELS)


def test_every_test_module_has_a_name_of_its_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names)), "pytest finds modules by their names alone"
