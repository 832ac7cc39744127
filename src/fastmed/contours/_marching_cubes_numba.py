"""The twin of csrc/contours/marching_cubes.cpp: cube after cube, in one pass."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._lewiner import SHAPES

_NAMES = list(SHAPES)
CLASSIC, CASES = _NAMES.index("CASESCLASSIC"), _NAMES.index("CASES")
(
    T1, T2, T3_1, T3_2, T4_1, T4_2, T5, T6_1_1, T6_1_2, T6_2, T7_1, T7_2, T7_3, T7_4_1, T7_4_2, T8, T9, T10_1_1,
    T10_1_1B, T10_1_2, T10_2, T10_2B, T11, T12_1_1, T12_1_1B, T12_1_2, T12_2, T12_2B, T13_1, T13_1B, T13_2, T13_2B,
    T13_3, T13_3B, T13_4, T13_5_1, T13_5_2, T14, TEST3, TEST4, TEST6, TEST7, TEST10, TEST12, TEST13, SUBCONFIG13,
) = range(2, len(_NAMES))  # fmt: skip

TINY = float(np.finfo(np.float64).eps)
ENDS = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)])
CORNERS = np.array([(x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))])
TAKEN = np.array([0, 1, 3, 2, 4, 5, 7, 6])  # whose gradient scikit-image adds for a corner
FACES = np.array([(0,) * 4, (0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0), (0, 3, 2, 1), (4, 7, 6, 5)])
PARALLEL = np.array([
    (0, 1, 3, 2, 7, 6, 4, 5), (1, 2, 0, 3, 4, 7, 5, 6), (2, 3, 1, 0, 5, 4, 6, 7), (3, 0, 2, 1, 6, 5, 7, 4),
    (4, 5, 7, 6, 3, 2, 0, 1), (5, 6, 4, 7, 0, 3, 1, 2), (6, 7, 5, 4, 1, 0, 2, 3), (7, 4, 6, 5, 2, 1, 3, 0),
    (0, 4, 3, 7, 2, 6, 1, 5), (1, 5, 0, 4, 3, 7, 2, 6), (2, 6, 1, 5, 0, 4, 3, 7), (3, 7, 2, 6, 1, 5, 0, 4),
])  # fmt: skip


def marching_cubes(volume, mask, tables, begins, level, step, classic, descent, threads):
    """Vertices, faces, normals and values, flat."""
    shown = mask if mask.size else np.ones(volume.shape, np.bool_)
    begin = np.array(begins)
    verts, gradients, values, faces = _march(volume, shown, tables, begin, level, step, classic)
    lengths = (gradients.astype(np.float64) ** 2).sum(axis=1, keepdims=True) ** 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = (gradients * np.where(lengths > 0, 1 / lengths, lengths)).astype(np.float32)
    faces = faces[:, ::-1] if descent else faces
    return verts[:, ::-1].ravel(), faces.ravel(), normals[:, ::-1].ravel(), values


@njit(nogil=True, cache=True, error_model="numpy")
def _march(volume, shown, tables, begin, level, step, classic):
    nz, ny, nx = volume.shape
    known = np.full((2, ny, nx, 4), -1, np.int32)  # of this plane and the next: edges along x, y, z, and the centre
    room = 64
    verts, gradients = np.zeros((room, 3), np.float32), np.zeros((room, 3), np.float32)
    values, faces = np.zeros(room, np.float32), np.zeros((room, 3), np.int32)
    count, corners = 0, 0
    v, strength, gradient = np.empty(8), np.empty(8), np.empty((9, 3))
    for z in range(nz - 1):
        known[0] = known[1]
        known[1] = -1
        for y in range(ny - 1):
            for x in range(nx - 1):
                index = 0
                for i in range(8):
                    value = np.float32(volume[z + CORNERS[i, 2], y + CORNERS[i, 1], x + CORNERS[i, 0]])
                    v[i] = np.float64(value) - level
                    index |= (v[i] > 0) << i
                if index == 0 or index == 255 or not shown[z + 1, y + 1, x + 1]:
                    continue
                at, triangles = _classic(tables, begin, index) if classic else _choose(tables, begin, index, v)
                if triangles == 0:
                    continue
                span = _prepare(v, strength, gradient)
                for k in range(3 * triangles):
                    edge = tables[at + k]
                    a, b = (0, 0) if edge == 12 else (ENDS[edge, 0], ENDS[edge, 1])
                    vertex = _vertex(known, edge, a, y, x)
                    if vertex < 0:
                        if count + 1 >= len(values):
                            verts, gradients, values = _longer(verts), _longer(gradients), _longer1(values)
                        vertex = count
                        count += 1
                        _note(known, edge, a, y, x, vertex)
                        _put(verts[vertex], strength, edge, a, b, step, x, y, z)
                    if span > values[vertex]:
                        values[vertex] = span
                    if edge == 12:
                        for d in range(3):
                            gradients[vertex, d] += np.float32(gradient[8, d])
                    else:
                        for corner in (a, b):
                            for d in range(3):
                                part = gradient[TAKEN[corner], d] * np.float64(np.float32(strength[corner]))
                                gradients[vertex, d] += np.float32(part)
                    if corners // 3 == len(faces):
                        faces = _longer(faces)
                    faces[corners // 3, corners % 3] = vertex
                    corners += 1
    return verts[:count], gradients[:count], values[:count], faces[: corners // 3]


@njit(nogil=True, cache=True, error_model="numpy")
def _longer(array):
    longer = np.zeros((2 * len(array), 3), array.dtype)
    longer[: len(array)] = array
    return longer


@njit(nogil=True, cache=True, error_model="numpy")
def _longer1(array):
    longer = np.zeros(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer


@njit(nogil=True, cache=True, error_model="numpy")
def _place(edge, y, x):
    """Where the vertex of an edge is noted: plane, y, x, kind."""
    if edge == 12:
        return 0, y, x, 3
    if edge >= 8:
        return 0, y + CORNERS[edge - 8, 1], x + CORNERS[edge - 8, 0], 2
    e = edge % 4
    return edge // 4, y + (e == 2), x + (e == 1), e % 2


@njit(nogil=True, cache=True, error_model="numpy")
def _vertex(known, edge, a, y, x):
    return known[_place(edge, y, x)]


@njit(nogil=True, cache=True, error_model="numpy")
def _note(known, edge, a, y, x, vertex):
    known[_place(edge, y, x)] = vertex


@njit(nogil=True, cache=True, error_model="numpy")
def _put(vert, strength, edge, a, b, step, x, y, z):
    """Between the two ends of an edge, or among all corners, each pulling the harder the nearer it is to the level."""
    cube = (x, y, z)
    for d in range(3):
        pull, weight = 0.0, 0.0
        if edge == 12:
            for i in range(8):
                pull += CORNERS[i, d] * strength[i]
                weight += strength[i]
        else:
            pull = CORNERS[a, d] * strength[a] + CORNERS[b, d] * strength[b]
            weight = strength[a] + strength[b]
        vert[d] = step * cube[d] + step * pull / weight


@njit(nogil=True, cache=True, error_model="numpy")
def _prepare(v, strength, gradient):
    low, high = 0.0, 0.0
    for i in range(8):
        strength[i] = 1.0 / (TINY + abs(v[i]))
        high, low = (v[i] if v[i] > high else high), (v[i] if v[i] < low else low)
        up = i % 4
        gradient[i, 0] = (v[0] - v[1] if up < 2 else v[3] - v[2]) if i < 4 else (v[4] - v[5] if up < 2 else v[7] - v[6])
        far = 1 if up == 1 or up == 2 else 0
        base = 4 * (i // 4)
        gradient[i, 1] = v[base + 1] - v[base + 2] if far else v[base] - v[base + 3]
        gradient[i, 2] = v[up] - v[up + 4]
    for d in range(3):
        gradient[8, d] = strength[0] * gradient[0, d]
        for i in range(1, 8):
            gradient[8, d] += strength[i] * gradient[i, d]
    return high - low


@njit(nogil=True, cache=True, error_model="numpy")
def _classic(tables, begin, index):
    at = begin[CLASSIC] + 16 * index
    count = 0
    while tables[at + 3 * count] != -1:
        count += 1
    return at, count


@njit(nogil=True, cache=True, error_model="numpy")
def _choose(tables, begin, index, v):
    """Where the triangles of a cube stand, and how many: Lewiner's decisions."""
    which, k = tables[begin[CASES] + 2 * index], tables[begin[CASES] + 2 * index + 1]
    table, i, count = -1, np.int64(k), 0
    if which == 1:
        table, count = T1, 1
    elif which == 2:
        table, count = T2, 2
    elif which == 3:
        table, count = (T3_2, 4) if _face(v, tables[begin[TEST3] + k]) else (T3_1, 2)
    elif which == 4:
        table, count = (T4_1, 2) if _across(v, tables[begin[TEST4] + k]) else (T4_2, 6)
    elif which == 5:
        table, count = T5, 3
    elif which == 6:
        test = tables[begin[TEST6] + 3 * k : begin[TEST6] + 3 * k + 3]
        if _face(v, test[0]):
            table, count = T6_2, 5
        else:
            table, count = (T6_1_1, 3) if _along(v, test[2], test[1]) else (T6_1_2, 9)
    elif which == 7:
        test = tables[begin[TEST7] + 5 * k : begin[TEST7] + 5 * k + 5]
        joined = _joined(v, test, 3)
        if joined == 0:
            table, count = T7_1, 3
        elif joined == 7:
            table, count = (T7_4_2, 9) if _along(v, test[4], test[3]) else (T7_4_1, 5)
        elif joined == 1 or joined == 2 or joined == 4:
            table, count, i = T7_2, 5, 3 * k + joined // 2
        else:
            table, count, i = T7_3, 9, 3 * k + (joined - 3 if joined == 3 else joined - 4)
    elif which == 8:
        table, count = T8, 2
    elif which == 9:
        table, count = T9, 4
    elif which == 10:
        test = tables[begin[TEST10] + 3 * k : begin[TEST10] + 3 * k + 3]
        joined = _joined(v, test, 2)
        if joined == 3:
            table, count = T10_1_1B, 4
        elif joined:
            table, count = (T10_2 if joined == 1 else T10_2B), 8
        else:
            table, count = (T10_1_1, 4) if _across(v, test[2]) else (T10_1_2, 8)
    elif which == 11:
        table, count = T11, 4
    elif which == 12:
        test = tables[begin[TEST12] + 4 * k : begin[TEST12] + 4 * k + 4]
        joined = _joined(v, test, 2)
        if joined == 3:
            table, count = T12_1_1B, 4
        elif joined:
            table, count = (T12_2 if joined == 1 else T12_2B), 8
        else:
            table, count = (T12_1_1, 4) if _along(v, test[3], test[2]) else (T12_1_2, 8)
    elif which == 13:
        table, i, count = _thirteen(tables, begin, v, k)
    elif which == 14:
        table, count = T14, 4
    return (begin[table] + 3 * count * i if table >= 0 else 0), count


