// Derivatives of three taps per axis (Sobel, Prewitt), in one trip through memory.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// Whether sums of a few values of `from`, held in `to` (integers modulo 2^bits, float summed in double), have the bits of
// SciPy's: all in double, cast to `to` after every pass. `constant`: values of `cval` come in.
bool same_bits(DType from, DType to, bool constant, double cval);

// A difference [-1, 0, 1] along `axis`, then [1, centre, 1] along the others, with SciPy's bits. False, and nothing is
// done, where the one trip cannot give those: more than three axes, an output that is the input, 64-bit integers...
bool three_taps(const View& input, int axis, const Ints& modes, double cval, int centre, const View& output, int threads);

// The length of the vector of those derivatives along `axes`; derivative k takes modes[k] along all axes. The output is
// float or double and holds every value of the input's dtype.
void three_taps_magnitude(const View& input, const Ints& axes, const Ints& modes, double cval, int centre, const View& output, int threads);

}  // namespace fastmed
