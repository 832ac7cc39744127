// Mean over a box: one running window per axis, its sum taken afresh at every place. A running sum (add what enters,
// subtract what leaves) would carry one NaN or infinity to the end of the line, and the result would depend on where
// a chunk begins.
#include "kernels.hpp"
#include "separable.hpp"

namespace fastmed {

void uniform_filter(View input, Ints axes, Ints sizes, Ints origins, Ints modes, double cval, View output, int threads) {
    std::vector<Pass> passes;
    for (size_t k = 0; k < axes.size(); ++k)
        passes.push_back({int(axes[k]), sizes[k], sizes[k] / 2 + origins[k], Mode(modes[k]), cval, {}});
    separable(input, std::move(passes), false, output, threads);
}

}  // namespace fastmed
