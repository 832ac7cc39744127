// Prewitt: a central difference along one axis, then sums of three along all others, in SciPy's order.
#include "kernels.hpp"
#include "separable.hpp"
#include "three_taps.hpp"

namespace fastmed {

void prewitt(View input, int axis, Ints modes, double cval, View output, int threads) {
    if (three_taps(input, axis, modes, cval, 1, output, threads)) return;
    std::vector<Pass> passes{{axis, 3, 1, Mode(modes[axis]), cval, {-1, 0, 1}}};
    for (int d = 0; d < input.ndim; ++d)
        if (d != axis) passes.push_back({d, 3, 1, Mode(modes[d]), cval, {1, 1, 1}});
    separable(input, std::move(passes), true, output, threads);
}

}  // namespace fastmed
