// Means over small boxes: all of the last three axes in one trip through memory, over rows, with sums shared in registers
// (5 = 4 + 1, 4 = 2 + 2: three additions).
#pragma once

#include <vector>

#include "mean_sums.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "separable.hpp"

namespace fastmed::mean {

// A block of planes is worked through along y. Each row of its input planes comes in once; the sums over z stand in
// rings of rows, `group` of those give as many output rows.
template <class A> class Box {
    struct Axis {
        int64_t length = 1, before = 0;
        Mode mode = Mode::nearest;
        A outside = 0;  // the constant; as the sums that it stands beside, still to be divided
    };
    const View in, out;
    Axis z, y, x;
    int64_t nz = 1, ny = 1, nx = 1, batch = 1, in_z = 0, in_y = 0, in_x = 0, out_z = 0, out_y = 0, out_x = 0;
    Finish<A> at_z, at_y, at_x;
    bool direct = false, out_direct = false;
    int64_t width, group, depth, block_z, block_y;
    void (*load_row)(const char*, int64_t, int64_t, A*) = nullptr;
    void (*store_row)(const A*, int64_t, char*, int64_t) = nullptr;

    struct Scratch {
        Buffer<A> ring, strip, lines, ready, constant_z, constant_y;
        std::vector<const A*> ring_rows, rows, at;
        std::vector<A*> to;
    };

public:
    static constexpr int64_t PADDED = 2 * simd<A>::lanes;

    Box(const View& input, const std::vector<Pass>& passes, bool integers, double top, const View& output)
        : in(input), out(output) {
        const int n = in.ndim;
        if (n > 0) nx = in.shape[n - 1], in_x = in.strides[n - 1], out_x = out.strides[n - 1];
        if (n > 1) ny = in.shape[n - 2], in_y = in.strides[n - 2], out_y = out.strides[n - 2];
        if (n > 2) nz = in.shape[n - 3], in_z = in.strides[n - 3], out_z = out.strides[n - 3];
        for (int d = 0; d < n - 3; ++d) batch *= in.shape[d];
        double divisor = 1;
        for (const Pass& p : passes) {
            Axis& a = p.axis == n - 1 ? x : p.axis == n - 2 ? y : z;
            a = {p.length, p.before, p.mode, p.mode == Mode::constant ? A(p.cval * divisor) : A(0)};
            Finish<A>& f = p.axis == n - 1 ? at_x : p.axis == n - 2 ? at_y : at_z;
            if (integers) {
                f = Finish<A>::cut(p.length, top);
            } else {
                const double scale = std::exp2(std::ceil(std::log2(double(p.length))));
                divisor *= double(p.length) / scale;
                // float64 is divided after each pass, as one axis alone is: SciPy's tests want the same bits of both.
                const bool now = &p == &passes.back() || std::is_same_v<A, double>;
                f = Finish<A>::real(1 / scale, now ? divisor : 1);
                if (now) divisor = 1;
            }
        }
        dispatch(in.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            load_row = load_as<T, A>;
            direct = std::is_same_v<T, A> && in_x == sizeof(T);
        });
        dispatch(out.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            store_row = store_as<T, A>;
            out_direct = std::is_same_v<T, A> && out_x == sizeof(T);
        });
        group = y.length == 1 ? 1 : 8;
        depth = y.length - 1 + group;
        width = spread<A>(nx + x.length - 1 + PADDED);
    }

    void run(int threads) {
        const int64_t plane = depth * width * int64_t(sizeof(A));
        block_z = z.length == 1 ? 1 : std::clamp<int64_t>((int64_t(3) << 18) / plane, 1, 16);
        block_z = std::min(block_z, std::max<int64_t>(1, (nz * batch + threads - 1) / threads));
        const int64_t planes = batch * ((nz + block_z - 1) / block_z);
        block_y = std::max<int64_t>(16, (int64_t(1) << 24) / std::max<int64_t>(1, nx * block_z));
        if (planes < 4 * threads) block_y = std::min(block_y, std::max<int64_t>(8 * y.length, ny * planes / (4 * threads)));
        block_y = std::max<int64_t>(1, std::min((block_y + group - 1) / group * group, ny));
        const int64_t bz = (nz + block_z - 1) / block_z, by = (ny + block_y - 1) / block_y;
        parallel_for(batch * bz * by, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            const int64_t z0 = unit / by % bz * block_z, y0 = unit % by * block_y;
            int64_t i = 0, o = 0, b = unit / by / bz;
            for (int d = in.ndim - 4; d >= 0; --d) {
                i += b % in.shape[d] * in.strides[d];
                o += b % in.shape[d] * out.strides[d];
                b /= in.shape[d];
            }
            block(s, in.data + i, out.data + o, z0, std::min(block_z, nz - z0), y0, std::min(y0 + block_y, ny));
        });
    }

