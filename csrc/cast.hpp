// Floating point to a dtype as SciPy's C code does it on x86: toward zero, then modulo 2^bits.
#pragma once

#include <cstdint>
#include <type_traits>

#include "simd.hpp"

namespace fastmed {

template <class T, class A> FASTMED_INLINE T cast(A x) {
    if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(x);
    } else if constexpr (sizeof(T) < 4 || std::is_same_v<T, int32_t>) {
        return static_cast<T>(static_cast<int32_t>(x));
    } else if constexpr (std::is_same_v<T, uint64_t>) {
        return x >= A(9223372036854775808.0) ? static_cast<T>(static_cast<int64_t>(x - A(9223372036854775808.0))) + (T(1) << 63)
                                             : static_cast<T>(static_cast<int64_t>(x));
    } else {
        return static_cast<T>(static_cast<int64_t>(x));
    }
}

}  // namespace fastmed
