"""The twin of csrc/contours/isolines.cpp: segments square by square, joined by a dictionary of line ends."""

from __future__ import annotations

from collections import deque

import numpy as np
from numba import njit

TOP, BOTTOM, LEFT, RIGHT = range(4)
# By the corners above the level (1 upper left, 2 upper right, 4 lower left, 8 lower right): from, to, from, to.
CROSSINGS = np.full((16, 4), -1)
for _case, _sides in {
    1: (TOP, LEFT), 2: (RIGHT, TOP), 3: (RIGHT, LEFT), 4: (LEFT, BOTTOM), 5: (TOP, BOTTOM),
    6: (RIGHT, TOP, LEFT, BOTTOM), 7: (RIGHT, BOTTOM), 8: (BOTTOM, RIGHT), 9: (TOP, LEFT, BOTTOM, RIGHT),
    10: (BOTTOM, TOP), 11: (BOTTOM, LEFT), 12: (LEFT, RIGHT), 13: (TOP, RIGHT), 14: (LEFT, TOP),
}.items():  # fmt: skip
    CROSSINGS[_case, : len(_sides)] = _sides
JOINED = CROSSINGS.copy()  # the higher corners of squares with two opposite ones, not the lower
JOINED[6] = LEFT, TOP, RIGHT, BOTTOM
JOINED[9] = TOP, RIGHT, BOTTOM, LEFT


def find_contours(image, mask, level, high, reverse, threads):
    """Points and offsets of the lines, flat."""
    shown = mask if mask.size else np.ones(image.shape, np.bool_)
    lines = _joined(_segments(image, shown, level, JOINED if high else CROSSINGS))
    if reverse:
        lines = [line[::-1] for line in lines]
    offsets = np.cumsum([0, *map(len, lines)])
    return np.concatenate([np.zeros((0, 2)), *lines]).ravel(), offsets.astype(np.int64)


@njit(nogil=True, cache=True, error_model="numpy")
def _segments(image, shown, level, crossings):
    rows, columns = image.shape
    found = np.empty((64, 4))
    count = 0
    corners = np.empty(4)
    for r in range(rows - 1):
        for c in range(columns - 1):
            if not (shown[r, c] and shown[r, c + 1] and shown[r + 1, c] and shown[r + 1, c + 1]):
                continue
            corners[0], corners[1] = image[r, c], image[r, c + 1]
            corners[2], corners[3] = image[r + 1, c], image[r + 1, c + 1]
            if np.isnan(corners).any():
                continue
            which = 0
            for i in range(4):
                which |= (corners[i] > level) << i
            for i in range(0, 4, 2):
                if crossings[which, i] < 0:
                    break
                if count == len(found):
                    longer = np.empty((2 * count, 4))
                    longer[:count] = found
                    found = longer
                found[count, 0], found[count, 1] = _point(r, c, corners, level, crossings[which, i])
                found[count, 2], found[count, 3] = _point(r, c, corners, level, crossings[which, i + 1])
                count += 1
    return found[:count]


@njit(nogil=True, cache=True, error_model="numpy")
def _point(r, c, corners, level, side):
    if side == TOP:
        return float(r), c + _part(corners[0], corners[1], level)
    if side == BOTTOM:
        return r + 1.0, c + _part(corners[2], corners[3], level)
    if side == LEFT:
        return r + _part(corners[0], corners[2], level), float(c)
    return r + _part(corners[1], corners[3], level), c + 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _part(before, after, level):
    if after == before:
        return 0.0
    return (level - before) / (after - before)


def _joined(segments):
    """Lines as arrays, in the order of their first segment. Points with NaN meet nothing."""
    lines: dict[int, deque] = {}
    starts: dict[tuple, int] = {}
    ends: dict[tuple, int] = {}
    for count, (r0, c0, r1, c1) in enumerate(segments.tolist()):
        begin, end = (r0, c0), (r1, c1)
        if begin == end:
            continue
        after, before = starts.pop(end, None), ends.pop(begin, None)
        if after is None and before is None:
            kept, line = count, deque([begin, end])
        elif after is None:
            assert before is not None
            kept, line = before, lines[before]
            line.append(end)
        elif before is None:
            kept, line = after, lines[after]
            line.appendleft(begin)
        elif after == before:
            lines[before].append(end)
            continue
        else:
            kept = min(after, before)
            line = lines[before] + lines[after]
            if kept == after:
                starts.pop(line[0], None)
            del lines[max(after, before)]
        lines[kept] = line
        # Which ends are new: both of a new line and of one made of two, else the one that grew.
        if after is None:
            ends[line[-1]] = kept
        if before is None:
            starts[line[0]] = kept
        if after is not None and before is not None:
            starts[line[0]] = ends[line[-1]] = kept
    return [np.array(lines[number]) for number in sorted(lines)]
