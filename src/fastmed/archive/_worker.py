"""The other process: decodes pixel data with libraries that are not ours. Run as a script by `_isolate.py`.

A request on stdin is a line of JSON and the bytes of a DICOM file; the answer on stdout is, for each frame, a line of
JSON and the frame's bytes, or a line with the name of an exception. Whatever a hostile file makes of this process, its
memory and files are limited, it holds nothing else, and the parent believes nothing but sizes that it expects.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO


def main() -> None:
    """Answer requests until stdin ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the answers
    warnings.simplefilter("ignore")
    logging.disable()
    _confine(int(sys.argv[1]))
    import numpy  # noqa: F401  (what it starts belongs before the first request's time)

    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        try:
            for frame in frames_of(data, request):
                _send(answers, frame)
        except BaseException as error:  # Rust panics are no Exception
            answers.write(json.dumps({"error": type(error).__name__}).encode() + b"\n")
        answers.flush()


def _confine(memory: int) -> None:
    """No more than so much memory, no new files, no core dump, no new privileges."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, Linux


def _send(answers: BinaryIO, frame: Any) -> None:
    head = {"dtype": frame.dtype.str, "shape": frame.shape}
    answers.write(json.dumps(head).encode() + b"\n")
    answers.write(frame.tobytes())


def frames_of(data: bytes, request: dict[str, Any]) -> Iterator[Any]:
    """The frames that a request names; also what the parent calls where it decodes by itself."""
    import pydicom
    from pydicom.pixels import iter_pixels, pixel_array
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    _register()
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(request["syntax"])
    raw = not request["colour"]
    if request["frames"] is None:
        arrays: Iterator[Any] = iter([pixel_array(dataset, raw=raw)])
    else:
        arrays = iter_pixels(dataset, raw=raw, indices=request["frames"])
    for array in arrays:
        if request["palette"]:
            array = apply_color_lut(array, dataset)
        yield apply_modality_lut(array, dataset) if request["lut"] else array


def _register() -> None:
    """Offer our plugin to pydicom. As a script this module has no package, and finds its neighbour by its folder."""
    if __package__:
        from . import _jpeg_lossless
    else:
        import _jpeg_lossless  # type: ignore[no-redef]
    _jpeg_lossless.register()


if __name__ == "__main__":
    main()
