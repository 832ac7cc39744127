// Where in a volume no magnitude beside exceeds one along its gradient.
//
// Decided in float for whole rows, with a bound on the rounding; the few that are too close to tell, in double. Per voxel
// float takes 26 loads, 28 selections and some 55 other operations, 16 voxels at a time: 1 to 2 ns where double, voxel
// by voxel, took 14 (v4).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "../simd.hpp"
#include "hysteresis.hpp"

namespace fastmed {

// A magnitude counts as highest if those beside it exceed it by no more than this part: steps between two voxels have
// equal magnitudes on both sides, and rounding must not choose between them.
constexpr double TIE = 1e-10;

// Whether no magnitude beside `at` along (z, y, x), in voxels, exceeds it. The line leaves the cube of the 26 neighbours
// in a triangle of a face's, an edge's and a corner's neighbour; between those three it is interpolated. Axes are taken
// by their share in the direction, so that their order does not matter. Choices without branches: with sorted axes and
// jumps a voxel took 38 ns, so 14 (v4). `up`, `down`: the slices ahead and behind, `row`: one row.
FASTMED_INLINE bool is_highest(const double* at, int64_t up, int64_t down, int64_t row, double z, double y, double x) {
    const double az = std::abs(z), ay = std::abs(y), ax = std::abs(x);
    const double high = std::max(std::max(az, ay), ax), low = std::min(std::min(az, ay), ax);
    const double mid = std::max(std::min(az, ay), std::min(std::max(az, ay), ax));
    const bool zy = az >= ay, zx = az >= ax, yx = ay >= ax;
    const bool most_z = zy & zx, most_y = !zy & yx, least_x = zx & yx, least_y = zy & !yx;
    const double face = high - mid, edge = mid - low, limit = *at * high * (1 + TIE);
    auto beside = [&](int64_t oz, int64_t oy, int64_t ox) {
        const int64_t all = oz + oy + ox;
        const double f = at[most_z ? oz : most_y ? oy : ox], e = at[all - (least_x ? ox : least_y ? oy : oz)];
        return face * f + edge * e + low * at[all];
    };
    const int64_t oz = z > 0 ? up : down, oy = y > 0 ? row : -row, ox = x > 0 ? 1 : -1;
    return (beside(oz, oy, ox) <= limit) & (beside(up + down - oz, -oy, -ox) <= limit);
}

enum : int32_t { UNDECIDED = 4 };  // beside the marks

// The bounds of a magnitude in float. `sane`: from here on nothing in a voxel's comparison falls below what floats hold.
struct FloatBounds {
    float low, high, sane;
    FloatBounds(double low, double high, double largest_spacing)
        : low(float(low)), high(float(high)), sane(float(0x1p-60 * std::max(1.0, 2 * largest_spacing))) {}
};

// Marks, or UNDECIDED, of a row of n voxels. `m`: magnitudes of the nine rows around, slice by slice; g*: the gradient in
// voxels. All is rounded from double to the nearest float.
//
// Of the two sums in `highest`, weights are wrong by at most 3 ulp of `most`, magnitudes by one of their own: a sum by
// less than 2^-20 of most * (all magnitudes in it), half of `doubt`. Equal shares leave open which neighbours are meant, and what float
// cannot hold is wrong by any amount; all this, NaN too, is left undecided.
inline void mark_floats(const float* const (&m)[3][3], const float* const (&g)[3], int64_t n, const FloatBounds& bounds, int32_t* __restrict marks) {
    const float *__restrict gz = g[0], *__restrict gy = g[1], *__restrict gx = g[2];
    const float *a00 = m[0][0], *a01 = m[0][1], *a02 = m[0][2], *a10 = m[1][0], *a11 = m[1][1], *a12 = m[1][2];
    const float *a20 = m[2][0], *a21 = m[2][1], *a22 = m[2][2];
    const float lowest = bounds.low, strong = bounds.high, sane = bounds.sane;
    for (int64_t x = 0; x < n; ++x) {
        const float z = gz[x], y = gy[x], w = gx[x], at = a11[x];
        const float az = std::abs(z), ay = std::abs(y), ax = std::abs(w);
        const float larger = az > ay ? az : ay, smaller = az > ay ? ay : az;
        const float most = larger > ax ? larger : ax, least = smaller < ax ? smaller : ax;
        const float rest = larger < ax ? larger : ax, middle = smaller > rest ? smaller : rest;
        const bool zy = az >= ay, zx = az >= ax, yx = ay >= ax;
        const bool most_z = zy & zx, most_y = !zy & yx, least_x = zx & yx, least_y = zy & !yx;
        const bool up = (z > 0) == (w > 0), down = (y > 0) == (w > 0);  // along each axis, going toward higher x
        // All is loaded before anything is chosen: the compiler sees no branch then, and vectorises.
        const float m00 = a00[x], m01 = a01[x], m02 = a02[x], m10 = a10[x], m12 = a12[x], m20 = a20[x], m21 = a21[x], m22 = a22[x];
        const float p00 = a00[x - 1], p01 = a01[x - 1], p02 = a02[x - 1], p10 = a10[x - 1], p11 = a11[x - 1], p12 = a12[x - 1];
        const float p20 = a20[x - 1], p21 = a21[x - 1], p22 = a22[x - 1];
        const float n00 = a00[x + 1], n01 = a01[x + 1], n02 = a02[x + 1], n10 = a10[x + 1], n11 = a11[x + 1], n12 = a12[x + 1];
        const float n20 = a20[x + 1], n21 = a21[x + 1], n22 = a22[x + 1];
        // The corner ahead (of higher x) and that behind; what lies between it and the axes; what lies on the axes.
        const float n2 = down ? n22 : n20, n0 = down ? n02 : n00, p2 = down ? p20 : p22, p0 = down ? p00 : p02;
        const float corner_a = up ? n2 : n0, corner_b = up ? p0 : p2;
        const float m2 = down ? m22 : m20, m0 = down ? m02 : m00, o2 = down ? m20 : m22, o0 = down ? m00 : m02;
        const float zy_a = up ? m2 : m0, zy_b = up ? o0 : o2;
        const float zx_a = up ? n21 : n01, zx_b = up ? p01 : p21;
        const float yx_a = down ? n12 : n10, yx_b = down ? p10 : p12;
        const float z_a = up ? m21 : m01, z_b = up ? m01 : m21;
        const float y_a = down ? m12 : m10, y_b = down ? m10 : m12;
        const float no_z_a = least_y ? zx_a : yx_a, no_z_b = least_y ? zx_b : yx_b;
        const float edge_a = least_x ? zy_a : no_z_a, edge_b = least_x ? zy_b : no_z_b;
        const float no_y_a = most_y ? y_a : n11, no_y_b = most_y ? y_b : p11;
        const float face_a = most_z ? z_a : no_y_a, face_b = most_z ? z_b : no_y_b;
        const float face = most - middle, edge = middle - least, limit = at * most;
        const float ahead = face * face_a + edge * edge_a + least * corner_a - limit;
        const float behind = face * face_b + edge * edge_b + least * corner_b - limit;
        const float doubt = most * ((face_a + face_b) + (edge_a + edge_b) + (corner_a + corner_b) + at) * 0x1p-19f;
        const float worst = ahead > behind ? ahead : behind;
        const bool known = (face > 0) & (edge > 0) & (at >= sane) & (doubt < 0x1p100f) & (at != lowest) & (at != strong) &
                           ((worst > doubt) | ((ahead < -doubt) & (behind < -doubt)));
        const int32_t mark = at > strong ? int32_t(STRONG) : int32_t(WEAK), if_known = worst > doubt ? int32_t(NOTHING) : mark;
        const int32_t found = known ? if_known : int32_t(UNDECIDED);
        marks[x] = at < lowest ? int32_t(NOTHING) : found;
    }
}

// The same of a whole row, but for its ends, which are never edges. False: no voxel reaches the lower bound.
inline bool mark_row_of_floats(const float* const (&m)[3][3], const float* const (&g)[3], int64_t n, const FloatBounds& bounds, int32_t* marks) {
    constexpr int64_t BLOCK = 64;
    bool some = false;
    marks[0] = marks[n - 1] = NOTHING;
    for (int64_t x = 1; x < n - 1; x += BLOCK) {
        const int64_t size = std::min(BLOCK, n - 1 - x);
        int reached = 0;
        for (int64_t i = x; i < x + size; ++i) reached |= m[1][1][i] >= bounds.low;
        some |= reached;
        if (!reached) {
            std::fill_n(marks + x, size, int32_t(NOTHING));
            continue;
        }
        const float* around[3][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) around[i][j] = m[i][j] + x;
        mark_floats(around, {g[0] + x, g[1] + x, g[2] + x}, size, bounds, marks + x);
    }
    return some;
}

}  // namespace fastmed
