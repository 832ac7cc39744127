// Weighted sums of float32 along x, y and z in one trip through memory.
#pragma once

#include "planes.hpp"
#include "separable.hpp"

namespace fastmed {

// The three passes, one along each of the last three axes, in the order x, y, z; input and output are apart.
void march(const Planes& planes, const Pass& x, const Pass& y, const Pass& z, int threads);

}  // namespace fastmed
