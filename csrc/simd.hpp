// The few vector helpers that plain loops cannot do: fixed-width vectors of the widest register of this build.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace fastmed {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#define FASTMED_MM(name) _mm512_##name
#elif defined(__AVX2__)
constexpr int VECTOR_BYTES = 32;
#define FASTMED_MM(name) _mm256_##name
#else
constexpr int VECTOR_BYTES = 16;
#define FASTMED_MM(name) _mm_##name
#endif

#if defined(__GNUC__)
#define FASTMED_INLINE inline __attribute__((always_inline))
template <class T> struct simd {
    typedef T v __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr int lanes = VECTOR_BYTES / sizeof(T);
};
template <class T> FASTMED_INLINE typename simd<T>::v load(const T* p) {
    typename simd<T>::v v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T> FASTMED_INLINE void store(T* p, typename simd<T>::v v) { std::memcpy(p, &v, sizeof v); }
template <class T> FASTMED_INLINE typename simd<T>::v splat(T x) { return x - typename simd<T>::v{}; }
template <class V> FASTMED_INLINE V vmin(V a, V b) { return a < b ? a : b; }
template <class V> FASTMED_INLINE V vmax(V a, V b) { return a < b ? b : a; }
#if defined(__x86_64__)
// For floats the compiler makes a comparison and a blend of the above, because of NaN and -0: twice the instructions.
template <> FASTMED_INLINE simd<float>::v vmin(simd<float>::v a, simd<float>::v b) { return FASTMED_MM(min_ps)(a, b); }
template <> FASTMED_INLINE simd<float>::v vmax(simd<float>::v a, simd<float>::v b) { return FASTMED_MM(max_ps)(a, b); }
template <> FASTMED_INLINE simd<double>::v vmin(simd<double>::v a, simd<double>::v b) { return FASTMED_MM(min_pd)(a, b); }
template <> FASTMED_INLINE simd<double>::v vmax(simd<double>::v a, simd<double>::v b) { return FASTMED_MM(max_pd)(a, b); }
#endif
#else  // one lane: the same code, scalar
#define FASTMED_INLINE inline
template <class T> struct simd {
    typedef T v;
    static constexpr int lanes = 1;
};
template <class T> FASTMED_INLINE T load(const T* p) { return *p; }
template <class T> FASTMED_INLINE void store(T* p, T v) { *p = v; }
template <class T> FASTMED_INLINE T splat(T x) { return x; }
template <class V> FASTMED_INLINE V vmin(V a, V b) { return a < b ? a : b; }
template <class V> FASTMED_INLINE V vmax(V a, V b) { return a < b ? b : a; }
#endif

}  // namespace fastmed
