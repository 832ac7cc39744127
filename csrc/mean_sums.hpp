// What means over boxes are made of: sums of neighbouring rows and elements, and how a sum becomes a mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "simd.hpp"
#include "view.hpp"

namespace fastmed::mean {

constexpr int64_t SMALL = 9;  // the longest window that is summed in registers

// --- what becomes of a sum ----------------------------------------------------------------------------------------------
// Reals: sums are scaled by powers of two after each pass (no rounding, no overflow), and divided once, at the end.
// Integers are cut toward zero after each pass. Their mean is the sum times a number not below 1 / length: an exact
// quotient is then not missed, and the next one not reached, as long as the error stays below 1 / length.
template <class A> struct Finish {
    bool integers = false, divide = false;
    A factor = 1, divisor = 1;
    uint16_t multiplier = 0;
    int shift = 0;

    // Sums of up to `length` integers of magnitude up to `top`.
    static Finish cut(int64_t length, double top) {
        Finish f;
        f.integers = true;
        f.divisor = A(length);
        if constexpr (std::is_floating_point_v<A>) {
            f.factor = A(1) / A(length);
            if (std::fma(double(f.factor), double(length), -1.0) < 0) f.factor = std::nextafter(f.factor, A(2));
            // The two roundings, 1.5 units in the last place of the quotient, must come to less than 1 / length.
            f.divide = (top + 1) * double(length) * 1.5 * double(std::numeric_limits<A>::epsilon()) >= 1;
        } else {
            while ((int64_t(2) << f.shift) <= length) ++f.shift;
            if (length == int64_t(1) << f.shift) --f.shift;
            f.multiplier = uint16_t(((int64_t(1) << (16 + f.shift)) + length - 1) / length);
        }
        return f;
    }
    static Finish real(double factor, double divisor) {
        Finish f;
        f.factor = A(factor), f.divisor = A(divisor), f.divide = divisor != 1;
        return f;
    }
};

// Sixteen bits: length * 255 < 2^16, and the multiplier's excess times that stays below 2^(16 + shift).
inline bool fits_in_16_bits(int64_t length) {
    if (length > 129) return false;
    const auto f = Finish<uint16_t>::cut(length, 255);
    const int64_t excess = int64_t(f.multiplier) * length - (int64_t(1) << (16 + f.shift));
    return length == 1 || excess * 255 * length < int64_t(1) << (16 + f.shift);
}

template <class A> FASTMED_INLINE typename simd<A>::v quotient(typename simd<A>::v sum, const Finish<A>& f) { return sum / f.divisor; }
#if defined(__AVX512F__)
// A division takes ten cycles; a product whose error is computed and taken off gives the same bits in two (Markstein).
template <> FASTMED_INLINE simd<float>::v quotient<float>(simd<float>::v sum, const Finish<float>& f) {
    const simd<float>::v d = splat(f.divisor), r = splat(1 / f.divisor), q = sum * r;
    const __m512 error = _mm512_fnmadd_ps(q, d, sum);  // NaN for infinity: q stays
    return _mm512_mask3_fmadd_ps(error, r, q, _mm512_cmp_ps_mask(error, error, _CMP_ORD_Q));
}
#endif

template <class A> FASTMED_INLINE typename simd<A>::v truncated(typename simd<A>::v v) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<A, float>) return _mm512_maskz_roundscale_ps(0xffff, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    if constexpr (std::is_same_v<A, double>) return _mm512_maskz_roundscale_pd(0xff, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
    if constexpr (std::is_same_v<A, float>) return FASTMED_MM(round_ps)(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    if constexpr (std::is_same_v<A, double>) return FASTMED_MM(round_pd)(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#endif
    A lanes[simd<A>::lanes];
    std::memcpy(lanes, &v, sizeof v);
    for (A& lane : lanes) lane = A(std::trunc(lane));
    std::memcpy(&v, lanes, sizeof v);
    return v;
}

template <class A> FASTMED_INLINE typename simd<A>::v finished(typename simd<A>::v sum, const Finish<A>& f) {
    if constexpr (std::is_same_v<A, uint16_t>) {
#if defined(__x86_64__) && defined(__GNUC__)  // the compiler makes 32-bit products of the loop below
        typedef long long Whole __attribute__((vector_size(VECTOR_BYTES)));
        const auto high = FASTMED_MM(mulhi_epu16)(Whole(sum), Whole(splat(f.multiplier)));
        return typename simd<A>::v(FASTMED_MM(srl_epi16)(high, _mm_cvtsi32_si128(f.shift)));
#endif
        uint16_t lanes[simd<A>::lanes];
        std::memcpy(lanes, &sum, sizeof sum);
        for (uint16_t& lane : lanes) lane = uint16_t((uint32_t(lane) * f.multiplier >> 16) >> f.shift);
        std::memcpy(&sum, lanes, sizeof sum);
        return sum;
    } else if (f.integers) {
        return truncated<A>(f.divide ? sum / f.divisor : sum * f.factor);
    } else {
        return f.divide ? quotient<A>(sum * f.factor, f) : sum * f.factor;
    }
}

// --- sums of neighbouring rows ------------------------------------------------------------------------------------------
// The sum of the LENGTH values that came last; values come one after the other, and sums of 2, 4 and 8 are kept.
template <class A, int LENGTH> struct Recent {
    using V = typename simd<A>::v;
    V ones[LENGTH + 1], twos[LENGTH + 1], fours[LENGTH + 1], eights[LENGTH + 1];

    FASTMED_INLINE V next(V value) {
        push(ones, value);
        if (LENGTH >= 2) push(twos, ones[1] + ones[0]);
        if (LENGTH >= 4) push(fours, twos[2] + twos[0]);
        if (LENGTH >= 8) push(eights, fours[4] + fours[0]);
        int back = 0;
        V sum;
        bool any = false;
        auto add = [&](const V* sums, int n) {
            if (!(LENGTH & n)) return;
            sum = any ? sums[back] + sum : sums[back];
            back += n, any = true;
        };
        add(ones, 1), add(twos, 2), add(fours, 4), add(eights, 8);
        return sum;
    }

private:
    static FASTMED_INLINE void push(V* kept, V value) {
        for (int k = LENGTH; k > 0; --k) kept[k] = kept[k - 1];
        kept[0] = value;
    }
};

// out[r] = finished sum of rows r ... r + LENGTH - 1, of `count` such. Rows are readable a vector past n, or n is a
// multiple of a vector. `ahead`: so many elements further stands what is wanted next: the processor foresees no more than
// 32 rows at a time by itself (a tenth of the time of a volume in memory).
template <class A, int LENGTH>
void sum_rows(const A* const* rows, int64_t count, int64_t n, const Finish<A>& f, A* const* out, int64_t ahead = 0) {
    constexpr int64_t L = simd<A>::lanes;
    for (int64_t i = 0; i < n; i += L) {
        if (ahead)
            for (int64_t r = 0; r < count + LENGTH - 1; ++r) prefetch(rows[r] + i + ahead);
        Recent<A, LENGTH> recent{};
        for (int k = 0; k < LENGTH - 1; ++k) recent.next(load(rows[k] + i));
        for (int64_t r = 0; r < count; ++r) store(out[r] + i, finished(recent.next(load(rows[r + LENGTH - 1] + i)), f));
    }
}
// The same along a row: out[i] = finished sum of line[i] ... line[i + LENGTH - 1].
template <class A, int LENGTH> void sum_line(const A* line, int64_t n, const Finish<A>& f, A* out) {
    constexpr int64_t L = simd<A>::lanes;
    for (int64_t i = 0; i < n; i += L) {
        typename simd<A>::v sum = load(line + i);
        for (int k = 1; k < LENGTH; ++k) sum += load(line + i + k);
        store(out + i, finished(sum, f));
    }
}
template <class F> void with_length(int64_t length, F&& f) {
    switch (length) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        case 4: return f(std::integral_constant<int, 4>());
        case 5: return f(std::integral_constant<int, 5>());
        case 6: return f(std::integral_constant<int, 6>());
        case 7: return f(std::integral_constant<int, 7>());
        case 8: return f(std::integral_constant<int, 8>());
        default: return f(std::integral_constant<int, 9>());
    }
}

template <class T, class A> void load_as(const char* from, int64_t stride, int64_t n, A* to) {
    if (stride == sizeof(T))
        for (int64_t i = 0; i < n; ++i) to[i] = A(reinterpret_cast<const T*>(from)[i]);
    else
        for (int64_t i = 0; i < n; ++i) to[i] = A(*reinterpret_cast<const T*>(from + i * stride));
}
template <class T, class A> void store_as(const A* from, int64_t n, char* to, int64_t stride) {
    if (stride == sizeof(T))
        for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(to)[i] = T(from[i]);  // values of T's range
    else
        for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = T(from[i]);
}

}  // namespace fastmed::mean
