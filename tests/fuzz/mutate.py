"""Mutants of real DICOM files, and of small files of the other formats: a volume or one of our errors, always.

``python tests/fuzz/mutate.py 200000 [seed] [others|pictures]`` runs for longer than the tests do, and says what went
wrong: of DICOM images, of the other files of `formats.py`, or of pictures and videos.
"""

from __future__ import annotations

import functools
import io
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data

SECONDS = 2.0
#: What reading may take in memory: the bytes that `Limits` allow freely, twice; or four times what the file has.
FREE = 64 << 20
_LENGTHS = (0, 1, 7, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 1 << 20)
_TAGS = (0x00280010, 0x00280011, 0x00280008, 0x00280002, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280004,
         0x00020010, 0x00200032, 0x00200037, 0x00280030, 0x00281053, 0x7FE00010, 0x0020000E, 0x00080016)  # fmt: skip

_NAMES = ((0x10, 0x10, b"PN"), (0x10, 0x20, b"LO"), (0x20, 0x0D, b"UI"), (0x20, 0x0E, b"UI"), (8, 0x18, b"UI"))


@functools.cache
def seeds(most: int = 150_000) -> dict[str, bytes]:
    """The DICOM files in pydicom's wheel, without large ones."""
    folder = Path(pydicom.data.__file__).parent
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and f.suffix in (".dcm", "")]
    return {f.name: f.read_bytes() for f in files if f.stat().st_size < most}


def mutants(count: int, seed: int, of: dict[str, bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """Name of the seed and bytes of a mutant of it."""
    dice = random.Random(seed)
    every = list((seeds() if of is None else of).items())
    for _ in range(count):
        name, data = dice.choice(every)
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 5))):
            dice.choice(_WAYS)(changed, dice)
        yield name, bytes(changed)


def ending(name: str) -> str:
    """What the name of a mutant must end in."""
    return "".join(Path(name).suffixes[-2:] if name.endswith(".gz") else Path(name).suffixes[-1:])


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


def _item(data: bytearray, dice: random.Random) -> None:
    """Another length for an item of compressed pixel data or of a sequence, or another entry for an offset table."""
    items = [at for at in range(0, len(data) - 8, 2) if data[at : at + 4] == b"\xfe\xff\x00\xe0"][:200]
    if items:
        at = dice.choice(items) + dice.choice((4, 4, 8, 12))
        number = dice.choice((*_LENGTHS, 4, 8, 64, dice.randrange(1 << 16), len(data), len(data) - at))
        data[at : at + 4] = struct.pack("<I", number & 0xFFFFFFFF)


_WAYS = (_flip, _flip, _flip, _byte, _byte, _cut, _remove, _double, _length, _length, _value, _value, _item, _nest)


# --------------------------------------------------------------------------------------------------- the judgement


def judge(file: Path, data: bytes, seed: str = "") -> str:
    """'' where reading gives a volume or one of our errors, soon and of little memory; else what went wrong.

    With the name of a seed from `seeds`, other voxels than the seed's need a reason in the header or the pixel data.
    """
    import fastmed

    file.write_bytes(data)
    held, most, start = _resident(), _most_resident(), time.process_time()
    found: Any = None
    try:
        found, said = _read(file), ""
    except fastmed.errors.FastmedError as error:
        said = str(error)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    took = time.process_time() - start
    if took > SECONDS:
        return f"{took:.1f} s"
    grown = _most_resident() - held
    if _most_resident() > most and grown > max(FREE, 4 * len(data)):
        return f"{grown >> 20} MiB"
    if any(name in said for name in _identifiers(data)):
        return f"quotes an identifier: {said}"
    if found is not None and seed and not _explained(found, seed, data):
        return "other voxels, and nothing in the file says why"
    return ""


def _read(file: Path) -> Any:
    """With what the name of the file asks for."""
    import fastmed.archive as archive

    special = {".seg": archive.read_segmentation, ".rt": _structures, ".wave": archive.read_waveforms}
    return special.get(file.suffix, archive.read)(file)


@functools.cache
def _grid() -> Any:
    from fastmed import Volume

    return Volume(np.zeros((8, 6, 5), np.int16), np.diag([2.0, 0.5, 0.75, 1.0])[[2, 1, 0, 3]])


def _structures(file: Path) -> Any:
    import fastmed.archive as archive

    return archive.read_structures(file, like=_grid())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _explained(found: Any, seed: str, data: bytes) -> bool:
    """Whether the voxels are the seed's, or the file describes other pixels or holds other bytes of them."""
    before, reasons = _of_seed(seed)
    if before is not None and np.array_equal(found.array, before, equal_nan=before.dtype.kind == "f"):
        return True
    now = _description(data)
    if now is None:  # pydicom cannot read it
        return _pixel_bytes(seed) not in data
    return bool(now != reasons)


@functools.cache
def _pixel_bytes(seed: str) -> bytes:
    return bytes(pydicom.dcmread(io.BytesIO(seeds()[seed]), force=True).get("PixelData", b""))


@functools.cache
def _of_seed(seed: str) -> tuple[Any, Any]:
    import fastmed

    data = seeds()[seed]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seed"
        file.write_bytes(data)
        try:
            array = fastmed.read(file).array
        except fastmed.errors.FastmedError:
            array = None
    return array, _description(data)


def _description(data: bytes) -> Any:
    """Everything that can change voxels, as pydicom finds it: the syntax, and all of some groups. None: it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=True)
            tags = [tag for tag in dataset._dict if tag >> 16 in (0x0018, 0x0020, 0x0028, 0x3004, 0x5200, 0x7FE0)]
            known = [(tag, str(dataset._dict[tag])[:2000], _digest(dataset._dict[tag].value)) for tag in tags]
            return known, str(dataset.file_meta.get("TransferSyntaxUID")), str(dataset.get("SOPClassUID"))
        except Exception:
            return None


def _digest(value: Any) -> Any:
    return hash(value) if isinstance(value, bytes) else None


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
    import formats

    makers = {"others": formats.seeds, "pictures": formats.pictures}
    make = makers[sys.argv[3]] if len(sys.argv) > 3 else None
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        of = make(Path(folder)) if make else None
        for n, (name, data) in enumerate(mutants(count, seed, of)):
            verdict = judge(Path(folder) / (f"mutant{ending(name)}" if make else "mutant"), data, "" if make else name)
            if verdict:
                wrong[verdict[:200]] += 1
                print(f"{n} {name}: {verdict[:300]}", flush=True)
                (Path.cwd() / f"wrong-{seed}-{n}-{name}").write_bytes(data)
    print(f"{count} mutants of seed {seed}, {sum(wrong.values())} wrong answers")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
