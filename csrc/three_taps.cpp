// Three taps per axis in one trip: a tile of rows marches along z with three planes of it at hand, so that the input is
// read and the output written once, and what lies between stays in cache.
#include "three_taps.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "planes.hpp"
#include "rows.hpp"
#include "wide.hpp"

namespace fastmed {
namespace {

enum Slot { Z, Y, X, NONE };
enum class Emit { set, square, add_square, root, alone };  // a component: itself, or its part of a magnitude

// --- rows: S holds values; integers are computed modulo 2^bits, which is what SciPy's double and cast come to ---------
// SciPy's order of sums: the centre's product first, also where its weight is 0 (NaN and infinity spread from there).
// float needs no double here: one rounding of an exact difference is one rounding.
template <class S> void difference(const S* a, const S* c, const S* b, int64_t n, S* __restrict out) {
    for (int64_t i = 0; i < n; ++i) {
        if constexpr (std::is_floating_point_v<S>) out[i] = c[i] * S(0) - (a[i] - b[i]);
        else out[i] = S(b[i] - a[i]);
    }
}
template <class S, int CENTRE> void smooth(const S* a, const S* c, const S* b, int64_t n, S* __restrict out) {
    using Sum = std::conditional_t<std::is_same_v<S, float>, double, S>;
    int64_t i = 0;
    if constexpr (std::is_same_v<S, float>)
        for (constexpr int64_t L = simd<double>::lanes; i + L <= n; i += L)
            store(out + i, rounded(widened(c + i) * double(CENTRE) + (widened(a + i) + widened(b + i))));
    for (; i < n; ++i) out[i] = S(Sum(c[i]) * Sum(CENTRE) + (Sum(a[i]) + Sum(b[i])));
}

template <class S> void combine(const S* v, int64_t n, Emit emit, S* __restrict out) {
    if (emit == Emit::square) for (int64_t i = 0; i < n; ++i) out[i] = v[i] * v[i];
    else if (emit == Emit::add_square) for (int64_t i = 0; i < n; ++i) out[i] += v[i] * v[i];
    else if (emit == Emit::root) for (int64_t i = 0; i < n; ++i) out[i] = S(std::sqrt(out[i] + v[i] * v[i]));
    else for (int64_t i = 0; i < n; ++i) out[i] = S(std::sqrt(v[i] * v[i]));
}

template <class T, class S> void load_as(const char* from, int64_t stride, int64_t n, S* to) {
    if (stride == sizeof(T)) {
        const T* p = reinterpret_cast<const T*>(from);
        for (int64_t i = 0; i < n; ++i) to[i] = S(p[i]);
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = S(*reinterpret_cast<const T*>(from + i * stride));
    }
}

template <class S> struct Buffers {
    Buffer<S> ring, raw, between, line, ready, constant;
    std::vector<const S*> at[3], list;
};

// One derivative of an array of up to three axes.
template <class S> class Derivative {
    const char* in;
    char* out;
    Slot axis, before = NONE;  // `before`: the pass that comes before the one along z
    bool has_z, has_y, y_after, x_after, direct, past_caches;
    Mode mode[3] = {Mode::nearest, Mode::nearest, Mode::nearest};
    int centre;
    S cval;
    void (*load)(const char*, int64_t, int64_t, S*) = nullptr;

public:
    int64_t n[3] = {1, 1, 1}, in_step[3] = {0, 0, 0}, out_step[3] = {0, 0, 0};

    Derivative(const View& input, int axis_, const Ints& modes, double c, int centre_, const View& output)
        : in(input.data), out(output.data), axis(Slot(axis_ + 3 - input.ndim)), has_z(input.ndim == 3), has_y(input.ndim > 1),
          centre(centre_) {
        if constexpr (std::is_floating_point_v<S>) cval = S(c);
        else cval = S(int64_t(c));
        for (int d = 0; d < input.ndim; ++d) {
            const int slot = d + 3 - input.ndim;
            n[slot] = input.shape[d], in_step[slot] = input.strides[d], out_step[slot] = output.strides[d], mode[slot] = Mode(modes[d]);
        }
        if (axis == X && has_y) before = X;
        if (axis == Y && has_z) before = Y;
        y_after = has_y && before != Y;
        x_after = before != X;
        past_caches = worth_streaming(output);
        direct = input.dtype == output.dtype && in_step[X] == sizeof(S);
        dispatch(input.dtype, [&](auto tag) { load = load_as<typename decltype(tag)::t, S>; });
    }

    Buffers<S> buffers(int64_t rows) const {
        Buffers<S> s;
        const int64_t all = (rows + 2) * n[X];
        s.ring.resize(before == NONE && direct ? 0 : 3 * all);
        s.raw.resize(direct || before == NONE ? 0 : all);
        s.between.resize(3 * n[X]);
        s.line.resize(n[X]);
        s.ready.resize(n[X]);
        s.constant.assign(n[X], cval);
        for (auto& rows_at : s.at) rows_at.resize(rows + 2);
        s.list.resize(rows + 2);
        return s;
    }

    // Output planes z0 ... z1, rows y0 ... y1. Row r of the tile stands for row y0 - 1 + r.
    void tile(Buffers<S>& s, int64_t z0, int64_t z1, int64_t y0, int64_t y1, Emit emit) const {
        if (has_z) plane(s, z0 - 1, y0, y1), plane(s, z0, y0, y1);
        for (int64_t z = z0; z < z1; ++z) {
            plane(s, has_z ? z + 1 : z, y0, y1);
            if (y_after) along_z(s, z, y0, 0), along_z(s, z, y0, 1);
            for (int64_t y = y0; y < y1; ++y) {
                const int64_t r = y - y0 + 1;
                char* to = out + z * out_step[Z] + y * out_step[Y];
                const S* row;
                if (y_after) {
                    along_z(s, z, y0, r + 1);
                    if (!x_after) {
                        finish(s, emit, to, [&](S* result) { pass(Y, s.list[r - 1], s.list[r], s.list[r + 1], n[X], result); });
                        continue;
                    }
                    pass(Y, s.list[r - 1], s.list[r], s.list[r + 1], n[X], s.line.data());
                    row = s.line.data();
                } else {
                    along_z(s, z, y0, r);
                    row = s.list[r];
                }
                finish(s, emit, to, [&](S* result) { along_x(row, result); });
            }
        }
    }

private:
    void pass(Slot along, const S* a, const S* c, const S* b, int64_t count, S* to) const {
        if (along == axis) difference(a, c, b, count, to);
        else if (centre == 2) smooth<S, 2>(a, c, b, count, to);
        else smooth<S, 1>(a, c, b, count, to);
    }
    void along_x(const S* row, S* to) const {
        const int64_t nx = n[X];
        auto outside = [&](int64_t i) {
            const int64_t k = border_index(i, nx, mode[X]);
            return k < 0 ? cval : row[k];
        };
        const S ends[4] = {outside(-1), row[0], row[nx - 1], outside(nx)};
        const S second = nx > 1 ? row[1] : ends[3], before_last = nx > 1 ? row[nx - 2] : ends[0];
        pass(X, &ends[0], &ends[1], &second, 1, to);
        pass(X, row, row + 1, row + 2, nx - 2, to + 1);
        pass(X, &before_last, &ends[2], &ends[3], 1, to + nx - 1);
    }
    template <class Make> void finish(Buffers<S>& s, Emit emit, char* to, Make&& make) const {
        const bool plain = out_step[X] == sizeof(S);
        if (plain && emit == Emit::set && !past_caches) return make(reinterpret_cast<S*>(to));
        make(s.ready.data());
        if (plain && emit == Emit::set) return to_memory(to, reinterpret_cast<const char*>(s.ready.data()), n[X] * int64_t(sizeof(S)));
        if (emit == Emit::set) return scatter(s.ready.data(), n[X], to, out_step[X]);
        if constexpr (std::is_floating_point_v<S>) {
            if (plain) return combine(s.ready.data(), n[X], emit, reinterpret_cast<S*>(to));
            for (int64_t i = 0; i < n[X]; ++i) combine(s.ready.data() + i, 1, emit, reinterpret_cast<S*>(to + i * out_step[X]));
        }
    }
    // The row that row r of a tile stands for; -1: the constant.
    int64_t source_y(int64_t y0, int64_t r) const { return has_y ? border_index(y0 - 1 + r, n[Y], mode[Y]) : r - 1; }

    FASTMED_INLINE void fetch(int64_t z, int64_t y) const {
        if (y < 0 || in_step[X] < 0) return;
        for (int64_t b = 0; b < n[X] * in_step[X]; b += 64) prefetch(in + z * in_step[Z] + y * in_step[Y] + b);
    }
    // The tile's rows of plane z (which may lie outside) after what comes before the pass along z.
    void plane(Buffers<S>& s, int64_t z, int64_t y0, int64_t y1) const {
        const int64_t source = has_z ? border_index(z, n[Z], mode[Z]) : z, rows = y1 - y0 + 2, slot = (z + 1) % 3;
        auto& at = s.at[slot];
        if (source < 0) return std::fill(at.begin(), at.end(), s.constant.data());
        S* ring = s.ring.data() + slot * int64_t(s.ring.size() / 3);
        for (int64_t r = has_y ? 0 : 1; r < rows - !has_y; ++r) {
            const int64_t y = source_y(y0, r);
            const char* from = in + source * in_step[Z] + y * in_step[Y];
            const S* row = s.constant.data();
            if (r + 2 < rows - !has_y) fetch(source, source_y(y0, r + 2));
            if (y >= 0 && direct) row = reinterpret_cast<const S*>(from);
            else if (y >= 0) {
                S* copy = before == NONE ? ring + r * n[X] : s.raw.data() + r * n[X];
                load(from, in_step[X], n[X], copy);
                row = copy;
            }
            if (before == X && y >= 0) along_x(row, ring + r * n[X]), row = ring + r * n[X];
            (before == Y ? s.list : at)[r] = row;
        }
        if (before == Y)
            for (int64_t r = 1; r + 1 < rows; ++r) {
                pass(Y, s.list[r - 1], s.list[r], s.list[r + 1], n[X], ring + r * n[X]);
                at[r] = ring + r * n[X];
            }
    }
    // s.list[r] = row r of the tile after its pass along z, if there is one.
    void along_z(Buffers<S>& s, int64_t z, int64_t y0, int64_t r) const {
        const S* here = s.at[(z + 1) % 3][r];
        S* to = s.between.data() + r % 3 * n[X];
        if (has_z && (!y_after || source_y(y0, r) >= 0)) {
            pass(Z, s.at[z % 3][r], here, s.at[(z + 2) % 3][r], n[X], to);
            here = to;
        }
        s.list[r] = here;
    }
};

// One derivative after the other on tiles: those of a magnitude on tiles of the output that stay in cache meanwhile.
template <class S> void run(const std::vector<Derivative<S>>& parts, bool magnitude, int threads) {
    const Derivative<S>& d = parts[0];
    const int64_t row = d.n[X] * int64_t(sizeof(S)), nz = d.n[Z], ny = d.n[Y];
    int64_t tile_y = nz > 1 ? (int64_t(1) << 19) / (3 * row) : (int64_t(1) << 18) / row, tile_z = nz;
    if (magnitude) tile_y = std::min<int64_t>(tile_y, 32);
    tile_y = std::clamp<int64_t>(tile_y, std::min<int64_t>(8, ny), ny);
    const int64_t most = magnitude && nz > 1 ? int64_t(1) << 19 : int64_t(1) << 24;
    tile_z = std::clamp<int64_t>(most / std::max<int64_t>(1, tile_y * row), std::min<int64_t>(8, nz), nz);
    const int64_t ty = (ny + tile_y - 1) / tile_y, wanted = 4 * threads;
    if (ty * ((nz + tile_z - 1) / tile_z) < wanted) tile_z = std::max<int64_t>(std::min<int64_t>(8, nz), (nz * ty + wanted - 1) / wanted);
    const int64_t tz = (nz + tile_z - 1) / tile_z;
    auto make = [&] {
        std::vector<Buffers<S>> all;
        for (const auto& p : parts) all.push_back(p.buffers(tile_y));
        return all;
    };
    parallel_for(tz * ty, threads, make, [&](std::vector<Buffers<S>>& s, int64_t unit) {
        const int64_t z0 = unit / ty * tile_z, y0 = unit % ty * tile_y;
        const int64_t z1 = std::min(z0 + tile_z, nz), y1 = std::min(y0 + tile_y, ny);
        for (size_t k = 0; k < parts.size(); ++k) {
            const Emit first = parts.size() == 1 ? Emit::alone : Emit::square, last = Emit::root;
            const Emit emit = k == 0 ? first : k + 1 < parts.size() ? Emit::add_square : last;
            parts[k].tile(s[k], z0, z1, y0, y1, magnitude ? emit : Emit::set);
        }
        to_memory_done();
    });
}

bool integer(DType t) { return t != DType::f32 && t != DType::f64; }
int bytes(DType t) {
    int n = 0;
    dispatch(t, [&](auto tag) { n = sizeof(typename decltype(tag)::t); });
    return n;
}

}  // namespace

bool same_bits(DType from, DType to, bool constant, double cval) {
    const bool small = integer(from) && bytes(from) <= 2;
    if (to == DType::f64) return true;
    if (to == DType::f32) return (from == DType::f32 || small) && (!constant || double(float(cval)) == cval);
    if (constant && (cval != std::floor(cval) || std::abs(cval) > (1 << 24))) return false;
    return bytes(to) <= 4 && (small || (from == DType::u32 && to == DType::u32));
}

namespace {

template <class F> void with_storage(DType output, F&& f) {
    if (output == DType::f32) return f(float());
    if (output == DType::f64) return f(double());
    if (bytes(output) == 1) return f(uint8_t());
    if (bytes(output) == 2) return f(uint16_t());
    return f(uint32_t());
}

}  // namespace

bool three_taps(const View& input, int axis, const Ints& modes, double cval, int centre, const View& output, int threads) {
    if (input.size() == 0) return true;
    const bool constant = std::any_of(modes.begin(), modes.end(), [](int64_t m) { return Mode(m) == Mode::constant; });
    if (input.ndim < 1 || input.ndim > 3 || input.data == output.data || !same_bits(input.dtype, output.dtype, constant, cval)) return false;
    with_storage(output.dtype, [&](auto s) {
        run(std::vector{Derivative<decltype(s)>(input, axis, modes, cval, centre, output)}, false, threads);
    });
    return true;
}

void three_taps_magnitude(const View& input, const Ints& axes, const Ints& modes, double cval, int centre, const View& output, int threads) {
    if (input.size() == 0) return;
    auto with = [&](auto s) {
        std::vector<Derivative<decltype(s)>> parts;
        for (size_t k = 0; k < axes.size(); ++k)
            parts.emplace_back(input, int(axes[k]), Ints(input.ndim, modes[k]), cval, centre, output);
        run(parts, true, threads);
    };
    if (output.dtype == DType::f32) with(float());
    else with(double());
}

}  // namespace fastmed
