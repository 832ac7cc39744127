"""Small files that claim to be large: refused, without the memory that they ask for."""

from __future__ import annotations

import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from make import SC, base, save, set_pixels

pytest.importorskip("resource")


def image(rows, columns, syntax="1.2.840.10008.1.2.1", pixels=b"\0" * 16, frames=1):
    ds = base(SC, "OT", "1.2.3.4", syntax)
    set_pixels(ds, np.zeros((4, 4), np.uint8))
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.PixelData = rows, columns, frames, pixels
    if syntax.startswith(("1.2.840.10008.1.2.4", "1.2.840.10008.1.2.5")):
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


def item(data):
    head = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little")
    return head + data + b"\xfe\xff\xdd\xe0\0\0\0\0"


def jpeg_ls(rows, columns, size):
    head = b"\xff\xd8\xff\xf7\0\x0b\x08" + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + b"\1\1\x11\0"
    return head + b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(size) + b"\xff\xd9"


def j2k(rows, columns):
    siz = b"\0\0" + columns.to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes(8)
    siz += columns.to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes(8) + b"\0\1\7\1\1"
    cod = b"\xff\x52\0\x0c\0\0\0\1\0\0\4\4\0\1"
    return b"\xff\x4f\xff\x51" + (len(siz) + 2).to_bytes(2, "big") + siz + cod + bytes(8000)


def dimensions(path):
    save(image(65535, 65535, frames=2**31 - 1), path)


def jpeg_ls_bomb(path):
    save(image(65535, 16384, "1.2.840.10008.1.2.4.80", item(jpeg_ls(65535, 16384, 8000))), path)


def jpeg_ls_of_another_size(path):
    save(image(64, 64, "1.2.840.10008.1.2.4.80", item(jpeg_ls(65535, 16384, 8000))), path)


def j2k_bomb(path):
    save(image(65535, 65535, "1.2.840.10008.1.2.4.90", item(j2k(65535, 65535))), path)


def j2k_of_another_size(path):
    save(image(64, 64, "1.2.840.10008.1.2.4.90", item(j2k(2**31 - 1, 2**31 - 1))), path)


def rle(path):
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    save(image(60000, 60000, "1.2.840.10008.1.2.5", item(header + b"\x81\0" * 50_000)), path)


def deflated(path):
    save(image(4, 4, "1.2.840.10008.1.2.1.99"), path)
    data = path.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(data[:end] + b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush())


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.dcm", "w") as stream:
        for _ in range(500):
            stream.write(bytes(1 << 20))


def length_of_an_element(path):
    save(image(4, 4), path)
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[: at + 4] + b"UT\0\0\xfe\xff\xff\xff" + data[at + 8 :])


def nesting(path):
    save(image(4, 4), path)
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x16\x00UI")
    level = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(data[:at] + level * 200_000 + data[at:])


BOMBS = [dimensions, jpeg_ls_bomb, jpeg_ls_of_another_size, j2k_bomb, j2k_of_another_size, rle, deflated, zipped,
         length_of_an_element, nesting]  # fmt: skip

SCRIPT = """
import resource, sys
import fastmed, fastmed.archive, pydicom.data
fastmed.read(pydicom.data.get_testdata_file("CT_small.dcm"))  # what is needed anyway
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fastmed.read(sys.argv[1])
    print("read")
except fastmed.errors.SeriesError as error:
    print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_refused_within_64_MiB(tmp_path, bomb):
    bomb(tmp_path / "bomb")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "bomb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said, *memory = done.stdout.split()
    assert said.isidentifier() and said != "read", done.stderr
    assert int(memory[0]) < 64 << 10
