// Bytes to bits, and counting them.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif
#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace fastmed {

inline int count_bits(uint64_t word) {
#if defined(__GNUC__)
    return __builtin_popcountll(word);
#elif defined(_M_X64)
    return static_cast<int>(__popcnt64(word));
#else
    int n = 0;
    for (; word; word &= word - 1) ++n;
    return n;
#endif
}

// The place of the lowest bit that is set; the word is not 0.
inline int lowest_bit(uint64_t word) { return count_bits((word & (~word + 1)) - 1); }

// Bit i: byte i is not zero. 64 bytes. With the last loop for every build, a mask of 2048 x 2048 bytes with one border
// takes 3.0 ms to trace instead of 0.22 ms.
inline uint64_t nonzero_bits(const uint8_t* p) {
#if defined(__AVX512BW__)
    const __m512i v = _mm512_loadu_si512(p);
    return _mm512_test_epi8_mask(v, v);
#elif defined(__AVX2__)
    uint64_t zero = 0;
    for (int i = 0; i < 2; ++i) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i));
        const int m = _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
        zero |= uint64_t(uint32_t(m)) << (32 * i);
    }
    return ~zero;
#elif defined(__SSE2__)
    uint64_t zero = 0;
    for (int i = 0; i < 4; ++i) {
        const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
        zero |= uint64_t(uint32_t(_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())))) << (16 * i);
    }
    return ~zero;
#else
    uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= uint64_t(p[i] != 0) << i;
    return bits;
#endif
}

}  // namespace fastmed
