// Values as keys: what ranks and extrema are computed on. Floats become integers of the same order, in which a NaN
// stands beyond everything, so that a window with a NaN gives NaN without a special case.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "simd.hpp"
#include "view.hpp"

namespace fastmed {

// The values themselves.
template <class T> struct Plain {
    using K = T;
    static FASTMED_INLINE K key(T x) { return x; }
    static FASTMED_INLINE T value(K k) { return k; }
};

// Keys for the largest (or smallest) of many values.
template <class T, bool LARGEST, class = void> struct Extremal : Plain<T> {
    static FASTMED_INLINE T best(T a, T b) { return LARGEST ? (a < b ? b : a) : (b < a ? b : a); }
};
template <class T, bool LARGEST> struct Extremal<T, LARGEST, std::enable_if_t<std::is_floating_point_v<T>>> {
    using K = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    using Limits = std::numeric_limits<K>;
    // Sign and magnitude to two's complement, and back; the largest and the smallest integer are bits of a NaN.
    static FASTMED_INLINE K flip(K bits) { return bits ^ ((bits >> (8 * sizeof(K) - 1)) & Limits::max()); }
    static FASTMED_INLINE K key(T x) {
        K bits;
        std::memcpy(&bits, &x, sizeof x);
        return x != x ? (LARGEST ? Limits::max() : Limits::min()) : flip(bits);
    }
    static FASTMED_INLINE T value(K k) {
        const K bits = flip(k);
        T x;
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }
    static FASTMED_INLINE K best(K a, K b) { return LARGEST ? (a < b ? b : a) : (b < a ? b : a); }
};

// A line of n elements, `stride` bytes apart, to keys and back.
template <class T, class Order> void gather_keys(const char* from, int64_t stride, int64_t n, typename Order::K* to) {
    if constexpr (std::is_same_v<T, typename Order::K>) return gather(from, stride, n, to);
    if (stride == sizeof(T)) {
        const T* p = reinterpret_cast<const T*>(from);
        for (int64_t i = 0; i < n; ++i) to[i] = Order::key(p[i]);
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = Order::key(*reinterpret_cast<const T*>(from + i * stride));
    }
}
template <class T, class Order> void scatter_keys(const typename Order::K* from, int64_t n, char* to, int64_t stride) {
    if constexpr (std::is_same_v<T, typename Order::K>) return scatter(from, n, to, stride);
    if (stride == sizeof(T)) {
        T* p = reinterpret_cast<T*>(to);
        for (int64_t i = 0; i < n; ++i) p[i] = Order::value(from[i]);
    } else {
        for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = Order::value(from[i]);
    }
}

}  // namespace fastmed
