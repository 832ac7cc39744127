// Gaussian derivatives along several axes, summed or as the length of a vector, in one trip through memory.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

struct GaussianTaps {  // of all axes, one after the other; 2 * radius + 1 along each, one that changes nothing for radius 0
    const Ints& radii;
    const Doubles &smooth, &derived;
    bool odd;  // whether the derivative is an odd one
};

// The sum of the derivatives along `axes` (smoothed along the others), or, `magnitude`, the root of their summed squares.
// Up to three axes. The output is float or double, not the input, and holds every value of the input's dtype.
void sum_of_derivatives(const View& input, const Ints& axes, const GaussianTaps& taps, Mode mode, double cval, bool magnitude,
                        const View& output, int threads);

}  // namespace fastmed
