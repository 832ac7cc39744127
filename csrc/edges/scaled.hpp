// Rows of an image as scikit-image scales them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "../view.hpp"

namespace fastmed {

// Integers scaled to [-1, 1] or [0, 1] by one multiplication in double; bool and floats as they are.
template <class A> void load_scaled(const View& image, int64_t y, A* to) {
    const char* from = image.data + y * image.strides[0];
    const int64_t step = image.strides[1], n = image.shape[1];
    dispatch(image.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        auto each = [&](auto value) {
            if constexpr (std::is_floating_point_v<T>) {
                for (int64_t x = 0; x < n; ++x) to[x] = static_cast<A>(value(x));
            } else {
                const A scale = image.dtype == DType::boolean ? A(1) : A(1) / static_cast<A>(std::numeric_limits<T>::max());
                for (int64_t x = 0; x < n; ++x) to[x] = std::max(static_cast<A>(value(x)) * scale, A(-1));
            }
        };
        const T* line = reinterpret_cast<const T*>(from);
        if (step == sizeof(T)) each([=](int64_t x) { return line[x]; });
        else each([=](int64_t x) { return *reinterpret_cast<const T*>(from + x * step); });
    });
}

}  // namespace fastmed