@njit(nogil=True, cache=True, error_model="numpy")
def _thirteen(tables, begin, v, k):
    test = tables[begin[TEST13] + 7 * k : begin[TEST13] + 7 * k + 7]
    s = tables[begin[SUBCONFIG13] + _joined(v, test, 6)]
    if s < 0:
        return -1, 0, 0
    if s == 0 or s == 45:
        return (T13_1 if s == 0 else T13_1B), k, 4
    if s < 7:
        return T13_2, 6 * k + s - 1, 6
    if s < 19:
        return T13_3, 12 * k + s - 7, 10
    if s < 23:
        return T13_4, 4 * k + s - 19, 12
    if s < 27:
        i = 4 * k + s - 23
        joined = _along(v, tables[begin[T13_5_1] + 18 * i], test[6])
        return (T13_5_1, i, 6) if joined else (T13_5_2, i, 10)
    if s < 39:
        return T13_3B, 12 * k + s - 27, 10
    return T13_2B, 6 * k + s - 39, 6


@njit(nogil=True, cache=True, error_model="numpy")
def _joined(v, test, count):
    bits = 0
    for i in range(count):
        bits |= _face(v, test[i]) << i
    return bits


@njit(nogil=True, cache=True, error_model="numpy")
def _face(v, face):
    """Whether the surface parts the corners of a face (negative: the other two)."""
    a, b, c, d = FACES[abs(face)]
    product = v[a] * v[c] - v[b] * v[d]
    if -TINY < product < TINY:
        return face >= 0
    return face * v[a] * product >= 0


