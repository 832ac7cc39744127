// The value of any rank in a window of any shape.
#pragma once

#include "border.hpp"
#include "view.hpp"

namespace fastmed {

// `rank` counts from the smallest, 0, of the elements of the footprint. A window that holds a NaN gives NaN. `output` has
// the dtype of `input` and does not overlap it.
void rank_rows(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, double cval, const View& output, int threads);

}  // namespace fastmed
