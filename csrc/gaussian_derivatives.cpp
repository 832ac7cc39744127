// Sums of squares, or sums, of Gaussian derivatives along several axes, in one trip through memory. What the derivatives
// share is computed once: in three dimensions two sums over z (smoothed, derived), three over y, and two or three over
// x, instead of nine passes and a volume per derivative. Rows of a block of planes stand in rings that stay in cache.
#include "gaussian_derivatives.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "rows.hpp"
#include "wide.hpp"

namespace fastmed {
namespace {

template <class A> struct Taps {  // along one axis; an axis that is not smoothed has the one weight 1
    int64_t half = 0;
    std::vector<A> smooth{A(1)}, derived{A(0)};
    bool odd = false, wanted = false;  // an odd derivative; whether the derivative along this axis is asked for
    int64_t length() const { return 2 * half + 1; }
};

// The smoothed and the derived value of U vectors at i, from the same loads, in SciPy's order of sums.
template <class A, int U, bool SMOOTH, bool DERIVED>
FASTMED_INLINE void both(const A* const* rows, const Taps<A>& t, int64_t i, typename simd<A>::v* g, typename simd<A>::v* d) {
    using V = typename simd<A>::v;
    constexpr int L = simd<A>::lanes;
    const V centre = splat(t.smooth[t.half]), derived_centre = splat(t.derived[t.half]);
    for (int u = 0; u < U; ++u) {
        const V c = load(rows[t.half] + i + u * L);
        if (SMOOTH) g[u] = c * centre;
        if (DERIVED) d[u] = c * derived_centre;
    }
    for (int64_t k = 0; k < t.half; ++k) {
        const V w = splat(t.smooth[k]), v = splat(t.derived[k]);
        const A *before = rows[k] + i, *after = rows[2 * t.half - k] + i;
        for (int u = 0; u < U; ++u) {
            const V a = load(before + u * L), b = load(after + u * L);
            if (SMOOTH) g[u] = multiply_add<A>(a + b, w, g[u]);
            if (DERIVED) d[u] = multiply_add<A>(t.odd ? a - b : a + b, v, d[u]);
        }
    }
}

// A as T holds it. The sum of derivatives of float32 is SciPy's bit by bit, each sum in double and then rounded: terms
// of order 2 cancel, and SciPy's tests compare it with the sum of its parts.
template <class T, class A> FASTMED_INLINE typename simd<A>::v held(typename simd<A>::v v) {
    if constexpr (std::is_same_v<T, A>) return v;
    else return widened(rounded(v));
}

// Sums in A, each rounded to T.
template <class A, class T> class Derivatives {
    using V = typename simd<A>::v;
    static constexpr int64_t L = simd<A>::lanes, U = 2;

    const View in, out;
    const Taps<A> &z, &y, &x;
    const Mode mode;
    const A cval;
    const bool magnitude, flat;  // flat: only the derivative along z, so that nothing needs what is smoothed along it
    int64_t n[3] = {1, 1, 1}, in_step[3] = {}, out_step[3] = {};
    int64_t width, group, depth, block_z = 1, block_y = 1;
    Rows<A> from, to;

    struct Scratch {
        Buffer<A> input, ring, derived_ring, lines[3], ready, constant;
        std::vector<const A*> rows, list, derived_list;
    };

public:
    Derivatives(const View& input, const Taps<A>* taps, Mode m, double c, bool is_magnitude, const View& output)
        : in(input), out(output), z(taps[0]), y(taps[1]), x(taps[2]), mode(m), cval(A(c)), magnitude(is_magnitude),
          flat(!y.wanted && !x.wanted), from(rows_of<A>(in.dtype)), to(rows_of<A>(out.dtype)) {
        for (int d = 0; d < in.ndim; ++d) {
            const int slot = d + 3 - in.ndim;
            n[slot] = in.shape[d], in_step[slot] = in.strides[d], out_step[slot] = out.strides[d];
        }
        group = y.length() < 7 ? 4 : 8;
        depth = y.length() - 1 + group;
        width = spread<A>(n[2] + x.length() + (U + 2) * L);
    }

    void run(int threads) {
        const int64_t plane = 2 * depth * width * int64_t(sizeof(A));
        block_z = z.length() == 1 ? 1 : std::clamp<int64_t>((int64_t(5) << 18) / plane, 1, 16);
        block_z = std::min(block_z, (n[0] + threads - 1) / threads);
        const int64_t bz = (n[0] + block_z - 1) / block_z;
        block_y = std::max<int64_t>(32, (int64_t(1) << 22) / std::max<int64_t>(1, n[2] * block_z));
        if (bz < 4 * threads) block_y = std::min(block_y, std::max<int64_t>(4 * y.length(), n[1] * bz / (4 * threads)));
        block_y = std::max<int64_t>(1, std::min((block_y + group - 1) / group * group, n[1]));
        const int64_t by = (n[1] + block_y - 1) / block_y;
        parallel_for(bz * by, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            const int64_t z0 = unit / by * block_z, y0 = unit % by * block_y;
            block(s, z0, std::min(block_z, n[0] - z0), y0, std::min(y0 + block_y, n[1]));
        });
    }

private:
    Scratch scratch() const {
        Scratch s;
        s.input.resize((block_z + z.length() - 1) * width);
        s.ring.resize(flat ? 0 : block_z * depth * width);
        s.derived_ring.resize(z.wanted ? block_z * depth * width : 0);
        for (auto& lines : s.lines) lines.resize(group * width);
        s.ready.resize(width);
        s.constant.assign(width, cval);
        s.rows.resize(std::max({block_z + z.length() - 1, depth, x.length()}));
        s.list.resize(block_z * depth);
        s.derived_list.resize(block_z * depth);
        return s;
    }

