"""Fuzz the native header reader or the pixel kernels, under AddressSanitizer and UBSan, guided by coverage.

``python tests/fuzz/native.py elements|pixels [seconds of processor time] [corpus folder]``; see README.md. Builds the
module anew with gcc, starts itself under the sanitizers, and keeps every input that takes a step no other has taken.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import random
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "fastmed" / "archive"
FLAGS = "-O1 -g -fPIC -shared -fno-omit-frame-pointer -fwrapv -Wno-array-bounds"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fsanitize-coverage=trace-pc"
LONGEST = 6000


def build(target: str, folder: Path) -> None:
    """The module of a target, instrumented, and the library that counts its steps."""
    numpy_headers, python_headers = np.get_include(), sysconfig.get_paths()["include"]
    source, c_file = SOURCE / f"_{target}.pyx", folder / f"_{target}.c"
    subprocess.run([sys.executable, "-m", "cython", "-3", str(source), "-o", str(c_file)], check=True)
    edges = folder / "libedges.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", str(HERE / "edges.c"), "-o", str(edges)], check=True)
    subprocess.run(
        ["gcc", *FLAGS.split(), *SANITIZERS.split(), f"-I{python_headers}", f"-I{numpy_headers}", str(c_file),
         "-o", str(folder / f"_{target}.so"), str(edges), f"-Wl,-rpath,{folder}"],
        check=True,
    )  # fmt: skip


def load(target: str, folder: Path) -> tuple[ModuleType, np.ndarray]:
    """The instrumented module, and the counts of its steps as an array."""
    edges = ctypes.CDLL(str(folder / "libedges.so"))
    counts = (ctypes.c_uint8 * (1 << 16)).in_dll(edges, "fastmed_edges")
    spec = importlib.util.spec_from_file_location(f"_{target}", folder / f"_{target}.so")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, np.frombuffer(counts, np.uint8)


# --------------------------------------------------------------------------------------------------- the targets


def elements(module: ModuleType) -> Callable[[bytes], None]:
    """A byte says how much longer the file is than what is read of it, one how deep sequences may be."""
    from fastmed.archive._parse import SORTED, TYPES

    beyond = (0, 0, 0, 1, 7, 12, 5000, 1 << 20, 1 << 33, (1 << 62))

    def run(data: bytes) -> None:
        head = np.frombuffer(data[2:], np.uint8).copy()  # memory of its own: nothing may be read behind its end
        size = len(head) + beyond[data[0] % len(beyond)]
        status, at, syntax, media, _, values = module.read_elements(head, size, SORTED, TYPES, data[1] % 80)
        assert 0 <= status <= 3 and 0 <= at <= size
        if values is not None:
            assert len(values) == len(SORTED) and len(syntax) <= len(head) >= len(media)
            assert all(v is None or len(v) <= len(head) for v in values)

    return run


def pixels(module: ModuleType) -> Callable[[bytes], None]:
    """The first bytes say what to do with the rest; where that is quick, the NumPy twin must do the same."""
    from fastmed.archive import _pixels_numpy as twin

    dtypes = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64)
    slopes = (1, 1, -1, 2, 3, -7, 1000, -(1 << 30), 0.5, 1e-6, -2.25)

    def unpack(a: int, b: int, c: int, rest: np.ndarray) -> None:
        size = a % 9
        target = np.zeros((b << 4 | c >> 4) * max(size, 1) + (c & 1), np.uint8)
        again = target.copy()
        found = module.unpack_rle(rest, target, size)
        assert found == twin.unpack_rle(rest, again, size)
        assert found or np.array_equal(target, again)

    def convert(a: int, b: int, c: int, rest: np.ndarray) -> None:
        size, dtype, slope = 1 << (a & 3), dtypes[a >> 2 & 7], slopes[b % len(slopes)]
        if dtype not in (np.float32, np.float64):
            slope = int(slope) or 1
        target = np.zeros(max(0, len(rest) // size + (a >> 5 & 1)), dtype)
        again = target.copy()
        arguments = size, c & 7, 1 + (c >> 3 & 31) + (b & 32), bool(b & 16), float(slope), float(b >> 4)
        found = module.convert(rest, target, *arguments)
        assert found == twin.convert(rest, again, *arguments)
        np.testing.assert_allclose(target, again, rtol=1e-6)

    def mark(a: int, b: int, c: int, rest: np.ndarray) -> None:
        size = 1 << (a & 3)
        flags = np.zeros(max(0, len(rest) // size + (a >> 5 & 1)), np.uint8)
        again = flags.copy()
        arguments = size, c & 7, 1 + (c >> 3 & 31) + (b & 32), bool(b & 16), (b - 100) * 3, (b - 100) * 3 + c * c
        assert module.mark(rest, flags, *arguments) == twin.mark(rest, again, *arguments)
        np.testing.assert_array_equal(flags != 0, again != 0)

    def swap(a: int, b: int, c: int, rest: np.ndarray) -> None:
        size = (2, 4, 8)[a % 3]
        found, again = rest.copy(), rest.copy()
        module.swap_bytes(found, size)
        twin.swap_bytes(again[: len(again) // size * size], size)
        np.testing.assert_array_equal(found, again)

    does = (unpack, unpack, unpack, convert, convert, mark, swap)

    def run(data: bytes) -> None:
        rest = np.frombuffer(data[4:], np.uint8).copy()
        try:
            does[data[0] % len(does)](*data[1:4], rest)
        except ValueError as error:  # arguments that do not fit, as both say
            assert "must hold" in str(error) or "do not fit" in str(error), error

    return run


# ------------------------------------------------------------------------------------------------------ the seeds


def seeds_of(target: str) -> list[bytes]:
    """Headers of pydicom's files; RLE frames of them and some by hand, and plain bytes for the rest."""
    import mutate

    files = list(mutate.seeds().values())
    if target == "elements":
        return [b"\0\x20" + data[:most] for data in files for most in (1200, LONGEST)]
    at = [(data, data.find(b"\xfe\xff\0\xe0", 400)) for data in files if b"1.2.840.10008.1.2.5\0" in data[:1000]]
    frames = [data[a + 16 : a + 16 + LONGEST] for data, a in at if a > 0]
    head = struct.pack("<16I", 2, 64, 70, *[0] * 13)
    frames += [head + b"\x81\0\xff\1\0\2" * 20, struct.pack("<16I", 1, 64, *[0] * 14) + b"\3abcd\xfd\7\x80" * 40]
    sizes = ((1, 4, 0), (2, 16, 64), (9, 40, 96), (27, 3, 255))
    starts = [bytes((op, *size)) for op in range(7) for size in sizes]
    return [s + f for s in starts for f in frames[:4]] + [s + bytes(range(256)) for s in starts]


