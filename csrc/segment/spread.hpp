// The labels of a line's runs, written to its elements.
#pragma once

#include <array>
#include <cstdint>

#include "../bits.hpp"
#include "../simd.hpp"

namespace fastmed {

constexpr int SPREAD_PAD = 16;  // labels that are read, and not used, behind the last one

namespace detail {

// Element 8 b + i: how many of the bits 0 to i of b are set.
struct Counts {
    std::array<std::array<uint8_t, 8>, 256> upto{};
    constexpr Counts() {
        for (int b = 0; b < 256; ++b)
            for (int i = 0, n = 0; i < 8; ++i) upto[b][i] = static_cast<uint8_t>(n += b >> i & 1);
    }
};
alignas(64) constexpr Counts COUNTS;

// 64 elements, 8 at a time: element i gets the label at the number of starts up to it, or 0.
template <class Label> const Label* spread_word(uint64_t set, uint64_t starts, const Label* labels, Label* __restrict to) {
    for (int j = 0; j < 64; j += 8, set >>= 8, starts >>= 8) {
        const auto& upto = COUNTS.upto[starts & 255];
        for (int i = 0; i < 8; ++i) to[j + i] = labels[upto[i]] & -static_cast<Label>(set >> i & 1);
        labels += upto[7];
    }
    return labels;
}

// With a permutation instead of a lookup for each element. A register holds the labels of all its elements: no more runs
// than elements lie in it, because where the first one begins a run, none goes on from before.
#if defined(__AVX512F__)
inline const int32_t* spread_word(uint64_t set, uint64_t starts, const int32_t* labels, int32_t* __restrict to) {
    for (int j = 0; j < 64; j += 16, set >>= 16, starts >>= 16) {
        labels += starts & 1;
        const unsigned begins = starts & 0xfffe;
        const int low = COUNTS.upto[begins & 255][7];
        uint64_t near, far;
        std::memcpy(&near, COUNTS.upto[begins & 255].data(), 8);
        std::memcpy(&far, COUNTS.upto[begins >> 8].data(), 8);
        far += 0x0101010101010101 * low;
        const __m512i at = _mm512_maskz_cvtepu8_epi32(0xffff, _mm_set_epi64x(static_cast<int64_t>(far), static_cast<int64_t>(near)));
        const __m512i found = _mm512_maskz_permutexvar_epi32(static_cast<__mmask16>(set), at, _mm512_loadu_si512(labels));
        _mm512_storeu_si512(to + j, found);
        labels += low + COUNTS.upto[begins >> 8][7];
    }
    return labels;
}
inline const int64_t* spread_word(uint64_t set, uint64_t starts, const int64_t* labels, int64_t* __restrict to) {
    for (int j = 0; j < 64; j += 8, set >>= 8, starts >>= 8) {
        labels += starts & 1;
        const auto& upto = COUNTS.upto[starts & 0xfe];
        const __m512i at = _mm512_maskz_cvtepu8_epi64(0xff, _mm_loadl_epi64(reinterpret_cast<const __m128i*>(upto.data())));
        _mm512_storeu_si512(to + j, _mm512_maskz_permutexvar_epi64(static_cast<__mmask8>(set), at, _mm512_loadu_si512(labels)));
        labels += upto[7];
    }
    return labels;
}
#elif defined(__AVX2__)
inline const int32_t* spread_word(uint64_t set, uint64_t starts, const int32_t* labels, int32_t* __restrict to) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (int j = 0; j < 64; j += 8, set >>= 8, starts >>= 8) {
        labels += starts & 1;
        const auto& upto = COUNTS.upto[starts & 0xfe];
        const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(upto.data())));
        const __m256i found = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(labels)), at);
        const __m256i in = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(set & 255)), bit);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + j), _mm256_and_si256(found, _mm256_cmpeq_epi32(in, bit)));
        labels += upto[7];
    }
    return labels;
}
#endif

}  // namespace detail

// `labels[0]` goes on from before the first word; `labels[1]` is that of the first start. Gives the one that goes on
// behind the last word.
template <class Label>
const Label* spread(const uint64_t* set, const uint64_t* starts, int64_t words, const Label* labels, Label* __restrict to) {
    for (int64_t k = 0; k < words; ++k) labels = detail::spread_word(set[k], starts[k], labels, to + 64 * k);
    return labels;
}

}  // namespace fastmed