@njit(nogil=True, cache=True, error_model="numpy")
def _across(v, sign):
    a = (v[4] - v[0]) * (v[6] - v[2]) - (v[7] - v[3]) * (v[5] - v[1])
    b = v[2] * (v[4] - v[0]) + v[0] * (v[6] - v[2]) - v[1] * (v[7] - v[3]) - v[3] * (v[5] - v[1])
    t = -b / (2 * a + TINY)
    if t < 0 or t > 1:
        return sign > 0
    return _inside(
        v[0] + (v[4] - v[0]) * t, v[3] + (v[7] - v[3]) * t, v[2] + (v[6] - v[2]) * t, v[1] + (v[5] - v[1]) * t, sign
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _along(v, edge, sign):
    p = PARALLEL[edge]
    t = v[p[0]] / (v[p[0]] - v[p[1]] + TINY)
    return _inside(
        0.0,
        v[p[2]] + (v[p[3]] - v[p[2]]) * t,
        v[p[4]] + (v[p[5]] - v[p[4]]) * t,
        v[p[6]] + (v[p[7]] - v[p[6]]) * t,
        sign,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _inside(a, b, c, d, sign):
    """Whether opposite corners are joined, by the signs of the bilinear values in the plane looked at."""
    which = (a >= 0) | (b >= 0) << 1 | (c >= 0) << 2 | (d >= 0) << 3
    if which == 5:
        return a * c - b * d < TINY and sign > 0
    if which == 10:
        return a * c - b * d >= TINY and sign > 0
    if which == 7 or which == 11 or which >= 13:
        return sign < 0
    return sign > 0
