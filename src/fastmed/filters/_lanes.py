"""Eight windows at once: what compiled code needs to hold one value of each in a vector.

Neighbouring windows lie one element apart, so the k-th elements of eight of them are eight neighbours in memory: one
load, whatever the window's shape. Addresses are plain integers, as arrays would cost bounds and reference counts.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import cfunc, extending, types
from numba.extending import models, overload, register_model

intrinsic: Any = extending.intrinsic  # whose declared type asks for the typing context, which callers do not give

COUNT = 8
#: Vectors that are sorted in registers, of which AVX-512 has 32.
BLOCK = 16


class Lanes(types.Type):
    """Eight float64."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.DoubleType(), COUNT))


register_model(Lanes)(_LanesModel)
LANES = Lanes()


def by_address(function: Any) -> Any:
    """An intrinsic that calls a compiled function of four addresses or sizes, which gives nothing, where it stands.

    So it is compiled once, and kept on disk, and not again with each of the user's functions.
    """
    made: list[Any] = []

    @intrinsic
    def call(typing, a, b, c, d):
        def generate(context, builder, signature, values):
            if not made:
                made.append(cfunc(types.void(*[types.int64] * 4), cache=True)(function.py_func))
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 4)
            address = ir.Constant(ir.IntType(64), made[0].address)
            builder.call(builder.inttoptr(address, kind.as_pointer()), values)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    return call


def _pointer(builder: Any, address: Any, kind: Any, index: Any) -> Any:
    """The element of `kind` that stands at `index`, counted in float64, after the address."""
    return builder.bitcast(builder.gep(builder.inttoptr(address, ir.DoubleType().as_pointer()), [index]),
                           kind.as_pointer())  # fmt: skip


