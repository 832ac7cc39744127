// Symmetric and antisymmetric weighted sums over rows, in SciPy's order: the centre, then pairs from the outermost in.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace fastmed {

// Sums are written, and rows read, up to the next multiple of this many elements.
template <class A> constexpr int64_t STRIDE = 4 * simd<A>::lanes;
template <class A> int64_t whole(int64_t n) { return (n + STRIDE<A> - 1) / STRIDE<A> * STRIDE<A>; }

// out[x] = sum of weights[k] * row(k)[x] for k in [0, 2 radius]; `odd`: weights[k] == -weights[2 radius - k].
// Four vectors at a time, so that the additions do not wait for each other.
template <class A, bool odd, class Row> FASTMED_INLINE void sum_taps(Row&& row, const A* weights, int64_t radius, int64_t n, A* __restrict out) {
    constexpr int L = simd<A>::lanes;
    const A *w = weights, *centre = row(radius);
    for (int64_t x = 0; x < n; x += 4 * L) {
        typename simd<A>::v sum[4];
        for (int i = 0; i < 4; ++i) sum[i] = load<A>(centre + x + i * L) * splat<A>(w[radius]);
        for (int64_t k = 0; k < radius; ++k) {
            const A *a = row(k) + x, *b = row(2 * radius - k) + x;
            const auto weight = splat<A>(w[k]);
            for (int i = 0; i < 4; ++i)
                sum[i] += (odd ? load<A>(a + i * L) - load<A>(b + i * L) : load<A>(a + i * L) + load<A>(b + i * L)) * weight;
        }
        for (int i = 0; i < 4; ++i) store<A>(out + x + i * L, sum[i]);
    }
}

}  // namespace fastmed
