// Arrays as kernels see them: a pointer, a dtype, a shape and byte strides. No Python here.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace fastmed {

constexpr int MAX_NDIM = 64;  // NumPy's own limit

enum class DType : int { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 };

// A strided array. `data` points at the element with all indices 0; strides are in bytes and may be negative.
struct View {
    char* data = nullptr;
    DType dtype = DType::u8;
    int ndim = 0;
    std::array<int64_t, MAX_NDIM> shape;  // of which the first `ndim` count, and are copied: the rest is 1 kB
    std::array<int64_t, MAX_NDIM> strides;

    View() {}
    View(const View& other) { *this = other; }
    View& operator=(const View& other) {
        data = other.data, dtype = other.dtype, ndim = other.ndim;
        std::copy_n(other.shape.begin(), ndim, shape.begin());
        std::copy_n(other.strides.begin(), ndim, strides.begin());
        return *this;
    }

    int64_t size() const {
        int64_t n = 1;
        for (int d = 0; d < ndim; ++d) n *= shape[d];
        return n;
    }
    // Index 0 along `axis` removed from the view: the sub-array at `index`.
    View at(int axis, int64_t index) const {
        View v = *this;
        v.data += index * strides[axis];
        for (int d = axis; d + 1 < ndim; ++d) {
            v.shape[d] = shape[d + 1];
            v.strides[d] = strides[d + 1];
        }
        --v.ndim;
        return v;
    }
};

using Doubles = std::vector<double>;
using Ints = std::vector<int64_t>;

template <class T> struct type { using t = T; };

// Calls f(type<T>{}) with the element type of `dtype`. bool is handled as uint8 (its bytes are 0 and 1).
template <class F> void dispatch(DType dtype, F&& f) {
    switch (dtype) {
        case DType::boolean: case DType::u8: return f(type<uint8_t>{});
        case DType::i8: return f(type<int8_t>{});
        case DType::u16: return f(type<uint16_t>{});
        case DType::i16: return f(type<int16_t>{});
        case DType::u32: return f(type<uint32_t>{});
        case DType::i32: return f(type<int32_t>{});
        case DType::u64: return f(type<uint64_t>{});
        case DType::i64: return f(type<int64_t>{});
        case DType::f32: return f(type<float>{});
        case DType::f64: return f(type<double>{});
    }
}

// A line of n elements, `stride` bytes apart, to or from contiguous memory.
template <class T> void gather(const char* from, int64_t stride, int64_t n, T* to) {
    if (stride == sizeof(T)) {
        std::memcpy(to, from, n * sizeof(T));
    } else {
        for (int64_t i = 0; i < n; ++i) std::memcpy(to + i, from + i * stride, sizeof(T));
    }
}
template <class T> void scatter(const T* from, int64_t n, char* to, int64_t stride) {
    if (stride == sizeof(T)) {
        std::memcpy(to, from, n * sizeof(T));
    } else {
        for (int64_t i = 0; i < n; ++i) std::memcpy(to + i * stride, from + i, sizeof(T));
    }
}

}  // namespace fastmed
