"""Decodes a TIFF, PNG, JPEG or video file; runs alone as a script too, so that a hostile file ends only this process.

It imports nothing of fastmed. As a script: arguments are bytes of memory, seconds, and the request as JSON; on stdout
come lines of JSON, the first about the file, then one before the bytes of each frame, then ``{"end": true}``. A refusal
is a line with an error's name and our own words; words of decoders are not passed on, since they can quote the file.
"""

from __future__ import annotations

import contextlib
import json
import sys
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from typing import Any

import numpy as np

_TO_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3, "\\u00b5m": 1e-3,
          "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "nm": 1e-6}  # fmt: skip


class Refused(Exception):
    """`kind` names the class of fastmed.errors."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def messages(request: dict[str, Any]) -> Iterator[Any]:
    """What is to be known of the file, and then its frames.

    Raises
    ------
    Refused
        Whatever happens.
    """
    try:
        yield from _READERS[request["kind"]](request["path"])
    except (Refused, GeneratorExit, KeyboardInterrupt):
        raise
    except ImportError as error:
        extra = {"video": "video"}.get(request["kind"], "archive")
        text = f"{error.name} is not installed: pip install 'fastmed[{extra}]'"
        raise Refused("UnsupportedImageError", text) from None
    except MemoryError:
        raise Refused("LimitExceeded", "the decoder needs more memory than Limits.max_decoder_bytes") from None
    except BaseException as error:
        raise Refused("DecodeError", f"the file cannot be decoded ({type(error).__name__})") from None


# -------------------------------------------------------------------------------------------------------- TIFF


def _tiff(path: str) -> Iterator[Any]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if len(file.series) > 1 and not series.is_pyramidal:
            raise Refused("UnsupportedImageError", f"a TIFF of {len(file.series)} images of several sizes or kinds")
        named, shape = series.axes, series.shape
        if series.ndim > 2 and named.startswith("Q") and named[1:] in ("YX", "YXS"):
            named = named.replace("Q", "Z")
        named = named.replace("I", "Z")
        colour = named.endswith("S")
        plane = 3 if colour else 2
        leading = named[:-plane]
        pages: list[Any] = [page for page in series.pages if page is not None]
        if named[len(leading) :] not in ("YX", "YXS") or leading not in ("", "Z", "T", "TZ") or shape[-plane:] != \
                tuple(pages[0].shape):  # fmt: skip
            raise Refused("UnsupportedImageError", f"a TIFF with the axes {series.axes[:8]}; wanted are TZYX at most")
        if len(pages) != len(series.pages) or len(pages) != int(np.prod(shape[:-plane], dtype=object)):
            raise Refused("TruncatedPixels", "a TIFF that lacks some of its pages")
        if pages[0].photometric.name not in ("MINISBLACK", "RGB", "YCBCR") or (colour and shape[-1] != 3):
            raise Refused("UnsupportedImageError", "a TIFF that is neither grey nor RGB")
        if pages[0].compression == 1 and sum(sum(p.databytecounts) for p in pages) < pages[0].nbytes * len(pages):
            raise Refused("TruncatedPixels", "the pages of the TIFF hold fewer bytes than their sizes demand")
        kind = np.dtype(pages[0].dtype)
        first: dict[str, Any] = {"shape": [int(n) for n in shape[-plane:]], "dtype": kind.newbyteorder("<").str}
        axes = {"": "tyx", "Z": "zyx", "T": "tyx", "TZ": "tzyx"}[leading] + ("c" if colour else "")
        yield {**first, "count": len(pages), "exact": True, "axes": axes,
               "leading": [int(n) for n in shape[:-plane]], **_scale_of(file)}  # fmt: skip
        for page in pages:
            yield np.ascontiguousarray(page.asarray(maxworkers=1)).astype(first["dtype"], copy=False)


def _scale_of(file: Any) -> dict[str, float]:
    """mm per voxel where ImageJ or OME wrote them; the plain tags of TIFF are for printers."""
    try:
        found = _ome_scale(file.ome_metadata) if file.is_ome else _imagej_scale(file)
    except (KeyError, ValueError, TypeError, ZeroDivisionError, xml.ParseError):
        return {}
    good = found and all(np.isfinite(v) and 1e-9 < v < 1e6 for v in found.values())
    return found if good else {}


def _imagej_scale(file: Any) -> dict[str, float]:
    about = file.imagej_metadata
    if not about or about.get("unit") not in _TO_MM:
        return {}
    tags, unit = file.pages[0].tags, _TO_MM[about["unit"]]
    (nx, dx), (ny, dy) = tags["XResolution"].value, tags["YResolution"].value
    return {"dx": dx / nx * unit, "dy": dy / ny * unit, "dz": float(about.get("spacing", 1.0)) * unit}


def _ome_scale(text: str) -> dict[str, float]:
    pixels = next(e for e in xml.fromstring(text).iter() if e.tag.endswith("}Pixels"))
    found = {}
    for name in "XYZ":
        size = pixels.get(f"PhysicalSize{name}")
        if size is None and name != "Z":
            return {}
        unit = pixels.get(f"PhysicalSize{name}Unit", "µm")
        found[f"d{name.lower()}"] = float(size or 1.0) * (_TO_MM[unit] if size else 1.0)
    return found


# ------------------------------------------------------------------------------------------------- PNG and JPEG


def _picture(path: str) -> Iterator[Any]:
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG")) as image:
        count = int(getattr(image, "n_frames", 1))
        mode = _mode_of(image)
        kind = {"L": "|u1", "I;16": "<u2", "I": "<i4", "F": "<f4", "RGB": "|u1", "1": "|b1"}[mode]
        colour = mode == "RGB"
        shape = (image.height, image.width, *([3] if colour else []))
        axes = "tyxc" if colour else "tyx"
        yield {"shape": shape, "dtype": kind, "count": count, "exact": True, "axes": axes}
        for n in range(count):
            image.seek(n)
            yield _pixels(image, mode).astype(kind, copy=False)


def _mode_of(image: Any) -> str:
    """What the pixels become: grey as it is stored, or RGB."""
    if image.mode in ("L", "1", "I", "F"):
        return str(image.mode)
    if image.mode.startswith("I;16"):
        return "I;16"
    if image.mode in ("LA", "La"):
        return "L"
    if image.mode in ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        return "RGB"
    raise Refused("UnsupportedImageError", f"a picture of the kind {image.mode[:8]!r}")


def _pixels(image: Any, mode: str) -> np.ndarray:
    if image.mode in ("LA", "La", "PA", "RGBA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if (alpha != 255).any():
            raise Refused("UnsupportedImageError", "a picture that is in part transparent")
    return np.ascontiguousarray(image if image.mode == mode or mode == "I;16" else image.convert(mode))


# -------------------------------------------------------------------------------------------------------- video


def _video(path: str) -> Iterator[Any]:
    import av

    av.logging.set_level(None)
    with av.open(path, metadata_errors="ignore") as file:
        if not file.streams.video:
            raise Refused("UnsupportedImageError", "a file without a video stream")
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1
        stored = stream.codec_context.pix_fmt or ""
        grey, deep = stored.startswith("gray"), stored.startswith("gray") and stored != "gray"
        wanted = "gray16le" if deep else "gray" if grey else "rgb24"
        shape = (stream.codec_context.height, stream.codec_context.width, *([] if grey else [3]))
        rate = float(stream.average_rate or 0)
        kind = "<u2" if deep else "|u1"
        count = int(stream.frames or 0)
        yield {"shape": shape, "dtype": kind, "count": count, "exact": count > 0, "frame_rate": rate,
               "axes": "tyx" if grey else "tyxc"}  # fmt: skip
        for frame in file.decode(stream):
            if frame.is_corrupt:
                raise Refused("DecodeError", "a frame of the video is corrupt")
            yield np.ascontiguousarray(frame.to_ndarray(format=wanted))


_READERS = {"tiff": _tiff, "picture": _picture, "video": _video}


# ----------------------------------------------------------------------------------------------- as a process


def _bounded(memory: int, seconds: float) -> None:
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def _main() -> None:
    with contextlib.suppress(ImportError):
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None  # the parent checks sizes, and the process is bounded
    out = sys.stdout.buffer
    _bounded(int(sys.argv[1]), float(sys.argv[2]))

    def say(**words: Any) -> None:
        out.write(json.dumps(words).encode() + b"\n")

    try:
        found = messages(json.loads(sys.argv[3]))
        say(**next(found))
        out.flush()
        for frame in found:
            say(frame=True)
            out.write(frame.tobytes())
        say(end=True)
    except Refused as error:
        say(error=error.kind, text=str(error))
    out.flush()


if __name__ == "__main__":
    _main()
