// Correlation with the user's weights: along one axis it is one pass.
#include "kernels.hpp"
#include "separable.hpp"

namespace fastmed {

void correlate1d(View input, Doubles weights, int axis, int64_t before, int mode, double cval, bool exact, View output, int threads) {
    const int64_t length = weights.size();
    separable(input, {{axis, length, before, Mode(mode), cval, std::move(weights)}}, exact, output, threads);
}

}  // namespace fastmed
