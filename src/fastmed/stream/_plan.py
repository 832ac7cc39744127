"""Which blocks: from the memory given, how far the operation looks, and how the volume is stored."""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ._box import Box

#: Of the memory given, so much is planned with. The rest: fragments, buffers of codecs, what Python keeps.
SHARE = 0.75
#: Least resident memory of a process with its libraries loaded.
BASE = 280 << 20
#: Chunks of an output that are encoded at a time, and edge of new chunks.
ENCODING, EDGE = 4, 128
#: Longest edge of a block: a stop loses at most the blocks in flight, and a bar should move.
LONGEST = 512
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
             "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}  # fmt: skip


def as_bytes(memory: int | str) -> int:
    """``'2GB'``, ``'1.5GiB'``, ``'800 MB'`` or a number of bytes.

    Raises
    ------
    ValueError
        For anything else, and 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]i?)?b?\s*", str(memory).lower())
    size = int(float(found[1]) * _SUFFIXES[found[2] or ""]) if found else 0
    if size < 1:
        raise ValueError(f"memory must be a size as '2GB' or '800MB', found {memory!r}")
    return size


@dataclass(frozen=True)
class Plan:
    """How a volume is worked through.

    Attributes
    ----------
    shape : tuple of int
        Of the volume.
    block : tuple of int
        Of the part that one task gives.
    halo : tuple of (int, int)
        What it reads beside that, per axis.
    chunks : tuple of int
        Of a Zarr that is written.
    workers : int
        Blocks at a time.
    threads : int
        Of each of them.
    block_bytes : int
        Memory of one block at work.
    cache_bytes : int
        Memory for chunks of the input that the next blocks need too.
    base_bytes : int
        Memory of the process itself.
    memory : int
        As given.
    passes : int
        Over all blocks.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    wrap: frozenset[int]
    chunks: tuple[int, ...]
    workers: int
    threads: int
    block_bytes: int
    cache_bytes: int
    base_bytes: int
    memory: int
    passes: int

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def n_blocks(self) -> int:
        return math.prod(self.counts)

    @property
    def peak_bytes(self) -> int:
        """What is expected at most."""
        return self.base_bytes + self.workers * self.block_bytes + self.cache_bytes

    @property
    def extra(self) -> float:
        """Elements computed to elements wanted: what the halo costs."""
        pairs = zip(self.shape, self.block, self.halo, strict=True)
        return math.prod(min(n, b + h[0] + h[1]) / min(n, b) for n, b, h in pairs)

    def order(self) -> list[int]:
        """Block numbers (C order) in the order of work: along the first axis first, so that neighbours share chunks."""
        axes = [range(n) for n in self.counts[::-1]]
        steps = [math.prod(self.counts[a + 1 :]) for a in range(len(self.counts))][::-1]
        return [sum(i * s for i, s in zip(index, steps, strict=True)) for index in itertools.product(*axes)]

    def box(self, number: int) -> Box:
        """The part that block `number` gives."""
        found = []
        for n, count, size in zip(self.shape[::-1], self.counts[::-1], self.block[::-1], strict=True):
            number, i = divmod(number, count)
            found.append((i * size, min(n, i * size + size)))
        return tuple(found[::-1])

    def around(self, box: Box) -> tuple[list[tuple[int, int]], tuple[slice, ...]]:
        """What a part reads, over the ends of axes that wrap, and what of its result it keeps."""
        spans, keep, wrapped = [], [], self.wrapped()
        for axis, (first, last) in enumerate(box):
            reach = self.halo[axis]
            span = first - reach[0], last + reach[1]
            if axis not in wrapped:
                span = max(span[0], 0), min(span[1], self.shape[axis])
            spans.append(span)
            keep.append(slice(first - span[0], last - span[0]))
        return spans, tuple(keep)

    def wrapped(self) -> frozenset[int]:
        """Axes that wrap and are cut."""
        return frozenset(a for a in self.wrap if self.counts[a] > 1)

    def explain(self) -> str:
        """The plan in words."""
        size = " x ".join
        blocks = size(map(str, self.block))
        reach = size(str(max(h)) for h in self.halo)
        lines = [
            f"volume    {size(map(str, self.shape))}, {math.prod(self.shape):,} voxels",
            f"blocks    {self.n_blocks:,} of {blocks}, each with a halo of {reach}: "
            f"{100 * (self.extra - 1):.0f} % more is computed than kept",
            f"passes    {self.passes}" + (" (marks; then joined over all blocks)" if self.passes > 1 else ""),
            f"at work   {self.workers} blocks at a time, {self.threads} thread(s) each",
            f"memory    {_mb(self.base_bytes)} program + {self.workers} x {_mb(self.block_bytes)} blocks + "
            f"{_mb(self.cache_bytes)} kept chunks = {_mb(self.peak_bytes)} of {_mb(self.memory)}",
            f"chunks    {size(map(str, self.chunks))} in a Zarr that is written",
        ]
        return "\n".join(lines)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def resident() -> int:
    """Bytes of memory that this process holds now."""
    if sys.platform.startswith("linux"):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return BASE