    void block(Scratch& s, int64_t z0, int64_t count_z, int64_t y0, int64_t y1) const {
        int64_t e = 0;  // rows that have come in, from y0 - half on
        for (int64_t row = y0; row < y1; row += group) {
            const int64_t count = std::min(group, y1 - row);
            for (; e < row - y0 + count + 2 * y.half; ++e) arrive(s, z0, count_z, border_index(y0 - y.half + e, n[1], mode), e);
            for (int64_t b = 0; b < count_z; ++b) {
                along_y(s, b, row - y0, count);
                for (int64_t r = 0; r < count; ++r) along_x(s, r, out.data + (z0 + b) * out_step[0] + (row + r) * out_step[1]);
            }
        }
    }

    // A row of all planes, summed along z, into place e of the rings; -1: the constant.
    void arrive(Scratch& s, int64_t z0, int64_t count, int64_t source, int64_t e) const {
        const int64_t place = e % depth, all = count + 2 * z.half;
        for (int64_t b = 0; b < count; ++b) {
            const int64_t k = b * depth + place;
            s.list[k] = source < 0 || flat ? s.constant.data() : s.ring.data() + k * width;
            s.derived_list[k] = source < 0 || !z.wanted ? s.constant.data() : s.derived_ring.data() + k * width;
        }
        if (source < 0) return;
        for (int64_t k = 0; k < all; ++k) {
            const int64_t i = border_index(z0 - z.half + k, n[0], mode);
            A* row = s.input.data() + k * width;
            s.rows[k] = i < 0 ? s.constant.data() : row;
            if (k + 2 < all) fetch(border_index(z0 - z.half + k + 2, n[0], mode), source);
            if (i >= 0) from.load(in.data + i * in_step[0] + source * in_step[1], in_step[2], n[2], row);
        }
        const int64_t part = part_width<A>(all);
        for (int64_t x0 = 0; x0 < n[2]; x0 += part)
            for (int64_t b = 0; b < count; ++b) {
                A *g = const_cast<A*>(s.list[b * depth + place]), *d = const_cast<A*>(s.derived_list[b * depth + place]);
                const A* const* rows = s.rows.data() + b;
                const int64_t end = std::min(x0 + part, n[2]);
                if (z.wanted && !flat) sums<true, true>(rows, z, x0, end, g, d);
                else if (z.wanted) sums<false, true>(rows, z, x0, end, g, d);
                else sums<true, false>(rows, z, x0, end, g, d);
            }
    }
    FASTMED_INLINE void fetch(int64_t plane, int64_t row) const {  // planes lie far apart: the processor does not foresee them
        if (plane < 0 || in_step[2] < 0) return;
        for (int64_t b = 0; b < n[2] * in_step[2]; b += 64) prefetch(in.data + plane * in_step[0] + row * in_step[1] + b);
    }
    template <bool SMOOTH, bool DERIVED> static void sums(const A* const* rows, const Taps<A>& t, int64_t i, int64_t end, A* g, A* d) {
        for (; i < end; i += U * L) {
            V a[U], b[U];
            both<A, U, SMOOTH, DERIVED>(rows, t, i, a, b);
            for (int u = 0; u < U; ++u) {
                if (SMOOTH) store(g + i + u * L, held<T, A>(a[u]));
                if (DERIVED) store(d + i + u * L, held<T, A>(b[u]));
            }
        }
    }

