// Hysteresis on an array of marks, in place: see hysteresis.hpp.
#include "hysteresis.hpp"

#include "kernels.hpp"

namespace fastmed {

void hysteresis(View marks, int connectivity, int threads) {
    const std::vector<int64_t> shape(marks.shape.begin(), marks.shape.begin() + marks.ndim);
    Hysteresis(reinterpret_cast<uint8_t*>(marks.data), shape, connectivity, false).run(threads);
}

}  // namespace fastmed
