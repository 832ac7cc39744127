"""One run: blocks through a step into a sink, each noted when it is done."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._engine.threads import num_threads
from ..edges import _hysteresis
from ..errors import OutputError
from ._box import scratch
from ._plan import Plan
from ._sinks import Parts, Sink, any_in
from ._sources import Source
from ._steps import Step


@dataclass(frozen=True)
class Job:
    """What a worker needs; it pickles if its source can be opened again."""

    reopen: Any = field(repr=False)  # gives the source, in any process
    sink: Sink = field(repr=False)
    step: Step
    plan: Plan
    work: Path
    name: str  # of the output

    @functools.cached_property
    def source(self) -> Source:
        source = self.reopen()
        if hasattr(source, "limit"):
            source.limit = self.plan.cache_bytes
        return source

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("source", "known")}

    # --- one block ------------------------------------------------------------------------------------------

    def computed(self, number: int) -> np.ndarray:
        """The step's result for a block."""
        spans, keep = self.plan.around(number)
        value = self.source.value_around(spans)
        if value is not None:
            return self._of_one_value(value, tuple(last - first for first, last in spans), keep)
        block = self.source.read_around(spans, self.plan.wrapped())
        return self.step.compute(block)[keep]

    def _of_one_value(self, value: Any, shape: tuple[int, ...], keep: tuple[slice, ...]) -> np.ndarray:
        """The result for a block of one value: computed once for each shape, where it is of one value again."""
        key = (shape, tuple((k.start, k.stop) for k in keep))
        found = self.known.get(key)
        if found is None:
            block = scratch("block", shape, self.source.dtype)  # not a second one beside it
            block[...] = value
            result = self.step.compute(block)[keep]
            if key in self.known:
                return result
            first = result[(slice(0, 1),) * result.ndim].copy()
            # compared as bytes: a zero is not a negative zero, and a NaN is itself
            same = all((plane.view(np.uint8) == first.view(np.uint8).ravel()).all()
                       for plane in (np.ascontiguousarray(p)[..., None] for p in result))  # fmt: skip
            self.known[key] = first if same else None
            return result
        return np.broadcast_to(found, tuple(k.stop - k.start for k in keep))

    @functools.cached_property
    def known(self) -> dict[Any, np.ndarray | None]:
        """What blocks of one value give, by their shape."""
        return {}

    def local(self, number: int) -> Parts:
        """Read, compute, write."""
        with num_threads(self.plan.threads):
            return self._write(number, self.computed(number))

    def mark(self, number: int) -> int:
        """Marks of a block, and what its neighbours must decide, into a file; the number of its labels, 0 and no file
        where there are no marks."""
        with num_threads(self.plan.threads):
            marks = self.computed(number)
            if not any_in(marks):
                return 0
            marks = np.ascontiguousarray(marks)
            decided, rest, faces, count = _hysteresis.undecided(marks, self.step.connectivity, self.plan.threads)
        named = {f"face{axis}{end}": face for axis, pair in enumerate(faces) for end, face in enumerate(pair)}
        packed = {"decided": np.packbits(decided), "rest": np.packbits(rest)}
        with self._writing(), _replacing(self.marks(number)) as file:
            _save(file, {**packed, **named})
        return count

    def resolve(self, number: int, good: np.ndarray) -> Parts:
        """The result of a block whose labels are known."""
        box = self.plan.box(number)
        shape = tuple(last - first for first, last in box)
        if not good.size > 1:
            return self._write(number, np.broadcast_to(np.zeros((), bool), shape))
        with np.load(self.marks(number)) as stored, num_threads(self.plan.threads):
            decided, rest = (
                np.unpackbits(stored[name], count=int(np.prod(shape))).view(bool).reshape(shape)
                for name in ("decided", "rest")
            )
            faces = [tuple(stored[f"face{axis}{end}"] for end in (0, 1)) for axis in range(len(shape))]
            result = _hysteresis.settle(decided, rest, faces, good, self.step.connectivity, self.plan.threads)
        return self._write(number, result)

    def marks(self, number: int) -> Path:
        return self.work / f"marks-{number}.npz"

    def face(self, number: int, axis: int, end: int) -> np.ndarray:
        """Labels on a face of a block that :meth:`mark` has been through."""
        if not self.marks(number).exists():
            shape = [last - first for first, last in self.plan.box(number)]
            shape[axis] = 1
            return np.zeros(shape, np.int32)
        with np.load(self.marks(number)) as stored:
            return stored[f"face{axis}{end}"]

    def _write(self, number: int, result: np.ndarray) -> Parts:
        with self._writing():
            return self.sink.write(self.plan.box(number), result)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self.name):
            yield


@contextlib.contextmanager
def writing(name: str) -> Iterator[None]:
    """Turn what a disk says into an :class:`OutputError`."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(
            f"the output {name} cannot be written: {reason}; what was there is as it was, and the same call goes on "
            "where this one stopped"
        ) from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """Write a file that is whole or not there, even after a kill. It need not outlive a power cut: no flush."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _save(file: Any, arrays: dict[str, np.ndarray]) -> None:
    """As np.savez_compressed, at the quickest level."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getbuffer())
