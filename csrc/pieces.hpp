// An array in pieces of C order, shared over threads.
#pragma once

#include <vector>

#include "parallel.hpp"
#include "view.hpp"

namespace fastmed {

inline int64_t size_of(DType dtype) {
    int64_t size = 0;
    dispatch(dtype, [&](auto t) { size = sizeof(typename decltype(t)::t); });
    return size;
}

inline bool is_contiguous(const View& v) {
    int64_t step = size_of(v.dtype);
    for (int d = v.ndim - 1; d >= 0; step *= v.shape[d], --d)
        if (v.shape[d] != 1 && v.strides[d] != step) return false;
    return true;
}

// body(scratch, first, values, count) for stretches of `v`, of which `first` is the number of the first element in C
// order; lines of a strided array are copied first. Each thread makes one scratch, which goes when the thread is done.
template <class T, class Make, class Body> void for_pieces(const View& v, int threads, Make&& make, Body&& body) {
    constexpr int64_t PIECE = 1 << 16;
    const int64_t n = v.size();
    if (n == 0) return;
    if (is_contiguous(v)) {
        const T* values = reinterpret_cast<const T*>(v.data);
        parallel_for((n + PIECE - 1) / PIECE, threads, make, [&](auto& scratch, int64_t i) {
            body(scratch, i * PIECE, values + i * PIECE, std::min(PIECE, n - i * PIECE));
        });
        return;
    }
    const int last = v.ndim - 1;
    const int64_t length = v.shape[last], lines = n / length, group = std::max<int64_t>(1, PIECE / length);
    parallel_for((lines + group - 1) / group, threads, make, [&](auto& scratch, int64_t i) {
        std::vector<T> line(length);
        for (int64_t l = i * group; l < std::min(lines, (i + 1) * group); ++l) {
            const char* from = v.data;
            for (int64_t rest = l, d = last - 1; d >= 0; rest /= v.shape[d], --d) from += rest % v.shape[d] * v.strides[d];
            gather(from, v.strides[last], length, line.data());
            body(scratch, l * length, static_cast<const T*>(line.data()), length);
        }
    });
}

}  // namespace fastmed
