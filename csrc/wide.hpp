// Rows of float whose arithmetic is in double: half a register of the one becomes a whole one of the other. (Of a plain
// loop, and of __builtin_convertvector, GCC 12 makes whole registers of floats and takes them apart again: a third of
// the instructions.)
#pragma once

#include "simd.hpp"

namespace fastmed {

#if defined(__GNUC__)
typedef float half_of_floats __attribute__((vector_size(VECTOR_BYTES / 2)));
#else
typedef float half_of_floats;
#endif
FASTMED_INLINE half_of_floats load_half(const float* p) {
    half_of_floats v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
FASTMED_INLINE void store(float* p, half_of_floats v) { std::memcpy(p, &v, sizeof v); }

#if defined(__AVX512F__)  // masked, because GCC 12 warns of its own header else
FASTMED_INLINE simd<double>::v widened(half_of_floats v) { return _mm512_maskz_cvtps_pd(0xff, v); }
FASTMED_INLINE half_of_floats rounded(simd<double>::v v) { return _mm512_maskz_cvtpd_ps(0xff, v); }
#elif defined(__AVX2__)
FASTMED_INLINE simd<double>::v widened(half_of_floats v) { return _mm256_cvtps_pd(v); }
FASTMED_INLINE half_of_floats rounded(simd<double>::v v) { return _mm256_cvtpd_ps(v); }
#elif defined(__GNUC__)
FASTMED_INLINE simd<double>::v widened(half_of_floats v) { return __builtin_convertvector(v, simd<double>::v); }
FASTMED_INLINE half_of_floats rounded(simd<double>::v v) { return __builtin_convertvector(v, half_of_floats); }
#else
FASTMED_INLINE double widened(float v) { return v; }
FASTMED_INLINE float rounded(double v) { return static_cast<float>(v); }
#endif
FASTMED_INLINE simd<double>::v widened(const float* p) { return widened(load_half(p)); }

}  // namespace fastmed