private:
    int64_t planes() const { return block_z + z.length - 1; }
    int64_t strip() const {  // so many elements of all planes' rows stay in a first level cache
        return std::max<int64_t>(PADDED, (int64_t(1) << 15) / (planes() * int64_t(sizeof(A))) / simd<A>::lanes * simd<A>::lanes);
    }
    Scratch scratch() const {
        Scratch s;
        s.ring.resize(block_z * depth * width);
        s.strip.resize(planes() * (strip() + simd<A>::lanes));
        s.lines.resize(group * width);
        s.ready.resize(width);
        s.constant_z.assign(width, z.outside);
        s.constant_y.assign(width, y.outside);
        s.ring_rows.resize(block_z * depth);
        s.rows.resize(std::max(planes(), depth));
        s.at.resize(planes());
        s.to.resize(std::max(block_z, group));
        return s;
    }
    A* ring(Scratch& s, int64_t plane, int64_t e) const { return s.ring.data() + (plane * depth + e % depth) * width; }
    A* line(Scratch& s, int64_t r) const { return s.lines.data() + r * width; }

    void block(Scratch& s, const char* from, char* to, int64_t z0, int64_t count_z, int64_t y0, int64_t y1) const {
        int64_t e = 0;  // rows that have come in, from y0 - before on
        for (int64_t row = y0; row < y1; row += group) {
            const int64_t count = std::min(group, y1 - row);
            for (; e < row - y0 + count + y.length - 1; ++e) arrive(s, from, z0, count_z, y0 - y.before + e, e);
            for (int64_t b = 0; b < count_z; ++b) leave(s, b, row - y0, count, to + (z0 + b) * out_z + row * out_y);
        }
    }

    // Row `at_y` of all planes (the constant, where that is outside) into place e of the rings, summed along z.
    void arrive(Scratch& s, const char* from, int64_t z0, int64_t count, int64_t row, int64_t e) const {
        const int64_t source = y.length > 1 ? border_index(row, ny, y.mode) : row;
        for (int64_t b = 0; b < count; ++b) s.ring_rows[b * depth + e % depth] = source < 0 ? s.constant_y.data() : ring(s, b, e);
        if (source < 0) return;
        from += source * in_y;
        if (z.length == 1) {
            for (int64_t b = 0; b < count; ++b) {
                const char* p = from + (z0 + b) * in_z;
                if (direct && nx % simd<A>::lanes == 0) s.ring_rows[b * depth + e % depth] = reinterpret_cast<const A*>(p);
                else load_row(p, in_x, nx, ring(s, b, e));
            }
            return;
        }
        const bool in_memory = direct && nx % simd<A>::lanes == 0;
        const int64_t all = count + z.length - 1, part = in_memory ? nx : strip(), pitch = part + simd<A>::lanes;
        for (int64_t x0 = 0; x0 < nx; x0 += part) {
            const int64_t n = std::min(part, nx - x0);
            for (int64_t k = 0; k < all; ++k) {
                const int64_t i = border_index(z0 - z.before + k, nz, z.mode);
                const char* p = from + i * in_z + x0 * in_x;
                if (i < 0) s.rows[k] = s.constant_z.data();
                else if (in_memory) s.rows[k] = reinterpret_cast<const A*>(p);
                else load_row(p, in_x, n, s.strip.data() + k * pitch), s.rows[k] = s.strip.data() + k * pitch;
                if (!in_memory && i >= 0)
                    for (int64_t at = 0; at < n * in_x; at += 64) prefetch(p + in_y + at);
            }
            for (int64_t b = 0; b < count; ++b) s.to[b] = ring(s, b, e) + x0;
            with_length(z.length, [&](auto l) { sum_rows<A, l>(s.rows.data(), count, n, at_z, s.to.data(), in_memory ? in_y / int64_t(sizeof(A)) : 0); });
        }
    }

    // `count` rows of a plane along y and x, from place e of its ring, into memory.
    void leave(Scratch& s, int64_t b, int64_t e, int64_t count, char* to) const {
        for (int64_t k = 0; k < count + y.length - 1; ++k) s.rows[k] = s.ring_rows[b * depth + (e + k) % depth];
        for (int64_t r = 0; r < count; ++r) s.to[r] = line(s, r) + x.before;
        if (y.length > 1) with_length(y.length, [&](auto l) { sum_rows<A, l>(s.rows.data(), count, nx, at_y, s.to.data()); });
        for (int64_t r = 0; r < count; ++r) {
            const A* row = y.length > 1 ? line(s, r) : s.rows[r];
            char* target = to + r * out_y;
            if (x.length == 1) {
                store_row(row + (y.length > 1 ? x.before : 0), nx, target, out_x);
                continue;
            }
            if (y.length == 1) std::copy_n(row, nx, line(s, r) + x.before);
            extend(line(s, r));
            const int64_t n = out_direct ? nx / simd<A>::lanes * simd<A>::lanes : 0;
            with_length(x.length, [&](auto l) {
                if (n > 0) sum_line<A, l>(line(s, r), n, at_x, reinterpret_cast<A*>(target));
                if (n < nx) sum_line<A, l>(line(s, r) + n, nx - n, at_x, s.ready.data());
            });
            if (n < nx) store_row(s.ready.data(), nx - n, target + n * out_x, out_x);
        }
    }
    void extend(A* row) const {  // what lies outside; the row itself stands from `before` on
        auto outside = [&](int64_t i) {
            const int64_t k = border_index(i, nx, x.mode);
            row[x.before + i] = k < 0 ? x.outside : row[x.before + k];
        };
        for (int64_t i = -x.before; i < 0; ++i) outside(i);
        for (int64_t i = nx; i < nx + x.length - 1 - x.before; ++i) outside(i);
    }
};

}  // namespace fastmed::mean