@dataclass(frozen=True)
class Costs:
    """What the choice of blocks depends on."""

    shape: tuple[int, ...]
    halo: tuple[tuple[int, int], ...]
    wrap: frozenset[int]
    stored: tuple[int, ...] | None  # chunks of the input
    bytes_in: int
    bytes_out: int
    scratch: int
    passes: int
    flat: bool  # whether the output is in C order
    sparse: bool = False  # whether chunks of the input may be absent, so that a block is put together from parts

    def chunks(self) -> tuple[int, ...]:
        """Of a Zarr that is written: those of the input where they are of a usual size."""
        if self.stored is not None and all(
            32 <= c <= 256 or c >= n for c, n in zip(self.stored[-3:], self.shape[-3:], strict=True)
        ):
            return tuple(min(n, max(c, 1)) for c, n in zip(self.stored, self.shape, strict=True))
        extra = len(self.shape) - 3
        return tuple([1] * extra + [min(n, EDGE) for n in self.shape[-3:]])

    def block_bytes(self, block: Sequence[int]) -> int:
        """Memory of one block at work, its result being written."""
        read = math.prod(
            min(b + h[0] + h[1], n + (h[0] + h[1]) * (a in self.wrap))
            for a, (b, h, n) in enumerate(zip(block, self.halo, self.shape, strict=True))
        )
        out = math.prod(block) * self.bytes_out * ((self.flat or self.scratch > 0) + self.sparse)
        chunk = math.prod(self.chunks()) * (self.bytes_in + self.bytes_out) * ENCODING
        return read * (self.bytes_in + self.bytes_out + self.scratch) + out + (0 if self.flat else chunk)

    def cache_bytes(self, block: Sequence[int], workers: int) -> int:
        """For two layers of stored chunks beside the blocks at work: between one block and the next along axis 0."""
        if self.stored is None or not any(max(h) for h in self.halo):
            return 0
        layer = self.bytes_in * min(self.stored[0], self.shape[0])
        for b, c, n, h in list(zip(block, self.stored, self.shape, self.halo, strict=True))[1:]:
            layer *= min(n, (b // c + (2 if max(h) else 0)) * c if b % c == 0 else b + 2 * c)
        return 2 * layer

    def unit(self) -> tuple[int, ...]:
        """What blocks are multiples of."""
        if not self.flat:
            return self.chunks()
        return tuple(min(n, u) for n, u in zip(self.shape, (1, 16, 16, LONGEST)[-len(self.shape) :], strict=True))

    def whole_chunks(self, block: Sequence[int]) -> tuple[int, ...]:
        """`block`, enlarged where it would cut a chunk that is written."""
        if len(block) != len(self.shape) or any(b < 1 for b in block):
            raise ValueError(f"block must have {len(self.shape)} sizes of at least 1, found {tuple(block)}")
        units = (1,) * len(block) if self.flat else self.unit()
        return tuple(min(n, -(-int(b) // u) * u) for n, b, u in zip(self.shape, block, units, strict=True))

    def extra(self, block: Sequence[int]) -> float:
        return math.prod((b + h[0] + h[1]) / b if b < n else 1.0
                         for b, h, n in zip(block, self.halo, self.shape, strict=True))  # fmt: skip


def make_plan(costs: Costs, memory: int, threads: int, block: Sequence[int] | None = None) -> Plan:
    """The plan for this memory and so many threads; with the blocks of an earlier run where they are given.

    Raises
    ------
    ValueError
        If the memory does not hold one block of the smallest size.
    """
    base = max(BASE, resident())
    room = int(memory * SHARE) - base
    best: tuple[float, Plan] | None = None
    workers = threads
    while workers >= 1:
        found = costs.whole_chunks(block) if block is not None else _grown(costs, room, workers)
        used = costs.block_bytes(found)
        cache = min(costs.cache_bytes(found, workers), room - workers * used)
        if workers * used <= room:
            # one block of several threads waits while it is read and written
            price = costs.extra(found) * (1 + 0.3 * math.log2(threads / workers)) * _idle(costs, found, workers)
            plan = Plan(
                costs.shape, found, costs.halo, costs.wrap, costs.chunks(), workers, max(1, threads // workers),
                used, max(cache, 0), base, memory, costs.passes,
            )
            if best is None or price < best[0]:
                best = price, plan
        workers = workers // 2 if workers > 1 else 0
    if best is None:
        smallest = costs.unit() if block is None else costs.whole_chunks(block)
        least = int((base + costs.block_bytes(smallest)) / SHARE) + 1
        raise ValueError(
            f"memory must be at least {_mb(least)} for this volume and operation, {_mb(base)} of which the process "
            f"holds already, found {_mb(memory)}"
        )
    return best[1]


def _idle(costs: Costs, block: Sequence[int], workers: int) -> float:
    """How much longer it takes because the last blocks leave workers idle."""
    blocks = math.prod(-(-n // b) for n, b in zip(costs.shape, block, strict=True))
    return -(-blocks // workers) * workers / blocks


def _grown(costs: Costs, room: int, workers: int) -> tuple[int, ...]:
    """The largest block that fits, as near to a cube as its units let it."""
    unit = costs.unit()
    block = list(unit)
    growing = set(range(len(block)))
    while growing:
        axis = min(growing, key=lambda a: (block[a], -a))
        larger = block.copy()
        larger[axis] = min(block[axis] + unit[axis], costs.shape[axis])
        longest = larger[axis] > max(LONGEST, unit[axis])
        fits = workers * costs.block_bytes(larger) + costs.cache_bytes(larger, workers) <= room
        if larger[axis] == block[axis] or longest or not fits:
            growing.discard(axis)
        else:
            block = larger
    return tuple(block)
