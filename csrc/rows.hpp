// Rows of float or double: how those of any dtype come and go, with their borders, and how one is added to another.
#pragma once

#include <algorithm>
#include <cmath>
#include <new>

#include "cast.hpp"
#include "separable.hpp"
#include "simd.hpp"

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace fastmed {

// --- rows of a dtype ------------------------------------------------------------------------------------------------
template <class T, class A> void load_row(const char* from, int64_t stride, int64_t n, A* to) {
    if (stride == sizeof(T)) {
        const T* p = reinterpret_cast<const T*>(from);
        for (int64_t i = 0; i < n; ++i) to[i] = static_cast<A>(p[i]);
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = static_cast<A>(*reinterpret_cast<const T*>(from + i * stride));
    }
}
template <class T, class A> void store_row(const A* from, int64_t n, char* to, int64_t stride) {
    if (stride == sizeof(T)) {
        T* p = reinterpret_cast<T*>(to);
        for (int64_t i = 0; i < n; ++i) p[i] = cast<T>(from[i]);
    } else {
        for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = cast<T>(from[i]);
    }
}
template <class T, class A> void round_row(A* row, int64_t n) {
    for (int64_t i = 0; i < n; ++i) row[i] = static_cast<A>(cast<T>(row[i]));
}

template <class A> struct Rows {  // how rows of one dtype come and go
    void (*load)(const char*, int64_t, int64_t, A*) = nullptr;
    void (*store)(const A*, int64_t, char*, int64_t) = nullptr;
    void (*round)(A*, int64_t) = nullptr;  // to the dtype and back; null where that changes nothing
    bool direct = false;                   // rows in memory are rows of A already
};
template <class A> Rows<A> rows_of(DType dtype) {
    Rows<A> r;
    dispatch(dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        r = {load_row<T, A>, store_row<T, A>, std::is_same_v<T, A> || sizeof(T) > sizeof(A) ? nullptr : round_row<T, A>,
             std::is_same_v<T, A>};
    });
    return r;
}

// --- arithmetic -----------------------------------------------------------------------------------------------------
template <class A> FASTMED_INLINE typename simd<A>::v multiply_add(typename simd<A>::v a, typename simd<A>::v b, typename simd<A>::v c) {
    return a * b + c;
}
#if defined(__AVX512F__)
// float32 need not match SciPy's bits: one rounding less, and half the instructions (as intrinsics: -ffp-contract=off
// holds for this file, and a loop of __builtin_fmaf over the lanes stays scalar).
template <> FASTMED_INLINE simd<float>::v multiply_add<float>(simd<float>::v a, simd<float>::v b, simd<float>::v c) {
    return _mm512_fmadd_ps(a, b, c);
}
#elif defined(__FMA__)
template <> FASTMED_INLINE simd<float>::v multiply_add<float>(simd<float>::v a, simd<float>::v b, simd<float>::v c) {
    return _mm256_fmadd_ps(a, b, c);
}
#endif

// Whether float32 rows can hold every value, and passes cannot leave the dtype: then results cut from float sums with a
// bound of their error are those of double sums (see taps.hpp).
inline bool float_holds(DType dtype, const std::vector<Pass>& passes) {
    const bool wide = dtype == DType::u16 || dtype == DType::i16, sign = dtype == DType::i8 || dtype == DType::i16;
    if (!wide && !sign && dtype != DType::boolean && dtype != DType::u8) return false;
    const double low = !sign ? 0 : wide ? -32768 : -128, high = wide ? (sign ? 32767 : 65535) : sign ? 127 : 255;
    for (const Pass& p : passes) {
        double sum = 0, least = 0;
        for (double w : p.weights) sum += std::abs(w), least = std::min(least, w);
        if (p.weights.empty() || sum > (least < 0 ? 0.999 : 1 + 1e-9) || (least < 0 && !sign)) return false;
        if (p.mode == Mode::constant && !(p.cval >= low && p.cval <= high && p.cval == double(float(p.cval)))) return false;
    }
    return true;
}

// float sums give double's bits for small integers: every product and sum is an integer below 2^24.
inline bool float_is_exact(DType dtype, const std::vector<Pass>& passes) {
    if (dtype != DType::boolean && dtype != DType::u8 && dtype != DType::i8 && dtype != DType::u16 && dtype != DType::i16) return false;
    const double top = dtype == DType::u16 || dtype == DType::i16 ? 65536 : 256;
    for (const Pass& p : passes) {
        double sum = 0;
        for (double w : p.weights) {
            if (w != std::floor(w)) return false;
            sum += std::abs(w);
        }
        if (p.weights.empty()) sum = p.length;
        if (sum > 256 || sum * top >= (1 << 24)) return false;
        if (p.mode == Mode::constant && (p.cval != std::floor(p.cval) || std::abs(p.cval) > top)) return false;
    }
    return true;
}

// --- buffers of rows ------------------------------------------------------------------------------------------------
// Memory that begins at a cache line: a vector across two lines takes twice as long to load (0.33 ns instead of 0.15).
template <class T> struct Aligned {
    using value_type = T;
    Aligned() = default;
    template <class U> Aligned(const Aligned<U>&) {}
    T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
    void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(64)); }
    template <class U> bool operator==(const Aligned<U>&) const { return true; }
    template <class U> bool operator!=(const Aligned<U>&) const { return false; }
};
template <class T> using Buffer = std::vector<T, Aligned<T>>;

// Rows are readable up to PAD elements past n (the buffers here are made so); `out` too.
template <class A> constexpr int64_t PAD = simd<A>::lanes;

// A row's length in a buffer of rows: an odd number of cache lines, so that rows do not collide in the cache.
template <class A> int64_t spread(int64_t n) {
    constexpr int64_t line = 64 / sizeof(A);
    const int64_t lines = (n + line - 1) / line;
    return (lines | 1) * line;
}

// Many results from the same rows, in parts so narrow that the rows' parts stay in a first level cache: with whole
// rows of 4 kB, 25 taps were loaded from the second level every time (2.3 times as slow).
template <class A> int64_t part_width(int64_t rows) {
    constexpr int64_t L4 = 4 * simd<A>::lanes;
    return std::max<int64_t>(1, (int64_t(1) << 15) / (rows * int64_t(sizeof(A)) * L4)) * L4;
}

// Elements x0 - before ... of a line in memory, borders included, into `line`.
template <class A> void load_extended(const Rows<A>& from, const char* in, int64_t stride, int64_t n, const Pass& p, int64_t x0, int64_t count, A* line) {
    const int64_t first = x0 - p.before, end = x0 + count + p.length - 1 - p.before;
    const int64_t a = std::clamp<int64_t>(first, 0, n), b = std::clamp<int64_t>(end, a, n);
    auto outside = [&](int64_t i) {
        const int64_t k = border_index(i, n, p.mode);
        if (k < 0) line[i - first] = A(p.cval);
        else from.load(in + k * stride, stride, 1, line + (i - first));
    };
    for (int64_t i = first; i < std::min(a, end); ++i) outside(i);
    from.load(in + a * stride, stride, b - a, line + (a - first));
    for (int64_t i = std::max(b, first); i < end; ++i) outside(i);
}

}  // namespace fastmed
