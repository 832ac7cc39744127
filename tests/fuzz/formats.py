"""Small files of every format but plain DICOM images, as seeds for `mutate.py`."""

from __future__ import annotations

import contextlib
import gzip
import io
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom.data

sys.path.insert(0, str(Path(__file__).parents[1] / "archive"))


def seeds(folder: Path) -> dict[str, bytes]:
    """The files by name, whose ending says what reads them. What needs a package that is not here is left out."""
    made: dict[str, bytes] = {}
    for make in (_volumes, _zips, _segmentations, _structures, _waveforms):
        with contextlib.suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.update(make(folder))
    return made


def pictures(folder: Path) -> dict[str, bytes]:
    """PNG, JPEG, TIFF and video, whose decoders run in a process of their own for each file: slow."""
    made: dict[str, bytes] = {}
    for make in (_pictures, _videos):
        with contextlib.suppress(ImportError):
            made.update(make(folder))
    return made


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(np.uint8)


def _volumes(folder: Path) -> dict[str, bytes]:
    import fastmed

    affine = np.array([[0, 0.1, 0.75, -10], [0, 0.5, -0.1, 20], [2.0, 0, 0, 30], [0, 0, 0, 1]])
    volume = fastmed.Volume(_noise(4, 6, 5).astype(np.int16), affine)
    for name in ("a.nii", "b.nii.gz", "c.nrrd"):
        fastmed.archive.write(volume, folder / name)
    made = {name: (folder / name).read_bytes() for name in ("a.nii", "c.nrrd")}
    made["b.gz.nii.gz"] = gzip.compress(made["a.nii"], 1)
    head = b"ObjectType = Image\nNDims = 3\nDimSize = 5 6 4\nElementType = MET_SHORT\nElementSpacing = 0.75 0.5 2\n"
    made["d.mha"] = head + b"ElementDataFile = LOCAL\n" + volume.array.tobytes()
    plain = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 5 6 4\nspacings: 1 1 2\nencoding: raw\nendian: little\n\n"
    made["e.nrrd"] = plain + volume.array.tobytes()
    return made


def _zips(folder: Path) -> dict[str, bytes]:
    made = {}
    for n, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name in ("CT_small.dcm", "MR_small_RLE.dcm"):
                archive.write(str(pydicom.data.get_testdata_file(name)), name)
        made[f"zip{n}.zip"] = stream.getvalue()
    return made


def _segmentations(folder: Path) -> dict[str, bytes]:
    from make import Truth, ramp, save
    from test_objects import overlapping, segmentation

    truth, masks, made = Truth(ramp()), overlapping(), {}
    stacks = {
        "BINARY": masks,
        "FRACTIONAL": (masks * 100).astype(np.uint8),
        "LABELMAP": (masks[0] * 1 + masks[1] * 2).astype(np.uint8),
    }
    for kind, stack in stacks.items():
        save(segmentation(truth, stack, kind), folder / "seg")
        made[f"{kind}.seg"] = (folder / "seg").read_bytes()
    return made


def _structures(folder: Path) -> dict[str, bytes]:
    from make import Truth, ramp, save
    from test_objects import square, structures

    contours = [("CLOSED_PLANAR", square(k, 1, 4)) for k in range(5)]
    save(structures(Truth(ramp()), contours), folder / "structures")
    return {"planar.rt": (folder / "structures").read_bytes()}


def _waveforms(folder: Path) -> dict[str, bytes]:
    from make import save
    from test_objects import recording

    save(recording("MB", bytes(range(256)), 256), folder / "audio")
    return {"audio.wave": (folder / "audio").read_bytes()}


def _pictures(folder: Path) -> dict[str, bytes]:
    import tifffile
    from PIL import Image

    made = {}
    for name in ("a.png", "b.jpg"):
        Image.fromarray(_noise(16, 16, 3)).save(folder / name)
        made[name] = (folder / name).read_bytes()
    for n, compression in enumerate((None, "zlib", "lzw")):
        tifffile.imwrite(folder / "t.tif", _noise(3, 9, 7), photometric="minisblack", compression=compression)
        made[f"{n}.tif"] = (folder / "t.tif").read_bytes()
    return made


def _videos(folder: Path) -> dict[str, bytes]:
    from test_picture_files import video

    made = {}
    for suffix, codec in ((".avi", "ffv1"), (".mkv", "ffv1"), (".mov", "png"), (".mpg", "mpeg1video")):
        pixels = "gray" if codec != "mpeg1video" else "yuv420p"
        path = video(folder / f"v{suffix}", _noise(4, 32, 48), codec, pixels)
        made[path.name] = path.read_bytes()
    return made