@intrinsic
def address_of(typing: Any, array: Any) -> Any:
    """Where the first element of an array stands."""

    def generate(context, builder, signature, values):
        data = context.make_array(array)(context, builder, values[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


@intrinsic
def load(typing: Any, address: Any, index: Any) -> Any:
    """Eight values from `index` on."""

    def generate(context, builder, signature, values):
        kind = ir.VectorType(ir.DoubleType(), COUNT)
        return builder.load(_pointer(builder, values[0], kind, values[1]), align=8)

    return LANES(types.int64, types.int64), generate


@intrinsic
def store(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Write eight values from `index` on."""

    def generate(context, builder, signature, values):
        kind = ir.VectorType(ir.DoubleType(), COUNT)
        builder.store(values[2], _pointer(builder, values[0], kind, values[1]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, LANES), generate


def _scalars(kind: Any, found: Any) -> tuple[Any, Any]:
    """Intrinsics that read and write one number of a kind."""

    @intrinsic
    def get(typing, address, index):
        def generate(context, builder, signature, values):
            return builder.load(_pointer(builder, values[0], kind, values[1]))

        return found(types.int64, types.int64), generate

    @intrinsic
    def put(typing, address, index, value):
        def generate(context, builder, signature, values):
            builder.store(values[2], _pointer(builder, values[0], kind, values[1]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, found), generate

    return get, put


get_whole, put_whole = _scalars(ir.IntType(64), types.int64)
get_number, put_number = _scalars(ir.DoubleType(), types.float64)


@intrinsic
def spread(typing: Any, value: Any) -> Any:
    """One number in all lanes."""

    def generate(context, builder, signature, values):
        vector = ir.VectorType(ir.DoubleType(), COUNT)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), values[0], ir.Constant(ir.IntType(32), 0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), COUNT), [0] * COUNT)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), order)

    return LANES(types.float64), generate


def _chosen(compare: str) -> Any:
    """An intrinsic ``(a, b, c, d) -> c where a compares with b, else d``."""

    @intrinsic
    def choose(typing, a, b, c, d):
        def generate(context, builder, signature, values):
            test = builder.fcmp_unordered if compare == "uno" else builder.fcmp_ordered
            return builder.select(test(compare, values[0], values[1]), values[2], values[3])

        return LANES(LANES, LANES, LANES, LANES), generate

    return choose


where_less = _chosen("<")
#: Where one of the first two is NaN.
where_missing = _chosen("uno")


def _arithmetic(operation: Any, instruction: str) -> None:
    @intrinsic
    def compute(typing, a, b):
        def generate(context, builder, signature, values):
            return getattr(builder, instruction)(values[0], values[1])

        return LANES(LANES, LANES), generate

    @overload(operation, inline="always")
    def lanes(a, b):
        if isinstance(a, Lanes) and isinstance(b, Lanes):
            return lambda a, b: compute(a, b)
        return None


for _operation, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _arithmetic(_operation, _instruction)


@intrinsic
def transpose(typing: Any, source: Any, target: Any, stride: Any) -> Any:
    """The eight vectors at `source` as eight rows at `target`, `stride` apart."""

    def generate(context, builder, signature, values):
        vector, word = ir.VectorType(ir.DoubleType(), COUNT), ir.IntType(64)
        rows = [builder.load(_pointer(builder, values[0], vector, ir.Constant(word, COUNT * k)), align=8)
                for k in range(COUNT)]  # fmt: skip
        for step in (1, 2, 4):  # exchanges blocks of step x step beside the diagonal
            low = [j if not j & step else COUNT + (j ^ step) for j in range(COUNT)]
            high = [j ^ step if not j & step else COUNT + j for j in range(COUNT)]
            orders = [ir.Constant(ir.VectorType(ir.IntType(32), COUNT), order) for order in (low, high)]
            for k in range(COUNT):
                if not k & step:
                    pair = rows[k], rows[k | step]
                    rows[k], rows[k | step] = (builder.shuffle_vector(*pair, order) for order in orders)
        for k, row in enumerate(rows):
            at = builder.mul(values[2], ir.Constant(word, k))
            builder.store(row, _pointer(builder, values[1], vector, at), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


def _merging(first: int, last: int, step: int) -> list[tuple[int, int]]:
    """Batcher's odd-even merge of two sorted halves of first..last, of every `step`-th: which pairs to compare."""
    if 2 * step >= last - first:
        return [(first, first + step)]
    inner = _merging(first, last, 2 * step) + _merging(first + step, last, 2 * step)
    return inner + [(k, k + step) for k in range(first + step, last - step, 2 * step)]


def _sorting(first: int, last: int) -> list[tuple[int, int]]:
    if first >= last:
        return []
    middle = (first + last) // 2
    return _sorting(first, middle) + _sorting(middle + 1, last) + _merging(first, last, 1)


def _network(pairs: list[tuple[int, int]], apart: bool) -> Any:
    """An intrinsic that puts vectors in order, lane by lane, while they stay in registers."""

    @intrinsic
    def put_in_order(typing, low, high):
        def generate(context, builder, signature, values):
            vector, word = ir.VectorType(ir.DoubleType(), COUNT), ir.IntType(64)
            places = [_pointer(builder, address, vector, ir.Constant(word, COUNT * k))
                      for address in values[: 1 + apart] for k in range(BLOCK)]  # fmt: skip
            rows = [builder.load(place, align=8) for place in places]
            for i, j in pairs:
                less = builder.fcmp_ordered("<", rows[i], rows[j])
                pair = rows[i], rows[j]
                rows[i], rows[j] = builder.select(less, *pair), builder.select(less, *reversed(pair))
            for row, place in zip(rows, places, strict=True):
                builder.store(row, place, align=8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return put_in_order


#: ``sort_block(address, address)``: sixteen vectors.
sort_block = _network(_sorting(0, BLOCK - 1), False)
#: ``merge_blocks(low, high)``: two sorted blocks into the lower sixteen and the higher sixteen.
merge_blocks = _network(_merging(0, 2 * BLOCK - 1, 1), True)
