"""TIFF stacks, PNG, JPEG and video -> Volume. Decoders of others run in a process of their own."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import DecodeError, LimitExceeded, TruncatedPixels, UnsupportedImageError
from ..volume import Volume
from . import _pictures_worker as _worker
from ._limits import Limits
from ._source import open_regular

TIFF = (".tif", ".tiff")
PICTURES = (".png", ".jpg", ".jpeg")
VIDEO = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")

_ERRORS = {error.__name__: error for error in (DecodeError, TruncatedPixels, UnsupportedImageError, LimitExceeded)}
_LONGEST_LINE = 1 << 16


def read_picture(path: str, limits: Limits) -> Volume:
    """Read a picture, a stack of pictures or a video.

    Raises
    ------
    DecodeError
        If it is broken, or ends too early.
    LimitExceeded
        If it has more or larger frames than `limits` allow, or takes its decoder too long.
    UnsupportedImageError
        If it is no grey or RGB image, is in part transparent, or what reads it is not installed.
    """
    with open_regular(path) as file:  # a link, a FIFO...
        present = file.seek(0, os.SEEK_END)
    kind = next(name for name, ends in (("tiff", TIFF), ("picture", PICTURES), ("video", VIDEO))
                if path.lower().endswith(ends))  # fmt: skip
    request = {"kind": kind, "path": os.path.abspath(path)}
    with contextlib.ExitStack() as stack:
        if limits.isolate and os.name == "posix":
            messages = _isolated(request, limits, stack)
        else:
            messages = _here(request)
        about = next(messages)
        frames = _frames(messages, about, present, limits)
    return _volume(frames, about)


def _frames(messages: Iterator[Any], about: dict[str, Any], present: int, limits: Limits) -> np.ndarray:
    """All frames as one array; every size is checked before anything of it is allocated or read."""
    shape, kind = tuple(int(n) for n in about["shape"]), np.dtype(about["dtype"])
    if not 2 <= len(shape) <= 3 or min(shape) < 1 or (len(shape) == 3 and shape[2] != 3) or kind.kind not in "buif":
        raise DecodeError("the decoder gave no image")
    frame = int(np.prod(shape, dtype=object)) * kind.itemsize
    if frame > limits.max_frame_bytes:
        raise LimitExceeded(f"a frame of {frame} bytes; at most {limits.max_frame_bytes} are read")
    expected = int(about.get("count") or 0)
    _check(max(expected, 1), frame, present, limits)
    whole = np.empty((expected, *shape), kind) if expected and about.get("exact") else None
    frames: list[np.ndarray] = []
    count = 0
    for one in messages:
        _check(count + 1, frame, present, limits)
        if one.shape != shape or one.dtype != kind:
            raise UnsupportedImageError("frames of several sizes or kinds")
        if whole is None:
            frames.append(one)
        elif count < expected:
            whole[count] = one
        count += 1
    if not count or (whole is not None and count != expected):
        raise TruncatedPixels(f"the file ends after {count} of {expected or 'its'} frames")
    return whole if whole is not None else np.stack(frames)


def _check(count: int, frame: int, present: int, limits: Limits) -> None:
    if count > limits.max_frames:
        raise LimitExceeded(f"over {limits.max_frames} frames, which is Limits.max_frames")
    if count * frame > limits.max_volume_bytes:
        raise LimitExceeded(f"a volume of {count * frame} bytes; at most {limits.max_volume_bytes} are read")
    limits.check_expansion(count * frame, present, limits.max_expansion, "the file")


def _volume(frames: np.ndarray, about: dict[str, Any]) -> Volume:
    """In the axes that the file names; without a scale in it a pixel is 1 mm, and `geometry` says 'none'."""
    leading = [int(n) for n in about.get("leading") or [len(frames)]]
    frames = frames.reshape(*leading, *frames.shape[1:])
    affine = np.eye(4)
    affine[:3, :3] = np.diag([about.get(name, 1.0) for name in ("dx", "dy", "dz")])[:, ::-1]
    meta: dict[str, Any] = {"axes": str(about["axes"]), "geometry": "pixel spacing" if "dx" in about else "none"}
    if about.get("frame_rate"):
        meta["frame_rate"] = float(about["frame_rate"])
    return Volume(frames, affine, meta=meta)


# ------------------------------------------------------------------------------------------------- who decodes


def _here(request: dict[str, Any]) -> Iterator[Any]:
    try:
        yield from _worker.messages(request)
    except _worker.Refused as error:
        raise _ERRORS[error.kind](str(error)) from None


def _isolated(request: dict[str, Any], limits: Limits, stack: contextlib.ExitStack) -> Iterator[Any]:
    """The messages of a process with little to lose: bounded in memory and time, killed when the block ends."""
    script = str(Path(__file__).with_name("_pictures_worker.py"))
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "IMAGECODECS")}
    process = subprocess.Popen(
        [sys.executable, script, str(limits.max_decoder_bytes), str(limits.max_seconds), json.dumps(request)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **threads},
        start_new_session=True, bufsize=0,
    )  # fmt: skip
    assert process.stdout is not None
    stack.callback(_end, process)
    os.set_blocking(process.stdout.fileno(), False)
    return _received(process.stdout, time.monotonic() + limits.max_seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _received(stream: IO[bytes], deadline: float) -> Iterator[Any]:
    """What the worker says of the file, and then its frames."""
    about: dict[str, Any] = {}
    while True:
        message = json.loads(_line(stream, deadline))
        if "error" in message:
            raise _ERRORS.get(str(message["error"]), DecodeError)(str(message["text"])[:200])
        if "end" in message:
            return
        if not about:
            about = message
            yield about
            # The size was checked before the consumer asks for more.
            size = int(np.prod(about["shape"], dtype=object)) * np.dtype(about["dtype"]).itemsize
            continue
        array = np.empty(size, np.uint8)
        _exactly(stream, memoryview(array), deadline)  # type: ignore[arg-type]
        yield array.view(about["dtype"]).reshape(about["shape"])


def _line(stream: IO[bytes], deadline: float) -> bytes:
    """Byte by byte: what follows a line belongs to a frame."""
    line = bytearray()
    one = bytearray(1)
    while not line.endswith(b"\n"):
        if len(line) > _LONGEST_LINE:
            raise DecodeError("the decoder gave no image")
        _exactly(stream, memoryview(one), deadline)
        line += one
    return bytes(line)


def _exactly(stream: Any, view: memoryview, deadline: float) -> None:
    done = 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while done < len(view):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise LimitExceeded("the decoder took longer than Limits.max_seconds")
            count = stream.readinto(view[done:])
            if count == 0:
                raise DecodeError("the decoder's process died (of the file, or of its memory limit)")
            done += count or 0
