"""Builds csrc/ once per instruction set, and the Cython pixel path.

``FASTMED_SANITIZE=address,undefined``  sanitizer build
``FASTMED_REQUIRE_EXTENSION=1``         a failed compilation fails the installation
``FASTMED_BUILD_ISA=v3,v4``             only these instruction sets (quicker while developing)
``FASTMED_BUILD_JOBS=4``                compiler processes at a time
``FASTMED_BUILD_SYMBOLS=1``             keep the symbols, for profilers

Where the compiler is missing or fails, the installation goes on without the extension: the Numba twins then do
the work, and ``import fastmed`` users see a warning at the first kernel call and in ``fastmed doctor``.
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
X86_64 = platform.machine().lower() in ("x86_64", "amd64")
MSVC = sys.platform == "win32"

# To add an instruction set: one line here, one in src/fastmed/_engine/isa.py.
INSTRUCTION_SETS = {
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
if not X86_64 or MSVC:
    INSTRUCTION_SETS = {"base": []}

# No FMA contraction and no fast-math: integer results must equal SciPy's bit for bit. (-fno-trapping-math would turn a
# cast to int and back into trunc(), which loses the overflow that SciPy's results show.)
UNIX_FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno",
              "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-Wall", "-Wextra"]
MSVC_FLAGS = ["/std:c++17", "/O2", "/fp:precise", "/EHsc"]


def _sources(folder, pattern):
    return sorted(p.relative_to(HERE).as_posix() for p in (HERE / folder).rglob(pattern))


def _kernels(isa):
    return Extension(
        f"fastmed._engine._kernels_{isa}",
        sources=_sources("csrc", "*.cpp"),
        depends=_sources("csrc", "*.hpp") + _sources("csrc", "*.def"),
        include_dirs=["csrc"],
        define_macros=[("FASTMED_MODULE", f"_kernels_{isa}"), ("FASTMED_ISA", f'"{isa}"')],
        language="c++",
    )


class BuildExt(build_ext):
    """Own object folder per extension (the same sources are built several times); failures are loud, not fatal."""

    def build_extensions(self):
        import pybind11

        jobs = int(os.environ.get("FASTMED_BUILD_JOBS", os.cpu_count() or 1))
        self.openmp = [] if MSVC else self._openmp_flags()
        if not MSVC:
            _compile_in_parallel(self.compiler, jobs)
        temp = self.build_temp
        for extension in self.extensions:
            self.build_temp = os.path.join(temp, extension.name)
            if "_kernels_" in extension.name:
                extension.include_dirs.append(pybind11.get_include())
                self._kernel_flags(extension)
            try:
                self.build_extension(extension)
            except Exception as error:
                self._failed(extension, error)
        self.build_temp = temp

    def get_source_files(self):
        return [*super().get_source_files(), *_sources("csrc", "*.hpp"), *_sources("csrc", "*.def")]

    def copy_extensions_to_source(self):
        self.extensions = [e for e in self.extensions if os.path.exists(self.get_ext_fullpath_built(e))]
        super().copy_extensions_to_source()

    def get_ext_fullpath_built(self, extension):
        return os.path.join(self.build_lib, self.get_ext_filename(self.get_ext_fullname(extension.name)))

    def _kernel_flags(self, extension):
        isa = extension.name.rsplit("_", 1)[1]
        if MSVC:
            extension.extra_compile_args = [*MSVC_FLAGS, "/openmp"]
            return
        extension.extra_compile_args = [*UNIX_FLAGS, *INSTRUCTION_SETS[isa], *self.openmp]
        extension.extra_link_args = [*self.openmp]
        if sys.platform.startswith("linux"):
            # -fno-gnu-unique: no inline variable may be shared between two instruction sets in one process.
            if self._compiles(["-fno-gnu-unique"]):
                extension.extra_compile_args.append("-fno-gnu-unique")
            extension.extra_link_args.append("-Wl,--exclude-libs,ALL")
        sanitizers = os.environ.get("FASTMED_SANITIZE")
        if sanitizers:
            extension.extra_compile_args += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g", "-O1"]
            extension.extra_link_args += [f"-fsanitize={sanitizers}"]
        elif os.environ.get("FASTMED_BUILD_SYMBOLS") != "1":
            extension.extra_compile_args.append("-g0")  # Python's own flags ask for -g: half as much time again
            extension.extra_link_args.append("-Wl,-s" if sys.platform.startswith("linux") else "-Wl,-dead_strip")

    def _openmp_flags(self):
        return ["-fopenmp"] if self._compiles(["-fopenmp"]) else ["-pthread"]

    def _compiles(self, flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.cpp")
            source.write_text("int main() { return 0; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=flags)
            except Exception:
                return False
        return True

    def _failed(self, extension, error):
        if os.environ.get("FASTMED_REQUIRE_EXTENSION") == "1":
            raise error
        bar = "*" * 100
        print(f"\n{bar}\nfastmed: {extension.name} could not be built: {error}\n"
              "fastmed: the installation continues WITHOUT it; everything works on the slower Numba twins.\n"
              "fastmed: install a C++17 compiler and reinstall to get full speed; `fastmed doctor` tells the state.\n"
              f"{bar}\n", file=sys.stderr)


def _compile_in_parallel(compiler, jobs):
    """Compile the files of one extension side by side (distutils does one at a time)."""
    from concurrent.futures import ThreadPoolExecutor

    def compile(sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                extra_preargs=None, extra_postargs=None, depends=None):
        macros, objects, extra, preargs, build = compiler._setup_compile(
            output_dir, macros, include_dirs, sources, depends, extra_postargs)
        cc_args = compiler._get_cc_args(preargs, debug, extra_preargs)

        def one(obj):
            source, ext = build[obj]
            compiler._compile(obj, source, ext, cc_args, extra, preargs)

        with ThreadPoolExecutor(max(1, jobs)) as pool:
            list(pool.map(one, [o for o in objects if o in build]))
        return objects

    compiler.compile = compile


def _extensions():
    wanted = os.environ.get("FASTMED_BUILD_ISA")
    names = [n for n in INSTRUCTION_SETS if not wanted or n in wanted.split(",")]
    extensions = [_kernels(isa) for isa in names]
    pixels = _sources("src/fastmed", "*.pyx")
    if pixels:
        import numpy
        from Cython.Build import cythonize

        names = [p.removeprefix("src/").removesuffix(".pyx").replace("/", ".") for p in pixels]
        include = [numpy.get_include()]
        modules = [Extension(name, [p], include_dirs=include) for name, p in zip(names, pixels, strict=True)]
        extensions += cythonize(modules, language_level=3, build_dir="build/cython")
    return extensions


setup(ext_modules=_extensions(), cmdclass={"build_ext": BuildExt})
