"""Mutants of real DICOM files: what no reader may die of, hang on, or answer with another error than ours.

``python tests/fuzz/mutate.py 200000 [seed]`` runs for longer than the tests do, and says what went wrong.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom.data

SECONDS = 2.0
_LENGTHS = (0, 1, 7, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 1 << 20)
_TAGS = (0x00280010, 0x00280011, 0x00280008, 0x00280002, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280004,
         0x00020010, 0x00200032, 0x00200037, 0x00280030, 0x00281053, 0x7FE00010, 0x0020000E, 0x00080016)  # fmt: skip

_NAMES = ((0x10, 0x10, b"PN"), (0x10, 0x20, b"LO"), (0x20, 0x0D, b"UI"), (0x20, 0x0E, b"UI"), (8, 0x18, b"UI"))


def seeds(most: int = 150_000) -> dict[str, bytes]:
    """The DICOM files in pydicom's wheel, without large ones."""
    folder = Path(pydicom.data.__file__).parent
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and f.suffix in (".dcm", "")]
    return {f.name: f.read_bytes() for f in files if f.stat().st_size < most}


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name of the seed and bytes of a mutant of it."""
    dice = random.Random(seed)
    every = list(seeds().items())
    for _ in range(count):
        name, data = dice.choice(every)
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 5))):
            dice.choice(_WAYS)(changed, dice)
        yield name, bytes(changed)


def _somewhere(data: bytearray, dice: random.Random) -> int:
    """Most of what matters stands in the first part of a file."""
    return dice.randrange(max(1, min(len(data), dice.choice((400, 2000, 6000, 1 << 30)))))


def _flip(data: bytearray, dice: random.Random) -> None:
    if data:
        data[_somewhere(data, dice)] ^= 1 << dice.randrange(8)


def _byte(data: bytearray, dice: random.Random) -> None:
    if data:
        data[_somewhere(data, dice)] = dice.choice((0, 1, 0x20, 0x5C, 0x7F, 0x80, 0xFF, dice.randrange(256)))


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[_somewhere(data, dice) :]


def _remove(data: bytearray, dice: random.Random) -> None:
    at = _somewhere(data, dice)
    del data[at : at + dice.choice((1, 2, 4, 8, 100))]


def _double(data: bytearray, dice: random.Random) -> None:
    at = _somewhere(data, dice)
    data[at:at] = data[at : at + dice.choice((4, 8, 12, 64, 1000))]


def _length(data: bytearray, dice: random.Random) -> None:
    """Another length for an element that is there."""
    tag = dice.choice(_TAGS)
    at = data.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    if at < 0:
        return
    long = data[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN")
    value = dice.choice(_LENGTHS)
    if long:
        data[at + 8 : at + 12] = struct.pack("<I", value)
    else:
        data[at + 6 : at + 8] = struct.pack("<H", value & 0xFFFF)


def _value(data: bytearray, dice: random.Random) -> None:
    """Another value for an element that is there."""
    tag = dice.choice(_TAGS)
    at = data.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    if at >= 0:
        value = dice.choice((0, 1, 2, 3, 8, 13, 16, 0x7FFF, 0xFFFF, dice.randrange(65536)))
        data[at + 8 : at + 10] = struct.pack("<H", value)


def _nest(data: bytearray, dice: random.Random) -> None:
    """Sequences in sequences, before anything else."""
    one = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    at = data.find(b"\x08\x00", 132)
    data[max(at, 0) : max(at, 0)] = one * dice.choice((3, 40, 300, 5000))


_WAYS = (_flip, _flip, _flip, _byte, _byte, _cut, _remove, _double, _length, _length, _value, _value, _nest)


def judge(file: Path, data: bytes) -> str:
    """'' where `fastmed.read` gives a volume or one of our errors in time; else what went wrong."""
    import fastmed

    file.write_bytes(data)
    start = time.process_time()
    try:
        fastmed.read(file)
        said = ""
    except fastmed.errors.FastmedError as error:
        said = str(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    took = time.process_time() - start
    if took > SECONDS:
        return f"{took:.1f} s"
    return f"quotes an identifier: {said}" if any(name in said for name in _identifiers(data)) else ""


def _identifiers(data: bytes) -> list[str]:
    """Values of the elements that name a patient or an object, as they stand in the bytes."""
    found = []
    for group, element, vr in _NAMES:
        at = data.find(struct.pack("<HH", group, element) + vr)
        if at >= 0:
            length = int.from_bytes(data[at + 6 : at + 8], "little")
            found.append(data[at + 8 : at + 8 + min(length, 64)].decode("latin-1").strip("\0 "))
    return [name for name in found if len(name) > 5]


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for n, (name, data) in enumerate(mutants(count, seed)):
            (Path(folder) / "last").write_bytes(data)  # what is left of a process that dies
            verdict = judge(Path(folder) / "mutant", data)
            if verdict:
                wrong[verdict[:200]] += 1
                print(f"{n} {name}: {verdict[:300]}", flush=True)
    print(f"{count} mutants, {sum(wrong.values())} wrong answers")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