    // Lines of a plane that are still to be summed along x: 0 to be derived, 1 (from y) and 2 (from z) to be smoothed.
    int64_t left() const { return (x.half + L - 1) / L * L; }  // so that lines are aligned
    A* line(Scratch& s, int which, int64_t r) const { return s.lines[which].data() + r * width + left(); }
    void along_y(Scratch& s, int64_t b, int64_t e, int64_t count) const {
        const int64_t part = part_width<A>(count + 2 * y.half);
        auto list = [&](const std::vector<const A*>& rings) {
            for (int64_t k = 0; k < count + 2 * y.half; ++k) s.rows[k] = rings[b * depth + (e + k) % depth];
        };
        if (!flat) {
            list(s.list);
            for (int64_t x0 = 0; x0 < n[2]; x0 += part)
                for (int64_t r = 0; r < count; ++r) {
                    const A* const* rows = s.rows.data() + r;
                    const int64_t end = std::min(x0 + part, n[2]);
                    if (x.wanted && y.wanted) sums<true, true>(rows, y, x0, end, line(s, 0, r), line(s, 1, r));
                    else if (y.wanted) sums<false, true>(rows, y, x0, end, nullptr, line(s, 1, r));
                    else sums<true, false>(rows, y, x0, end, line(s, 0, r), nullptr);
                }
        }
        if (z.wanted) {
            list(s.derived_list);
            for (int64_t x0 = 0; x0 < n[2]; x0 += part)
                for (int64_t r = 0; r < count; ++r)
                    sums<true, false>(s.rows.data() + r, y, x0, std::min(x0 + part, n[2]), line(s, 2, r), nullptr);
        }
    }

    void along_x(Scratch& s, int64_t r, char* target) const {
        const bool wanted[3] = {x.wanted, y.wanted, z.wanted};
        int first = 2;
        if (std::is_same_v<T, A> && !magnitude && y.wanted && z.wanted && mode != Mode::constant) {  // smoothed alike: their sum is
            A *a = line(s, 1, r), *b = line(s, 2, r);
            for (int64_t i = 0; i < n[2]; i += L) store(a + i, load(a + i) + load(b + i));
            first = 1;
        }
        A* ready = out_step[2] == sizeof(A) && to.direct && n[2] % (U * L) == 0 ? reinterpret_cast<A*>(target) : s.ready.data();
        bool some = false;
        for (int which = first; which >= 0; --which) {
            if (!wanted[which]) continue;
            extend(line(s, which, r));
            for (int64_t k = 0; k < x.length(); ++k) s.rows[k] = line(s, which, r) - x.half + k;
            const bool last = std::none_of(wanted, wanted + which, [](bool w) { return w; });
            for (int64_t i = 0; i < n[2]; i += U * L) {
                V v[U], unused[U];
                if (which == 0) both<A, U, false, true>(s.rows.data(), x, i, unused, v);
                else both<A, U, true, false>(s.rows.data(), x, i, v, unused);
                for (int u = 0; u < U; ++u) {
                    v[u] = held<T, A>(v[u]);
                    if (magnitude) v[u] *= v[u];
                    if (some) v[u] = held<T, A>(load(ready + i + u * L) + v[u]);
                    if (magnitude && last) v[u] = root(v[u]);
                    store(ready + i + u * L, v[u]);
                }
            }
            some = true;
        }
        if (ready == s.ready.data()) to.store(ready, n[2], target, out_step[2]);
    }
    static FASTMED_INLINE V root(V v) {
        A lanes[L];
        std::memcpy(lanes, &v, sizeof v);
        for (A& lane : lanes) lane = std::sqrt(lane);
        std::memcpy(&v, lanes, sizeof v);
        return v;
    }
    void extend(A* row) const {
        for (int64_t i = -x.half; i < n[2] + x.half; i = i == -1 ? n[2] : i + 1) {
            const int64_t k = border_index(i, n[2], mode);
            row[i] = k < 0 ? cval : row[k];
        }
    }
};

template <class A, class T>
void run(const View& in, const Ints& axes, const GaussianTaps& all, Mode mode, double cval, bool magnitude, const View& out, int threads) {
    Taps<A> taps[3];
    int64_t at = 0;
    for (int d = 0; d < in.ndim; ++d) {
        Taps<A>& t = taps[d + 3 - in.ndim];
        t.half = all.radii[d], t.odd = all.odd;
        t.smooth.assign(all.smooth.begin() + at, all.smooth.begin() + at + t.length());
        t.derived.assign(all.derived.begin() + at, all.derived.begin() + at + t.length());
        t.wanted = std::find(axes.begin(), axes.end(), d) != axes.end();
        at += t.length();
    }
    Derivatives<A, T>(in, taps, mode, cval, magnitude, out).run(threads);
}

}  // namespace

void sum_of_derivatives(const View& input, const Ints& axes, const GaussianTaps& taps, Mode mode, double cval, bool magnitude,
                        const View& output, int threads) {
    if (input.size() == 0) return;
    const bool single = output.dtype == DType::f32 && input.dtype != DType::f64;
    if (single && magnitude) run<float, float>(input, axes, taps, mode, cval, magnitude, output, threads);
    else if (single) run<double, float>(input, axes, taps, mode, cval, magnitude, output, threads);
    else run<double, double>(input, axes, taps, mode, cval, magnitude, output, threads);
}

}  // namespace fastmed
