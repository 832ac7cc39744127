"""Processes that run other people's decoders, so that a hostile file costs an error and not the run.

They are started when first needed, wait for work between files, and end with this process. One that takes too long,
too much memory, or dies, is replaced.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DecodeError, LimitExceeded
from ._limits import Limits

_KINDS = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8", "<u8", "<i8", "|b1"}
_LONGEST_LINE = 4096

_lock = threading.Lock()
_idle: list[_Worker] = []
_owner = os.getpid()


def decode(data: bytes, request: dict[str, Any], limits: Limits) -> Iterator[np.ndarray]:
    """The frames that `request` names of the DICOM file `data`; see `_worker.py`.

    Raises
    ------
    DecodeError
        If the decoder fails or its process dies.
    LimitExceeded
        If it takes too long, or a frame too large.
    """
    worker = _borrow(limits)
    worker.sound = False
    try:
        yield from worker.frames(data, request, limits)
    finally:
        _give_back(worker) if worker.sound else worker.kill()


class _Worker:
    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.sound = True  # may serve again
        script = Path(__file__).with_name("_worker.py")
        # One thread in each library: a process per slice in flight is what uses the cores.
        quiet = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "IMAGECODECS")}
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
            start_new_session=True,  # Ctrl-C is answered by us
            bufsize=0,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self.stdout.fileno(), False)
        os.set_blocking(self.stdin.fileno(), False)
        self.ready = bytearray()
        self.selector = selectors.DefaultSelector()

    def frames(self, data: bytes, request: dict[str, Any], limits: Limits) -> Iterator[np.ndarray]:
        deadline = time.monotonic() + limits.max_seconds
        self._send(json.dumps({**request, "bytes": len(data)}).encode() + b"\n", deadline)
        self._send(data, deadline)
        count = 1 if request["frames"] is None else len(request["frames"])
        failed = ""
        for _ in range(count):
            head = json.loads(self._line(deadline))
            failed = str(head.get("error", ""))
            if failed:
                break
            yield self._frame(head, limits, deadline)
        # An exception of Python leaves the process as it was, and a new one takes a third of a second. After a panic or
        # without memory nobody knows.
        self.sound = not failed or (failed.endswith("Error") and failed != "MemoryError")
        if failed:
            _fail(failed)

    def _frame(self, head: dict[str, Any], limits: Limits, deadline: float) -> np.ndarray:
        shape = tuple(int(n) for n in head["shape"])
        if head["dtype"] not in _KINDS or not 2 <= len(shape) <= 3 or min(shape) < 1:
            raise DecodeError("the decoder gave no image")
        dtype = np.dtype(head["dtype"])
        size = dtype.itemsize
        for n in shape:
            size *= n
        if size > limits.max_frame_bytes:
            raise LimitExceeded(f"a frame of {size} bytes; at most {limits.max_frame_bytes} are read")
        array = np.empty(size, np.uint8)
        self._fill(memoryview(array), deadline)  # type: ignore[arg-type]
        return array.view(dtype).reshape(shape)

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while len(view):
            self._wait(self.stdin, selectors.EVENT_WRITE, deadline)
            try:
                view = view[self.stdin.write(view) or 0 :]
            except BrokenPipeError:
                raise _died() from None

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self.ready:
            if len(self.ready) > _LONGEST_LINE:
                raise DecodeError("the decoder gave no image")
            self._wait(self.stdout, selectors.EVENT_READ, deadline)
            more = self.stdout.read(_LONGEST_LINE)
            if more == b"":
                raise _died()
            self.ready += more or b""
        line, _, rest = bytes(self.ready).partition(b"\n")
        self.ready[:] = rest
        return line

    def _fill(self, view: memoryview, deadline: float) -> None:
        done = min(len(self.ready), len(view))
        view[:done] = self.ready[:done]
        del self.ready[:done]
        while done < len(view):
            self._wait(self.stdout, selectors.EVENT_READ, deadline)
            count = self.stdout.readinto(view[done:])  # type: ignore[attr-defined]
            if count == 0:
                raise _died()
            done += count or 0

    def _wait(self, stream: Any, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise LimitExceeded("the decoder took longer than Limits.max_seconds")

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


def _died() -> DecodeError:
    return DecodeError("the decoder's process died (of the file, or of its memory limit)")


def _fail(name: str) -> None:
    """Raise what the worker reported. Its words are not passed on: they can quote the file."""
    if name == "MemoryError":
        raise LimitExceeded("the decoder needs more memory than Limits.max_decoder_bytes")
    known = name if name.isidentifier() and len(name) < 64 else "unknown error"
    raise DecodeError(f"the decoder failed ({known})")


def _borrow(limits: Limits) -> _Worker:
    global _owner
    with _lock:
        if os.getpid() != _owner:  # after a fork they are our parent's
            _idle.clear()
            _owner = os.getpid()
        for worker in list(_idle):
            if worker.memory == limits.max_decoder_bytes:
                _idle.remove(worker)
                if worker.alive():
                    return worker
                worker.kill()
    return _Worker(limits.max_decoder_bytes)


def _give_back(worker: _Worker) -> None:
    with _lock:
        if os.getpid() == _owner and len(_idle) < (os.cpu_count() or 1):
            _idle.append(worker)
            return
    worker.kill()


@atexit.register
def _end() -> None:
    if os.getpid() != _owner:
        return
    with _lock:
        workers, _idle[:] = list(_idle), []
    for worker in workers:
        worker.kill()


def request_for(syntax: str, frames: Sequence[int] | None, *, colour: bool, palette: bool, lut: bool) -> dict[str, Any]:
    """What `_worker.frames_of` has to know."""
    return {
        "syntax": syntax,
        "frames": None if frames is None else list(frames),
        "colour": colour,
        "palette": palette,
        "lut": lut,
    }
