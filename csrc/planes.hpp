// Two views of one shape as batches of (z, y, x): the last three axes, with steps in bytes.
#pragma once

#include <utility>

#include "view.hpp"

namespace fastmed {

struct Planes {
    View in, out;
    int64_t batch = 1, nz = 1, ny = 1, nx = 1;
    int64_t in_z = 0, in_y = 0, in_x = 0, out_z = 0, out_y = 0, out_x = 0;

    Planes(const View& input, const View& output) : in(input), out(output) {
        const int n = in.ndim;
        if (n > 0) nx = in.shape[n - 1], in_x = in.strides[n - 1], out_x = out.strides[n - 1];
        if (n > 1) ny = in.shape[n - 2], in_y = in.strides[n - 2], out_y = out.strides[n - 2];
        if (n > 2) nz = in.shape[n - 3], in_z = in.strides[n - 3], out_z = out.strides[n - 3];
        for (int d = 0; d < n - 3; ++d) batch *= in.shape[d];
    }
    // Byte offsets of batch element b.
    std::pair<int64_t, int64_t> offsets(int64_t b) const {
        int64_t i = 0, o = 0;
        for (int d = in.ndim - 4; d >= 0; --d) {
            i += (b % in.shape[d]) * in.strides[d];
            o += (b % in.shape[d]) * out.strides[d];
            b /= in.shape[d];
        }
        return {i, o};
    }
};

// Whether an output goes past the caches: rows of a volume far larger than a second level.
inline bool worth_streaming(const View& out) {
    int64_t size = 0;
    dispatch(out.dtype, [&](auto tag) { size = sizeof(typename decltype(tag)::t); });
    return out.ndim > 0 && out.strides[out.ndim - 1] == size && out.size() * size >= (int64_t(8) << 20);
}

}  // namespace fastmed
