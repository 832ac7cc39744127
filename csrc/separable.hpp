// Separable n-D filters: a list of one-dimensional passes, run fused over rows.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// One pass along one axis. Output i looks at inputs i - before ... i - before + length - 1.
struct Pass {
    int axis;
    int64_t length;
    int64_t before;
    Mode mode;
    double cval;
    Doubles weights;       // empty: the mean of the window
    bool running = false;  // set inside: the mean by SciPy's running sum
};

// Runs the passes in order; between passes values are cast to the output's dtype, as SciPy does. `exact`: sums in
// double in SciPy's order (always so but for float32 and where single precision gives the same bits). The output may
// be the input itself; it may not overlap it otherwise.
void separable(const View& input, std::vector<Pass> passes, bool exact, const View& output, int threads);

}  // namespace fastmed
