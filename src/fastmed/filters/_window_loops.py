"""The loops around a user's function, compiled for that function: over windows, and over lines.

They see one dtype: float64 in C order, with the border already in place (``_pieces``). Positions of a window's
elements are offsets from its first, so one loop serves any number of axes and any footprint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from ._lanes import BLOCK, COUNT, address_of, intrinsic, put_whole
from ._window_groups import HEAD, LANE, OFFSETS, ROOM, SIZE, begin_group, grouped_at, unseen_at
from ._window_sums import window_at
from ._window_tables import INDEX, MISSED, tabled_at


@intrinsic
def _copy_eight(typing, target, place, source, position):
    """Eight float64 from ``source[position:]`` to ``target[place:]``, with one load and one store."""

    def generate(context, builder, signature, values):
        vector = ir.VectorType(ir.DoubleType(), 8).as_pointer()
        pointers = []
        for k in (0, 2):
            data = context.make_array(signature.args[k])(context, builder, values[k]).data
            pointers.append(builder.bitcast(builder.gep(data, [values[k + 1]]), vector))
        builder.store(builder.load(pointers[1], align=8), pointers[0], align=8)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


def window_loop(function: Any) -> Callable[..., None]:
    """``loop(values, starts, count, runs, places, offsets, out, stop, arguments)``: `count` windows from each start.

    ``places[k]`` elements of a window stand before its k-th run, which begins `runs[k]` after its first. A run has at
    most eight elements, and eight are copied (the next one overwrites what is too much): 125 elements of 5 x 5 x 5 take
    25 copies. `values` has eight elements more than windows reach.
    """

    @njit(nogil=True, error_model="numpy")
    def loop(values, starts, count, runs, places, offsets, out, stop, arguments):
        room = np.empty(offsets.size + 8)
        window = window_at(address_of(room), offsets.size)
        for row in range(starts.size):
            if stop[0]:
                return
            for i in range(count):
                first = starts[row] + i
                for k in range(runs.size):
                    _copy_eight(room, places[k], values, first + runs[k])
                out[row, i] = 1.0 * function(window, *arguments)  # a number, and no text that float() reads

    return loop


def grouped_window_loop(function: Any) -> Callable[..., None]:
    """As :func:`window_loop`, for a function that leaves its window as it is: eight neighbours are a group.

    A group's last windows may lie beyond the row, in what follows it.
    """
    return _grouped(function, grouped_at, True)


def unseen_window_loop(function: Any) -> Callable[..., None]:
    """As :func:`grouped_window_loop`, for a function that asks for no elements: none are gathered."""
    return _grouped(function, unseen_at, False)


def _grouped(function: Any, window_of: Any, gathered: bool) -> Callable[..., None]:
    @njit(nogil=True, error_model="numpy")
    def loop(values, starts, count, runs, places, offsets, out, stop, arguments):
        length = offsets.size + 8
        memory = np.empty(HEAD + length + 2 * COUNT * (length + BLOCK))
        head = address_of(memory)
        elements = memory[HEAD:]
        window = window_of(address_of(elements), offsets.size)
        put_whole(head, OFFSETS, address_of(offsets))
        put_whole(head, SIZE, offsets.size)
        room = address_of(elements) + 8 * length
        put_whole(head, ROOM, (room + 63) // 64 * 64)  # loads of a vector that cross two lines take two
        for row in range(starts.size):
            if stop[0]:
                return
            for i in range(count):
                first = starts[row] + i
                if i % COUNT == 0:
                    begin_group(head, address_of(values) + 8 * first)
                put_whole(head, LANE, i % COUNT)
                if gathered:
                    for k in range(runs.size):
                        _copy_eight(elements, places[k], values, first + runs[k])
                out[row, i] = 1.0 * function(window, *arguments)
        elements[0] = 0.0  # used to the end, so that the memory stays

    return loop


def tabled_window_loop(function: Any) -> Callable[..., None]:
    """``loop(head, size, out, stop, arguments)``: windows of `size` elements of which `head` (``_window_tables``) knows
    all that the function asks for, or notes what it does not.
    """

    @njit(nogil=True, error_model="numpy")
    def loop(head, size, out, stop, arguments):
        window = tabled_at(address_of(head), size)
        for i in range(out.size):
            if stop[0] or head[MISSED]:
                return
            head[INDEX] = i
            out[i] = 1.0 * function(window, *arguments)

    return loop


def valid_window_loop(function: Any) -> Callable[..., None]:
    """As :func:`window_loop`, over the valid elements of each window; `none` tells where there are not any."""

    @njit(nogil=True, error_model="numpy")
    def loop(values, valid, none, starts, count, offsets, out, stop, arguments):
        window = np.empty(offsets.size)
        for row in range(starts.size):
            if stop[0]:
                return
            for i in range(count):
                n = 0
                for k in range(offsets.size):
                    at = starts[row] + i + offsets[k]
                    window[n] = values[at]
                    n += valid[at]
                none[row, i] = n == 0
                out[row, i] = 1.0 * function(window_at(address_of(window), n), *arguments) if n else np.nan

    return loop


def line_loop(function: Any) -> Callable[..., None]:
    """``loop(lines, out, stop, arguments)``: `function` reads a row of `lines` and writes one of `out`."""

    @njit(nogil=True, error_model="numpy")
    def loop(lines, out, stop, arguments):
        for row in range(lines.shape[0]):
            if stop[0]:
                return
            function(lines[row], out[row], *arguments)

    return loop


# --- C functions -----------------------------------------------------------------------------------------------------
def _call(context, builder, signature, values):
    """Call the C function at the address ``values[0]`` with the other values; it gives an int."""
    pointers = [v.type for v in values[1:]]
    kind = ir.FunctionType(ir.IntType(32), pointers)
    status = builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
    return builder.zext(builder.icmp_unsigned("!=", status, ir.Constant(ir.IntType(32), 0)), ir.IntType(64))


def _data(context, builder, kind, array):
    struct = context.make_array(kind)(context, builder, array)
    return builder.bitcast(struct.data, cgutils.voidptr_t)


@intrinsic
def _call_on_window(typing, address, window, result, data):
    """``int f(double *window, intptr_t size, double *result, void *data)``."""

    def generate(context, builder, signature, values):
        kinds = signature.args
        pointers = [_data(context, builder, k, v) for k, v in zip(kinds[1:3], values[1:3], strict=True)]
        size = context.make_array(kinds[1])(context, builder, values[1]).nitems
        user = builder.inttoptr(values[3], cgutils.voidptr_t)
        return _call(context, builder, signature, [values[0], pointers[0], size, pointers[1], user])

    return types.int64(types.uintp, window, result, types.uintp), generate


@intrinsic
def _call_on_line(typing, address, line, out, data):
    """``int f(double *line, intptr_t length, double *out, intptr_t length, void *data)``."""

    def generate(context, builder, signature, values):
        parts = []
        for kind, value in zip(signature.args[1:3], values[1:3], strict=True):
            parts += [_data(context, builder, kind, value), context.make_array(kind)(context, builder, value).nitems]
        user = builder.inttoptr(values[3], cgutils.voidptr_t)
        return _call(context, builder, signature, [values[0], *parts, user])

    return types.int64(types.uintp, line, out, types.uintp), generate


def _c_windows(values, starts, count, offsets, out, address, data):
    """The C function over all windows; False as soon as it reports a failure."""
    window = np.empty(offsets.size)
    result = np.empty(1)
    for row in range(starts.size):
        for i in range(count):
            for k in range(offsets.size):
                window[k] = values[starts[row] + i + offsets[k]]
            if not _call_on_window(address, window, result, data):
                return False
            out[row, i] = result[0]
    return True


def _c_lines(lines, out, address, data):
    """The C function over all lines; False as soon as it reports a failure."""
    for row in range(lines.shape[0]):  # noqa: SIM110
        if not _call_on_line(address, lines[row], out[row], data):
            return False
    return True


# A C function that may call Python holds the GIL, so only one that Numba has made runs without.
c_windows = {nogil: njit(nogil=nogil)(_c_windows) for nogil in (False, True)}
c_lines = {nogil: njit(nogil=nogil)(_c_lines) for nogil in (False, True)}
