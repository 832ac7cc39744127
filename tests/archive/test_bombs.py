"""Small files that claim to be large: refused, without the memory that they ask for."""

from __future__ import annotations

import gzip
import struct
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


def zipped_twice(path):
    zipped(path.with_name("inner"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path.with_name("inner"), "a.zip")


def rle_frames(path):
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    save(image(64, 64, "1.2.840.10008.1.2.5", item(header + b"\x81\0" * 32), frames=10**6), path)


def jpeg_frames(path):
    save(image(4096, 4096, "1.2.840.10008.1.2.4.50", item(jpeg_ls(4096, 4096, 100)) * 40, frames=40), path)


def offset_table(path):
    items = b"\xfe\xff\x00\xe0" + (0xFFFFFFF0).to_bytes(4, "little") + bytes(200)
    save(image(64, 64, "1.2.840.10008.1.2.5", items), path)


def functional_groups(path):
    """A million empty items."""
    save(image(4, 4, frames=10**6), path)
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00")
    groups = b"\x00\x52\x30\x92SQ\0\0" + (8_000_000).to_bytes(4, "little") + b"\xfe\xff\x00\xe0\0\0\0\0" * 10**6
    path.write_bytes(data[:at] + groups + data[at:])


def nifti(sizes):
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(sizes), *sizes, *[1] * (7 - len(sizes)))
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)


def nifti_dimensions(path):
    path.write_bytes(nifti((32767, 32767, 32767)) + bytes(1000))


def nifti_gz_dimensions(path):
    path.write_bytes(gzip.compress(nifti((32767, 32767, 300)) + bytes(1000)))


def nifti_gz(path):
    path.write_bytes(gzip.compress(nifti((4096, 4096, 20)) + bytes(4096 * 4096 * 2 * 20), 9))


def nifti_gz_with_a_tail(path):
    path.write_bytes(gzip.compress(nifti((4, 4, 4)) + bytes(1 << 29), 9))


def nrrd_gz(path):
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4096 4096 20\nencoding: gzip\nendian: little\n\n"
    path.write_bytes(head + gzip.compress(bytes(4096 * 4096 * 2 * 20), 9))


def nrrd_gz_with_a_tail(path):
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: gzip\nendian: little\n\n"
    path.write_bytes(head + gzip.compress(bytes(1 << 29), 9))


def metaimage(path):
    head = b"ObjectType = Image\nNDims = 3\nDimSize = 4096 4096 20\nElementType = MET_SHORT\nCompressedData = True\n"
    path.write_bytes(head + b"ElementDataFile = LOCAL\n" + zlib.compress(bytes(4096 * 4096 * 2 * 20), 9))


def metaimage_dimensions(path):
    head = b"ObjectType = Image\nNDims = 3\nDimSize = 99999 99999 99999\nElementType = MET_SHORT\n"
    path.write_bytes(head + b"ElementDataFile = LOCAL\n" + bytes(100))


OF_DICOM = [dimensions, jpeg_ls_bomb, jpeg_ls_of_another_size, j2k_bomb, j2k_of_another_size, rle, rle_frames,
            jpeg_frames, offset_table, deflated, zipped, zipped_twice, length_of_an_element, nesting,
            functional_groups]  # fmt: skip
OF_OTHERS = {
    nifti_dimensions: ".nii", nifti_gz_dimensions: ".nii.gz", nifti_gz: ".nii.gz", nifti_gz_with_a_tail: ".nii.gz",
    nrrd_gz: ".nrrd", nrrd_gz_with_a_tail: ".nrrd", metaimage: ".mha", metaimage_dimensions: ".mha",
}  # fmt: skip
BOMBS = {**dict.fromkeys(OF_DICOM, ""), **OF_OTHERS}

SCRIPT = """
import resource, sys
import fastmed, fastmed.archive, pydicom.data
fastmed.read(pydicom.data.get_testdata_file("CT_small.dcm"))  # what is needed anyway
if sys.argv[2]:
    import nibabel, nrrd
def spent():
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in of)
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, spent()
try:
    fastmed.read(sys.argv[1])
    print("read", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, spent() - start)
except fastmed.errors.SeriesError as error:
    print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, spent() - start)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_refused_within_64_MiB_and_half_a_second(tmp_path, bomb):
    path = tmp_path / f"bomb{BOMBS[bomb]}"
    bomb(path)
    command = [sys.executable, "-c", SCRIPT, str(path), BOMBS[bomb]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said, *cost = done.stdout.split()
    assert said.isidentifier(), done.stderr
    assert (said == "read") == (bomb is nifti_gz_with_a_tail)  # whose tail nobody looks at
    assert int(cost[0]) < 64 << 10  # KiB
    assert float(cost[1]) < 0.5  # of the processor, which other processes do not lengthen
