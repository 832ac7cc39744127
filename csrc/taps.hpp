// Weighted sums of rows: out[i] = w[0] rows[0][i] + w[1] rows[1][i] + ...
//
// double: SciPy's order, no fused multiply-add, so that integers come out bit for bit.
// float: fused, from both ends of the window toward its centre (small partial sums, small errors), and several
// neighbouring results at a time, so that a loaded vector serves all of them. An element's order of summation never
// depends on where its row or block begins.
// Integers in float rows: the float sum with a bound of its error; where the bound leaves open to which integer SciPy's
// double sum is cut, that sum decides.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "rows.hpp"

namespace fastmed {

using Floats = simd<float>::v;
constexpr int LANES = simd<float>::lanes;

enum class Kind { plain, symmetric, antisymmetric, mean, running_mean };

inline Kind kind_of(const Pass& p) {
    if (p.running) return Kind::running_mean;
    if (p.weights.empty()) return Kind::mean;
    const int64_t half = p.length / 2;
    if (p.length % 2 == 0) return Kind::plain;
    bool even = true, odd = true;  // SciPy's test
    for (int64_t k = 1; k <= half; ++k) {
        even &= std::abs(p.weights[half + k] - p.weights[half - k]) <= 2.220446049250313e-16;
        odd &= std::abs(p.weights[half + k] + p.weights[half - k]) <= 2.220446049250313e-16;
    }
    return even ? Kind::symmetric : odd ? Kind::antisymmetric : Kind::plain;
}

template <class A> struct Taps {
    Kind kind;
    int64_t length;
    std::vector<A> ascending; // as they came
    std::vector<A> w;         // of float: those of the rising half and the centre, then the others from the end inward
    std::vector<double> all;  // as they came, unrounded
    A divisor;
    bool cut;        // results are integers, cut toward zero from SciPy's sum
    A error = A(0);  // of a float sum, in units of the largest |element|

    Taps(const Pass& p, bool integers)
        : kind(kind_of(p)), length(p.length), ascending(p.weights.begin(), p.weights.end()), w(p.weights.begin(), p.weights.end()), all(p.weights), divisor(A(p.length)), cut(integers) {
        if (w.empty() || std::is_same_v<A, double>) return;
        std::reverse(w.begin() + rising(), w.end());
        error = A(float_error());
    }

    int64_t rising() const { return length / 2 + 1; }

    // A product that goes through m roundings (its own, those of the sums after it, that of its weight) is off by at
    // most m / (1 - m u) roundoffs u = 2^-24 of its size. Two more cover SciPy's own rounding, and the sum of result
    // and bound in the test of whether the result is decided; weights that SciPy takes for equal differ by 2^-52.
    // A tap's sums are over rows those of the rest of its half, along a line those of the rest of either half (sum_line).
    double float_error() const {
        double sum = 0;
        int64_t behind[2] = {0, 0};
        for (int64_t k = length - 1; k >= 0; --k) {
            const int64_t over_rows = k < rising() ? rising() - k : k - rising() + 1, along = ++behind[k / LANES % 2];
            sum += double(6 + std::max(over_rows, along)) * std::abs(double(ascending[k]));
        }
        return sum * std::ldexp(1.0, -24) * 1.001 + std::ldexp(double(length), -51);
    }
};

// --- double, and means ----------------------------------------------------------------------------------------------
// U vectors at a time stay in registers over all taps. The order of the sums is SciPy's.
template <class A, int U> FASTMED_INLINE void ordered_block(const A* const* rows, const Taps<A>& t, int64_t i, A* out) {
    using V = typename simd<A>::v;
    constexpr int L = simd<A>::lanes;
    V acc[U];
    const int64_t half = t.length / 2;
    if (t.kind == Kind::mean) {  // groups of eight: the error of a long float sum stays near that of a short one
        for (int u = 0; u < U; ++u) acc[u] = V{};
        for (int64_t k0 = 0; k0 < t.length; k0 += 8) {
            V part[U];
            for (int u = 0; u < U; ++u) part[u] = load(rows[k0] + i + u * L);
            for (int64_t k = k0 + 1; k < std::min(k0 + 8, t.length); ++k)
                for (int u = 0; u < U; ++u) part[u] += load(rows[k] + i + u * L);
            for (int u = 0; u < U; ++u) acc[u] += part[u];
        }
        for (int u = 0; u < U; ++u) acc[u] /= t.divisor;
    } else if (t.kind == Kind::plain) {
        const A last = t.w[t.length - 1];
        for (int u = 0; u < U; ++u) acc[u] = load(rows[t.length - 1] + i + u * L) * last;
        for (int64_t k = 0; k + 1 < t.length; ++k) {
            const V w = splat(t.w[k]);
            for (int u = 0; u < U; ++u) acc[u] += load(rows[k] + i + u * L) * w;
        }
    } else {
        const A centre = t.w[half];
        for (int u = 0; u < U; ++u) acc[u] = load(rows[half] + i + u * L) * centre;
        for (int64_t k = 0; k < half; ++k) {
            const V w = splat(t.w[k]);
            const A *a = rows[k] + i, *b = rows[t.length - 1 - k] + i;
            if (t.kind == Kind::symmetric) {
                for (int u = 0; u < U; ++u) acc[u] += (load(a + u * L) + load(b + u * L)) * w;
            } else {
                for (int u = 0; u < U; ++u) acc[u] += (load(a + u * L) - load(b + u * L)) * w;
            }
        }
    }
    for (int u = 0; u < U; ++u) store(out + i + u * L, acc[u]);
}

// --- float ----------------------------------------------------------------------------------------------------------
// One vector of SciPy's sums from rows of integers, cut.
template <class Row> void cut_exactly(const Row& row, const Taps<float>& t, float* out) {
    const int64_t half = t.length / 2, n = t.length;
    double sum[LANES];
    if (t.kind == Kind::plain) {
        for (int l = 0; l < LANES; ++l) sum[l] = double(row(n - 1)[l]) * t.all[n - 1];
        for (int64_t k = 0; k + 1 < n; ++k)
            for (int l = 0; l < LANES; ++l) sum[l] += double(row(k)[l]) * t.all[k];
    } else {
        const double sign = t.kind == Kind::symmetric ? 1 : -1;  // exact: x - y is x + (-1) y
        for (int l = 0; l < LANES; ++l) sum[l] = double(row(half)[l]) * t.all[half];
        for (int64_t k = 0; k < half; ++k) {
            const float *a = row(k), *b = row(n - 1 - k);
            for (int l = 0; l < LANES; ++l) sum[l] += (double(a[l]) + sign * double(b[l])) * t.all[k];
        }
    }
    for (int l = 0; l < LANES; ++l) out[l] = float(int32_t(sum[l]));
}

// acc[r] = the sum over k < n of w[k] p[r + k] (step 1), or of w[k] p[-(R - 1 - r) - k] (step -1).
template <int R, int U, int STEP>
FASTMED_INLINE void sum_rows(const float* const* p, const float* w, int64_t n, int64_t i, Floats (&acc)[R][U]) {
    for (int r = 0; r < R; ++r)
        for (int u = 0; u < U; ++u) acc[r][u] = Floats{};
    auto add = [&](int64_t j, int from, int to) FASTMED_INLINE_LAMBDA {  // row j to results from ... to - 1, counted along STEP
        const float* x = p[STEP * j] + i;
        Floats v[U];
        for (int u = 0; u < U; ++u) v[u] = load(x + u * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            if (r < from || r >= to) continue;
            const Floats c = splat(w[j - r]);
            for (int u = 0; u < U; ++u) {
                Floats& a = acc[STEP > 0 ? r : R - 1 - r][u];
                a = multiply_add<float>(v[u], c, a);
            }
        }
    };
    if (n < R) {
        for (int64_t j = 0; j < n + R - 1; ++j)
            for (int r = 0; r < R; ++r)
                if (r <= j && j - r < n) {
                    const Floats c = splat(w[j - r]);
                    for (int u = 0; u < U; ++u) {
                        Floats& a = acc[STEP > 0 ? r : R - 1 - r][u];
                        a = multiply_add<float>(load(p[STEP * j] + i + u * LANES), c, a);
                    }
                }
        return;
    }
#pragma GCC unroll 8
    for (int j = 0; j < R - 1; ++j) add(j, 0, j + 1);
    for (int64_t j = R - 1; j < n; ++j) add(j, 0, R);
#pragma GCC unroll 8
    for (int j = 1; j < R; ++j) add(n - 1 + j, j, R);
}

// Cuts `sum`; not 0 in the lanes in which `error` leaves open how.
FASTMED_INLINE simd<int32_t>::v cut(Floats& sum, Floats error) {
    const auto low = to_int32(sum - error), high = to_int32(sum + error);
    sum = to_float(low);
    return low ^ high;
}

// R neighbouring results, U vectors of each.
template <int R, int U, class Out>
FASTMED_INLINE void correlate_block(const float* const* rows, const Taps<float>& t, int64_t i, float error, Out&& out) {
    Floats rising[R][U], falling[R][U];
    sum_rows<R, U, 1>(rows, t.w.data(), t.rising(), i, rising);
    sum_rows<R, U, -1>(rows + t.length + R - 2, t.w.data() + t.rising(), t.length - t.rising(), i, falling);
    for (int r = 0; r < R; ++r)
        for (int u = 0; u < U; ++u) rising[r][u] += falling[r][u];
    simd<int32_t>::v open{};
    if (t.cut)
        for (int r = 0; r < R; ++r)
            for (int u = 0; u < U; ++u) falling[r][u] = rising[r][u], open |= cut(rising[r][u], splat(error));
    for (int r = 0; r < R; ++r)
        for (int u = 0; u < U; ++u) store(out(r) + i + u * LANES, rising[r][u]);
    if (!any(open)) return;
    for (int r = 0; r < R; ++r)
        for (int u = 0; u < U; ++u)
            if (any(cut(falling[r][u], splat(error))))
                cut_exactly([&](int64_t k) { return rows[r + k] + i + u * LANES; }, t, out(r) + i + u * LANES);
}

#if defined(__AVX512F__)
// Lanes S ... of two vectors side by side: one instruction, where a load across two cache lines takes two cycles of both
// load ports (0.33 ns, 0.15 ns). Each serves two results: tap S of one, and tap S + 16 of the one before.
template <int S> FASTMED_INLINE Floats shifted(Floats a, Floats b) {
    return _mm512_castsi512_ps(_mm512_maskz_alignr_epi32(0xffff, _mm512_castps_si512(b), _mm512_castps_si512(a), S));  // masked: see wide.hpp
}
template <int S, int U>
FASTMED_INLINE void sum_shifted(const Floats (&v)[U + 2], const float* w, int64_t n, Floats (&near)[U], Floats (&far)[U]) {
    if constexpr (S < LANES) {
        if (S >= n) return;
        const Floats c = splat(w[S]);
        if (S + LANES < n) {
            const Floats d = splat(w[S + LANES]);
#pragma GCC unroll 8
            for (int u = 0; u <= U; ++u) {
                const Floats x = shifted<S>(v[u], v[u + 1]);
                if (u < U) near[u] = multiply_add<float>(x, c, near[u]);
                if (u > 0) far[u - 1] = multiply_add<float>(x, d, far[u - 1]);
            }
        } else {
            for (int u = 0; u < U; ++u) near[u] = multiply_add<float>(shifted<S>(v[u], v[u + 1]), c, near[u]);
        }
        sum_shifted<S + 1, U>(v, w, n, near, far);
    }
}
// U vectors of sums along a line, of two halves each: taps 0 ... 15, 32 ... 47 and so on, and the others.
template <int U> FASTMED_INLINE void sum_line(const float* line, const Taps<float>& t, Floats (&near)[U], Floats (&far)[U]) {
    for (int64_t k = 0; k < t.length; k += 2 * LANES) {
        Floats v[U + 2];
        for (int u = 0; u < U + 2; ++u) v[u] = load(line + k + u * LANES);
        sum_shifted<0, U>(v, t.ascending.data() + k, t.length - k, near, far);
    }
}
#else
// U vectors of sums along a line, of two halves each: up to the centre, and from the end toward it.
template <int U> FASTMED_INLINE void sum_line(const float* line, const Taps<float>& t, Floats (&rising)[U], Floats (&falling)[U]) {
    const int64_t half = t.rising();
    for (int64_t k = 0; k < half; ++k) {
        const Floats c = splat(t.w[k]);
        for (int u = 0; u < U; ++u) rising[u] = multiply_add<float>(load(line + k + u * LANES), c, rising[u]);
    }
    for (int64_t k = t.length - 1; k >= half; --k) {
        const Floats c = splat(t.ascending[k]);
        for (int u = 0; u < U; ++u) falling[u] = multiply_add<float>(load(line + k + u * LANES), c, falling[u]);
    }
}
#endif

// U vectors of results along a line, whose element i + k meets weight k; `line` is aligned.
template <int U> FASTMED_INLINE void correlate_line_block(const float* line, const Taps<float>& t, int64_t i, float error, float* out) {
    Floats sum[U] = {}, part[U] = {};
    sum_line<U>(line + i, t, sum, part);
    for (int u = 0; u < U; ++u) sum[u] += part[u];
    simd<int32_t>::v open{};
    if (t.cut)
        for (int u = 0; u < U; ++u) part[u] = sum[u], open |= cut(sum[u], splat(error));
    for (int u = 0; u < U; ++u) store(out + i + u * LANES, sum[u]);
    if (!any(open)) return;
    for (int u = 0; u < U; ++u)
        if (any(cut(part[u], splat(error))))
            cut_exactly([&](int64_t k) { return line + i + k + u * LANES; }, t, out + i + u * LANES);
}

// --- any ------------------------------------------------------------------------------------------------------------
// `count` neighbouring results of n elements, out(r) from rows[r] ... rows[r + length - 1]. No |element| exceeds `top`
// where results are cut.
template <class A, class Out>
void correlate_rows(const A* const* rows, const Taps<A>& t, int64_t count, int64_t n, A top, Out&& out) {
    constexpr int64_t TOGETHER = 16;
    constexpr int L = simd<A>::lanes;
    const int64_t part = part_width<A>(std::min(count, TOGETHER) + t.length - 1);
    for (int64_t x0 = 0; x0 < n; x0 += part) {
        const int64_t x1 = std::min(x0 + part, n);
        int64_t r = 0;
        if constexpr (std::is_same_v<A, float>) {
            if (t.kind != Kind::mean) {
                const float error = t.error * top;
                for (; r + 4 <= count; r += 4) {
                    int64_t i = x0;
                    auto to = [&](int k) { return out(r + k); };
                    for (; i + L < x1; i += 2 * L) correlate_block<4, 2>(rows + r, t, i, error, to);
                    for (; i < x1; i += L) correlate_block<4, 1>(rows + r, t, i, error, to);
                }
                for (; r < count; ++r) {
                    int64_t i = x0;
                    auto to = [&](int) { return out(r); };
                    for (; i + 3 * L < x1; i += 4 * L) correlate_block<1, 4>(rows + r, t, i, error, to);
                    for (; i < x1; i += L) correlate_block<1, 1>(rows + r, t, i, error, to);
                }
            }
        }
        for (; r < count; ++r) {
            int64_t i = x0;
            for (; i + 3 * L < x1; i += 4 * L) ordered_block<A, 4>(rows + r, t, i, out(r));
            for (; i < x1; i += L) ordered_block<A, 1>(rows + r, t, i, out(r));
        }
    }
}

// Along a line whose element i + k meets weight k.
template <class A> void correlate_line(const A* line, const Taps<A>& t, int64_t n, A top, std::vector<const A*>& window, A* out) {
    constexpr int L = simd<A>::lanes;
    if constexpr (std::is_same_v<A, float>) {
        if (t.kind != Kind::mean) {
            int64_t i = 0;
            for (; i + 3 * L < n; i += 4 * L) correlate_line_block<4>(line, t, i, t.error * top, out);
            for (; i < n; i += L) correlate_line_block<1>(line, t, i, t.error * top, out);
            return;
        }
    }
    for (int64_t k = 0; k < t.length; ++k) window[k] = line + k;
    correlate_rows(window.data(), t, 1, n, top, [&](int64_t) { return out; });
}

}  // namespace fastmed
