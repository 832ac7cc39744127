"""One run: blocks through a step into a sink, each noted when it is done."""

from __future__ import annotations

import contextlib
import functools
import io
import math
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
from ._box import Box, merged, scratch, shape_of, slices_of
from ._plan import Plan
from ._sinks import Parts, Sink, any_in
from ._sources import Source
from ._steps import Step

#: Shortest edge of a part that is looked at by itself: of smaller ones the halo costs more than it saves.
LEAST_PART = 64


@dataclass(frozen=True)
class Job:
    """What a worker needs; it pickles if its source can be opened again."""

    reopen: Any = field(repr=False)  # gives the source, in any process
    sink: Sink = field(repr=False)
    step: Step
    plan: Plan
    work: Path
    name: str  # of the output
    reopen_mask: Any = field(default=None, repr=False)  # gives the source of a mask

    @functools.cached_property
    def source(self) -> Source:
        source = self.reopen()
        if hasattr(source, "limit"):
            source.limit = self.plan.cache_bytes
        return source

    @functools.cached_property
    def mask(self) -> Source | None:
        return None if self.reopen_mask is None else self.reopen_mask()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("source", "mask", "known")}

    # --- one block ------------------------------------------------------------------------------------------

    def computed(self, number: int) -> np.ndarray:
        """The step's result for a block."""
        box = self.plan.box(number)
        parts = self._parts(box)
        if len(parts) == 1:
            return self._computed(box)
        result, origin = scratch("whole", shape_of(box), self.step.stored), [first for first, _ in box]
        for part in parts:
            result[slices_of(part, origin)] = self._computed(part)
        return result

    def _parts(self, box: Box) -> list[Box]:
        """A block in parts, so that those around which the input holds one value need not be computed."""
        if not self.source.sparse or self.mask is not None:
            return [box]
        assert self.source.chunks is not None
        cuts = []
        for (first, last), chunk in zip(box, self.source.chunks, strict=True):
            step = chunk * -(-LEAST_PART // chunk) if last - first > LEAST_PART else last - first
            cuts.append([first, *range((first // step + 1) * step, last, step), last])
        active = np.empty([len(c) - 1 for c in cuts], bool)
        for index in np.ndindex(*active.shape):
            unit = tuple((c[i], c[i + 1]) for i, c in zip(index, cuts, strict=True))
            active[index] = self.source.value_around(self.plan.around(unit)[0]) is None
        found = [tuple((c[a], c[b]) for (a, b), c in zip(one, cuts, strict=True))
                 for wanted in (active, ~active) for one in merged(wanted)]  # fmt: skip
        work = sum(self._work(part) for part in found if self.source.value_around(self.plan.around(part)[0]) is None)
        return found if work < self._work(box) else [box]

    def _work(self, box: Box) -> int:
        return math.prod(last - first for first, last in self.plan.around(box)[0])

    def _computed(self, box: Box) -> np.ndarray:
        """The step's result for a part; the thread's next one may overwrite it."""
        spans, keep = self.plan.around(box)
        if self.mask is not None:
            block, mask = (one.read_around(spans, self.plan.wrapped(), name)
                           for one, name in ((self.source, "block"), (self.mask, "mask")))  # fmt: skip
            return self.step.compute(block, mask)[keep]
        value = self.source.value_around(spans)
        if value is not None:
            return self._of_one_value(value, shape_of(tuple(spans)), keep)
        block = self.source.read_around(spans, self.plan.wrapped())
        return self.step.compute(block)[keep]

    def _of_one_value(self, value: Any, shape: tuple[int, ...], keep: tuple[slice, ...]) -> np.ndarray:
        """The result for a block of one value, found from a smaller one: it holds all that its ends make different."""
        wanted = tuple(k.stop - k.start for k in keep)
        lost = [(k.start, n - k.stop) for k, n in zip(keep, shape, strict=True)]
        small = tuple(min(n, a + b + 2 * max(reach) + 1)
                      for n, (a, b), reach in zip(shape, lost, self.plan.halo, strict=True))  # fmt: skip
        key = (small, tuple(lost))
        if key not in self.known:
            inner = tuple(slice(a, n - b) for n, (a, b) in zip(small, lost, strict=True))
            self.known[key] = _only_value(self.step.compute(np.full(small, value, self.source.dtype))[inner])
        found = self.known[key]
        if found is None:
            block = scratch("block", shape, self.source.dtype)
            block[...] = value
            return self.step.compute(block)[keep]
        return np.broadcast_to(found, wanted)

    @functools.cached_property
    def known(self) -> dict[Any, np.ndarray | None]:
        """What blocks of one value give, by their shape."""
        return {}

    def look(self, number: int, part: Any, before: Any) -> Any:
        """What a survey takes from a block."""
        with num_threads(self.plan.threads):
            return part(self.computed(number), before)

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


def _only_value(result: np.ndarray) -> np.ndarray | None:
    """The value that all elements have, as an array of one element; None where they differ.

    Compared as bytes: a zero is not a negative zero, and a NaN is itself.
    """
    first = result[(slice(0, 1),) * result.ndim].copy()
    raw = np.ascontiguousarray(result).reshape(-1, 1).view(np.uint8)
    return first if (raw == first.reshape(1, 1).view(np.uint8)).all() else None


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
