// Gaussian smoothing and derivatives: one correlation per axis with sampled weights that Python has computed.
#include "kernels.hpp"
#include "separable.hpp"

namespace fastmed {

void gaussian_filter(View input, Ints axes, Ints radii, Doubles weights, Ints modes, double cval, bool exact, View output, int threads) {
    std::vector<Pass> passes;
    auto w = weights.begin();
    for (size_t k = 0; k < axes.size(); ++k) {
        const int64_t length = 2 * radii[k] + 1;
        passes.push_back({int(axes[k]), length, radii[k], Mode(modes[k]), cval, Doubles(w, w + length)});
        w += length;
    }
    separable(input, std::move(passes), exact, output, threads);
}

}  // namespace fastmed