_NUMBERS = (0, 1, 2, 4, 7, 8, 12, 63, 64, 65, 127, 128, 129, 255, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE,
            0xFFFFFFFF)  # fmt: skip
_WORDS = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"SQ\0\0\xff\xff\xff\xff",
          b"OB\0\0", b"\xe0\x7f\x10\x00", b"\x02\x00\x10\x00UI", b"\x28\x00\x10\x00US\2\0", b"1.2.840.10008.1.2\0",
          b"\xff\xff\xff\xff")  # fmt: skip


def mutated(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """Some changes: bits, numbers, words of the format, pieces moved, taken out or taken from another input."""
    new = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        at, way = dice.randrange(len(new) + 1), dice.randrange(8)
        if way == 0 and at < len(new):
            new[at] ^= 1 << dice.randrange(8)
        elif way == 1:
            new[at : at + 1] = bytes((dice.randrange(256),))
        elif way == 2:
            size = dice.choice((1, 2, 4))
            new[at : at + size] = (dice.choice(_NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif way == 3:
            word = dice.choice(_WORDS)
            new[at : at + dice.choice((0, len(word)))] = word
        elif way == 4:
            del new[at : at + dice.choice((1, 2, 4, 8, 64, 1000))]
        elif way == 5:
            new[at:at] = new[at : at + dice.choice((1, 4, 8, 12, 64, 300))]
        elif way == 6:
            start = dice.randrange(len(other))
            new[at:at] = other[start : start + dice.choice((4, 12, 64, 500))]
        else:
            del new[max(at, 8) :]
    return bytes(new[:LONGEST]).ljust(5, b"\0")


# ------------------------------------------------------------------------------------------------------- the run

#: Counts of steps as powers of two: 1, 2, 3-4, 5-8...
_CLASS = np.array([0] + [1 << min(7, (n - 1).bit_length()) for n in range(1, 256)], np.uint8)


def fuzz(target: str, folder: Path, seconds: float, corpus: Path | None, seed: int) -> None:
    """Run inputs until the processor time is used up. What is being run stands in ``folder/last``."""
    module, counts = load(target, folder)
    run, dice = globals()[target](module), random.Random(seed)
    inputs = seeds_of(target) + ([f.read_bytes() for f in sorted(corpus.iterdir())] if corpus else [])
    seen, kept, runs, shown = np.zeros(1 << 16, np.uint8), [], 0, 0.0
    with open(folder / "last", "wb", buffering=0) as last:
        while time.process_time() < seconds:
            data = inputs.pop() if inputs else mutated(dice.choice(kept), dice.choice(kept), dice)
            last.seek(0)
            last.write(len(data).to_bytes(4, "little") + data)
            counts[:] = 0
            run(data)
            runs += 1
            touched = np.flatnonzero(counts)
            steps = _CLASS[counts[touched]]
            if (steps & ~seen[touched]).any():
                seen[touched] |= steps
                kept.append(data)
                if corpus:
                    (corpus / f"{len(kept):06d}").write_bytes(data)
            if time.process_time() > shown + 60:
                shown = time.process_time()
                print(f"{target}: {shown:.0f} s, {runs} runs, {(seen > 0).sum()} steps, {len(kept)} kept", flush=True)
    print(f"{target}: clean, {runs} runs, {time.process_time():.0f} s, {(seen > 0).sum()} steps, {len(kept)} kept")


def main() -> None:
    target, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60
    corpus = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if "FASTMED_FUZZ" in os.environ:
        fuzz(target, Path(os.environ["FASTMED_FUZZ"]), seconds, corpus, int(os.environ.get("FASTMED_SEED", "0")))
        return
    if corpus:
        corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        build(target, Path(name))
        asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        environment = {
            "FASTMED_FUZZ": name,
            "LD_PRELOAD": asan.stdout.strip(),
            "PYTHONMALLOC": "malloc",  # so that each buffer of Python has its own fences
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        done = subprocess.run([sys.executable, *sys.argv], env={**os.environ, **environment})
        if done.returncode:
            data = (Path(name) / "last").read_bytes()
            found = Path(f"crash-{target}")
            found.write_bytes(data[4 : 4 + int.from_bytes(data[:4], "little")])
            sys.exit(f"exit code {done.returncode}; the input is in {found.absolute()}")


if __name__ == "__main__":
    main()
